// How far the numbers seen may lie from those of the exact run: noise that the observation states,
// and rounding, which is measured.
//
//   Tensor sd = fact_error(facts, rows);          // [N]: standard deviation of each row's facts
#pragma once

#include "inversion/observation.h"

namespace UNROLL_API unroll {

/// Half the distance from 1 to the next number: 2^-53, 2^-24, 2^-11 or 2^-8. Throws Error for a
/// type that is no real.
double unit_roundoff(Dtype dtype);

/// [N] float64 on the CPU, of rows [N,n] of unknowns. Rounding: the largest change of a fact when
/// every weight is off by one unit of the type in which the run was computed (float32 for half
/// types), up or down at random, and the unit of the type in which it was kept. Not recorded.
Tensor fact_error(const Facts& facts, const Tensor& rows);

}  // namespace unroll
