// What the measurements of claims share. Private to inversion/claims*.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <type_traits>
#include <vector>

#include "autograd/tape.h"
#include "core/parallel.h"
#include "inversion/claims.h"
#include "models/encoder.h"

namespace UNROLL_API unroll {
namespace claims {

/// Two digits, as in "1.2e-05".
inline std::string text_of(double value, int digits = 2) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}
/// As it is.
inline std::string text_of(std::int64_t value) { return std::to_string(value); }
/// "3/5"
inline std::string out_of(std::int64_t part, std::int64_t all) {
  return text_of(part) + "/" + text_of(all);
}

/// The middle value; of an even number the mean of both.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/// Whether value / of lies within 1 / factor .. factor.
inline bool within_factor(double value, double of, double factor) {
  return value >= of / factor && value <= of * factor;
}

/// Upper end of the 95 % interval of a rate (Wilson 1927).
inline double highest_rate(std::int64_t successes, std::int64_t trials) {
  const double n = static_cast<double>(trials), p = static_cast<double>(successes) / n, z = 1.96;
  const double middle = p + z * z / (2 * n);
  return (middle + z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n);
}

/// f(seed) of `count` seeds, each in a thread of its own; a bool comes as char, since elements of a
/// vector<bool> are not apart. Neighbouring contexts have no seed in common.
template <class F>
auto over_seeds(const ClaimContext& context, std::size_t count, F f) {
  using Result = decltype(f(std::uint64_t{}));
  std::vector<std::conditional_t<std::is_same_v<Result, bool>, char, Result>> results(count);
  run_jobs(count, [&](std::size_t i) {
    if (context.stop && *context.stop) fail("claims", "stopped");
    const NoTape none;
    results[i] = f(context.seed * 1000 + i);
  });
  return results;
}

/// The outputs [T,N,D*P] of a run in float32.
inline Tensor run_in_float32(const Encoder& encoder, const Tensor& x) {
  return encoder.in(Dtype::float32)(cast_copy(x, Dtype::float32)).y;
}

/// Largest |a - b|.
double largest_error(const Tensor& a, const Tensor& b);

// Of claims_certify_steps.cpp: claims 5, 7 and 8.
/// Claim 5.
ClaimRow noise_gain(const ClaimContext& context);
/// Claim 7.
ClaimRow saturated_rows(const ClaimContext& context);
/// Claim 8.
ClaimRow active_rows(const ClaimContext& context);

}  // namespace claims
}  // namespace unroll
