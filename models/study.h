// What the tables of the laboratory share: counting the steps of many runs, and their statistics.
//
//   StepCounter counter(runs * steps, progress, stop);
//   run_jobs(runs, [&](std::size_t i) { train(i, [&] { counter.after_step(); }); });
//   MeanSd nmse = mean_sd(outcomes);
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "core/export.h"

namespace UNROLL_API unroll {

/// Told, in one thread at a time, how many steps of all runs are done and how many there are.
using StudyProgress = std::function<void(std::int64_t done, std::int64_t total)>;

/// Counts the steps of all runs and tells the caller every 50. Thread-safe. Keeps references.
class StepCounter {
 public:
  StepCounter(std::int64_t total, const StudyProgress& progress, const std::atomic<bool>* stop)
      : total_(total), progress_(progress), stop_(stop) {}

  /// Throws Error where *stop is true.
  void after_step();

 private:
  std::int64_t total_;
  const StudyProgress& progress_;
  const std::atomic<bool>* stop_;
  std::atomic<std::int64_t> done_{0};
  std::mutex mutex_;
};

struct MeanSd {
  double mean = 0, sd = 0;  // of a sample; 0 for one value
};
/// Throws Error where there is no value.
MeanSd mean_sd(const std::vector<double>& values);

}  // namespace unroll
