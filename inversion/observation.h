// Observation: what was seen of a run of an Encoder, and the facts as a function of the input.
//
//   Observation seen{.outputs = Seen::every, .every = 4};
//   Facts facts(encoder, seen, T);
//   Tensor y = facts(x);                       // x [T,N,I] -> y [N,m]: m numbers of each sequence
//
// A fact is one number of the outputs. Facts are differentiable: one recording gives J v and u^T J.
// Plain values; calls are thread-safe.
//
// The encoder's device is that of the whole laboratory: rows of unknowns and of facts lie there,
// and there runs and sweeps are computed, as `Facts(encoder.on(Device::cuda()), seen, T)` says.
// What users give, outputs, inputs, states, readouts and priors, may be anywhere and is moved.
// Dense decompositions and Krylov vectors are the host's. Bounds, gains, spectra, and all that
// invert() and identify() return, are on the CPU.
#pragma once

#include <string>

#include "models/encoder.h"

namespace UNROLL_API unroll {

/// Which outputs were seen. y_t is the output of the last layer, D*P numbers.
enum class Seen : std::uint8_t {
  all,         // y_t at every step
  every,       // y_t at steps k, 2k, ... (counted from 1)
  final,       // the last layer's h after its run: of both directions, each after its own last step
  final_cell,  // the same with its c (LSTM)
  state,       // h, and c where there is one, of every layer after its run
};

/// What is seen of a run, and how exactly.
struct Observation {
  Seen outputs = Seen::all;
  std::int64_t every = 1;     // k, of Seen::every
  Tensor readout;             // C [M,width]: instead of the outputs themselves, C times them
  bool initial_known = true;  // h_0 and c_0, else they are sought too
  EncoderState initial = {};  // where known; undefined: zero. [L*D,N,P], [L*D,N,H]
  double noise = 0;  // standard deviation of the noise on each number seen; 0: rounding only
  Dtype dtype =
      Dtype::float64;  // in which the run was computed and its outputs are kept: its rounding
};

/// "all", "every:4", "final", "final-cell", "state". Parsing throws Error, listing them.
std::string name(const Observation& observation);
Observation observation(const std::string& text);

/// The numbers seen of a run, as a function of what is sought: its input and initial state.
class Facts {
 public:
  /// Of runs of T steps. Throws Error where T < 1, `every` < 1 or > T, the readout's or a known
  /// state's shape does not fit or it is not finite, or a cell state is asked of, or given for, a
  /// cell that has none.
  Facts(const Encoder& encoder, const Observation& observation, std::int64_t T);

  /// What it was made of.
  const Encoder& encoder() const noexcept { return encoder_; }
  const Observation& observation() const noexcept { return observation_; }
  std::int64_t T() const noexcept { return T_; }
  Device device() const noexcept { return encoder_.device(); }            // of rows and facts
  std::int64_t steps_seen() const noexcept;                               // 1 for a final state
  std::int64_t width() const noexcept;                                    // numbers seen at a step
  std::int64_t count() const noexcept { return steps_seen() * width(); }  // m
  std::int64_t state_size() const noexcept;                               // numbers in h_0 and c_0
  /// At most this many of the numbers seen at a step are independent: those of a readout of many
  /// may be few.
  std::int64_t independent_width() const noexcept { return independent_width_; }
  /// n: T*I, and the initial state's numbers where it is not known.
  std::int64_t unknowns() const noexcept;

  /// x [T,N,I] and the state it starts from -> [N,m], steps then numbers. Throws Error for an x on
  /// another device.
  Tensor operator()(const Tensor& x, const EncoderState& initial) const;
  /// The same from one row of unknowns for each sequence, [N,n]: x [T*I] by steps, then h_0 and c_0
  /// where they are sought. A known initial state of batch 1 serves every row.
  Tensor of_unknowns(const Tensor& rows) const;
  /// Parts of such rows.
  Tensor input_of(const Tensor& rows) const;        // [T,N,I]
  EncoderState state_of(const Tensor& rows) const;  // as the encoder takes it
  /// Rows of inputs and states, which may be on any device.
  Tensor rows_of(const Tensor& x, const EncoderState& initial = {}) const;

  /// y as files hold it, [T,N,width], [T/k,N,width], [N,width], or for one sequence without N, on
  /// any device -> [N,m] float64. Throws Error, naming what does not fit, and where a value is not
  /// finite.
  Tensor from_outputs(const Tensor& outputs) const;

  /// Throws Error, naming `op` and `what`, unless t lies on device().
  void require_here(const char* op, const std::string& what, const Tensor& t) const;

 private:
  Tensor seen_of(const EncoderOut& out) const;

  Encoder encoder_;
  Observation observation_;
  std::int64_t T_, independent_width_ = 0;
};

/// T of outputs in a file of all or every k-th step: the first axis, times k.
std::int64_t steps_of_outputs(const Tensor& outputs, const Observation& observation);

}  // namespace unroll
