// The twins of the recurrent layers: the same functions made of small ops. They are the test
// oracle, and what recorded sweeps differentiate. Private to autograd/{rnn,lstm,gru,recurrent_*}.
#pragma once

#include "autograd/recurrent_inputs.h"

namespace unroll::detail {

/// What the twin of one run reads.
struct TwinRun {
  const Tensor& x;
  const RunInputs& in;
  const Lengths& lengths;
  bool reverse;
  const LayerOptions& options;
  const CellActivations& activations = standard;

  static const CellActivations standard;

  // An activation, the standard one unless another is given.
  Tensor gate(const Tensor& v) const { return activations.gate ? activations.gate(v) : sigmoid(v); }
  Tensor candidate(const Tensor& v) const {
    return activations.candidate ? activations.candidate(v) : tanh(v);
  }
  Tensor output(const Tensor& v) const {
    return activations.output ? activations.output(v) : tanh(v);
  }
  /// What an activation sees.
  Tensor clipped(const Tensor& x) const;
};

/// The masks of a run, as tensors: undefined where there are none.
struct TwinMasks {
  Tensor drop;            // factors of h [N,P]
  Tensor keep_h, keep_c;  // boolean [T,N,P] and [T,N,H], in time
  TwinMasks(const TwinRun& run, const RecurrentShape& shape);
};

/// Zoneout of a state: `keep` at this step, or undefined where it blends.
Tensor zoned(const Tensor& before, const Tensor& after, double rate, const Tensor& keep);

/// w x, normalised where there is a gain, plus bias.
Tensor gates_from(const Tensor& x, const Tensor& w, const Tensor& gain, const Tensor& bias);

/// Layer normalisation without gain and bias, over the last axis.
Tensor normalised(const Tensor& x);

/// The twins' loop: step(x[t], m, state) -> new state, kept only where t is a valid step; m is what
/// w_hh sees of h. `gates` is 4 where there is a cell state.
template <class Step>
RecurrentOutputs run_twin(const TwinRun& run, int gates, Step step) {
  const bool has_cell = gates == 4;
  const std::int64_t T = run.x.shape()[0], N = run.x.shape()[1], P = run.in.state_width();
  const std::int64_t H = run.in.w_hh.shape()[0] / gates;
  const RecurrentOptions& o = run.options.cell;
  const TwinMasks masks(run, {.T = T, .N = N, .I = 0, .H = H});
  const Tensor zero = number_like(run.x, 0);
  const auto start = [&](const Tensor& s, std::int64_t width) {
    return s ? s : zeros({N, width}, run.x.dtype(), run.x.device());
  };
  RunState state{start(run.in.h0, P), has_cell ? start(run.in.c0, H) : Tensor()};
  const Tensor mask = run.lengths ? length_mask(run.lengths, T, N, run.x.device()) : Tensor();
  const auto at = [](const Tensor& all, std::int64_t t) {
    return all ? view::select(all, 0, t) : Tensor();
  };
  // Padding may hold anything: it must not even be multiplied by zero.
  const Tensors xs = unbind(mask ? where(mask, run.x, zero) : run.x, 0);
  Tensors ys(static_cast<std::size_t>(T));
  for (std::int64_t i = 0; i < T; i++) {
    // Backwards the padding comes first, and leaves the state as it is.
    const std::int64_t t = run.reverse ? T - 1 - i : i;
    RunState next = step(xs[std::size_t(t)], masks.drop ? state.h * masks.drop : state.h, state);
    next.h = zoned(state.h, next.h, o.zoneout_h, at(masks.keep_h, t));
    if (has_cell) next.c = zoned(state.c, next.c, o.zoneout_c, at(masks.keep_c, t));
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
                            const LayerOptions& options,
                            const CellActivations& activations = TwinRun::standard) {
  RecurrentOutputs out;
  Tensors ys;
  for (int r = 0; r < in.runs; r++) {
    const LayerOptions own = options_of_run(options, in, Family::gates, r);
    const RecurrentOutputs one =
        Family::twin({in.x, in.run[r], lengths, in.reversed(r), own, activations});
    ys.push_back(one.y);
    out.last[r] = one.last[0];
  }
  out.y = in.runs == 1 ? ys[0] : cat(ys, -1);
  return out;
}

}  // namespace unroll::detail
