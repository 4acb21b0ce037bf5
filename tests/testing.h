// What the tests of autograd share: random tensors, comparison, and errors by their message.
//
//   const Tensor x = random_normal({2, 3});
//   EXPECT_LE(difference(tape.pull(y, u, {x})[0], expected), 1e-12);
//   EXPECT_ERROR(matmul(x, x), "matmul: a is [2,3]");
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "core/random.h"
#include "core/tensor.h"
#include "tests/temporary.h"

namespace unroll::testing {

inline Tensor random_normal(const Shape& shape, std::uint64_t seed = 1, double sd = 1,
                            Dtype dtype = Dtype::float64) {
  return Random(seed, 5).normal(shape, 0, sd, dtype);
}

/// Rank 0, float64.
inline Tensor number(double value) { return scalar(value, Dtype::float64); }

/// Largest |a - b| over largest |b|. Equal infinities and pairs of NaN count as equal; a different
/// shape, or a NaN or infinity in one only, is infinitely far.
inline double difference(const Tensor& a, const Tensor& b) {
  constexpr double far = std::numeric_limits<double>::infinity();
  if (!a || !b || !(a.shape() == b.shape())) return far;
  const std::vector<double> x = to_vector<double>(cast_copy(a, Dtype::float64));
  const std::vector<double> y = to_vector<double>(cast_copy(b, Dtype::float64));
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < x.size(); i++) {
    if (x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]))) {
      if (std::isfinite(y[i])) largest = std::max(largest, std::abs(y[i]));
      continue;
    }
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) return far;
    worst = std::max(worst, std::abs(x[i] - y[i]));
    largest = std::max(largest, std::abs(y[i]));
  }
  return worst == 0 ? 0 : worst / (largest > 0 ? largest : 1);
}

inline double difference(const Tensors& a, const Tensors& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); i++) worst = std::max(worst, difference(a[i], b[i]));
  return worst;
}

/// Sum of products.
inline double dot(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = to_vector<double>(a), y = to_vector<double>(b);
  double total = 0;
  for (std::size_t i = 0; i < x.size(); i++) total += x[i] * y[i];
  return total;
}

inline double norm(const Tensor& a) { return std::sqrt(dot(a, a)); }

/// True where shape, dtype and every bit agree.
inline bool same_bits(const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape()) || a.dtype() != b.dtype()) return false;
  const Tensor x = contiguous_copy(a), y = contiguous_copy(b);
  const std::size_t bytes = static_cast<std::size_t>(x.numel()) * size_of(x.dtype());
  return bytes == 0 || std::memcmp(x.raw_data(), y.raw_data(), bytes) == 0;
}

/// The message of the Error that f throws; "" where it throws none. EXPECT_ERROR: temporary.h.
template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Fourth-order central difference of g, a function of a step along some direction.
template <class G>
Tensor difference_quotient(G&& g, double h = 1e-3) {
  const Tensor near = g(h) - g(-h), far = g(2 * h) - g(-2 * h);
  return (near * 8.0 - far) * (1 / (12 * h));
}

}  // namespace unroll::testing
