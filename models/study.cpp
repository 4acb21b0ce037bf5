#include "models/study.h"

#include <cmath>

#include "core/error.h"

namespace unroll {

void StepCounter::after_step() {
  if (stop_ && *stop_) fail("study", "stopped before the end; nothing was written");
  const std::int64_t done = ++done_;
  if (!progress_ || done % 50) return;
  const std::lock_guard lock(mutex_);
  progress_(done, total_);
}

MeanSd mean_sd(const std::vector<double>& values) {
  if (values.empty()) fail("mean_sd", "there are no values");
  const double count = static_cast<double>(values.size());
  MeanSd of;
  for (double v : values) of.mean += v / count;
  double squares = 0;
  for (double v : values) squares += (v - of.mean) * (v - of.mean);
  if (values.size() > 1) of.sd = std::sqrt(squares / (count - 1));
  return of;
}

}  // namespace unroll
