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
#include <optional>
#include <string>

#include "autograd/recurrent_call.h"
#include "autograd/recurrent_recompute.h"
#include "autograd/recurrent_twin.h"
#include "kernels/lstm.h"

namespace unroll::detail {

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
  static RecurrentSizes sizes(Device device, const Shape& s) {                    \
    return UNROLL_VALUE_ON_DEVICE(device, stem##_sizes<Real>(s));                 \
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

  /// States of a run, h [T+1,N,P] and c [T+1,N,H] in its own order, and what the kernel saved. To
  /// be recomputed: states_at_starts.
  struct Kept {
    Tensor h, c, saved;
  };

  RecurrentInputs in;
  Kept kept[2];
  Lengths lengths;
  LayerOptions options;

  auto saved() const {
    const auto of = [this](int r) {
      const RunInputs& run = in.run[r];
      return std::tie(run.h0, run.c0, run.w_ih, run.w_hh, run.b_ih, run.b_hh, run.w_hr,
                      run.peephole, run.norm_ih, run.norm_hh, run.norm_c, run.norm_c_bias,
                      kept[r].h, kept[r].c, kept[r].saved);
    };
    return std::tuple_cat(std::tie(in.x), of(0), of(1));
  }

  // Outputs: y, then h_n and, where there is one, c_n of each run.
  static constexpr int states = has_cell ? 2 : 1;
  static constexpr int last(int r) { return 1 + r * states; }

  std::int64_t width(int r) const { return in.run[r].state_width(); }

  typename Family::Shape shape(int r, std::int64_t K = 1) const {
    const LayerOptions own = options_of_run(options, in, Family::gates, r);
    auto s = Family::shape(in.run[r], own);
    static_cast<RecurrentShape&>(s) = recurrent_shape(name, in, Family::gates, has_cell, lengths);
    s.options = own.cell;
    s.K = K;
    s.reverse = in.reversed(r);
    return s;
  }

  /// Runs the kernel of each run: sets the states after them and y, which of an only run may be
  /// undefined and is then a view of h; keeps what the sweeps need.
  template <class Real>
  void forward_fused(RecurrentOutputs& out, bool recording);

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

  template <class Args>
  using Call = RecurrentCall<typename Family::Shape, Args>;

  template <class Real>
  void prepare_forward(int r, RecurrentOutputs& out, bool saving,
                       Call<typename Family::template Forward<Real>>& call);

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
    // Side by side, the second run has a dx of its own; else it adds to that of the first.
    const bool together = side_by_side<Real>(directions.K);
    Pullback::Target dx[2] = {targets[0], targets[0]};
    dx[1].beta = 1;
    if (together && dx[1].tensor) {
      dx[1] = {empty(dx[0].tensor.shape(), in.x.dtype(), in.x.device()), 0};
    }
    Call<typename Family::template Pull<Real>> calls[2];
    for (int r = 0; r < in.runs; r++) {
      prepare_pull<Real>(r, directions.K, s, dy, dx[r], targets + 1 + r * RunInputs::count,
                         calls[r]);
    }
    run_calls<Real>(calls, together, &RecurrentSizes::pullback_scratch, [&](const auto& call) {
      Family::template pull<Real>(in.x.device(), call.space, call.args);
    });
    for (int i = 0; i < in.count(); i++)
      if (targets[i].tensor) s.add(i, targets[i].tensor);
    if (together && dx[1].tensor) s.add(0, dx[1].tensor);
  }

  template <class Real>
  void prepare_pull(int r, std::int64_t K, const Pullback& s, const Tensor& dy,
                    const Pullback::Target& dx, const Pullback::Target* own,
                    Call<typename Family::template Pull<Real>>& call) const {
    call.space = shape(r, K);
    call.dh_n = dense(s.cotangent(last(r)));
    if (has_cell) call.dc_n = dense(s.cotangent(last(r) + 1));
    auto& args = call.args;
    set_operands<Real>(r, args);
    args.dy = dy ? dy.data<Real>() + r * width(r) : nullptr;
    args.dy_stride = in.runs * width(r);
    args.dh_n = data_or_null<Real>(call.dh_n);
    if constexpr (has_cell) args.dc_n = data_or_null<Real>(call.dc_n);

    const auto place = [](Pullback::Target target, Real*& pointer, Real& beta) {
      if (!target.tensor) return;
      pointer = target.tensor.template mutable_data<Real>();
      beta = static_cast<Real>(target.beta);
    };
    place(dx, args.dx, args.beta_dx);
    place(own[0], args.dh0, args.beta_dh0);
    if constexpr (has_cell) place(own[1], args.dc0, args.beta_dc0);
    place(own[2], args.dw_ih, args.beta_dw_ih);
    place(own[3], args.dw_hh, args.beta_dw_hh);
    place(own[4], args.db_ih, args.beta_db_ih);
    place(own[5], args.db_hh, args.beta_db_hh);
    if constexpr (requires { args.d_extra; }) {
      place(own[6], args.d_extra.w_hr, args.beta_extra.w_hr);
      place(own[7], args.d_extra.peephole, args.beta_extra.peephole);
      place(own[8], args.d_extra.norm_ih, args.beta_extra.norm_ih);
      place(own[9], args.d_extra.norm_hh, args.beta_extra.norm_hh);
      place(own[10], args.d_extra.norm_c, args.beta_extra.norm_c);
      place(own[11], args.d_extra.norm_c_bias, args.beta_extra.norm_c_bias);
    }
  }

  // A sweep's kernel for each run, or its segments one after the other.
  template <class Real, class Args, class Kernel>
  void run_calls(Call<Args> (&calls)[2], bool together, std::int64_t RecurrentSizes::*scratch,
                 const Kernel& kernel) const {
    for (int r = 0; r < in.runs; r++) {
      if (options.recompute) {
        segments<Real>(r, calls[r].space).sweep(calls[r].args);
        continue;
      }
      set_states<Real>(r, calls[r].args);
      calls[r].template take_scratch<Real>(
          in.x.device(), Family::template sizes<Real>(in.x.device(), calls[r].space).*scratch);
    }
    if (options.recompute) return;
    for_runs(in.runs, together, [&](int r) { kernel(calls[r]); });
  }

  // Whether the runs of a sweep in K directions go side by side.
  template <class Real>
  bool side_by_side(std::int64_t K) const {
    return in.runs == 2 && !options.recompute &&
           Family::template sizes<Real>(in.x.device(), shape(0, K)).side_by_side;
  }

  template <class Real>
  void push_fused(Pushforward& s) const {
    Directions directions;
    for (int i = 0; i < in.count(); i++) {
      if (in[i]) directions.see(s.tangent(i), in[i].rank());
    }
    const auto space = shape(0);
    const Tensor dx = dense(s.tangent(0));
    Tensor dy =
        empty(directions({space.T, space.N, in.runs * width(0)}), in.x.dtype(), in.x.device());
    Call<typename Family::template Push<Real>> calls[2];
    Tensor v[2][RunInputs::count];
    for (int r = 0; r < in.runs; r++) {
      for (int i = 0; i < RunInputs::count; i++)
        v[r][i] = dense(s.tangent(1 + r * RunInputs::count + i));
      prepare_push<Real>(r, directions, dx, v[r], dy, calls[r]);
    }
    run_calls<Real>(calls, side_by_side<Real>(directions.K), &RecurrentSizes::pushforward_scratch,
                    [&](const auto& call) {
                      Family::template push<Real>(in.x.device(), call.space, call.args);
                    });
    s.set(0, dy);
    for (int r = 0; r < in.runs; r++) {
      s.set(last(r), calls[r].dh_n);
      if (has_cell) s.set(last(r) + 1, calls[r].dc_n);
    }
  }

  template <class Real>
  void prepare_push(int r, const Directions& directions, const Tensor& dx, const Tensor* v,
                    Tensor& dy, Call<typename Family::template Push<Real>>& call) const {
    call.space = shape(r, directions.K);
    auto& args = call.args;
    set_operands<Real>(r, args);
    args.dx = data_or_null<Real>(dx);
    args.dh0 = data_or_null<Real>(v[0]);
    if constexpr (has_cell) args.dc0 = data_or_null<Real>(v[1]);
    args.dw_ih = data_or_null<Real>(v[2]);
    args.dw_hh = data_or_null<Real>(v[3]);
    args.db_ih = data_or_null<Real>(v[4]);
    args.db_hh = data_or_null<Real>(v[5]);
    if constexpr (requires { args.d_extra; }) args.d_extra = extra<Real>(v);

    args.dy = dy.mutable_data<Real>() + r * width(r);
    args.dy_stride = in.runs * width(r);
    call.dh_n = empty(directions({call.space.N, width(r)}), in.x.dtype(), in.x.device());
    args.dh_n = call.dh_n.template mutable_data<Real>();
    if constexpr (has_cell) {
      call.dc_n = empty(directions({call.space.N, call.space.H}), in.x.dtype(), in.x.device());
      args.dc_n = call.dc_n.template mutable_data<Real>();
    }
  }

  template <class Real>
  Segments<Family, Real> segments(int r, const typename Family::Shape& space) const {
    return {in.x.device(), space, operands<Real>(r), kept[r].h, kept[r].c};
  }

  // What the forward kernel reads.
  template <class Real>
  typename Family::template Forward<Real> operands(int r) const {
    typename Family::template Forward<Real> args{};
    set_operands<Real>(r, args);
    args.b_ih = data_or_null<Real>(in.run[r].b_ih);
    args.b_hh = data_or_null<Real>(in.run[r].b_hh);
    return args;
  }

  // Of a run's operands, or their tangents, those that belong to options of the LSTM.
  template <class Real, class Run>
  static LstmExtra<const Real*> extra(const Run& run) {
    return {data_or_null<Real>(run[6]), data_or_null<Real>(run[7]),  data_or_null<Real>(run[8]),
            data_or_null<Real>(run[9]), data_or_null<Real>(run[10]), data_or_null<Real>(run[11])};
  }

  // What all passes read.
  template <class Real, class Args>
  void set_operands(int r, Args& args) const {
    args.x = in.x.data<Real>();
    args.w_ih = in.run[r].w_ih.template data<Real>();
    args.w_hh = in.run[r].w_hh.template data<Real>();
    if constexpr (requires { args.extra; }) args.extra = extra<Real>(in.run[r]);
  }

  // What both sweeps read of the forward pass.
  template <class Real, class Args>
  void set_states(int r, Args& args) const {
    args.h = kept[r].h.template data<Real>();
    if constexpr (has_cell) args.c = kept[r].c.template data<Real>();
    args.saved = data_or_null<Real>(kept[r].saved);
  }
};

/// [T+1,N,width] with `first` (undefined: zero) at index 0.
Tensor states_from(const Tensor& first, const RecurrentShape& shape, std::int64_t width,
                   Dtype dtype, Device device);

template <class Family>
template <class Real>
void RecurrentRule<Family>::forward_fused(RecurrentOutputs& out, bool recording) {
  const bool saving = recording && !options.recompute;
  Call<typename Family::template Forward<Real>> calls[2];
  for (int r = 0; r < in.runs; r++) prepare_forward<Real>(r, out, saving, calls[r]);
  for_runs(in.runs, calls[0].sizes.side_by_side, [&](int r) {
    Family::template forward<Real>(in.x.device(), calls[r].space, calls[r].args);
  });
  for (const auto& call : calls)
    if (call.packed) call.packed->keep();
  if (!out.y) out.y = view::slice(kept[0].h, 0, 1, calls[0].space.T + 1);
  if (!recording || saving) return;
  for (int r = 0; r < in.runs; r++) {
    kept[r].h = states_at_starts(kept[r].h, calls[r].space);
    if (has_cell) kept[r].c = states_at_starts(kept[r].c, calls[r].space);
  }
}

template <class Family>
template <class Real>
void RecurrentRule<Family>::prepare_forward(int r, RecurrentOutputs& out, bool saving,
                                            Call<typename Family::template Forward<Real>>& call) {
  const RunInputs& run = in.run[r];
  const auto space = call.space = shape(r);
  const Dtype dtype = in.x.dtype();
  const Device device = in.x.device();
  call.sizes = Family::template sizes<Real>(device, space);
  kept[r].h = states_from(run.h0, space, width(r), dtype, device);
  if (has_cell) kept[r].c = states_from(run.c0, space, space.H, dtype, device);
  if (saving && call.sizes.saved) kept[r].saved = empty({call.sizes.saved}, dtype, device);
  out.last[r].h = empty({space.N, width(r)}, dtype, device);
  auto& args = call.args = operands<Real>(r);
  args.h = kept[r].h.template mutable_data<Real>();
  args.h_n = out.last[r].h.template mutable_data<Real>();
  if (out.y) args.y = out.y.mutable_data<Real>() + r * width(r);
  args.y_stride = in.runs * width(r);
  if constexpr (has_cell) {
    out.last[r].c = empty({space.N, space.H}, dtype, device);
    args.c = kept[r].c.template mutable_data<Real>();
    args.c_n = out.last[r].c.template mutable_data<Real>();
  }
  if (kept[r].saved) args.saved = kept[r].saved.template mutable_data<Real>();
  call.template take_scratch<Real>(device, call.sizes.forward_scratch);
  // While recording, weights are about to change.
  if (!is_recording() && call.sizes.packed)
    call.packed.emplace(run, Family::gates, space, call.sizes).give(args);
}

/// Checks, allocates, runs the forward kernel of each run and records.
template <class Family>
RecurrentOutputs run_recurrent(RecurrentInputs in, const Lengths& lengths,
                               const LayerOptions& options) {
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
    out.y = empty({space.T, space.N, runs * rule.width(0)}, dtype, rule.in.x.device());
  with_real(dtype, [&](auto type) { rule.template forward_fused<decltype(type)>(out, recording); });
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

/// The same with the cell's options; moves `random`, where there is one and it was used.
template <class Family>
RecurrentOutputs run_layer(const RecurrentInputs& in, const Lengths& lengths,
                           const CellOptions& cell, Random* random,
                           RnnActivation activation = RnnActivation::tanh) {
  LayerOptions options = layer_options(Family::name, cell, random);
  options.activation = activation;
  const RecurrentOutputs out = run_recurrent<Family>(in, lengths, options);
  if (random) random->set_counter(options_of_run(options, in, Family::gates, in.runs).cell.counter);
  return out;
}

/// The twin of one run, in its own right.
template <class Family>
RecurrentOutputs run_layer_twin(const char* op, const RecurrentInputs& in, const Lengths& lengths,
                                const CellOptions& cell, Random* random,
                                const CellActivations& activations,
                                RnnActivation activation = RnnActivation::tanh) {
  recurrent_shape(op, in, Family::gates, Family::has_cell, lengths);
  LayerOptions options = layer_options(op, cell, random);
  options.activation = activation;
  const RecurrentOutputs out = layer_twin<Family>(in, lengths, options, activations);
  if (random) random->set_counter(options_of_run(options, in, Family::gates, in.runs).cell.counter);
  return out;
}

/// One layer of a stack. Given by std::cref, so that nothing is allocated for it.
using RecurrentLayer = std::function<RecurrentOutputs(const RecurrentInputs&)>;

/// y, h_n and c_n of a stack, in the shapes that it promises.
struct StackOutputs {
  Tensor y, h_n, c_n;
};

/// Runs the layers. Throws Error, naming `op`, for operands that do not fit.
StackOutputs run_stack(const char* op, const Tensor& x, const Tensor& h_0, const Tensor& c_0,
                       const RecurrentStack& stack, Random* random, const RecurrentLayer& layer);

}  // namespace unroll::detail
