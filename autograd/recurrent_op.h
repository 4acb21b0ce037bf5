// What the differentiable RNN, LSTM and GRU share: checking operands, running the kernels of a
// family, the rule with its two sweeps, and the stack of layers. Private to
// autograd/{rnn,lstm,gru,recurrent_stack}.cpp.
//
// A layer is one op. It is one run over time, or two that read the same x: the second runs
// backwards and has weights of its own. Both write into their halves of one y [T,N,2H] and read
// their halves of its cotangent, so that nothing is concatenated.
//
// A Family names its kernels and their structs, its number of gates, whether it has a cell state,
// its options, and its twin: the same function made of small ops, which is what a sweep that is
// itself recorded differentiates.
#pragma once

#include <algorithm>
#include <functional>
#include <string>

#include "autograd/operands.h"
#include "autograd/recurrent_stack.h"
#include "kernels/recurrent.h"

namespace unroll::detail {

/// The operands that are a run's own; c0 only where there is a cell state. h0, c0 and the biases
/// may be undefined: zero.
struct RunInputs {
  static constexpr int count = 6;
  Tensor h0, c0, w_ih, w_hh, b_ih, b_hh;

  const Tensor& operator[](int i) const { return const_cast<RunInputs&>(*this)[i]; }
  Tensor& operator[](int i) {
    Tensor* const all[count] = {&h0, &c0, &w_ih, &w_hh, &b_ih, &b_hh};
    return *all[i];
  }
};

/// The operands of a layer: x, then those of each run.
struct RecurrentInputs {
  static constexpr int most = 1 + 2 * RunInputs::count;
  Tensor x;
  RunInputs run[2];
  int runs = 1;
  bool reverse = false;  // the only run goes backwards; of two, the second does

  bool reversed(int r) const { return r == 1 || reverse; }
  int count() const { return 1 + runs * RunInputs::count; }
  const Tensor& operator[](int i) const { return const_cast<RecurrentInputs&>(*this)[i]; }
  Tensor& operator[](int i) {
    return i == 0 ? x : run[(i - 1) / RunInputs::count][(i - 1) % RunInputs::count];
  }
};

/// The state [N,H]; c only where there is a cell state.
struct RunState {
  Tensor h, c;
};

/// y [T,N,H] of each run, side by side, and the state after each run's last step.
struct RecurrentOutputs {
  Tensor y;
  RunState last[2];
};

/// Checks dtypes and shapes against [T,N,I] and H = w_hh's columns. Throws Error.
RecurrentShape recurrent_shape(const char* op, const RecurrentInputs& in, int gates, bool has_cell,
                               const Lengths& lengths);

/// What the twin of one run reads.
struct TwinRun {
  const Tensor& x;
  const RunInputs& in;
  const Lengths& lengths;
  bool reverse;
};

/// The twins' loop: step(x[t], state) -> new state, kept only where t is a valid step.
template <class Step>
RecurrentOutputs run_twin(const TwinRun& run, bool has_cell, Step step) {
  const std::int64_t T = run.x.shape()[0], N = run.x.shape()[1], H = run.in.w_hh.shape()[1];
  const Tensor zero = scalar(0, run.x.dtype());
  const auto start = [&](const Tensor& s) { return s ? s : zeros({N, H}, run.x.dtype()); };
  RunState state{start(run.in.h0), has_cell ? start(run.in.c0) : Tensor()};
  const Tensor mask = run.lengths ? length_mask(run.lengths, T, N) : Tensor();
  // Padding may hold anything: it must not even be multiplied by zero.
  const Tensors xs = unbind(mask ? where(mask, run.x, zero) : run.x, 0);
  Tensors ys(static_cast<std::size_t>(T));
  for (std::int64_t i = 0; i < T; i++) {
    // Backwards the padding comes first, and leaves the state as it is.
    const std::int64_t t = run.reverse ? T - 1 - i : i;
    const RunState next = step(xs[std::size_t(t)], state);
    if (!mask) {
      state = next;
      ys[std::size_t(t)] = next.h;
      continue;
    }
    const Tensor valid = view::select(mask, 0, t);
    ys[std::size_t(t)] = where(valid, next.h, zero);
    state.h = where(valid, next.h, state.h);
    if (has_cell) state.c = where(valid, next.c, state.c);
  }
  return {stack(ys, 0), {state, {}}};
}

/// The twin of a layer.
template <class Family>
RecurrentOutputs layer_twin(const RecurrentInputs& in, const Lengths& lengths,
                            const typename Family::Options& options) {
  RecurrentOutputs out;
  Tensors ys;
  for (int r = 0; r < in.runs; r++) {
    const RecurrentOutputs one = Family::twin({in.x, in.run[r], lengths, in.reversed(r)}, options);
    ys.push_back(one.y);
    out.last[r] = one.last[0];
  }
  out.y = in.runs == 1 ? ys[0] : cat(ys, -1);
  return out;
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

  /// States [T+1,N,H] of a run, in its own order, and what the kernel saved.
  struct Kept {
    Tensor h, c, saved;
  };

  RecurrentInputs in;
  Kept kept[2];
  Lengths lengths;
  typename Family::Options options;

  auto saved() const {
    const auto of = [this](int r) {
      const RunInputs& run = in.run[r];
      return std::tie(run.h0, run.c0, run.w_ih, run.w_hh, run.b_ih, run.b_hh, kept[r].h, kept[r].c,
                      kept[r].saved);
    };
    return std::tuple_cat(std::tie(in.x), of(0), of(1));
  }

  // Outputs: y, then h_n and, where there is one, c_n of each run.
  static constexpr int states = has_cell ? 2 : 1;
  static constexpr int last(int r) { return 1 + r * states; }

  typename Family::Shape shape(int r, std::int64_t K = 1) const {
    auto s = Family::shape(options);
    static_cast<RecurrentShape&>(s) = recurrent_shape(name, in, Family::gates, has_cell, lengths);
    s.K = K;
    s.reverse = in.reversed(r);
    return s;
  }

  /// Runs the kernel of one run: sets the state after it and its part of y, if there is a y, and
  /// keeps what the sweeps need.
  template <class Real>
  void forward_fused(int r, RecurrentOutputs& out, bool recording);

  void pull(Pullback& s) const {
    if (is_recording()) return pull_twin(s);
    with_real(in.x.dtype(), [&](auto type) { pull_fused<decltype(type)>(s); });
  }
  void push(Pushforward& s) const {
    if (is_recording()) return push_twin(s);
    with_real(in.x.dtype(), [&](auto type) { push_fused<decltype(type)>(s); });
  }

 private:
  // ---- By the twin

  RecurrentInputs distinct_inputs() const {
    RecurrentInputs own = in;
    for (int i = 0; i < in.count(); i++) own[i] = distinct(in[i]);
    return own;
  }

  Tensors listed(const RecurrentOutputs& out) const {
    Tensors all{out.y};
    for (int r = 0; r < in.runs; r++) {
      all.push_back(out.last[r].h);
      if (has_cell) all.push_back(out.last[r].c);
    }
    return all;
  }

  void pull_twin(Pullback& s) const {
    const RecurrentInputs own = distinct_inputs();
    Tape tape;
    const Tensors ys = listed(layer_twin<Family>(own, lengths, options));
    Tensors us, wanted;
    for (int i = 0; i < last(in.runs); i++) us.push_back(s.cotangent(i));
    for (int i = 0; i < in.count(); i++)
      if (s.wants(i)) wanted.push_back(own[i]);
    const Tensors d = tape.pull(ys, us, wanted);
    for (int i = 0, k = 0; i < in.count(); i++)
      if (s.wants(i)) s.add(i, d[k++]);
  }

  void push_twin(Pushforward& s) const {
    const RecurrentInputs own = distinct_inputs();
    Tape tape;
    const Tensors ys = listed(layer_twin<Family>(own, lengths, options));
    Tensors xs, vs;
    for (int i = 0; i < in.count(); i++)
      if (s.tangent(i)) xs.push_back(own[i]), vs.push_back(s.tangent(i));
    const Tensors d = tape.push(xs, vs, ys);
    for (std::size_t i = 0; i < d.size(); i++) s.set(static_cast<int>(i), d[i]);
  }

  // ---- By the kernels

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
    for (int i = 0; i < last(in.runs); i++) directions.see(s.cotangent(i), i == 0 ? 3 : 2);
    const Tensor dy = dense(s.cotangent(0));
    Pullback::Target targets[RecurrentInputs::most] = {};
    for (int i = 0; i < in.count(); i++)
      if (s.wants(i)) targets[i] = s.target(i, directions(in[i].shape()), in.x.dtype());
    for (int r = 0; r < in.runs; r++) {
      pull_run<Real>(r, directions.K, s, dy, targets);
      targets[0].beta = 1;  // a second run adds its part of dx
    }
    for (int i = 0; i < in.count(); i++)
      if (targets[i].tensor) s.add(i, targets[i].tensor);
  }

  template <class Real>
  void pull_run(int r, std::int64_t K, const Pullback& s, const Tensor& dy,
                Pullback::Target* targets) const {
    const auto space = shape(r, K);
    const Tensor dh_n = dense(s.cotangent(last(r)));
    const Tensor dc_n = has_cell ? dense(s.cotangent(last(r) + 1)) : Tensor();
    typename Family::template Pull<Real> args{};
    set_primal<Real>(r, args);
    args.dy = dy ? dy.data<Real>() + r * space.H : nullptr;
    args.dy_stride = in.runs * space.H;
    args.dh_n = data_or_null<Real>(dh_n);
    if constexpr (has_cell) args.dc_n = data_or_null<Real>(dc_n);

    const auto place = [](Pullback::Target& target, Real*& pointer, Real& beta) {
      if (!target.tensor) return;
      pointer = target.tensor.template mutable_data<Real>();
      beta = static_cast<Real>(target.beta);
    };
    Pullback::Target* const own = targets + 1 + r * RunInputs::count;
    place(targets[0], args.dx, args.beta_dx);
    place(own[0], args.dh0, args.beta_dh0);
    if constexpr (has_cell) place(own[1], args.dc0, args.beta_dc0);
    place(own[2], args.dw_ih, args.beta_dw_ih);
    place(own[3], args.dw_hh, args.beta_dw_hh);
    place(own[4], args.db_ih, args.beta_db_ih);
    place(own[5], args.db_hh, args.beta_db_hh);

    const Scratch scratch(Family::template sizes<Real>(space).pullback_scratch * sizeof(Real));
    args.scratch = static_cast<Real*>(scratch.data());
    Family::template pull<Real>(in.x.device(), space, args);
  }

  template <class Real>
  void push_fused(Pushforward& s) const {
    Directions directions;
    for (int i = 0; i < in.count(); i++) {
      if (in[i]) directions.see(s.tangent(i), in[i].rank());
    }
    const auto space = shape(0);
    const Tensor dx = dense(s.tangent(0));
    Tensor dy = empty(directions({space.T, space.N, in.runs * space.H}), in.x.dtype());
    for (int r = 0; r < in.runs; r++) push_run<Real>(r, directions, s, dx, dy);
    s.set(0, dy);
  }

  template <class Real>
  void push_run(int r, const Directions& directions, Pushforward& s, const Tensor& dx,
                Tensor& dy) const {
    const auto space = shape(r, directions.K);
    Tensor v[RunInputs::count];
    for (int i = 0; i < RunInputs::count; i++)
      v[i] = dense(s.tangent(1 + r * RunInputs::count + i));
    typename Family::template Push<Real> args{};
    set_primal<Real>(r, args);
    args.dx = data_or_null<Real>(dx);
    args.dh0 = data_or_null<Real>(v[0]);
    if constexpr (has_cell) args.dc0 = data_or_null<Real>(v[1]);
    args.dw_ih = data_or_null<Real>(v[2]);
    args.dw_hh = data_or_null<Real>(v[3]);
    args.db_ih = data_or_null<Real>(v[4]);
    args.db_hh = data_or_null<Real>(v[5]);

    args.dy = dy.mutable_data<Real>() + r * space.H;
    args.dy_stride = in.runs * space.H;
    Tensor dh_n = empty(directions({space.N, space.H}), in.x.dtype()), dc_n;
    args.dh_n = dh_n.mutable_data<Real>();
    if constexpr (has_cell) {
      dc_n = empty(dh_n.shape(), in.x.dtype());
      args.dc_n = dc_n.mutable_data<Real>();
    }
    const Scratch scratch(Family::template sizes<Real>(space).pushforward_scratch * sizeof(Real));
    args.scratch = static_cast<Real*>(scratch.data());
    Family::template push<Real>(in.x.device(), space, args);
    s.set(last(r), dh_n);
    if (has_cell) s.set(last(r) + 1, dc_n);
  }

  // What both sweeps read of the forward pass.
  template <class Real, class Args>
  void set_primal(int r, Args& args) const {
    args.x = in.x.data<Real>();
    args.w_ih = in.run[r].w_ih.template data<Real>();
    args.w_hh = in.run[r].w_hh.template data<Real>();
    args.h = kept[r].h.template data<Real>();
    if constexpr (has_cell) args.c = kept[r].c.template data<Real>();
    if constexpr (requires { args.saved; }) args.saved = data_or_null<Real>(kept[r].saved);
  }
};

/// [T+1,N,H] with `first` (undefined: zero) at index 0.
Tensor states_from(const Tensor& first, const RecurrentShape& shape, Dtype dtype, Device device);

template <class Family>
template <class Real>
void RecurrentRule<Family>::forward_fused(int r, RecurrentOutputs& out, bool recording) {
  const auto space = shape(r);
  const RunInputs& run = in.run[r];
  const Dtype dtype = in.x.dtype();
  const Device device = in.x.device();
  const RecurrentSizes sizes = Family::template sizes<Real>(space);
  kept[r].h = states_from(run.h0, space, dtype, device);
  if (has_cell) kept[r].c = states_from(run.c0, space, dtype, device);
  if (recording && sizes.saved) kept[r].saved = empty({sizes.saved}, dtype, device);
  out.last[r].h = empty({space.N, space.H}, dtype, device);
  typename Family::template Forward<Real> args{};
  args.x = in.x.data<Real>();
  args.w_ih = run.w_ih.template data<Real>();
  args.w_hh = run.w_hh.template data<Real>();
  args.b_ih = data_or_null<Real>(run.b_ih);
  args.b_hh = data_or_null<Real>(run.b_hh);
  args.h = kept[r].h.template mutable_data<Real>();
  args.h_n = out.last[r].h.template mutable_data<Real>();
  if (out.y) args.y = out.y.mutable_data<Real>() + r * space.H;
  args.y_stride = in.runs * space.H;
  if constexpr (has_cell) {
    out.last[r].c = empty({space.N, space.H}, dtype, device);
    args.c = kept[r].c.template mutable_data<Real>();
    args.c_n = out.last[r].c.template mutable_data<Real>();
  }
  if constexpr (requires { args.saved; })
    args.saved = kept[r].saved ? kept[r].saved.template mutable_data<Real>() : nullptr;
  const Scratch scratch(sizes.forward_scratch * sizeof(Real));
  args.scratch = static_cast<Real*>(scratch.data());
  Family::template forward<Real>(device, space, args);
}

/// Checks, allocates, runs the forward kernel of each run and records.
template <class Family>
RecurrentOutputs run_recurrent(RecurrentInputs in, const Lengths& lengths,
                               const typename Family::Options& options) {
  const RecurrentShape space =
      recurrent_shape(Family::name, in, Family::gates, Family::has_cell, lengths);
  for (int i = 0; i < in.count(); i++)
    if (in[i]) in[i] = contiguous(in[i]);
  const bool recording = is_recording();
  RecurrentRule<Family> rule{std::move(in), {}, lengths, options};
  const int runs = rule.in.runs;
  const Dtype dtype = rule.in.x.dtype();
  RecurrentOutputs out;
  if (runs > 1 || rule.in.reverse)
    out.y = empty({space.T, space.N, runs * space.H}, dtype, rule.in.x.device());
  with_real(dtype, [&](auto type) {
    for (int r = 0; r < runs; r++) rule.template forward_fused<decltype(type)>(r, out, recording);
  });
  if (!out.y) out.y = view::slice(rule.kept[0].h, 0, 1, space.T + 1);
  if (recording) {
    const Tensor* inputs[RecurrentInputs::most];
    for (int i = 0; i < rule.in.count(); i++) inputs[i] = &rule.in[i];
    Tensor* outputs[1 + 2 * RecurrentRule<Family>::states] = {&out.y};
    for (int r = 0; r < runs; r++) {
      outputs[rule.last(r)] = &out.last[r].h;
      if (Family::has_cell) outputs[rule.last(r) + 1] = &out.last[r].c;
    }
    record(rule, std::span<const Tensor* const>(inputs, std::size_t(rule.in.count())),
           std::span<Tensor* const>(outputs, std::size_t(rule.last(runs))));
  }
  return out;
}

/// One layer of a stack.
using RecurrentLayer = std::function<RecurrentOutputs(const RecurrentInputs&)>;

/// y, h_n and c_n of a stack, in the shapes that it promises.
struct StackOutputs {
  Tensor y, h_n, c_n;
};

/// Runs the layers. Throws Error, naming `op`, for operands that do not fit.
StackOutputs run_stack(const char* op, const Tensor& x, const Tensor& h_0, const Tensor& c_0,
                       const RecurrentStack& stack, Random* random, const RecurrentLayer& layer);

}  // namespace unroll::detail
