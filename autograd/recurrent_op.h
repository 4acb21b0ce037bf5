// What the differentiable RNN, LSTM and GRU share: checking operands, running the kernels of a
// family, and the rule with its two sweeps. Private to autograd/{rnn,lstm,gru}.cpp.
//
// A Family names its kernels and their structs, its number of gates, whether it has a cell state,
// its options, and its twin: the same function made of small ops, which is what a sweep that is
// itself recorded differentiates.
#pragma once

#include <algorithm>
#include <string>

#include "autograd/operands.h"
#include "kernels/recurrent.h"

namespace unroll::detail {

/// The operands of every family; c0 only where there is a cell state. h0, c0 and the biases may be
/// undefined: zero.
struct RecurrentInputs {
  static constexpr int count = 7;
  Tensor x, h0, c0, w_ih, w_hh, b_ih, b_hh;

  const Tensor& operator[](int i) const { return const_cast<RecurrentInputs&>(*this)[i]; }
  Tensor& operator[](int i) {
    Tensor* const all[count] = {&x, &h0, &c0, &w_ih, &w_hh, &b_ih, &b_hh};
    return *all[i];
  }
};

/// c_n only where there is a cell state.
struct RecurrentOutputs {
  Tensor y, h_n, c_n;
};

/// Checks dtypes and shapes against [T,N,I] and H = w_hh's columns. Throws Error.
RecurrentShape recurrent_shape(const char* op, const RecurrentInputs& in, int gates, bool has_cell,
                               const Lengths& lengths);

/// The state that the twins carry from step to step, masked by the lengths.
struct TwinState {
  Tensor h, c;
};

/// The twins' loop: step(x[t], state) -> new state, kept only where t is a valid step.
template <class Step>
RecurrentOutputs run_twin(const RecurrentInputs& in, bool has_cell, const Lengths& lengths,
                          Step step) {
  const std::int64_t T = in.x.shape()[0], N = in.x.shape()[1], H = in.w_hh.shape()[1];
  const Tensor zero = scalar(0, in.x.dtype());
  const auto start = [&](const Tensor& s) { return s ? s : zeros({N, H}, in.x.dtype()); };
  TwinState state{start(in.h0), has_cell ? start(in.c0) : Tensor()};
  const Tensor mask = lengths ? length_mask(lengths, T, N) : Tensor();
  // Padding may hold anything: it must not even be multiplied by zero.
  const Tensors xs = unbind(mask ? where(mask, in.x, zero) : in.x, 0);
  Tensors ys;
  for (std::int64_t t = 0; t < T; t++) {
    const TwinState next = step(xs[t], state);
    if (!mask) {
      state = next;
      ys.push_back(next.h);
      continue;
    }
    const Tensor valid = view::select(mask, 0, t);
    ys.push_back(where(valid, next.h, zero));
    state.h = where(valid, next.h, state.h);
    if (has_cell) state.c = where(valid, next.c, state.c);
  }
  return {stack(ys, 0), state.h, state.c};
}

// The part of a Family that only names things: its structs and kernels, by stem.
#define UNROLL_RECURRENT_KERNELS(stem, Stem)                                      \
  static constexpr const char* name = #stem;                                      \
  using Shape = Stem##Shape;                                                      \
  template <class Real>                                                           \
  using Forward = Stem##Forward<Real>;                                            \
  template <class Real>                                                           \
  using Pull = Stem##Pullback<Real>;                                              \
  template <class Real>                                                           \
  using Push = Stem##Pushforward<Real>;                                           \
  template <class Real>                                                           \
  static RecurrentSizes sizes(const Shape& s) {                                   \
    return cpu::stem##_sizes<Real>(s);                                            \
  }                                                                               \
  template <class Real>                                                           \
  static void forward(Device device, const Shape& s, const Forward<Real>& args) { \
    UNROLL_ON_DEVICE(device, stem##_forward<Real>(s, args));                      \
  }                                                                               \
  template <class Real>                                                           \
  static void pull(Device device, const Shape& s, const Pull<Real>& args) {       \
    UNROLL_ON_DEVICE(device, stem##_pullback<Real>(s, args));                     \
  }                                                                               \
  template <class Real>                                                           \
  static void push(Device device, const Shape& s, const Push<Real>& args) {       \
    UNROLL_ON_DEVICE(device, stem##_pushforward<Real>(s, args));                  \
  }

template <class Family>
struct RecurrentRule {
  static constexpr const char* name = Family::name;
  static constexpr bool has_cell = Family::has_cell;

  RecurrentInputs in;
  Tensor h, c, kept;  // states [T+1,N,H] and what the kernel saved
  Lengths lengths;
  typename Family::Options options;

  auto saved() const {
    return std::tie(in.x, in.h0, in.c0, in.w_ih, in.w_hh, in.b_ih, in.b_hh, h, c, kept);
  }

  typename Family::Shape shape(std::int64_t K) const {
    auto s = Family::shape(options);
    static_cast<RecurrentShape&>(s) = recurrent_shape(name, in, Family::gates, has_cell, lengths);
    s.K = K;
    return s;
  }

  void pull(Pullback& s) const {
    if (is_recording()) return pull_twin(s);
    with_real(in.x.dtype(), [&](auto type) { pull_fused<decltype(type)>(s); });
  }
  void push(Pushforward& s) const {
    if (is_recording()) return push_twin(s);
    with_real(in.x.dtype(), [&](auto type) { push_fused<decltype(type)>(s); });
  }

 private:
  RecurrentInputs distinct_inputs() const {
    RecurrentInputs own;
    for (int i = 0; i < in.count; i++) own[i] = distinct(in[i]);
    return own;
  }

  void pull_twin(Pullback& s) const {
    const RecurrentInputs own = distinct_inputs();
    Tape tape;
    const RecurrentOutputs out = Family::twin(own, lengths, options);
    Tensors ys{out.y, out.h_n}, us{s.cotangent(0), s.cotangent(1)}, wanted;
    if (has_cell) ys.push_back(out.c_n), us.push_back(s.cotangent(2));
    for (int i = 0; i < in.count; i++)
      if (s.wants(i)) wanted.push_back(own[i]);
    const Tensors d = tape.pull(ys, us, wanted);
    for (int i = 0, k = 0; i < in.count; i++)
      if (s.wants(i)) s.add(i, d[k++]);
  }

  void push_twin(Pushforward& s) const {
    const RecurrentInputs own = distinct_inputs();
    Tape tape;
    const RecurrentOutputs out = Family::twin(own, lengths, options);
    Tensors xs, vs, ys{out.y, out.h_n};
    if (has_cell) ys.push_back(out.c_n);
    for (int i = 0; i < in.count; i++)
      if (s.tangent(i)) xs.push_back(own[i]), vs.push_back(s.tangent(i));
    const Tensors d = tape.push(xs, vs, ys);
    for (std::size_t i = 0; i < d.size(); i++) s.set(static_cast<int>(i), d[i]);
  }

  // The leading axis of directions of a sweep: 0 axes or one.
  struct Directions {
    std::int64_t K = 1;
    bool lead = false;
    void see(const Tensor& d, int rank) {
      if (d && d.rank() > rank) K = d.shape()[0], lead = true;
    }
    Shape operator()(Shape shape) const {
      if (lead) shape.insert(0, K);
      return shape;
    }
  };

  static Tensor dense(const Tensor& d) { return d ? contiguous_copy(d) : d; }

  template <class Real>
  void pull_fused(Pullback& s) const {
    Directions directions;
    directions.see(s.cotangent(0), 3);
    directions.see(s.cotangent(1), 2);
    if (has_cell) directions.see(s.cotangent(2), 2);
    const Tensor dy = dense(s.cotangent(0)), dh_n = dense(s.cotangent(1));
    const Tensor dc_n = has_cell ? dense(s.cotangent(2)) : Tensor();
    typename Family::template Pull<Real> args{};
    set_primal<Real>(args);
    args.dy = data_or_null<Real>(dy);
    args.dh_n = data_or_null<Real>(dh_n);
    if constexpr (has_cell) args.dc_n = data_or_null<Real>(dc_n);

    Tensor results[RecurrentInputs::count];
    const auto place = [&](int i, Real*& pointer, Real& beta) {
      if (!s.wants(i)) return;
      auto target = s.target(i, directions(in[i].shape()), in.x.dtype());
      results[i] = target.tensor;
      pointer = results[i].template mutable_data<Real>();
      beta = static_cast<Real>(target.beta);
    };
    place(0, args.dx, args.beta_dx);
    place(1, args.dh0, args.beta_dh0);
    if constexpr (has_cell) place(2, args.dc0, args.beta_dc0);
    place(3, args.dw_ih, args.beta_dw_ih);
    place(4, args.dw_hh, args.beta_dw_hh);
    place(5, args.db_ih, args.beta_db_ih);
    place(6, args.db_hh, args.beta_db_hh);

    const auto space = shape(directions.K);
    const Scratch scratch(Family::template sizes<Real>(space).pullback_scratch * sizeof(Real));
    args.scratch = static_cast<Real*>(scratch.data());
    Family::template pull<Real>(in.x.device(), space, args);
    for (int i = 0; i < in.count; i++)
      if (results[i]) s.add(i, results[i]);
  }

  template <class Real>
  void push_fused(Pushforward& s) const {
    static constexpr int ranks[] = {3, 2, 2, 2, 2, 1, 1};
    Directions directions;
    Tensor v[RecurrentInputs::count];
    for (int i = 0; i < in.count; i++) {
      directions.see(s.tangent(i), ranks[i]);
      v[i] = dense(s.tangent(i));
    }
    typename Family::template Push<Real> args{};
    set_primal<Real>(args);
    args.dx = data_or_null<Real>(v[0]);
    args.dh0 = data_or_null<Real>(v[1]);
    if constexpr (has_cell) args.dc0 = data_or_null<Real>(v[2]);
    args.dw_ih = data_or_null<Real>(v[3]);
    args.dw_hh = data_or_null<Real>(v[4]);
    args.db_ih = data_or_null<Real>(v[5]);
    args.db_hh = data_or_null<Real>(v[6]);

    const auto space = shape(directions.K);
    const Dtype dtype = in.x.dtype();
    Tensor dy = empty(directions({space.T, space.N, space.H}), dtype);
    Tensor dh_n = empty(directions({space.N, space.H}), dtype), dc_n;
    args.dy = dy.mutable_data<Real>();
    args.dh_n = dh_n.mutable_data<Real>();
    if constexpr (has_cell) {
      dc_n = empty(dh_n.shape(), dtype);
      args.dc_n = dc_n.mutable_data<Real>();
    }
    const Scratch scratch(Family::template sizes<Real>(space).pushforward_scratch * sizeof(Real));
    args.scratch = static_cast<Real*>(scratch.data());
    Family::template push<Real>(in.x.device(), space, args);
    s.set(0, dy);
    s.set(1, dh_n);
    if (has_cell) s.set(2, dc_n);
  }

  // What both sweeps read of the forward pass.
  template <class Real, class Args>
  void set_primal(Args& args) const {
    args.x = in.x.data<Real>();
    args.w_ih = in.w_ih.data<Real>();
    args.w_hh = in.w_hh.data<Real>();
    args.h = h.data<Real>();
    if constexpr (has_cell) args.c = c.data<Real>();
    if constexpr (requires { args.saved; }) args.saved = data_or_null<Real>(kept);
  }
};

/// Checks, allocates, runs the forward kernel and records.
template <class Family>
RecurrentOutputs run_recurrent(RecurrentInputs in, const Lengths& lengths,
                               const typename Family::Options& options) {
  constexpr bool has_cell = Family::has_cell;
  auto space = Family::shape(options);
  static_cast<RecurrentShape&>(space) =
      recurrent_shape(Family::name, in, Family::gates, has_cell, lengths);
  for (int i = 0; i < in.count; i++)
    if (in[i]) in[i] = contiguous(in[i]);
  const Dtype dtype = in.x.dtype();
  const auto states = [&](const Tensor& first) {
    Tensor all = empty({space.T + 1, space.N, space.H}, dtype, in.x.device());
    Tensor start = view::select(all, 0, 0);
    if (first)
      copy_into(start, first);
    else
      fill(start, 0);
    return all;
  };
  const bool recording = is_recording();
  Tensor h = states(in.h0), c = has_cell ? states(in.c0) : Tensor(), kept;
  RecurrentOutputs out;
  out.h_n = empty({space.N, space.H}, dtype, in.x.device());
  if (has_cell) out.c_n = empty({space.N, space.H}, dtype, in.x.device());
  with_real(dtype, [&](auto type) {
    using Real = decltype(type);
    const RecurrentSizes sizes = Family::template sizes<Real>(space);
    if (recording && sizes.saved) kept = empty({sizes.saved}, dtype, in.x.device());
    const Scratch scratch(sizes.forward_scratch * sizeof(Real));
    typename Family::template Forward<Real> args{};
    args.x = in.x.data<Real>();
    args.w_ih = in.w_ih.data<Real>();
    args.w_hh = in.w_hh.data<Real>();
    args.b_ih = data_or_null<Real>(in.b_ih);
    args.b_hh = data_or_null<Real>(in.b_hh);
    args.h = h.mutable_data<Real>();
    args.h_n = out.h_n.template mutable_data<Real>();
    if constexpr (has_cell) {
      args.c = c.template mutable_data<Real>();
      args.c_n = out.c_n.template mutable_data<Real>();
    }
    if constexpr (requires { args.saved; })
      args.saved = kept ? kept.template mutable_data<Real>() : nullptr;
    args.scratch = static_cast<Real*>(scratch.data());
    Family::template forward<Real>(in.x.device(), space, args);
  });
  out.y = view::slice(h, 0, 1, space.T + 1);
  if (recording) {
    const Tensor* inputs[RecurrentInputs::count];
    for (int i = 0; i < in.count; i++) inputs[i] = &in[i];
    Tensor* outputs[] = {&out.y, &out.h_n, &out.c_n};
    record(RecurrentRule<Family>{in, h, c, kept, lengths, options}, inputs,
           std::span<Tensor* const>(outputs, has_cell ? 3 : 2));
  }
  return out;
}

}  // namespace unroll::detail
