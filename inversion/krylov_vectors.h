// Vectors of a Krylov space. Private to inversion/lsmr.cpp and matrix_free.cpp. Sums run in order,
// so that no result depends on the number of threads.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace unroll::detail {

using Vector = std::vector<double>;

inline double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); i++) sum += a[i] * b[i];
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

/// Takes out of x what lies along the orthonormal basis. Twice is enough (Parlett, "The Symmetric
/// Eigenvalue Problem" (1998), section 6.9).
inline void orthogonalise(Vector& x, const std::vector<Vector>& basis) {
  for (int pass = 0; pass < 2; pass++)
    for (const Vector& b : basis) subtract(x, dot(b, x), b);
}

}  // namespace unroll::detail
