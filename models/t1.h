// Table T1: the three example models of the founding question and their variants, trained on four
// tasks; how much of the input does each give back?
//
//   T1Options options{.tasks = {"lorenz"}, .seeds = 1};
//   for (const T1Row& row : run_t1(options)) std::cout << row.model << " " << row.nmse_mean <<
//   "\n";
//
// Hidden size 32, windows of 20 steps, batches of 64 fresh windows, Adam 3e-3 with cosine decay to
// 1 %, clipping at norm 1, 2500 steps, 1000 held-out sequences. Runs are independent of each other
// and of the number of threads.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "models/reconstruction.h"
#include "models/study.h"

namespace UNROLL_API unroll {

/// What to train, and how.
struct T1Options {
  std::vector<std::string> tasks;  // of Task::names(); empty: all
  std::vector<ModelKind> models;   // empty: all, and the autoencoder with a linear cell
  std::optional<Cell> cell;        // of the autoencoder, instead of tanh
  int seeds = 3;                   // runs of each model on each task
  std::uint64_t first_seed = 1;
  std::int64_t steps = 2500, hidden = 32, window = 20, batch = 64;
  RecurrentInit init = {};
};

/// One model on one task.
struct T1Row {
  std::string model, task;
  double nmse_mean = 0, nmse_sd = 0;  // held-out, over the seeds that are not stuck (or over all,
                                      // if all are); 1 = as good as predicting the mean
  int stuck = 0;       // seeds with NMSE >= .99 after step 1000 (or 40 % of the steps)
  double seconds = 0;  // of training, all seeds
  int seeds = 0;
};

/// Rows by model, then task. `progress` counts training steps; `stop` ends the runs early with
/// Error.
std::vector<T1Row> run_t1(const T1Options& options, const StudyProgress& progress = {},
                          const std::atomic<bool>* stop = nullptr);

/// A row's name: the model's, with "-linear" (say) behind it where the cell is not the model's own.
std::string t1_name(ModelKind kind, std::optional<Cell> cell);

}  // namespace unroll
