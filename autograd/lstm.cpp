#include "autograd/lstm.h"

#include "autograd/recurrent_op.h"
#include "kernels/lstm.h"

namespace unroll {

using namespace detail;

namespace {

struct LstmFamily {
  UNROLL_RECURRENT_KERNELS(lstm, Lstm)
  static constexpr int gates = 4;
  static constexpr bool has_cell = true;
  struct Options {};
  static Shape shape(Options) { return {}; }
  static RecurrentOutputs twin(const TwinRun& run, Options) {
    const RunInputs& in = run.in;
    const std::int64_t H = in.w_hh.shape()[1];
    const auto gate = [H](const Tensor& pre, int i) { return slice(pre, -1, i * H, (i + 1) * H); };
    return run_twin(run, has_cell, [&](const Tensor& x, const RunState& state) {
      const Tensor pre = linear(x, in.w_ih, in.b_ih) + linear(state.h, in.w_hh, in.b_hh);
      const Tensor i = sigmoid(gate(pre, 0)), f = sigmoid(gate(pre, 1));
      const Tensor g = tanh(gate(pre, 2)), o = sigmoid(gate(pre, 3));
      const Tensor c = f * state.c + i * g;
      return RunState{o * tanh(c), c};
    });
  }
};

}  // namespace

LstmOut lstm(const Tensor& x, const Tensor& h_0, const Tensor& c_0, const Tensor& weight_ih,
             const Tensor& weight_hh, const Tensor& bias_ih, const Tensor& bias_hh,
             const Lengths& lengths, bool reverse) {
  const RecurrentInputs in{x, {{h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh}}, 1, reverse};
  const RecurrentOutputs out = run_recurrent<LstmFamily>(in, lengths, {});
  return {out.y, out.last[0].h, out.last[0].c};
}

LstmOut lstm_twin(const Tensor& x, const Tensor& h_0, const Tensor& c_0, const Tensor& weight_ih,
                  const Tensor& weight_hh, const Tensor& bias_ih, const Tensor& bias_hh,
                  const Lengths& lengths, bool reverse) {
  const RecurrentInputs in{x, {{h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh}}, 1, reverse};
  recurrent_shape("lstm_twin", in, LstmFamily::gates, LstmFamily::has_cell, lengths);
  const RecurrentOutputs out = layer_twin<LstmFamily>(in, lengths, {});
  return {out.y, out.last[0].h, out.last[0].c};
}

LstmOut lstm_stack(const Tensor& x, const Tensor& h_0, const Tensor& c_0,
                   const RecurrentStack& stack, const Lengths& lengths, Random* random) {
  const StackOutputs out = run_stack(
      "lstm_stack", x, h_0, c_0, stack, random,
      [&](const RecurrentInputs& in) { return run_recurrent<LstmFamily>(in, lengths, {}); });
  return {out.y, out.h_n, out.c_n};
}

}  // namespace unroll
