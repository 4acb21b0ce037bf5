// A time series: T steps of C channels, and what is done to it before a model sees it.
//
//   Series series = read_series("weather.csv", {"temp_max", "temp_min"});
//   Split parts = split(series, 0.1, 0.2);                 // in the order of time
//   Standardizer standardizer(parts.train);                // fitted on the training part only
//   Tensor x = standardizer.apply(parts.test.values);
//
// Values are float64. The parts of a split are views of the series' storage. Thread-safe to read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "io/csv.h"

namespace UNROLL_API unroll {

/// Channels over time.
struct Series {
  Tensor values;                   // [T,C] float64, all finite
  std::vector<std::string> names;  // [C]

  /// T, and C below.
  std::int64_t steps() const { return values.size(0); }
  std::int64_t channels() const { return values.size(1); }
};

/// Reads a csv file, or an npy file [T] or [T,C] of numbers whose columns are named "0", "1", ...
/// (the content decides, not the name). Empty `columns`: all, of a csv all that hold numbers.
/// `missing` is for csv; an npy with NaN or infinity is refused. Throws Error, naming the file, for
/// these, for another rank and for a column that does not exist.
Series read_series(const std::string& path, const std::vector<std::string>& columns = {},
                   Missing missing = Missing::error);

/// A series in three parts.
struct Split {
  Series train, validation, test;
};

/// Cuts a series in the order of time: first the training part, then the fractions for validation
/// and test, rounded down. A fraction of 0 gives an empty part. Throws Error where a fraction is
/// negative, their sum is not below 1, or a part that is asked for would be empty.
Split split(const Series& series, double validation, double test);

/// Shifts and scales each channel to mean 0 and variance 1 (population variance) of the series that
/// it was fitted on.
class Standardizer {
 public:
  /// Throws Error, naming the channel, where one is constant: it carries nothing to reconstruct and
  /// has no scale.
  explicit Standardizer(const Series& train);
  /// From numbers kept elsewhere. Throws Error unless there are equally many, all finite, sd > 0.
  Standardizer(std::vector<double> mean, std::vector<double> sd);

  /// (x - mean) / sd along the last axis, which must be the channels. float32 or float64, any rank
  /// from 1; a fresh tensor of x's shape and dtype.
  Tensor apply(const Tensor& x) const;
  /// x * sd + mean.
  Tensor invert(const Tensor& x) const;

  /// Of each channel.
  const std::vector<double>& mean() const noexcept { return mean_; }
  const std::vector<double>& sd() const noexcept { return sd_; }

 private:
  std::vector<double> mean_, sd_;
};

}  // namespace unroll
