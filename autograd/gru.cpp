#include "autograd/gru.h"

#include "autograd/recurrent_op.h"
#include "kernels/gru.h"

namespace unroll {

using namespace detail;

namespace {

struct GruFamily {
  UNROLL_RECURRENT_KERNELS(gru, Gru)
  static constexpr int gates = 3;
  static constexpr bool has_cell = false;
  static Shape shape(const RunInputs&, const LayerOptions& options) {
    Shape s{};
    s.reset_first = options.reset_first;
    return s;
  }
  static RecurrentOutputs twin(const TwinRun& run) {
    const RunInputs& in = run.in;
    const std::int64_t H = in.state_width();
    const auto part = [H](const Tensor& all, int i, int axis) {
      return all ? slice(all, axis, i * H, (i + 1) * H) : all;
    };
    return run_twin(run, gates, [&](const Tensor& x, const Tensor& m, const RunState& state) {
      const Tensor from_x = linear(x, in.w_ih, in.b_ih), from_h = linear(m, in.w_hh, in.b_hh);
      const auto gate = [&](int i) {
        return run.gate(run.clipped(part(from_x, i, -1) + part(from_h, i, -1)));
      };
      const Tensor r = gate(0), z = gate(1);
      const Tensor reset = run.options.reset_first
                               ? linear(r * m, part(in.w_hh, 2, 0), part(in.b_hh, 2, 0))
                               : r * part(from_h, 2, -1);
      const Tensor n = run.candidate(run.clipped(part(from_x, 2, -1) + reset));
      return RunState{n + z * (state.h - n), {}};
    });
  }
};

GruOut of(const RecurrentOutputs& out) { return {out.y, out.last[0].h}; }

}  // namespace

GruOut gru_layer(const Tensor& x, const Tensor& h_0, const RecurrentWeights& weights,
                 const CellOptions& cell, const Lengths& lengths, Random* random, bool reverse) {
  const RecurrentInputs in{x, {run_inputs(h_0, {}, weights)}, 1, reverse};
  return of(run_layer<GruFamily>(in, lengths, cell, random));
}

GruOut gru_layer_twin(const Tensor& x, const Tensor& h_0, const RecurrentWeights& weights,
                      const CellOptions& cell, const Lengths& lengths, Random* random, bool reverse,
                      const CellActivations& activations) {
  const RecurrentInputs in{x, {run_inputs(h_0, {}, weights)}, 1, reverse};
  return of(run_layer_twin<GruFamily>("gru_twin", in, lengths, cell, random, activations));
}

GruOut gru(const Tensor& x, const Tensor& h_0, const Tensor& weight_ih, const Tensor& weight_hh,
           const Tensor& bias_ih, const Tensor& bias_hh, const Lengths& lengths, bool reverse) {
  return gru_layer(x, h_0, {weight_ih, weight_hh, bias_ih, bias_hh}, CellOptions{}, lengths,
                   nullptr, reverse);
}

GruOut gru_twin(const Tensor& x, const Tensor& h_0, const Tensor& weight_ih,
                const Tensor& weight_hh, const Tensor& bias_ih, const Tensor& bias_hh,
                const Lengths& lengths, bool reverse) {
  return gru_layer_twin(x, h_0, {weight_ih, weight_hh, bias_ih, bias_hh}, CellOptions{}, lengths,
                        nullptr, reverse);
}

GruOut gru_stack(const Tensor& x, const Tensor& h_0, const RecurrentStack& stack,
                 const Lengths& lengths, Random* random) {
  const auto layer = [&](const RecurrentInputs& in) {
    return run_layer<GruFamily>(in, lengths, stack.cell, random);
  };
  const StackOutputs out = run_stack("gru_stack", x, h_0, {}, stack, random, std::cref(layer));
  return {out.y, out.h_n};
}

}  // namespace unroll
