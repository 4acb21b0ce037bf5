#include "models/score.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "autograd/tape.h"
#include "models/windows.h"

namespace unroll {
namespace {

// The lengths of held-out windows: one seed for all runs, so that their scores compare.
constexpr std::uint64_t kLengthSeed = 99, kLengthStream = 2;

}  // namespace

Score::Score(std::int64_t channels)
    : error_(static_cast<std::size_t>(channels)),
      shift_(error_.size()),
      sum_(error_.size()),
      squares_(error_.size()) {}

void Score::add(const Tensor& y, const Tensor& x, const Lengths& lengths) {
  if (!(y.shape() == x.shape()) || x.rank() != 3 ||
      x.shape()[2] != static_cast<std::int64_t>(error_.size()))
    fail("score", "the reconstruction is " + to_string(y.shape()) + " and the data " +
                      to_string(x.shape()) + "; both must be [T,N," +
                      std::to_string(error_.size()) + "]");
  const std::int64_t T = x.shape()[0], N = x.shape()[1], C = x.shape()[2];
  const LengthsView view = lengths.view("score", T, N);
  const auto numbers = [](const Tensor& t) {
    return cast_copy(on_device(t, Device::cpu()), Dtype::float64);
  };
  const Tensor a = numbers(y), b = numbers(x);
  const double *p = a.data<double>(), *q = b.data<double>();
  for (std::int64_t t = 0; t < T; t++)
    for (std::int64_t n = 0; n < N; n++, p += C, q += C) {
      if (view.length && t >= view.length[n]) continue;
      if (steps_++ == 0) std::copy(q, q + C, shift_.begin());
      for (std::size_t c = 0; c < error_.size(); c++) {
        const double value = q[c] - shift_[c];
        error_[c] += (p[c] - q[c]) * (p[c] - q[c]);
        sum_[c] += value;
        squares_[c] += value * value;
      }
    }
}

Score& Score::operator+=(const Score& other) {
  const double count = static_cast<double>(other.steps_);
  if (steps_ == 0) shift_ = other.shift_;
  for (std::size_t c = 0; c < error_.size(); c++) {
    // The other's numbers, shifted by this one's first value.
    const double move = other.shift_[c] - shift_[c];
    error_[c] += other.error_[c];
    squares_[c] += other.squares_[c] + 2 * move * other.sum_[c] + count * move * move;
    sum_[c] += other.sum_[c] + count * move;
  }
  steps_ += other.steps_;
  return *this;
}

double Score::deviation(std::size_t channel) const {
  const double value =
      squares_[channel] - sum_[channel] * sum_[channel] / static_cast<double>(steps_);
  return steps_ > 1 && value > 0 ? value : 0;
}

double Score::mse() const {
  return std::accumulate(error_.begin(), error_.end(), 0.0) /
         (static_cast<double>(steps_) * static_cast<double>(error_.size()));
}

double Score::nmse() const {
  double error = 0, power = 0;
  for (std::size_t c = 0; c < error_.size(); c++) {
    error += error_[c];
    power += deviation(c);
  }
  return power > 0 ? error / power : std::numeric_limits<double>::quiet_NaN();
}

double Score::nmse(std::int64_t channel) const {
  const auto c = static_cast<std::size_t>(channel);
  const double power = deviation(c);
  return power > 0 ? error_[c] / power : std::numeric_limits<double>::quiet_NaN();
}

Score evaluate(const Reconstruction& model, const Tensor& windows, const EvaluateOptions& options) {
  if (options.batch < 1)
    fail("evaluate", "batches of " + std::to_string(options.batch) + " windows");
  const NoTape none;
  const std::int64_t count = windows.shape()[0], T = windows.shape()[1];
  Score score(windows.shape()[2]);
  Random random(kLengthSeed, kLengthStream);
  std::vector<std::int64_t> indices;
  for (std::int64_t start = 0; start < count; start += options.batch) {
    indices.resize(static_cast<std::size_t>(std::min(options.batch, count - start)));
    std::iota(indices.begin(), indices.end(), start);
    const Tensor x = on_device(gather_windows(windows, indices, options.dtype), options.device);
    Lengths lengths;
    if (options.shortest > 0) lengths = random_lengths(random, x.shape()[1], options.shortest, T);
    const Tensor y = model(x, lengths), target = model.target(x, lengths);
    score.add(y, target, y.shape()[0] == T ? lengths : Lengths());
  }
  if (!std::isfinite(score.mse()))
    fail("evaluate", "the reconstruction is not finite; train with a lower learning rate");
  return score;
}

}  // namespace unroll
