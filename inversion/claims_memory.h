// The claims on memory: rows of ClaimRow, in the order of their numbers.
#pragma once

#include "inversion/claims.h"

namespace UNROLL_API unroll {

/// Claims 13 (last state of a linear network), 14 to 19 (capacity, Fisher memory: table T3), 29
/// (bound of linear readouts) and 31 (Lyapunov spectrum). Deterministic for a seed.
ClaimRows memory_claims(const ClaimContext& context = {});

/// Claims 14 to 19 alone.
ClaimRows memory_theory_claims(const ClaimContext& context = {});

}  // namespace unroll
