// From a root of one sequence to a verdict with a bound and its proof. Private to inversion/.
#pragma once

#include "inversion/invert.h"

namespace unroll::detail {

/// Errors beyond this part of the input's root mean square are no recovery.
constexpr double kUsefulError = 1e-2;
/// A residual of this many standard deviations of the facts' errors is still explained by them.
constexpr double kExplained = 10;

/// Solves one sequence with all unknowns at once and judges what it finds. `start` [1,n] or
/// undefined. y [1,m]; facts with the initial state of that sequence.
struct DenseResult {
  Tensor row;  // [1,n]
  SequenceInversion judged;
};
DenseResult solve_and_judge(const Facts& facts, const Tensor& y, const Tensor& start,
                            const InvertOptions& options);

/// The same for more unknowns than a dense Jacobian should have, by products with it. A prior gives
/// its mean as a start.
DenseResult solve_and_judge_large(const Facts& facts, const Tensor& y, const Tensor& start,
                                  const InvertOptions& options);

/// What an inversion block by block says of sequence n: x [T,I], gains and ranks [blocks].
struct StepwiseOutcome {
  Tensor x, gain, rank;
  double residual = 0;
  std::int64_t failed = -1;
};
/// Undefined (facts == 0) where it takes more than the blocks to say.
SequenceInversion judge_stepwise(const Facts& facts, const StepwiseOutcome& outcome,
                                 double fact_error);

/// The error that facts of such a run have, before its input is known: of random inputs.
double expected_error(const Facts& facts);

/// Standard deviations of the facts' error that a bound allows for: of independent errors several,
/// of the worst ones sqrt(m) more.
double dense_safety(const Facts& facts);

double largest(const Tensor& x);  // |number|; 0 of nothing
double root_mean_square(const Tensor& x);

/// "1.2e-07"
std::string short_number(double value);

}  // namespace unroll::detail
