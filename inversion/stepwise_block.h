// One block of a stepwise inversion, for a batch of sequences. Private to inversion/stepwise*.
#pragma once

#include <span>
#include <vector>

#include "inversion/levenberg_marquardt.h"
#include "models/encoder.h"

namespace unroll::detail {

/// The encoder over k steps, seen at the last of them.
class Block {
 public:
  Block(const Encoder& encoder, std::int64_t k, const Tensor& readout);

  std::int64_t unknowns() const noexcept { return k_ * encoder_.sizes().I; }
  std::int64_t width() const noexcept;
  /// Whether what is seen is the state itself: h of the only layer.
  bool sees_state() const noexcept { return !readout_ && encoder_.sizes().layers == 1; }
  const Encoder& encoder() const noexcept { return encoder_; }

  /// Rows [B,k*I] -> [k,B,I].
  Tensor input_of(const Tensor& rows) const;
  /// Least squares from start [B,k*I]; seen [B,width], state of B sequences.
  LmResult solve(const Tensor& start, const Tensor& seen, const EncoderState& state) const;
  /// Root mean squares [B] of what the rows give against what was seen.
  Tensor residual(const Tensor& rows, const Tensor& seen, const EncoderState& state) const;
  /// The state after the block: as computed, but h as seen where sees_state().
  EncoderState after(const Tensor& rows, const Tensor& seen, const EncoderState& state) const;

  /// K samples of errors, to first order: of the unknowns and of the state.
  struct Errors {
    Tensor x;                        // [K,B,k*I]
    EncoderState state;              // [K,L*D,B,*]
    std::vector<std::int64_t> rank;  // [B] of the block's Jacobian
  };
  /// How errors of what was seen [K,B,width] and of the state before pass through a block at its
  /// solution.
  /// Facts where `on` [B,width] is 0 say nothing; undefined: all say something.
  Errors propagate(const Tensor& rows, const EncoderState& state, const Tensor& on,
                   const Tensor& seen_error, const EncoderState& state_error) const;

 private:
  struct Out {
    Tensor seen;
    EncoderState state;
  };
  Out run(const Tensor& rows, const EncoderState& state) const;

  Encoder encoder_;
  std::int64_t k_;
  Tensor readout_;
};

/// Zeros of B sequences, on the encoder's device.
EncoderState zero_state(const Encoder& encoder, std::int64_t B);
/// Of states [L*D,N,*], the sequences `which`.
EncoderState state_at(const EncoderState& state, std::span<const std::int64_t> which);
/// Writes the rows, or the sequences of a state, `which` of `to`.
void put_rows(Tensor& to, std::span<const std::int64_t> which, const Tensor& rows);

}  // namespace unroll::detail
