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
  static Shape shape(const RunInputs& in, const LayerOptions&) {
    Shape s{};
    s.P = in.w_hr ? in.state_width() : 0;
    s.peephole = bool(in.peephole);
    s.layer_norm = bool(in.norm_ih);
    return s;
  }
  static RecurrentOutputs twin(const TwinRun& run) {
    const RunInputs& in = run.in;
    const std::int64_t H = in.w_hh.shape()[0] / gates;
    const auto peep = [&in](const Tensor& pre, int which, const Tensor& c) {
      return in.peephole ? pre + select(in.peephole, 0, which) * c : pre;
    };
    return run_twin(run, gates, [&](const Tensor& x, const Tensor& m, const RunState& state) {
      const Tensor pre =
          gates_from(x, in.w_ih, in.norm_ih, in.b_ih) + gates_from(m, in.w_hh, in.norm_hh, in.b_hh);
      const auto part = [&](int i) { return slice(pre, -1, i * H, (i + 1) * H); };
      const auto gate = [&](const Tensor& v) { return run.gate(run.clipped(v)); };
      const Tensor i = gate(peep(part(0), 0, state.c)), f = gate(peep(part(1), 1, state.c));
      const Tensor c = f * state.c + i * run.candidate(run.clipped(part(2)));
      const Tensor o = gate(peep(part(3), 2, c));
      const Tensor seen = in.norm_c ? normalised(c) * in.norm_c + in.norm_c_bias : c;
      const Tensor h = o * run.output(seen);
      return RunState{in.w_hr ? linear(h, in.w_hr) : h, c};
    });
  }
};

// What runs when the gates are coupled. 1 - sigmoid(v) = sigmoid(-v): the forget gate sees the
// negative of what the input gate sees, so that no kernel needs to know.
RecurrentWeights effective(const char* op, const RecurrentWeights& w, const CellOptions& cell) {
  if (!cell.coupled) return w;
  if (w.norm_ih) fail(op, "coupled gates do not go with a layer norm");
  // [i f ...] -> [i -i ...]; what does not fit is refused by the checks that follow.
  const auto couple = [](const Tensor& x, std::int64_t gates) {
    if (!x || x.rank() == 0 || x.shape()[0] % gates != 0) return x;
    const std::int64_t H = x.shape()[0] / gates;
    const Tensor i = slice(x, 0, 0, H);
    return cat({i, -i, slice(x, 0, 2 * H, gates * H)}, 0);
  };
  RecurrentWeights c = w;
  for (Tensor* x : {&c.w_ih, &c.w_hh, &c.b_ih, &c.b_hh}) *x = couple(*x, 4);
  c.peephole = couple(w.peephole, 3);
  return c;
}

LstmOut of(const RecurrentOutputs& out) { return {out.y, out.last[0].h, out.last[0].c}; }

}  // namespace

LstmOut lstm_layer(const Tensor& x, const Tensor& h_0, const Tensor& c_0,
                   const RecurrentWeights& weights, const CellOptions& cell, const Lengths& lengths,
                   Random* random, bool reverse) {
  const RecurrentWeights w = effective("lstm", weights, cell);
  const RecurrentInputs in{x, {run_inputs(h_0, c_0, w)}, 1, reverse};
  return of(run_layer<LstmFamily>(in, lengths, cell, random));
}

LstmOut lstm_layer_twin(const Tensor& x, const Tensor& h_0, const Tensor& c_0,
                        const RecurrentWeights& weights, const CellOptions& cell,
                        const Lengths& lengths, Random* random, bool reverse,
                        const CellActivations& activations) {
  if (cell.coupled && activations.gate)
    fail("lstm_twin", "coupled gates do not go with another activation than the sigmoid");
  const RecurrentWeights w = effective("lstm_twin", weights, cell);
  const RecurrentInputs in{x, {run_inputs(h_0, c_0, w)}, 1, reverse};
  return of(run_layer_twin<LstmFamily>("lstm_twin", in, lengths, cell, random, activations));
}

LstmOut lstm(const Tensor& x, const Tensor& h_0, const Tensor& c_0, const Tensor& weight_ih,
             const Tensor& weight_hh, const Tensor& bias_ih, const Tensor& bias_hh,
             const Lengths& lengths, bool reverse) {
  return lstm_layer(x, h_0, c_0, {weight_ih, weight_hh, bias_ih, bias_hh}, CellOptions{}, lengths,
                    nullptr, reverse);
}

LstmOut lstm_twin(const Tensor& x, const Tensor& h_0, const Tensor& c_0, const Tensor& weight_ih,
                  const Tensor& weight_hh, const Tensor& bias_ih, const Tensor& bias_hh,
                  const Lengths& lengths, bool reverse) {
  return lstm_layer_twin(x, h_0, c_0, {weight_ih, weight_hh, bias_ih, bias_hh}, CellOptions{},
                         lengths, nullptr, reverse);
}

LstmOut lstm_stack(const Tensor& x, const Tensor& h_0, const Tensor& c_0,
                   const RecurrentStack& stack, const Lengths& lengths, Random* random) {
  const auto layer = [&](const RecurrentInputs& in) {
    return run_layer<LstmFamily>(in, lengths, stack.cell, random);
  };
  RecurrentStack coupled;
  if (stack.cell.coupled) {
    coupled = stack;
    for (RecurrentWeights& w : coupled.weights) w = effective("lstm_stack", w, stack.cell);
  }
  const RecurrentStack& own = stack.cell.coupled ? coupled : stack;
  const StackOutputs out = run_stack("lstm_stack", x, h_0, c_0, own, random, std::cref(layer));
  return {out.y, out.h_n, out.c_n};
}

}  // namespace unroll
