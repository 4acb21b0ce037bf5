// ONNX's node tests: RNN, LSTM and GRU.
#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/rnn.h"
#include "tests/onnx_node.h"

namespace unroll::testing::onnx {
namespace {

// W [D,GH,I], R [D,GH,H], B [D,2GH] of D directions; blocks in ONNX's order.

using Names = std::vector<std::string>;

void require_plain(const Node& n) {
  if (n.has("clip")) unsupported(n.op + " with clip: not in this version");
  if (n.get("input_forget", 0)) unsupported(n.op + " with input_forget: not in this version");
  if (n.op == "LSTM" && n.input(7)) unsupported("LSTM with peepholes: not in this version");
  if (n.op == "GRU" && !n.get("linear_before_reset", 0))
    unsupported("GRU with the reset before the product: not in this version");
}

// The activations of one direction.
Names activations_of(const Node& n, std::size_t direction, const Names& standard) {
  const Names all = n.get("activations", Names{});
  if (all.empty()) return standard;
  const auto first = all.begin() + std::ptrdiff_t(direction * standard.size());
  return {first, first + std::ptrdiff_t(standard.size())};
}

void require_activations(const Node& n, std::size_t direction, const Names& standard) {
  if (activations_of(n, direction, standard) != standard)
    unsupported(n.op + " with other activations: not in this version");
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
  Tensor x, h0, c0, w_ih, w_hh, b_ih, b_hh;
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
         .w_ih = blocks(select(n.in[1], 0, direction), order),
         .w_hh = blocks(select(n.in[2], 0, direction), order),
         .b_ih = {},
         .b_hh = {},
         .lengths = {}};
  if (const Tensor b = n.input(3)) {
    const std::int64_t half = b.shape()[1] / 2;
    c.b_ih = blocks(slice(select(b, 0, direction), 0, 0, half), order);
    c.b_hh = blocks(slice(select(b, 0, direction), 0, half, 2 * half), order);
  }
  if (const Tensor lengths = n.input(4)) c.lengths = Lengths(to_vector<std::int64_t>(lengths));
  return c;
}

// y and the states of one direction.
Tensors run_direction(const Node& n, int direction, bool reverse) {
  const auto at = static_cast<std::size_t>(direction);
  if (n.op == "LSTM") {
    require_activations(n, at, {"Sigmoid", "Tanh", "Tanh"});
    const Cell c = cell_of(n, direction, {0, 2, 3, 1});
    const LstmOut out = lstm(c.x, c.h0, c.c0, c.w_ih, c.w_hh, c.b_ih, c.b_hh, c.lengths, reverse);
    return {out.y, out.h_n, out.c_n};
  }
  if (n.op == "GRU") {
    require_activations(n, at, {"Sigmoid", "Tanh"});
    const Cell c = cell_of(n, direction, {1, 0, 2});
    const GruOut out = gru(c.x, c.h0, c.w_ih, c.w_hh, c.b_ih, c.b_hh, c.lengths, reverse);
    return {out.y, out.h_n};
  }
  static const std::map<std::string, RnnActivation> known = {{"Tanh", RnnActivation::tanh},
                                                             {"Relu", RnnActivation::relu}};
  const std::string name = activations_of(n, at, {"Tanh"})[0];
  if (!known.count(name)) unsupported("RNN with " + name + ": not in this version");
  const Cell c = cell_of(n, direction, {0});
  const RnnOut out =
      rnn(c.x, c.h0, c.w_ih, c.w_hh, c.b_ih, c.b_hh, c.lengths, known.at(name), reverse);
  return {out.y, out.h_n};
}

// Y [T,D,N,H] and states [D,N,H]; batch first: [N,T,D,H] and [N,D,H].
Tensors recurrent(const Node& n) {
  require_plain(n);
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
