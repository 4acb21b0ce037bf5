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
  static Shape shape(const RunInputs&, const LayerOptions& options) {
    Shape s{};
    s.activation = options.activation;
    return s;
  }
  static RecurrentOutputs twin(const TwinRun& run) {
    const RunInputs& in = run.in;
    return run_twin(run, gates, [&](const Tensor& x, const Tensor& m, const RunState&) {
      const Tensor pre = run.clipped(linear(x, in.w_ih, in.b_ih) + linear(m, in.w_hh, in.b_hh));
      if (run.activations.candidate) return RunState{run.candidate(pre), {}};
      return RunState{activate(pre, run.options.activation), {}};
    });
  }
};

RnnOut of(const RecurrentOutputs& out) { return {out.y, out.last[0].h}; }

}  // namespace

RnnOut rnn_layer(const Tensor& x, const Tensor& h_0, const RecurrentWeights& weights,
                 const CellOptions& cell, const Lengths& lengths, Random* random,
                 RnnActivation activation, bool reverse) {
  const RecurrentInputs in{x, {run_inputs(h_0, {}, weights)}, 1, reverse};
  return of(run_layer<RnnFamily>(in, lengths, cell, random, activation));
}

RnnOut rnn_layer_twin(const Tensor& x, const Tensor& h_0, const RecurrentWeights& weights,
                      const CellOptions& cell, const Lengths& lengths, Random* random,
                      RnnActivation activation, bool reverse, const CellActivations& activations) {
  const RecurrentInputs in{x, {run_inputs(h_0, {}, weights)}, 1, reverse};
  return of(
      run_layer_twin<RnnFamily>("rnn_twin", in, lengths, cell, random, activations, activation));
}

RnnOut rnn(const Tensor& x, const Tensor& h_0, const Tensor& weight_ih, const Tensor& weight_hh,
           const Tensor& bias_ih, const Tensor& bias_hh, const Lengths& lengths,
           RnnActivation activation, bool reverse) {
  return rnn_layer(x, h_0, {weight_ih, weight_hh, bias_ih, bias_hh}, CellOptions{}, lengths,
                   nullptr, activation, reverse);
}

RnnOut rnn_twin(const Tensor& x, const Tensor& h_0, const Tensor& weight_ih,
                const Tensor& weight_hh, const Tensor& bias_ih, const Tensor& bias_hh,
                const Lengths& lengths, RnnActivation activation, bool reverse) {
  return rnn_layer_twin(x, h_0, {weight_ih, weight_hh, bias_ih, bias_hh}, CellOptions{}, lengths,
                        nullptr, activation, reverse);
}

RnnOut rnn_stack(const Tensor& x, const Tensor& h_0, const RecurrentStack& stack,
                 const Lengths& lengths, Random* random, RnnActivation activation) {
  const auto layer = [&](const RecurrentInputs& in) {
    return run_layer<RnnFamily>(in, lengths, stack.cell, random, activation);
  };
  const StackOutputs out = run_stack("rnn_stack", x, h_0, {}, stack, random, std::cref(layer));
  return {out.y, out.h_n};
}

}  // namespace unroll
