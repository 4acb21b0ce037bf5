#include "autograd/rnn.h"

#include "autograd/recurrent_op.h"

namespace unroll {

using namespace detail;

namespace {

Tensor activate(const Tensor& x, RnnActivation activation) {
  switch (activation) {
    case RnnActivation::tanh: return tanh(x);
    case RnnActivation::relu: return relu(x);
    case RnnActivation::identity: break;
  }
  return x;
}

struct RnnFamily {
  UNROLL_RECURRENT_KERNELS(rnn, Rnn)
  static constexpr int gates = 1;
  static constexpr bool has_cell = false;
  using Options = RnnActivation;
  static Shape shape(RnnActivation activation) {
    Shape s{};
    s.activation = activation;
    return s;
  }
  static RecurrentOutputs twin(const TwinRun& run, RnnActivation activation) {
    const RunInputs& in = run.in;
    return run_twin(run, has_cell, [&](const Tensor& x, const RunState& state) {
      const Tensor pre = linear(x, in.w_ih, in.b_ih) + linear(state.h, in.w_hh, in.b_hh);
      return RunState{activate(pre, activation), {}};
    });
  }
};

}  // namespace

RnnOut rnn(const Tensor& x, const Tensor& h_0, const Tensor& weight_ih, const Tensor& weight_hh,
           const Tensor& bias_ih, const Tensor& bias_hh, const Lengths& lengths,
           RnnActivation activation, bool reverse) {
  const RecurrentInputs in{x, {{h_0, {}, weight_ih, weight_hh, bias_ih, bias_hh}}, 1, reverse};
  const RecurrentOutputs out = run_recurrent<RnnFamily>(in, lengths, activation);
  return {out.y, out.last[0].h};
}

RnnOut rnn_twin(const Tensor& x, const Tensor& h_0, const Tensor& weight_ih,
                const Tensor& weight_hh, const Tensor& bias_ih, const Tensor& bias_hh,
                const Lengths& lengths, RnnActivation activation, bool reverse) {
  const RecurrentInputs in{x, {{h_0, {}, weight_ih, weight_hh, bias_ih, bias_hh}}, 1, reverse};
  recurrent_shape("rnn_twin", in, RnnFamily::gates, RnnFamily::has_cell, lengths);
  const RecurrentOutputs out = layer_twin<RnnFamily>(in, lengths, activation);
  return {out.y, out.last[0].h};
}

RnnOut rnn_stack(const Tensor& x, const Tensor& h_0, const RecurrentStack& stack,
                 const Lengths& lengths, Random* random, RnnActivation activation) {
  const StackOutputs out = run_stack(
      "rnn_stack", x, h_0, {}, stack, random,
      [&](const RecurrentInputs& in) { return run_recurrent<RnnFamily>(in, lengths, activation); });
  return {out.y, out.h_n};
}

}  // namespace unroll
