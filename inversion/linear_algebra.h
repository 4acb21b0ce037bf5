// Decompositions and solvers of dense float64 matrices, as tensors: what the laboratory needs of
// linear algebra. Eigen does the work.
//
//   Svd s = svd(jacobian);                        // a = u diag(s) v^T
//   Tensor x = least_squares(a, b);               // min |a x - b|
//
// Matrices are [m,n] float64, of any strides, and come to the host from any device; results are
// contiguous and on the CPU. Nothing is recorded. All
// throw Error for another rank or dtype, for sizes that do not fit and for values that are not
// finite. Thread-safe. Source: Golub & Van Loan, "Matrix Computations" (4th ed.), chapters 5 and 7.
#pragma once

#include <complex>
#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace UNROLL_API unroll {

/// The thin decomposition, k = min(m,n); s descends.
struct Svd {
  Tensor u;  // [m,k]
  Tensor s;  // [k]
  Tensor v;  // [n,k]
};
Svd svd(const Tensor& a);
/// [min(m,n)], descending.
Tensor singular_values(const Tensor& a);

/// Number of singular values above max(m,n) * 2^-52 * the largest: as numpy.linalg.matrix_rank.
std::int64_t numerical_rank(const Tensor& s, std::int64_t m, std::int64_t n);
/// Largest over smallest singular value; infinite where the smallest is 0, 1 of nothing.
double condition(const Tensor& s);

/// [n,m]: inverse of what is above `relative` times the largest singular value.
Tensor pseudo_inverse(const Tensor& a, double relative = 0);
/// x [n] or [n,k] of least |a x - b|, b [m] or [m,k]: QR with pivoted columns. Of a rank-deficient
/// a a basic solution.
Tensor least_squares(const Tensor& a, const Tensor& b);
/// x of a x = b for a symmetric positive definite [n,n]. Throws Error where it is not.
Tensor solve_spd(const Tensor& a, const Tensor& b);
/// x of a x = b for a square [n,n], by LU with pivots. Throws Error where a is exactly singular.
Tensor solve(const Tensor& a, const Tensor& b);
/// Orthonormal basis of the null space as columns, [n, n - rank]; rank as numerical_rank, or the
/// singular values above `relative` times the largest.
Tensor null_space(const Tensor& a, double relative = 0);
/// Lower triangular L of a = L L^T. Throws Error where a is not positive definite.
Tensor cholesky(const Tensor& a);

/// Eigenvalues of a square matrix, by descending modulus.
std::vector<std::complex<double>> eigenvalues(const Tensor& a);
/// The largest modulus of an eigenvalue; 0 of nothing.
double spectral_radius(const Tensor& a);
/// Of a symmetric matrix, ascending, with orthonormal eigenvectors as columns.
struct SymmetricEigen {
  Tensor values;   // [n]
  Tensor vectors;  // [n,n]
};
SymmetricEigen symmetric_eigen(const Tensor& a);

/// Orthogonal factor and diagonal of R of a square matrix, R's diagonal positive.
struct OrthogonalTriangular {
  Tensor q;         // [n,n]
  Tensor diagonal;  // [n]
};
OrthogonalTriangular qr(const Tensor& a);

}  // namespace unroll
