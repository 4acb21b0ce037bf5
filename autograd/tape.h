// Tape: derivatives of everything computed while it lives, backwards and forwards.
//
//   Tape tape;
//   Tensor y = tanh(matmul(w, x));
//   Tensor dx = tape.pull(y, ones({3}), {x})[0];     // u^T J
//   Tensor dy = tape.push({x}, {v}, y);              // J v, from the same recording
//
// There is one log per thread, in execution order. A Tape is a mark on it: it sees every op made
// while it lives, except those of its own sweeps. Tapes nest; an outer tape sees the sweeps of an
// inner one, which is how higher derivatives come about. No live tape: nothing is recorded.
//
// A cotangent u has y's shape, or a leading axis of K directions before it: then the results have
// that axis too. `pull` and `push` may be called as often as wanted. A Tape lives on the stack and
// belongs to the thread that made it. Method: docs/design.md; Griewank & Walther, "Evaluating
// Derivatives" (2008), chapters 3 and 4.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor.h"

namespace UNROLL_API unroll {

class Parameters;

namespace detail {
struct Log;
}

/// The derivatives of what is computed while it lives.
class Tape {
 public:
  Tape();
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  void* operator new(std::size_t) = delete;

  /// u^T J for each x: cotangents of x's shape, with u's leading axis of directions if it has one.
  /// Throws Error when y was not made under this tape, an x never appeared under it, shapes do not
  /// fit, a saved tensor was changed in place since, the tape is sweeping or consumed, or the
  /// calling thread is not its own. All methods below do.
  Tensors pull(const Tensor& y, const Tensor& u, const Tensors& x);
  /// The same for several outputs; an undefined u[i] is zero.
  Tensors pull(const Tensors& y, const Tensors& u, const Tensors& x);
  /// With respect to all parameters at once: [P], or [K,P].
  Tensor pull(const Tensor& y, const Tensor& u, const Parameters& parameters);

  /// J v: the tangent of y for tangents v of x, each of x's shape or all with a leading K.
  Tensor push(const Tensors& x, const Tensors& v, const Tensor& y);
  /// The same for several outputs.
  Tensors push(const Tensors& x, const Tensors& v, const Tensors& y);

  /// Adds the gradient of a scalar loss into the parameters' flat gradients, freeing what was
  /// recorded as it goes: the tape is consumed and any further use throws. Throws Error where the
  /// loss has more than one element, and while an outer tape records (it could not see the sums in
  /// place: use pull, or put both under NoTape).
  void backward(const Tensor& loss, Parameters& parameters);

  /// Records that this tape sees.
  std::size_t size() const;

 private:
  struct Access;

  detail::Log& usable_log(const char* op) const;

  detail::Log* log_;
  std::size_t start_;
  std::uint32_t bit_;
  bool consumed_ = false;
};

/// While it lives, the tapes that were live when it was made record nothing: for frozen encoders
/// and validation. A tape made under it records as usual.
struct NoTape {
  NoTape();
  ~NoTape();
  NoTape(const NoTape&) = delete;
  NoTape& operator=(const NoTape&) = delete;

 private:
  std::uint32_t muted_before_;
};

/// True where an op made now would be recorded by some tape of this thread.
bool is_recording() noexcept;

}  // namespace unroll
