// Identifiability: whether the facts of a run say what its input was, before anything is inverted.
//
//   const Facts facts(encoder, observation("final"), 20);
//   const Identifiability answer = identify(facts);
//   std::cout << answer.verdict << "\n";          // "not determined: rank 16 of 20; ..."
//
// To first order, so near an input: near one that is given, or near several random ones, of which
// the largest rank is that of almost every input. Full rank says that no input nearby has the same
// facts; it does not say that none far away has (inversion/collision.h looks for those). Formulas,
// limits and sources: docs/identify.md. Inputs may be on any device; what is found is on the CPU.
// Thread-safe; nothing is recorded.
#pragma once

#include <string>
#include <vector>

#include "inversion/observation.h"

namespace UNROLL_API unroll {

struct IdentifyOptions {
  Tensor x;                      // [T,N,I]: inputs to look at; undefined: random N(0, scale^2)
  std::int64_t inputs = 3;       // random ones
  double scale = 1;              // their standard deviation
  std::uint64_t seed = 1;        // of those
  double saturated = 1e-2;       // a unit with a smaller derivative counts as saturated
  std::int64_t dense = 4000000;  // numbers m*n of a Jacobian; a larger one is not made: see exact
};

/// What is left of an input that was computed and kept in one type.
struct PredictedDigits {
  Dtype dtype = Dtype::float64;
  double error = 0;   // of the facts: rounding as measured, and noise
  double worst = 0;   // decimal digits of the worst number that is determined at all, at least 0
  double median = 0;  // of all numbers; 0 for those that are lost
};

struct Identifiability {
  std::int64_t unknowns = 0, facts = 0;
  std::int64_t rank = 0;      // largest over the inputs
  double condition = 0;       // median over the inputs; infinite below full rank
  double effective_rank = 0;  // exp of the entropy of s / sum s (Roy & Vetterli 2007); median
  Tensor singular_values;     // of the first input, descending
  /// False: too large for a dense Jacobian. Then singular_values are Ritz values, fewer; rank, gain
  /// and effective_rank are estimates from samples, and condition is one within condition_from and
  /// condition_to: at least the first for certain, at most the second to within the samples' error.
  bool exact = true;
  bool converged = true;  // else the estimates could not be made: it is conditioned too badly
  double condition_from = 0, condition_to = 0;

  Tensor gain;  // [T,I]: error of x for facts off by 1; infinite: lost. Largest
  /// [T,I]: share of each number that the facts fix, 0..1: 1 less the square of what null vectors
  /// have of it, the diagonal of the model resolution matrix (Menke, "Geophysical Data Analysis"
  /// (2018), chapter 4). Least over the inputs.
  Tensor known;
  std::vector<std::int64_t> lost_steps;  // with a number that is lost, from 0
  std::vector<PredictedDigits> digits;   // float64, float32, float16, bfloat16
  /// Spectral radius of the errors' dynamics when the input is read off the outputs step by step;
  /// above 1 they grow. NaN where the outputs of a step do not determine its input, or nothing is
  /// seen until the end.
  double inverse_radius = 0;
  /// [T,L*D]: share of units whose new value hardly depends on anything.
  Tensor saturation;

  std::string verdict;  // one line
  /// Whether the facts fix every unknown.
  bool determined() const noexcept { return rank == unknowns; }
};

/// Throws Error where the given inputs do not fit or are not finite.
Identifiability identify(const Facts& facts, const IdentifyOptions& options = {});

/// A - B (C B)^+ C A of the run's state, input and outputs, A = ds_t/ds_{t-k}, B = ds_t/dx, C what
/// is seen every k steps, at the mean state and input of the run x [T,N,I]; its spectral radius.
/// After Sain & Massey, "Invertibility of linear time-invariant dynamical systems" (1969).
double inverse_radius(const Facts& facts, const Tensor& x);

/// [T,L*D], of a run x [T,N,I]: the share of units, over the sequences, whose new value has a
/// derivative by each of its pre-activations below `threshold`. Of a projected LSTM: of c.
Tensor saturation_map(const Facts& facts, const Tensor& x, double threshold);

/// exp of the entropy of s / sum s. Roy & Vetterli, "The effective rank", EUSIPCO 2007.
double effective_rank(const Tensor& singular_values);

}  // namespace unroll
