// invert: the input of a run from its outputs, how far it may be off, and what that is worth.
//
//   Encoder encoder = Encoder::load("lstm.safetensors");
//   Inversion found = invert(encoder, read_npy("y.npy"), observation("all"));
//   if (found.verdict() == Verdict::recovered) write_npy("x.npy", found.x);
//
// Block by block where the outputs allow it (inversion/stepwise.h), else with all unknowns of a
// sequence at once (inversion/all_at_once.h; more than 1200 by inversion/matrix_free.h). A verdict
// is about one sequence:
//
// - recovered: the outputs are reproduced to the error that they may have, the Jacobian has full
//   rank, and the true input is within error_bound of x, which is small beside x.
// - ambiguous: the outputs are those of other inputs too. Proof: more unknowns than facts, a rank
//   below the number of unknowns, or `other`, an input of its own whose outputs agree to rounding.
//   Single numbers may be determined all the same: see bound.
// - ill_conditioned: the outputs are reproduced, but x is not known to a use: their errors grow
// (see
//   error_bound), a relu unit is at its kink, or there are only as many facts as unknowns, where
//   other exact inputs are usual, and none was found.
// - local_minimum: no start reproduced the outputs. That says nothing about whether the input can
// be
//   recovered; the outputs may also be those of other weights, or noisier than stated.
//
// Bounds are to first order in the outputs' errors, with a factor for what first order leaves out;
// the errors are measured (inversion/rounding.h) or stated as noise. Runs and sweeps are computed
// on the encoder's device: invert(encoder.on(Device::cuda()), ...). Thread-safe; nothing is
// recorded.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "inversion/all_at_once.h"
#include "inversion/observation.h"

namespace UNROLL_API unroll {

enum class Verdict : std::uint8_t { recovered, ambiguous, ill_conditioned, local_minimum };
/// "recovered", "ambiguous", "ill-conditioned", "local minimum".
const char* name(Verdict verdict) noexcept;

struct InvertOptions {
  std::int64_t steps = 0;      // T, where the outputs do not say it: final states
  Lengths lengths = {};        // of outputs at all steps; else all have T steps
  Tensor start = {};           // [T,N,I]: a guess, a trained decoder's say
  std::optional<Prior> prior;  // of the unknowns of a sequence, where facts are fewer; else N(0,1)
  std::int64_t restarts = 40;  // random starts
  std::uint64_t seed = 1;      // of those
  std::function<void(std::int64_t, std::int64_t)> progress = {};  // sequences done and in all
  const std::atomic<bool>* stop = nullptr;                        // true: ends with Error
};

/// One sequence of T steps.
struct SequenceInversion {
  Verdict verdict = Verdict::local_minimum;
  std::string reason;  // one line
  Method method = Method::none;
  double error_bound = 0;  // of every number of x; infinite where one is not determined
  Tensor bound;            // [T,I]: of each number of x
  double residual = 0;     // root mean square of the facts
  double fact_error = 0;   // standard deviation that each fact's error is taken to have
  std::int64_t unknowns = 0, facts = 0, rank = 0;
  double condition = 0;         // of the Jacobian, or the largest gain of a stepwise inversion
  Tensor other;                 // [T,I]: another input with the same facts, or undefined
  double other_distance = 0;    // Euclidean, to x
  double other_difference = 0;  // largest, of the facts
};

/// All on the CPU.
struct Inversion {
  Tensor x;                                  // [T,N,I] float64; 0 at padding
  EncoderState initial;                      // [L*D,N,*]: as given, or found; undefined: zero
  std::vector<SequenceInversion> sequences;  // [N]
  /// The worst of all, in the order of Verdict.
  Verdict verdict() const noexcept;
  double error_bound() const noexcept;
};

/// outputs as Facts::from_outputs takes them, any real type and device. Throws Error, naming what
/// does not fit, for outputs that are not the encoder's, hold NaN, lengths beyond T, and where T is
/// not known.
Inversion invert(const Encoder& encoder, const Tensor& outputs, const Observation& observation,
                 const InvertOptions& options = {});

}  // namespace unroll
