// Linear networks h' = W h + w u as dense matrices: what a sequence of inputs can reach.
//
//   KrylovSpace reached = krylov_space(W, w);     // reached.dimension() == N: controllable
//   Tensor C = stein(W, eye(N, Dtype::float64));  // C = W C W^T + I
//
// W is [N,N], w is [N], float64; results are contiguous and nothing is recorded. All throw Error
// for shapes that do not fit and for values that are not finite. Thread-safe. Source: Golub & Van
// Loan, "Matrix Computations" (4th ed.), section 10.5.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace UNROLL_API unroll {

/// [w, W w, ..., W^(columns-1) w] as columns, [N,columns]. Throws Error where a power overflows.
Tensor krylov_matrix(const Tensor& W, const Tensor& w, std::int64_t columns);

/// The space that those columns span, by Arnoldi's method with every vector made orthogonal twice:
/// sound where the columns themselves are parallel to round-off.
struct KrylovSpace {
  Tensor basis;       // Q [N,r], orthonormal
  Tensor hessenberg;  // Q^T W Q [r,r]: the network in the coordinates that the input reaches
  /// Of the state.
  std::int64_t dimension() const { return hessenberg.shape()[0]; }
};
/// Ends where what is new of W q is below N * 2^-52 of |W|. r = 0 for w = 0.
KrylovSpace krylov_space(const Tensor& W, const Tensor& w);

/// C = sum over k of W^k Q W^k^T, the solution of C = W C W^T + Q, by doubling (Smith 1968): each
/// round squares W. Throws Error where the powers of W do not vanish, as with a spectral radius of
/// 1 or more.
Tensor stein(const Tensor& W, const Tensor& Q);

}  // namespace unroll
