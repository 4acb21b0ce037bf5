// The claims about proofs and precision: 4 (a second preimage), 5 (noise), 6 and 7 (saturation), 8
// (ReLU), 24 (rounded states), 26 (collisions), 27 (tokens) and 28 (digits in one number).
//
//   for (const ClaimRow& row : certify_claims({})) std::cout << row.claim << row.measured << "\n";
//
// One row for each claim, about 10 s on two cores in all.
#pragma once

#include "inversion/claims.h"
#include "inversion/precision.h"

namespace UNROLL_API unroll {

/// All claims of this kind.
ClaimRows certify_claims(const ClaimContext& context);
/// Of them only the claims named. Throws Error for another number.
ClaimRows certify_claims(const ClaimContext& context, const std::vector<int>& claims);

/// Table T5, capacity against precision, beside the rows of claims 6, 24 and 28.
struct T5Tanh {
  Dtype dtype;
  double saturation_point;  // of a correctly rounded tanh
  TanhQuality library, engine;
};
struct T5Rounding {
  bool orthogonal;  // or PyTorch's initialisation
  std::int64_t T;
  Dtype dtype;                            // that h_T was rounded to
  double predicted, measured, condition;  // medians over seeds
};
struct T5Digits {
  std::int64_t V;
  Dtype dtype;
  std::int64_t capacity, measured;
};
struct T5 {
  std::vector<T5Tanh> tanh;
  std::vector<T5Rounding> rounding;
  std::vector<T5Digits> digits;
};
T5 run_t5(const ClaimContext& context);

}  // namespace unroll
