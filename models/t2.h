// Table T2: one real number per hidden unit. How much of a random vector does an RNN still hold in
// its last state, four blank steps later?
//
//   for (const T2Row& row : run_t2({.cells = {Cell::gru}}))
//     std::cout << name(row.cell) << " " << row.hidden << " " << row.nmse << "\n";
//
// x_0 ~ N(0,1) of 32 numbers, x_1..x_4 = 0, read back by a linear layer from h_4. No readout of H
// numbers gives 32 independent ones back with an NMSE below 1 - H/32; trained RNNs come close
// (after Collins, Sohl-Dickstein & Sussillo 2017, "Capacity and trainability in recurrent neural
// networks"). Adam 1e-2, cosine decay to 1e-5, clipping at norm 1, batches of 128 fresh vectors,
// 3000 steps, 4000 test vectors. Tanh starts with an orthogonal weight_hh, the LSTM with a forget
// bias of 1. At a rate of 3e-3 the GRU ends .007 above the bound, and most LSTMs of 24 units hold
// only 23 numbers. Runs are independent of each other and of the number of threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "models/cell.h"
#include "models/study.h"

namespace UNROLL_API unroll {

struct T2Options {
  std::vector<Cell> cells = {Cell::tanh, Cell::gru, Cell::lstm};
  std::vector<std::int64_t> hidden = {8, 16, 24, 32, 48};
  int seeds = 1;  // runs of each cell and size
  std::uint64_t first_seed = 1;
  std::int64_t steps = 3000;
};

struct T2Row {
  Cell cell = Cell::tanh;
  std::int64_t hidden = 0;  // H
  double bound = 0;         // 1 - H/32, at least 0
  double nmse = 0;          // of the test vectors, mean over the seeds
  double worst = 0;         // of the seeds
  double tolerance = 0;     // above the bound
  bool pass = false;        // all seeds within the tolerance
  int seeds = 0;
  double seconds = 0;  // of training, all seeds
};

/// Rows by cell, then size. `progress` counts training steps; `stop` ends the runs early with
/// Error. Throws Error for sizes, seeds or steps below 1.
std::vector<T2Row> run_t2(const T2Options& options, const StudyProgress& progress = {},
                          const std::atomic<bool>* stop = nullptr);

}  // namespace unroll
