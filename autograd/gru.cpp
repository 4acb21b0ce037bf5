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
  struct Options {};
  static Shape shape(Options) { return {}; }
  static RecurrentOutputs twin(const TwinRun& run, Options) {
    const RunInputs& in = run.in;
    const std::int64_t H = in.w_hh.shape()[1];
    const auto gate = [H](const Tensor& pre, int i) { return slice(pre, -1, i * H, (i + 1) * H); };
    return run_twin(run, has_cell, [&](const Tensor& x, const RunState& state) {
      const Tensor from_x = linear(x, in.w_ih, in.b_ih), from_h = linear(state.h, in.w_hh, in.b_hh);
      const Tensor r = sigmoid(gate(from_x, 0) + gate(from_h, 0));
      const Tensor z = sigmoid(gate(from_x, 1) + gate(from_h, 1));
      const Tensor n = tanh(gate(from_x, 2) + r * gate(from_h, 2));
      return RunState{n + z * (state.h - n), {}};
    });
  }
};

}  // namespace

GruOut gru(const Tensor& x, const Tensor& h_0, const Tensor& weight_ih, const Tensor& weight_hh,
           const Tensor& bias_ih, const Tensor& bias_hh, const Lengths& lengths, bool reverse) {
  const RecurrentInputs in{x, {{h_0, {}, weight_ih, weight_hh, bias_ih, bias_hh}}, 1, reverse};
  const RecurrentOutputs out = run_recurrent<GruFamily>(in, lengths, {});
  return {out.y, out.last[0].h};
}

GruOut gru_twin(const Tensor& x, const Tensor& h_0, const Tensor& weight_ih,
                const Tensor& weight_hh, const Tensor& bias_ih, const Tensor& bias_hh,
                const Lengths& lengths, bool reverse) {
  const RecurrentInputs in{x, {{h_0, {}, weight_ih, weight_hh, bias_ih, bias_hh}}, 1, reverse};
  recurrent_shape("gru_twin", in, GruFamily::gates, GruFamily::has_cell, lengths);
  const RecurrentOutputs out = layer_twin<GruFamily>(in, lengths, {});
  return {out.y, out.last[0].h};
}

GruOut gru_stack(const Tensor& x, const Tensor& h_0, const RecurrentStack& stack,
                 const Lengths& lengths, Random* random) {
  const StackOutputs out = run_stack(
      "gru_stack", x, h_0, {}, stack, random,
      [&](const RecurrentInputs& in) { return run_recurrent<GruFamily>(in, lengths, {}); });
  return {out.y, out.h_n};
}

}  // namespace unroll
