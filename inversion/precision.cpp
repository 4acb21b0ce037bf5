#include "inversion/precision.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "autograd/rnn.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/levenberg_marquardt.h"
#include "inversion/linear_algebra.h"
#include "inversion/numbers.h"

namespace unroll {
namespace {

void require_real(const char* op, Dtype dtype) {
  if (!is_real(dtype))
    fail(op, std::string(name(dtype)) + " is not computed in: take float32 or float64");
}

using detail::root_mean_square;

// The distance between numbers of p significand bits near x.
double ulp(long double x, int p) {
  int exponent = 0;
  std::frexp(x, &exponent);  // |x| in [2^(exponent-1), 2^exponent)
  return std::ldexp(1.0, exponent - p);
}

}  // namespace

int significand_bits(Dtype dtype) {
  switch (dtype) {
    case Dtype::float64: return 53;
    case Dtype::float32: return 24;
    case Dtype::float16: return 11;
    case Dtype::bfloat16: return 8;
    default: fail("significand_bits", std::string(name(dtype)) + " is no floating-point type");
  }
}

double preactivation_bound(double h, double ulps, Dtype dtype) {
  const double error = ulps * unit_roundoff(dtype);
  // 1 - (|h| + e)^2 in two factors, the small one without cancellation.
  const double left = (1 - std::abs(h)) - error;
  return left > 0 ? error / (left * (1 + std::abs(h) + error))
                  : std::numeric_limits<double>::infinity();
}

double saturation_point(Dtype dtype) { return (significand_bits(dtype) + 2) * std::log(2.0) / 2; }

TanhQuality tanh_quality(
    const std::function<void(std::span<const double>, std::span<double>)>& tanh, Dtype dtype,
    std::int64_t count) {
  require_real("tanh_quality", dtype);
  const double end = 1.05 * saturation_point(dtype);
  std::vector<double> a(static_cast<std::size_t>(count)), h(a.size());
  for (std::size_t i = 0; i < a.size(); i++) {
    a[i] = end * static_cast<double>(i + 1) / static_cast<double>(count);
    if (dtype == Dtype::float32) a[i] = static_cast<float>(a[i]);
  }
  tanh(a, h);
  TanhQuality quality;
  const int p = significand_bits(dtype);
  for (std::size_t i = 0; i < a.size(); i++) {
    const long double exact = std::tanh(static_cast<long double>(a[i]));
    const long double error = std::abs(static_cast<long double>(h[i]) - exact);
    quality.ulps = std::max(quality.ulps, static_cast<double>(error / ulp(exact, p)));
  }
  for (std::size_t i = 0; i < a.size(); i++) {
    if (std::abs(h[i]) >= 1) continue;
    const long double back = std::atanh(static_cast<long double>(h[i]));
    const double bound = preactivation_bound(h[i], quality.ulps, dtype);
    const double error = static_cast<double>(std::abs(back - static_cast<long double>(a[i])));
    quality.bound_ratio = std::max(quality.bound_ratio, error / bound);
  }
  double low = 1, high = end;
  while (high - low > 1e-4) {
    double middle = (low + high) / 2, value = 0;
    tanh({&middle, 1}, {&value, 1});
    (value == 1 ? high : low) = middle;
  }
  quality.saturates_at = high;
  return quality;
}

TanhQuality engine_tanh_quality(Dtype dtype, std::int64_t count) {
  const auto of_engine = [dtype](std::span<const double> x, std::span<double> y) {
    const NoTape none;
    const Tensor a = from_values<double>(x, {static_cast<std::int64_t>(x.size())});
    const Tensor h = cast_copy(tanh(cast_copy(a, dtype)), Dtype::float64);
    std::copy_n(h.data<double>(), y.size(), y.begin());
  };
  return tanh_quality(of_engine, dtype, count);
}

TanhQuality library_tanh_quality(Dtype dtype, std::int64_t count) {
  const auto of_library = [dtype](std::span<const double> x, std::span<double> y) {
    for (std::size_t i = 0; i < x.size(); i++)
      y[i] = dtype == Dtype::float32 ? static_cast<double>(std::tanh(static_cast<float>(x[i])))
                                     : std::tanh(x[i]);
  };
  return tanh_quality(of_library, dtype, count);
}

RoundingLoss rounding_loss(const Facts& facts, const Tensor& row, Dtype dtype) {
  const NoTape none;
  const std::int64_t n = facts.unknowns();
  if (!row || !(row.shape() == Shape{1, n}))
    fail("rounding_loss", "the row is " + (row ? to_string(row.shape()) : "undefined") +
                              " but must be [1," + std::to_string(n) + "]");
  const Tensor exact = facts.of_unknowns(row);
  const Tensor y = cast_copy(cast_copy(exact, dtype), Dtype::float64);
  const Residuals residuals = [&](const Tensor& x, auto) {
    return linearise(x, [&](const Tensor& rows) { return facts.of_unknowns(rows) - y; });
  };
  const LmResult back = levenberg_marquardt(residuals, row);
  const Linearised at = linearise(row, [&](const Tensor& rows) { return facts.of_unknowns(rows); });
  const Tensor J = view::select(at.jacobian, 0, 0);
  const Tensor first_order = least_squares(J, select(y - exact, 0, 0));
  return {root_mean_square(first_order), root_mean_square(back.x - row),
          condition(singular_values(J))};
}

std::int64_t base_code_capacity(std::int64_t V, Dtype dtype) {
  if (V < 2 || !std::has_single_bit(static_cast<std::uint64_t>(V))) return 0;
  return significand_bits(dtype) / (std::bit_width(static_cast<std::uint64_t>(V)) - 1);
}

namespace {

constexpr std::int64_t kRandomSequences = 256;

// [T,N]: random digits, then all largest, and the first or the last one alone beside zeros or
// beside the other end.
Tensor digits_to_try(std::int64_t V, std::int64_t T, std::uint64_t seed) {
  Random random(seed, 43);
  const auto line = [&](std::int64_t first, std::int64_t between, std::int64_t last) {
    std::vector<std::int64_t> digits(static_cast<std::size_t>(T), between);
    digits.front() = first;
    digits.back() = T > 1 ? last : first;
    return from_values(digits, {T, 1});
  };
  return cat({random.integers({T, kRandomSequences}, 0, V), line(V - 1, V - 1, V - 1),
              line(1, 0, V - 1), line(1, 0, 0), line(0, 0, 1)},
             1);
}

bool comes_back(std::int64_t V, std::int64_t T, Dtype dtype, std::uint64_t seed) {
  const Tensor digits = digits_to_try(V, T, seed);
  const std::int64_t N = digits.shape()[1];
  const Tensor weight = full({1, 1}, 1 / static_cast<double>(V), dtype);
  const Tensor h = rnn(unsqueeze(cast_copy(digits, dtype), 2), {}, weight, weight, {}, {}, {},
                       RnnActivation::identity)
                       .h_n;
  const Tensor last = cast_copy(h, Dtype::float64);
  const std::int64_t* d = digits.data<std::int64_t>();
  for (std::int64_t n = 0; n < N; n++) {
    double rest = last.data<double>()[n];
    for (std::int64_t t = T - 1; t >= 0; t--) {
      rest *= static_cast<double>(V);
      const double digit = std::floor(rest);
      if (digit != static_cast<double>(d[t * N + n])) return false;
      rest -= digit;
    }
  }
  return true;
}

}  // namespace

std::int64_t base_code_measured(std::int64_t V, Dtype dtype, std::uint64_t seed) {
  const NoTape none;
  require_real("base_code_measured", dtype);
  if (V < 2) fail("base_code_measured", "a vocabulary of " + std::to_string(V) + " says nothing");
  std::int64_t T = 0;
  while (T < 64 && comes_back(V, T + 1, dtype, seed)) T++;
  return T;
}

}  // namespace unroll
