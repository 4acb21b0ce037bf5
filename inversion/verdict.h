// From a root of one sequence to a verdict with a bound and its proof. Private to inversion/.
#pragma once

#include "inversion/invert.h"
#include "inversion/numbers.h"

namespace unroll::detail {

/// Errors beyond this part of the input's root mean square are no recovery.
constexpr double kUsefulError = 1e-2;
/// Standard deviations of the facts' errors that a step on the way may be off by.
constexpr double kLoose = 10;
/// The root mean square residual of `count` facts that their errors explain: rounding is measured
/// on a few runs, so ten times that; of noise, whose size is stated, what chi-square allows at five
/// standard deviations.
double explained_residual(const Facts& facts, double fact_error, std::int64_t count);
/// Whether errors of that size leave an input of this root mean square known.
bool is_useful(double error_bound, double size) noexcept;
/// As many facts as unknowns and no second input found: none of the verdicts that need a proof.
void conclude_square(SequenceInversion& s);
/// Whether a relu unit of the run at row [1,n] is so close to its kink that rounding decides its
/// side.
bool is_at_kink(const Facts& facts, const Tensor& row);
/// LM from `other` [1,n] towards the facts of `row` exactly; false where they are not reached.
bool agrees(const Facts& facts, const Tensor& row, Tensor& other);

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

/// "1.2e-07"
std::string short_number(double value);

}  // namespace unroll::detail
