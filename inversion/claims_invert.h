// The claims about inversion itself: 1 to 3, 9 to 12, 20 to 23, 25 and 30, and table T4.
//
//   for (const ClaimRow& row : invert_claims({})) std::cout << row.claim << row.measured << "\n";
//
// One row for each claim.
#pragma once

#include "inversion/claims.h"
#include "models/encoder.h"

namespace UNROLL_API unroll {

/// Every row, in the order of the claims.
ClaimRows invert_claims(const ClaimContext& context);

/// Table T4: how often the input comes back from a last state alone, I 1, H 32.
struct T4Row {
  Cell cell;
  bool orthogonal;  // weight_hh orthogonal, and forget bias 1; or PyTorch's initialisation
  std::int64_t T;
  double condition;  // median over seeds, at the true input
  std::int64_t seeds;
  // Seeds whose input came back: Levenberg-Marquardt from zero, with continuation and random
  // starts, L-BFGS and Adam from zero.
  std::int64_t lm, multistart, lbfgs, adam;
};
std::vector<T4Row> run_t4(const ClaimContext& context);

}  // namespace unroll
