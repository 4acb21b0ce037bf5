// What the facts say of their unknowns near one point, to first order: the singular values of the
// Jacobian and what follows from them.
//
//   LocalAnalysis local = analyse(facts, row);        // row [1,n]
//   local.gain                                        // [n]: error of each unknown for facts off
//   by 1
//
// Dense: m*n numbers and m*n*min(m,n) operations. For large problems see inversion/matrix_free.h.
#pragma once

#include "inversion/observation.h"

namespace UNROLL_API unroll {

struct LocalAnalysis {
  std::int64_t unknowns = 0, facts = 0;  // n, m
  std::int64_t rank = 0;                 // numerical, as numpy.linalg.matrix_rank
  double condition = 1;                  // of the Jacobian; infinite where it has a null space
  Tensor singular_values;                // [min(m,n)], descending
  /// [n]: 2-norm of the row of the pseudo-inverse, so the standard deviation of an unknown's error
  /// for independent errors of the facts with standard deviation 1; infinite where the null space
  /// moves it.
  Tensor gain;
  Tensor null_basis;      // [n,n-rank], orthonormal columns: directions that change no fact
  Tensor pseudo_inverse;  // [n,m], of rank `rank`
};

/// Of the Jacobian at row [1,n]. Throws Error for another shape, or where it is not finite.
LocalAnalysis analyse(const Facts& facts, const Tensor& row);

}  // namespace unroll
