// Vectors of a Krylov space. Private to inversion/lsmr.cpp and matrix_free.cpp. The order of sums
// is fixed, so that no result depends on the number of threads.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace unroll::detail {

using Vector = std::vector<double>;

/// In eight sums of every eighth product, which processors add at once.
inline double dot(const Vector& a, const Vector& b) {
  constexpr std::size_t lanes = 8;
  double sums[lanes] = {};
  const std::size_t whole = a.size() / lanes * lanes;
  for (std::size_t i = 0; i < whole; i += lanes)
    for (std::size_t j = 0; j < lanes; j++) sums[j] += a[i + j] * b[i + j];
  double sum = 0;
  for (std::size_t i = whole; i < a.size(); i++) sum += a[i] * b[i];
  for (const double part : sums) sum += part;
  return sum;
}

/// to -= factor * from
inline void subtract(Vector& to, double factor, const Vector& from) {
  for (std::size_t i = 0; i < to.size(); i++) to[i] -= factor * from[i];
}

/// Makes x a unit vector, unless it is 0, and returns its length.
inline double normalise(Vector& x) {
  const double norm = std::sqrt(dot(x, x));
  if (norm > 0)
    for (double& value : x) value /= norm;
  return norm;
}

/// Takes out of x what lies along the orthonormal basis; once more where little is left, and that
/// is enough (Parlett, "The Symmetric Eigenvalue Problem" (1998), section 6.9).
inline void orthogonalise(Vector& x, const std::vector<Vector>& basis) {
  for (int pass = 0; pass < 2; pass++) {
    const double before = dot(x, x);
    for (const Vector& b : basis) subtract(x, dot(b, x), b);
    if (dot(x, x) > 0.5 * before) return;
  }
}

}  // namespace unroll::detail
