// ONNX's node tests: RNN, LSTM and GRU.
#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/rnn.h"
#include "tests/onnx_node.h"

namespace unroll::testing::onnx {
namespace {

// W [1,GH,I], R [1,GH,H], B [1,2GH]; blocks in ONNX's order.

void require_plain(const Node& n) {
  const std::string direction = n.get<std::string>("direction", "forward");
  if (direction != "forward") unsupported(n.op + " " + direction + ": not in this version");
  if (n.has("clip")) unsupported(n.op + " with clip: not in this version");
  if (n.get("input_forget", 0)) unsupported(n.op + " with input_forget: not in this version");
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
  bool batch_first;
};

Cell cell_of(const Node& n, const Ints& order) {
  const bool batch_first = n.get("layout", 0) == 1;
  const auto state = [&](std::size_t i) {
    return n.input(i) ? squeeze(n.in[i], batch_first ? 1 : 0) : Tensor();
  };
  Cell c{.x = batch_first ? transpose(n.in[0], 0, 1) : n.in[0],
         .h0 = state(5),
         .c0 = state(6),
         .w_ih = blocks(squeeze(n.in[1], 0), order),
         .w_hh = blocks(squeeze(n.in[2], 0), order),
         .b_ih = {},
         .b_hh = {},
         .lengths = {},
         .batch_first = batch_first};
  if (const Tensor b = n.input(3)) {
    const std::int64_t half = b.shape()[1] / 2;
    c.b_ih = blocks(slice(squeeze(b, 0), 0, 0, half), order);
    c.b_hh = blocks(slice(squeeze(b, 0), 0, half, 2 * half), order);
  }
  if (const Tensor lengths = n.input(4)) c.lengths = Lengths(to_vector<std::int64_t>(lengths));
  return c;
}

// Y [T,1,N,H] and states [1,N,H]; batch first: [N,T,1,H] and [N,1,H].
Tensors with_direction(const Cell& c, const Tensor& y, const Tensors& states) {
  Tensors out{c.batch_first ? unsqueeze(transpose(y, 0, 1), 2) : unsqueeze(y, 1)};
  for (const Tensor& s : states) out.push_back(unsqueeze(s, c.batch_first ? 1 : 0));
  return out;
}

Tensors recurrent(const Node& n) {
  require_plain(n);
  const auto activations = n.get("activations", std::vector<std::string>{});
  if (n.op == "LSTM") {
    if (n.input(7)) unsupported("LSTM with peepholes: not in this version");
    if (!activations.empty() && activations != std::vector<std::string>{"Sigmoid", "Tanh", "Tanh"})
      unsupported("LSTM with other activations: not in this version");
    const Cell c = cell_of(n, {0, 2, 3, 1});
    const LstmOut out = lstm(c.x, c.h0, c.c0, c.w_ih, c.w_hh, c.b_ih, c.b_hh, c.lengths);
    return with_direction(c, out.y, {out.h_n, out.c_n});
  }
  if (n.op == "GRU") {
    if (!n.get("linear_before_reset", 0))
      unsupported("GRU with the reset before the product: not in this version");
    if (!activations.empty() && activations != std::vector<std::string>{"Sigmoid", "Tanh"})
      unsupported("GRU with other activations: not in this version");
    const Cell c = cell_of(n, {1, 0, 2});
    const GruOut out = gru(c.x, c.h0, c.w_ih, c.w_hh, c.b_ih, c.b_hh, c.lengths);
    return with_direction(c, out.y, {out.h_n});
  }
  static const std::map<std::string, RnnActivation> known = {{"Tanh", RnnActivation::tanh},
                                                             {"Relu", RnnActivation::relu}};
  const std::string name = activations.empty() ? "Tanh" : activations[0];
  if (!known.count(name)) unsupported("RNN with " + name + ": not in this version");
  const Cell c = cell_of(n, {0});
  const RnnOut out = rnn(c.x, c.h0, c.w_ih, c.w_hh, c.b_ih, c.b_hh, c.lengths, known.at(name));
  return with_direction(c, out.y, {out.h_n});
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
