#include "models/series.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/view.h"
#include "io/input_file.h"
#include "io/npy.h"

namespace unroll {
namespace {

bool is_npy(const std::string& path) {
  InputFile file("read_series", path);
  char start[6] = {};
  return file.read_some(start, sizeof start) == sizeof start &&
         std::memcmp(start, "\x93NUMPY", sizeof start) == 0;
}

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  fail("read_series", path + ": " + what);
}

Tensor read_table(const std::string& path) {
  const Tensor raw = read_npy(path);
  if (raw.rank() < 1 || raw.rank() > 2)
    refuse(path, "shape " + to_string(raw.shape()) + " is no series; it must be [T] or [T,C]");
  const std::int64_t T = raw.shape()[0], C = raw.rank() == 2 ? raw.shape()[1] : 1;
  if (T == 0 || C == 0) refuse(path, "shape " + to_string(raw.shape()) + " holds no number");
  const Tensor values = view::reshape(cast_copy(raw, Dtype::float64), {T, C});
  const double* x = values.data<double>();
  for (std::int64_t i = 0; i < T * C; i++)
    if (!std::isfinite(x[i]))
      refuse(path, "step " + std::to_string(i / C) + " of column " + std::to_string(i % C) +
                       " is " + csv_number(x[i]) + "; a series must be finite");
  return values;
}

Series read_npy_series(const std::string& path, const std::vector<std::string>& columns) {
  const Tensor table = read_table(path);
  const std::int64_t T = table.shape()[0], C = table.shape()[1];
  Series series{table, columns};
  if (columns.empty()) {
    for (std::int64_t c = 0; c < C; c++) series.names.push_back(std::to_string(c));
    return series;
  }
  series.values = empty({T, static_cast<std::int64_t>(columns.size())}, Dtype::float64);
  for (std::size_t to = 0; to < columns.size(); to++) {
    std::int64_t from = 0;
    while (from < C && std::to_string(from) != columns[to]) from++;
    if (from == C)
      refuse(path, "has no column " + in_quotes(columns[to]) + "; its columns are 0 to " +
                       std::to_string(C - 1));
    if (std::count(columns.begin(), columns.end(), columns[to]) > 1)
      refuse(path, "column " + in_quotes(columns[to]) + " is asked for twice");
    Tensor target = view::select(series.values, 1, static_cast<std::int64_t>(to));
    copy_into(target, view::select(table, 1, from));
  }
  return series;
}

Series part(const Series& series, std::int64_t start, std::int64_t end) {
  return {view::slice(series.values, 0, start, end), series.names};
}

// Calls f(value, channel) for each element and stores what it returns.
template <class F>
Tensor map_channels(const char* op, const Tensor& x, std::size_t channels, F f) {
  if (!x || x.rank() < 1 || x.shape()[-1] != static_cast<std::int64_t>(channels))
    fail(op, (x ? to_string(x.shape()) : std::string("an undefined tensor")) +
                 " does not end with " + std::to_string(channels) + " channels");
  const Tensor dense = contiguous_copy(x);
  Tensor out = empty_like(dense);
  with_real(x.dtype(), [&](auto real) {
    using Real = decltype(real);
    const Real* from = dense.data<Real>();
    Real* to = out.mutable_data<Real>();
    const std::int64_t rows = x.numel() / static_cast<std::int64_t>(channels);
    for (std::int64_t row = 0; row < rows; row++)
      for (std::size_t c = 0; c < channels; c++)
        *to++ = static_cast<Real>(f(static_cast<double>(*from++), c));
  });
  return out;
}

}  // namespace

Series read_series(const std::string& path, const std::vector<std::string>& columns,
                   Missing missing) {
  if (is_npy(path)) return read_npy_series(path, columns);
  CsvTable table = read_csv(path, {.columns = columns, .missing = missing});
  for (const std::string& name : table.names)
    if (std::count(table.names.begin(), table.names.end(), name) > 1)
      refuse(path, "has more than one column " + in_quotes(name) +
                       "; give each a name of its own, or choose others by name");
  return {std::move(table.values), std::move(table.names)};
}

Split split(const Series& series, double validation, double test) {
  if (!(validation >= 0) || !(test >= 0) || !(validation + test < 1))
    fail("split", "fractions " + csv_number(validation) + " and " + csv_number(test) +
                      " must not be negative, and their sum must be below 1");
  const std::int64_t T = series.steps();
  const auto steps = [&](double fraction) {
    const auto count = static_cast<std::int64_t>(std::floor(fraction * static_cast<double>(T)));
    if (fraction > 0 && count == 0)
      fail("split", "a fraction of " + csv_number(fraction) + " of " + std::to_string(T) +
                        " steps is none; take a larger one or a longer series");
    return count;
  };
  const std::int64_t first_test = T - steps(test);
  const std::int64_t first_validation = first_test - steps(validation);
  if (first_validation == 0) fail("split", "no step is left to train on");
  return {part(series, 0, first_validation), part(series, first_validation, first_test),
          part(series, first_test, T)};
}

Standardizer::Standardizer(const Series& train) {
  if (!train.values || train.values.rank() != 2 || train.values.numel() == 0)
    fail("standardizer", "the series must be [T,C] with at least one step");
  const Tensor values = cast_copy(train.values, Dtype::float64);
  const std::int64_t T = train.steps(), C = train.channels();
  const double* x = values.data<double>();
  for (std::int64_t c = 0; c < C; c++) {
    double sum = 0, squares = 0, low = x[c], high = x[c];
    for (std::int64_t t = 0; t < T; t++) {
      const double value = x[t * C + c];
      sum += value;
      low = std::min(low, value);
      high = std::max(high, value);
    }
    const double mean = sum / static_cast<double>(T);
    for (std::int64_t t = 0; t < T; t++) squares += (x[t * C + c] - mean) * (x[t * C + c] - mean);
    const double sd = std::sqrt(squares / static_cast<double>(T));
    if (low == high || !(sd > 0) || !std::isfinite(sd)) {
      const auto i = static_cast<std::size_t>(c);
      fail("standardizer",
           "channel " + in_quotes(i < train.names.size() ? train.names[i] : std::to_string(c)) +
               " is " + csv_number(low) + " to " + csv_number(high) +
               " in the training part and cannot be scaled; leave it out");
    }
    mean_.push_back(mean);
    sd_.push_back(sd);
  }
}

Standardizer::Standardizer(std::vector<double> mean, std::vector<double> sd)
    : mean_(std::move(mean)), sd_(std::move(sd)) {
  bool good = mean_.size() == sd_.size() && !mean_.empty();
  for (std::size_t c = 0; good && c < mean_.size(); c++)
    good = std::isfinite(mean_[c]) && std::isfinite(sd_[c]) && sd_[c] > 0;
  if (!good)
    fail("standardizer", "means and positive standard deviations must be finite and equally many");
}

Tensor Standardizer::apply(const Tensor& x) const {
  return map_channels("standardizer", x, mean_.size(),
                      [&](double v, std::size_t c) { return (v - mean_[c]) / sd_[c]; });
}

Tensor Standardizer::invert(const Tensor& x) const {
  return map_channels("standardizer", x, mean_.size(),
                      [&](double v, std::size_t c) { return v * sd_[c] + mean_[c]; });
}

}  // namespace unroll
