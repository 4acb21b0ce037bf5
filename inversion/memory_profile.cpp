#include "inversion/memory_profile.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/readout.h"

namespace unroll {
namespace {

void check(const MemoryOptions& o) {
  if (o.lags < 1 || o.washout < 0 || o.steps < 1)
    fail("memory_profile", "lags and steps must be at least 1 and the washout at least 0");
}

std::int64_t first_step(const MemoryOptions& o) { return std::max(o.washout, o.lags - 1); }

// States from `first` on, and x at every lag before them: columns by lag, then channel.
Samples lagged(const Encoder& encoder, const Tensor& x, std::int64_t lags, std::int64_t first) {
  if (!x || x.rank() != 3 || x.dtype() != Dtype::float64 || x.shape()[2] != encoder.sizes().I)
    fail("memory_profile", "x must be [T,N," + std::to_string(encoder.sizes().I) + "] of float64" +
                               (x ? ", not " + to_string(x.shape()) : ""));
  const std::int64_t T = x.shape()[0], n = (T - first) * x.shape()[1], I = x.shape()[2];
  if (T <= first)
    fail("memory_profile", "sequences of " + std::to_string(T) + " steps end before the first " +
                               "step to be used, " + std::to_string(first + 1) +
                               ": take fewer lags or a shorter washout");
  const Tensor y = slice(encoder(x).y, 0, first, T);
  Tensors past;
  for (std::int64_t k = 0; k < lags; k++)
    past.push_back(reshape(slice(x, 0, first - k, T - k), {n, I}));
  return {contiguous(reshape(y, {n, y.shape()[2]})), cat(past, 1)};
}

Tensor drawn(Drive drive, const Shape& shape, Random& random) {
  return drive == Drive::normal ? random.normal(shape, 0, 1, Dtype::float64)
                                : random.uniform(shape, -1, 1, Dtype::float64);
}

// Adds half of what one part says of the other.
void add_half(MemoryProfile& p, const ReadoutScore& score, std::size_t channels) {
  p.rank = p.rank ? std::min(p.rank, score.rank) : score.rank;
  p.condition = std::max(p.condition, score.condition);
  for (std::size_t j = 0; j < score.nmse.size(); j++) {
    if (std::isnan(score.nmse[j])) continue;  // a channel that does not vary
    p.r2[j / channels] += 0.5 * (1 - score.nmse[j]) / static_cast<double>(channels);
    p.m[j / channels] += 0.5 * score.explained[j];
  }
}

std::string warning_of(const MemoryProfile& p, double samples, double targets) {
  char text[200] = "";
  const double bound = static_cast<double>(p.states);
  const double wander = 0.05 + 5 * std::sqrt(targets / samples);
  if (p.capacity > bound + wander)
    std::snprintf(text, sizeof text,
                  "the capacity %.3f is above the bound of %lld states: the input is not white or "
                  "too short",
                  p.capacity, static_cast<long long>(p.states));
  else if (p.r2.back() > 0.01)
    std::snprintf(text, sizeof text,
                  "R2 of the last lag is %.3f: the lags end before the memory does; take more",
                  p.r2.back());
  else if (p.rank < p.states)
    std::snprintf(text, sizeof text,
                  "the states have numerical rank %lld of %lld: the rest is below rounding",
                  static_cast<long long>(p.rank), static_cast<long long>(p.states));
  return text;
}

}  // namespace

MemoryProfile memory_profile(const Encoder& encoder, const Tensor& one, const Tensor& other,
                             const MemoryOptions& options) {
  check(options);
  const NoTape none;
  const std::int64_t first = first_step(options);
  const Samples a = lagged(encoder, one, options.lags, first);
  const Samples b = lagged(encoder, other, options.lags, first);
  const auto lags = static_cast<std::size_t>(options.lags);
  const auto channels = static_cast<std::size_t>(encoder.sizes().I);
  MemoryProfile p{.r2 = std::vector<double>(lags), .m = std::vector<double>(lags)};
  p.states = encoder.sizes().output_width();
  add_half(p, score_readout(a, b, options.ridge), channels);
  add_half(p, score_readout(b, a, options.ridge), channels);
  for (const double m : p.m) p.capacity += m;
  const std::int64_t samples = a.states.shape()[0] + b.states.shape()[0];
  p.warning = warning_of(p, static_cast<double>(samples), static_cast<double>(lags * channels));
  return p;
}

MemoryProfile memory_profile(const Encoder& encoder, const MemoryOptions& options, Random& random) {
  check(options);
  const Shape shape{first_step(options) + options.steps, 1, encoder.sizes().I};
  const Tensor one = drawn(options.drive, shape, random);
  const Tensor other = drawn(options.drive, shape, random);
  return memory_profile(encoder, one, other, options);
}

}  // namespace unroll
