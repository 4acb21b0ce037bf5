// Whole derivatives of functions, and recomputation: built on Tape.
//
//   Tensor J = jacobian([&](const Tensor& x) { return rnn_last(x); }, x);   // y.shape + x.shape
//   Tensor Hv = hvp([&](const Tensor& x) { return loss(x); }, x, v);
//   Tensor y = recompute([&] { return block(x); });     // keeps inputs, not activations
#pragma once

#include <algorithm>
#include <utility>

#include "autograd/ops.h"
#include "autograd/record.h"
#include "core/view.h"

namespace UNROLL_API unroll {

namespace detail {
/// dy/dx of one recording by pulls or pushes of unit directions, whichever are fewer.
Tensor dense_jacobian(Tape& tape, const Tensor& x, const Tensor& y);
}  // namespace detail

/// f's Jacobian at x, of shape y.shape + x.shape, in one sweep with K directions: pulls when y has
/// no more elements than x, else pushes. Recordable. Throws Error where x never appears in f.
template <class F>
Tensor jacobian(F&& f, const Tensor& x) {
  Tape tape;
  const Tensor y = f(x);
  return detail::dense_jacobian(tape, x, y);
}

/// Gradient of a scalar function. Throws Error where f returns more than one element.
template <class F>
Tensor gradient(F&& f, const Tensor& x) {
  Tape tape;
  const Tensor y = f(x);
  if (y.numel() != 1) fail("gradient", "f returned " + to_string(y.shape()) + ", not one element");
  return tape.pull(y, ones(y.shape(), y.dtype(), y.device()), {x})[0];
}

/// Hessian of a scalar function times v, forwards over backwards; v as x, or [K] + x.shape.
template <class F>
Tensor hvp(F&& f, const Tensor& x, const Tensor& v) {
  Tape tape;
  const Tensor slope = gradient(f, x);
  return tape.push({x}, {v}, slope);
}

namespace detail {

template <class F>
struct RecomputeRule {
  static constexpr const char* name = "recompute";
  F f;
  Tensors inputs;      // the free variables of f
  std::uint64_t when;  // sum of their versions
  auto saved() const { return std::tie(); }

  void require_unchanged() const {
    if (versions(inputs) != when)
      fail("recompute", "a tensor that the segment uses was changed in place after it ran");
  }
  static std::uint64_t versions(const Tensors& tensors) {
    std::uint64_t sum = 0;
    for (const Tensor& t : tensors) sum += t.version();
    return sum;
  }

  void pull(Pullback& s) {
    require_unchanged();
    Tensors wanted;
    memory::Vector<int> at;
    for (int i = 0; i < static_cast<int>(inputs.size()); i++)
      if (s.wants(i)) wanted.push_back(inputs[i]), at.push_back(i);
    Tensors d;
    {  // closed before anything is added: sums go on in place only where nothing records
      Tape tape;
      const Tensor y = f();
      d = tape.pull(y, s.cotangent(), wanted);
    }
    for (std::size_t i = 0; i < at.size(); i++) s.add(at[i], std::move(d[i]));
  }

  void push(Pushforward& s) {
    require_unchanged();
    Tensors x, v;
    for (int i = 0; i < static_cast<int>(inputs.size()); i++)
      if (s.tangent(i)) x.push_back(inputs[i]), v.push_back(s.tangent(i));
    Tape tape;
    const Tensor y = f();
    s.set(0, tape.push(x, v, y));
  }
};

}  // namespace detail

/// f(), but the tape keeps only what f reads from outside (found by running it); each sweep runs f
/// again. f must be copyable, return one tensor, and compute the same each time. What it refers to
/// must outlive the tape: capture tensors by value.
template <class F>
Tensor recompute(F f) {
  if (!is_recording()) return f();
  Tensor y;
  Tensors inputs;
  {
    detail::Capture capture;
    y = f();
    if (!capture.made(y)) return y;  // came from outside as it is: there is nothing to recompute
    inputs = capture.take();
  }
  Tensor out = view::strided(y, y.shape(), y.strides(), 0);
  memory::Vector<const Tensor*> in;
  for (const Tensor& t : inputs) in.push_back(&t);
  Tensor* outputs[] = {&out};
  using Rule = detail::RecomputeRule<F>;
  const std::uint64_t when = Rule::versions(inputs);
  record(Rule{std::move(f), inputs, when}, in, outputs);
  return out;
}

}  // namespace unroll
