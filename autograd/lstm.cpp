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
  static RecurrentOutputs twin(const RecurrentInputs& in, const Lengths& lengths, Options) {
    const std::int64_t H = in.w_hh.shape()[1];
    const auto gate = [H](const Tensor& pre, int i) { return slice(pre, -1, i * H, (i + 1) * H); };
    return run_twin(in, has_cell, lengths, [&](const Tensor& x, const TwinState& state) {
      const Tensor pre = linear(x, in.w_ih, in.b_ih) + linear(state.h, in.w_hh, in.b_hh);
      const Tensor i = sigmoid(gate(pre, 0)), f = sigmoid(gate(pre, 1));
      const Tensor g = tanh(gate(pre, 2)), o = sigmoid(gate(pre, 3));
      const Tensor c = f * state.c + i * g;
      return TwinState{o * tanh(c), c};
    });
  }
};

}  // namespace

LstmOut lstm(const Tensor& x, const Tensor& h_0, const Tensor& c_0, const Tensor& weight_ih,
             const Tensor& weight_hh, const Tensor& bias_ih, const Tensor& bias_hh,
             const Lengths& lengths) {
  const RecurrentOutputs out =
      run_recurrent<LstmFamily>({x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh}, lengths, {});
  return {out.y, out.h_n, out.c_n};
}

LstmOut lstm_twin(const Tensor& x, const Tensor& h_0, const Tensor& c_0, const Tensor& weight_ih,
                  const Tensor& weight_hh, const Tensor& bias_ih, const Tensor& bias_hh,
                  const Lengths& lengths) {
  const RecurrentInputs in{x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh};
  recurrent_shape("lstm_twin", in, LstmFamily::gates, LstmFamily::has_cell, lengths);
  const RecurrentOutputs out = LstmFamily::twin(in, lengths, {});
  return {out.y, out.h_n, out.c_n};
}

}  // namespace unroll
