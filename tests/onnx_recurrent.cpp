// ONNX's node tests: RNN, LSTM and GRU.
#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/rnn.h"
#include "tests/onnx_node.h"

namespace unroll::testing::onnx {
namespace {

// W [D,GH,I], R [D,GH,H], B [D,2GH] of D directions; blocks in ONNX's order.

using Names = std::vector<std::string>;

// The activations of one direction.
Names activations_of(const Node& n, std::size_t direction, const Names& standard) {
  const Names all = n.get("activations", Names{});
  if (all.empty()) return standard;
  const auto first = all.begin() + std::ptrdiff_t(direction * standard.size());
  return {first, first + std::ptrdiff_t(standard.size())};
}

Tensor (*activation(const Node& n, const std::string& name))(const Tensor&) {
  static const std::map<std::string, Tensor (*)(const Tensor&)> known = {
      {"Sigmoid", sigmoid}, {"Tanh", tanh}, {"Relu", relu}, {"Softplus", softplus}};
  if (!known.count(name)) unsupported(n.op + " with " + name + ": not in this version");
  return known.at(name);
}

// Blocks of rows of x [G*H, ...] in another order.
Tensor blocks(const Tensor& x, const Ints& order) {
  if (!x) return x;
  const std::int64_t H = x.shape()[0] / std::int64_t(order.size());
  Tensors parts;
  for (std::int64_t g : order) parts.push_back(slice(x, 0, g * H, (g + 1) * H));
  return cat(parts, 0);
}

struct Cell {
  Tensor x, h0, c0;
  RecurrentWeights weights;
  CellOptions options;
  Lengths lengths;
};

Cell cell_of(const Node& n, int direction, const Ints& order) {
  const bool batch_first = n.get("layout", 0) == 1;
  const auto state = [&](std::size_t i) {
    return n.input(i) ? select(n.in[i], batch_first ? 1 : 0, direction) : Tensor();
  };
  Cell c{.x = batch_first ? transpose(n.in[0], 0, 1) : n.in[0],
         .h0 = state(5),
         .c0 = state(6),
         .weights = {blocks(select(n.in[1], 0, direction), order),
                     blocks(select(n.in[2], 0, direction), order)},
         .options = {.clip = n.get("clip", 0.0)},
         .lengths = {}};
  if (const Tensor b = n.input(3)) {
    const std::int64_t half = b.shape()[1] / 2;
    c.weights.b_ih = blocks(slice(select(b, 0, direction), 0, 0, half), order);
    c.weights.b_hh = blocks(slice(select(b, 0, direction), 0, half, 2 * half), order);
  }
  if (const Tensor lengths = n.input(4)) c.lengths = Lengths(to_vector<std::int64_t>(lengths));
  return c;
}

// y and the states of one direction. Other activations than the standard ones run on the twins.
Tensors run_lstm(const Node& n, int direction, bool reverse) {
  const Names names = activations_of(n, std::size_t(direction), {"Sigmoid", "Tanh", "Tanh"});
  Cell c = cell_of(n, direction, {0, 2, 3, 1});
  c.options.coupled = n.get("input_forget", 0) != 0;
  if (const Tensor p = n.input(7)) {
    const std::int64_t H = p.shape()[1] / 3;
    c.weights.peephole = reshape(blocks(select(p, 0, direction), {0, 2, 1}), {3, H});
  }
  const LstmOut out =
      names == Names{"Sigmoid", "Tanh", "Tanh"}
          ? lstm_layer(c.x, c.h0, c.c0, c.weights, c.options, c.lengths, nullptr, reverse)
          : lstm_layer_twin(
                c.x, c.h0, c.c0, c.weights, c.options, c.lengths, nullptr, reverse,
                {activation(n, names[0]), activation(n, names[1]), activation(n, names[2])});
  return {out.y, out.h_n, out.c_n};
}

Tensors run_gru(const Node& n, int direction, bool reverse) {
  const Names names = activations_of(n, std::size_t(direction), {"Sigmoid", "Tanh"});
  Cell c = cell_of(n, direction, {1, 0, 2});
  c.options.reset_first = !n.get("linear_before_reset", 0);
  const GruOut out =
      names == Names{"Sigmoid", "Tanh"}
          ? gru_layer(c.x, c.h0, c.weights, c.options, c.lengths, nullptr, reverse)
          : gru_layer_twin(c.x, c.h0, c.weights, c.options, c.lengths, nullptr, reverse,
                           {activation(n, names[0]), activation(n, names[1]), {}});
  return {out.y, out.h_n};
}

Tensors run_rnn(const Node& n, int direction, bool reverse) {
  const std::string name = activations_of(n, std::size_t(direction), {"Tanh"})[0];
  const Cell c = cell_of(n, direction, {0});
  const bool fused = name == "Tanh" || name == "Relu";
  const RnnActivation fused_activation = name == "Relu" ? RnnActivation::relu : RnnActivation::tanh;
  const RnnOut out = fused
                         ? rnn_layer(c.x, c.h0, c.weights, c.options, c.lengths, nullptr,
                                     fused_activation, reverse)
                         : rnn_layer_twin(c.x, c.h0, c.weights, c.options, c.lengths, nullptr,
                                          fused_activation, reverse, {{}, activation(n, name), {}});
  return {out.y, out.h_n};
}

Tensors run_direction(const Node& n, int direction, bool reverse) {
  if (n.op == "LSTM") return run_lstm(n, direction, reverse);
  if (n.op == "GRU") return run_gru(n, direction, reverse);
  return run_rnn(n, direction, reverse);
}

// Y [T,D,N,H] and states [D,N,H]; batch first: [N,T,D,H] and [N,D,H].
Tensors recurrent(const Node& n) {
  const std::string direction = n.get<std::string>("direction", "forward");
  const bool batch_first = n.get("layout", 0) == 1, both = direction == "bidirectional";
  std::vector<Tensors> runs{run_direction(n, 0, direction == "reverse")};
  if (both) runs.push_back(run_direction(n, 1, true));
  Tensors out;
  for (std::size_t i = 0; i < runs[0].size(); i++) {
    Tensors parts;
    for (const Tensors& run : runs)
      parts.push_back(i == 0 && batch_first ? transpose(run[i], 0, 1) : run[i]);
    out.push_back(stack(parts, i == 0 ? (batch_first ? 2 : 1) : (batch_first ? 1 : 0)));
  }
  return out;
}

}  // namespace

const Ops& recurrent_ops() {
  static const Ops all = {
      {"GRU", recurrent},
      {"LSTM", recurrent},
      {"RNN", recurrent},
  };
  return all;
}

}  // namespace unroll::testing::onnx
