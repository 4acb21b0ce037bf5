// Precision: what rounding leaves of an input.
//
//   double e = preactivation_bound(h, 0.5, Dtype::float32);      // of atanh(h), h a rounded tanh
//   RoundingLoss loss = rounding_loss(facts, row, Dtype::float16);
//   base_code_capacity(4, Dtype::float64);                       // 26 tokens in one number
//
// Three limits: tanh is flat where it saturates, so that its argument is lost though h is almost
// exact; a map of condition k loses log10 k digits of what its outputs are kept in; and a mantissa
// of p bits can hold p bits. Pure functions, thread-safe.
#pragma once

#include <functional>
#include <span>

#include "inversion/observation.h"
#include "inversion/rounding.h"

namespace UNROLL_API unroll {

/// Bits of the significand, the leading one included: 53, 24, 11 or 8. Throws Error for int64 and
/// bool.
int significand_bits(Dtype dtype);

// ---- saturation

/// Largest |error| of a pre-activation that is read off h = tanh(a) as atanh(h), where the tanh is
/// good to u ulp (1/2: correctly rounded): u*eps / (1 - (|h| + u*eps)^2), with eps the unit
/// round-off, which is one ulp just below 1. To first order u*eps / (1 - h^2); written so, it holds
/// up to the last number below 1, by the mean value theorem. Infinite where |h| + u*eps >= 1.
double preactivation_bound(double h, double ulps, Dtype dtype);
/// The least a at which a correctly rounded tanh is 1: ln(2^(p+2)) / 2, 9.01 for float32, 19.06 for
/// float64, of p significand bits.
double saturation_point(Dtype dtype);

/// How good a tanh is. Values are float64, of `dtype`.
struct TanhQuality {
  double ulps = 0;          // largest error
  double bound_ratio = 0;   // largest |atanh(h) - a| over preactivation_bound(h, ulps)
  double saturates_at = 0;  // least a, to 1e-4, at which and above which it is 1
};
/// Of `tanh`, which fills y from x, on `count` points in [0, 1.05 saturation_point], against long
/// double. Throws Error for other types than float32 and float64.
TanhQuality tanh_quality(
    const std::function<void(std::span<const double> x, std::span<double> y)>& tanh, Dtype dtype,
    std::int64_t count = 20000);
/// The engine's own, and the C library's.
TanhQuality engine_tanh_quality(Dtype dtype, std::int64_t count = 20000);
TanhQuality library_tanh_quality(Dtype dtype, std::int64_t count = 20000);

// ---- outputs that are rounded to a type

struct RoundingLoss {
  double predicted = 0;  // root mean square of J^+ delta: to first order
  double measured = 0;   // of the least-squares input of the rounded facts, less the row
  double condition = 0;  // of J
};
/// The facts of row [1,n], rounded to `dtype`, back to the input nearest to the row in the basin of
/// Levenberg-Marquardt. Throws Error where the row does not fit.
RoundingLoss rounding_loss(const Facts& facts, const Tensor& row, Dtype dtype);

// ---- digits

/// The linear RNN with one unit, h_t = (h_{t-1} + token) / V, writes its tokens as the digits of a
/// number in base V. How many a significand of p bits holds exactly: floor(p / log2 V), for V >= 2
/// a power of 2; else 0, since then 1/V is rounded already.
std::int64_t base_code_capacity(std::int64_t V, Dtype dtype);
/// The longest T at which that RNN, run in `dtype` (float32 or float64), lets all of 256 random
/// sequences and the extreme ones be read off h_T digit by digit.
std::int64_t base_code_measured(std::int64_t V, Dtype dtype, std::uint64_t seed = 1);

}  // namespace unroll
