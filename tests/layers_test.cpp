// Layers: names and shapes as PyTorch's, initial values, and the calls against the formulas.
#include "models/layers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "models/init.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

double largest(const Tensor& x) {
  double most = 0;
  for (const double v : to_vector<double>(cast_copy(x, Dtype::float64)))
    most = std::max(most, std::abs(v));
  return most;
}

TEST(Layers, NamesAndShapesArePyTorchs) {
  Parameters parameters;
  Linear linear(parameters, "fc", 3, 4);
  Rnn rnn(parameters, "rnn", 3, 4);
  Lstm lstm(parameters, "lstm", 3, 4);
  Gru gru(parameters, "gru", 3, 4, {.bias = false});
  EXPECT_EQ(parameters.get("fc.weight").shape(), (Shape{4, 3}));
  EXPECT_EQ(parameters.get("fc.bias").shape(), (Shape{4}));
  EXPECT_EQ(parameters.get("rnn.weight_ih_l0").shape(), (Shape{4, 3}));
  EXPECT_EQ(parameters.get("lstm.weight_ih_l0").shape(), (Shape{16, 3}));
  EXPECT_EQ(parameters.get("lstm.bias_hh_l0").shape(), (Shape{16}));
  EXPECT_EQ(parameters.get("gru.weight_hh_l0").shape(), (Shape{12, 4}));
  EXPECT_ERROR(parameters.get("gru.bias_ih_l0"), "gru.bias_ih_l0");
  EXPECT_ERROR(Rnn(parameters, "rnn", 3, 4), "rnn");
}

TEST(Layers, StacksAreNamedAsPyTorchNamesThem) {
  Parameters parameters;
  Lstm lstm(parameters, "", 3, 4, {.num_layers = 2, .bidirectional = true});
  const std::vector<std::string> names = {
      "weight_ih_l0",         "weight_hh_l0",         "bias_ih_l0",         "bias_hh_l0",
      "weight_ih_l0_reverse", "weight_hh_l0_reverse", "bias_ih_l0_reverse", "bias_hh_l0_reverse",
      "weight_ih_l1",         "weight_hh_l1",         "bias_ih_l1",         "bias_hh_l1",
      "weight_ih_l1_reverse", "weight_hh_l1_reverse", "bias_ih_l1_reverse", "bias_hh_l1_reverse"};
  EXPECT_EQ(parameters.names(), names);
  EXPECT_EQ(parameters.get("weight_ih_l0_reverse").shape(), (Shape{16, 3}));
  EXPECT_EQ(parameters.get("weight_ih_l1").shape(), (Shape{16, 8}));
  EXPECT_EQ(parameters.get("weight_hh_l1_reverse").shape(), (Shape{16, 4}));
  EXPECT_ERROR(Gru(parameters, "gru", 3, 4, {.num_layers = 0}), "gru: 0 layers");
  EXPECT_ERROR(Gru(parameters, "gru", 3, 0), "gru: inputs 3 and hidden 0");
  EXPECT_ERROR(Rnn(parameters, "rnn", 3, 4, {.dropout = 2}), "rnn: dropout is 2");
}

TEST(Layers, CellsAreOneStepOfTheirOp) {
  Parameters parameters(Dtype::float64);
  RnnCell rnn_cell(parameters, "rnn", 3, 4, {.activation = RnnActivation::relu});
  LstmCell lstm_cell(parameters, "lstm", 3, 4);
  GruCell gru_cell(parameters, "gru", 3, 4, {.bias = false});
  EXPECT_EQ(parameters.get("lstm.weight_ih").shape(), (Shape{16, 3}));
  EXPECT_EQ(parameters.get("rnn.bias_hh").shape(), (Shape{4}));
  EXPECT_ERROR(parameters.get("gru.bias_ih"), "gru.bias_ih");
  Random random(1);
  rnn_cell.reset(random);
  lstm_cell.reset(random, {.forget_bias = 1});
  gru_cell.reset(random);
  EXPECT_GT(largest(parameters.get("lstm.bias_ih")), 0.5) << "the forget gate's";
  const Tensor x = random.normal({5, 3}, 0, 1, Dtype::float64);
  const Tensor h = random.normal({5, 4}, 0, 1, Dtype::float64);
  const Tensor c = random.normal({5, 4}, 0, 1, Dtype::float64), xs = unsqueeze(x, 0);
  const auto get = [&](const std::string& name) { return parameters.get(name); };
  const RnnOut r = rnn(xs, h, get("rnn.weight_ih"), get("rnn.weight_hh"), get("rnn.bias_ih"),
                       get("rnn.bias_hh"), {}, RnnActivation::relu);
  const LstmOut l = lstm(xs, h, c, get("lstm.weight_ih"), get("lstm.weight_hh"),
                         get("lstm.bias_ih"), get("lstm.bias_hh"));
  const GruOut g = gru(xs, h, get("gru.weight_ih"), get("gru.weight_hh"));
  EXPECT_EQ(largest(rnn_cell(x, h) - r.h_n), 0);
  EXPECT_EQ(largest(gru_cell(x, h) - g.h_n), 0);
  const LstmState next = lstm_cell(x, {h, c});
  EXPECT_EQ(largest(next.h - l.h_n) + largest(next.c - l.c_n), 0);
  EXPECT_EQ(largest(lstm_cell(x).h - lstm_cell(x, {h * 0.0, c * 0.0}).h), 0);

  const Tensor one = gru_cell(select(x, 0, 2), select(h, 0, 2));  // without a batch
  EXPECT_EQ(one.shape(), (Shape{4}));
  EXPECT_LE(largest(one - select(g.h_n, 0, 2)), 1e-15);
  EXPECT_EQ(lstm_cell(select(x, 0, 2)).c.shape(), (Shape{4}));
}

// Training is an option of the module, and the numbers come from the caller.
TEST(Layers, DropoutActsInTrainingOnly) {
  Parameters parameters(Dtype::float64);
  Gru gru(parameters, "gru", 3, 6, {.num_layers = 2, .dropout = 0.5});
  Gru single(parameters, "single", 3, 6, {.dropout = 0.5});
  Random random(1);
  gru.reset(random);
  const Tensor x = random.normal({4, 2, 3}, 0, 1, Dtype::float64);
  EXPECT_ERROR(gru(x), "Gru: dropout between layers needs a Random");
  single(x);  // one layer has nothing between layers
  Random a(5), b(5);
  const Tensor first = gru(x, {}, {}, &a).y, second = gru(x, {}, {}, &a).y;
  EXPECT_EQ(largest(gru(x, {}, {}, &b).y - first), 0);
  EXPECT_GT(largest(second - first), 1e-3) << "each call draws";
  gru.train(false);
  Random unused(5);
  const Tensor plain = gru(x, {}, {}, &unused).y;
  EXPECT_EQ(unused.counter(), 0u);
  EXPECT_EQ(largest(gru(x).y - plain), 0);
  EXPECT_GT(largest(first - plain), 1e-3);
}

TEST(Layers, BatchFirstBothDirectionsAndStates) {
  Parameters parameters(Dtype::float64);
  Rnn rnn(parameters, "rnn", 3, 4, {.num_layers = 2, .bidirectional = true, .batch_first = true});
  Random random(1);
  rnn.reset(random);
  const Tensor x = random.normal({2, 5, 3}, 0, 1, Dtype::float64);
  const RnnOut out = rnn(x, Lengths{5, 3});
  EXPECT_EQ(out.y.shape(), (Shape{2, 5, 8}));
  EXPECT_EQ(out.h_n.shape(), (Shape{4, 2, 4}));
  // The upper layer's forward run ends at the last valid step, its reverse run at the first.
  const Tensor y = select(out.y, 0, 1);
  EXPECT_EQ(largest(slice(select(y, 0, 2), 0, 0, 4) - select(select(out.h_n, 0, 2), 0, 1)), 0);
  EXPECT_EQ(largest(slice(select(y, 0, 0), 0, 4, 8) - select(select(out.h_n, 0, 3), 0, 1)), 0);
  EXPECT_GT(largest(rnn(x, {}, out.h_n).y - rnn(x).y), 1e-3) << "the state counts";
}

TEST(Layers, DefaultStartIsUniform) {
  Parameters parameters(Dtype::float64);
  Lstm lstm(parameters, "lstm", 5, 64);
  Random random(1);
  lstm.reset(random);
  EXPECT_LE(largest(parameters.flat()), 1 / 8.0);
  EXPECT_GT(largest(parameters.flat()), 0.99 / 8);
  EXPECT_NEAR(mean(square(parameters.flat())).item(), 1 / (3 * 64.0), 2e-4) << "variance b^2/3";
  Parameters again(Dtype::float64);
  Lstm other(again, "lstm", 5, 64);
  Random same(1);
  other.reset(same);
  EXPECT_EQ(to_vector<double>(again.flat()), to_vector<double>(parameters.flat()));
}

TEST(Layers, OrthogonalGateByGateAndForgetBias) {
  Parameters parameters(Dtype::float64);
  Lstm lstm(parameters, "lstm", 2, 6);
  Random random(1);
  lstm.reset(random, {.orthogonal = true, .forget_bias = 100});
  for (int gate = 0; gate < 4; gate++) {
    const Tensor w = slice(parameters.get("lstm.weight_hh_l0"), 0, 6 * gate, 6 * gate + 6);
    EXPECT_LE(largest(matmul(w, transpose(w, 0, 1)) - eye(6, Dtype::float64)), 1e-14);
    const Tensor b = slice(parameters.get("lstm.bias_ih_l0"), 0, 6 * gate, 6 * gate + 6);
    EXPECT_NEAR(mean(b).item(), gate == 1 ? 100 : 0, 1) << "gates are i, f, g, o";
  }
}

TEST(Layers, OrthogonalOfAnyMatrix) {
  Random random(2);
  for (const Shape& shape : {Shape{3, 7}, Shape{7, 3}, Shape{1, 1}}) {
    Tensor x = zeros(shape, Dtype::float64);
    init::orthogonal(x, random, 2);
    const bool wide = shape[0] <= shape[1];
    const Tensor xt = transpose(x, 0, 1);
    const Tensor gram = wide ? matmul(x, xt) : matmul(xt, x);
    EXPECT_LE(largest(gram - 4.0 * eye(std::min(shape[0], shape[1]), Dtype::float64)), 1e-14);
  }
  Tensor vector = zeros({3});
  EXPECT_ERROR(init::orthogonal(vector, random), "matrix");
}

TEST(Layers, LayerNormStartsAsTheIdentityOfNormalisedRows) {
  Parameters parameters(Dtype::float64);
  LayerNorm norm(parameters, "norm", {3, 4}, {.eps = 0.01});
  LayerNorm plain(parameters, "plain", {4}, {.elementwise_affine = false});
  EXPECT_EQ(parameters.names(), (std::vector<std::string>{"norm.weight", "norm.bias"}));
  EXPECT_EQ(parameters.get("norm.weight").shape(), (Shape{3, 4}));
  norm.reset();
  plain.reset();
  Random random(1);
  const Tensor x = random.normal({2, 3, 4}, 5, 2, Dtype::float64);
  const Tensor y = norm(x);
  EXPECT_LE(largest(y - layer_norm(x, {3, 4}, {}, {}, 0.01)), 1e-15);
  EXPECT_LE(largest(mean(y, {-1, -2})), 1e-15);
  EXPECT_LE(largest(plain(x) - layer_norm(x, {4})), 0);
  EXPECT_ERROR(norm(random.normal({2, 4, 3}, 0, 1, Dtype::float64)), "layer_norm: x is [2,4,3]",
               "[3,4]");
}

TEST(Layers, EmbeddingPicksRowsAndLeavesThePaddingAlone) {
  Parameters parameters(Dtype::float64);
  Embedding words(parameters, "words", 6, 3, -5), all(parameters, "all", 2, 4);
  EXPECT_EQ(parameters.get("words.weight").shape(), (Shape{6, 3}));
  Random random(1);
  words.reset(random);
  all.reset(random);
  const Tensor& weight = parameters.get("words.weight");
  EXPECT_EQ(largest(view::select(weight, 0, 1)), 0);
  EXPECT_GT(largest(view::select(weight, 0, 0)), 0);
  const Tensor index = from_values<std::int64_t>({1, 4, 1, 0}, {2, 2});
  Tape tape;
  const Tensor y = words(index);
  EXPECT_EQ(y.shape(), (Shape{2, 2, 3}));
  EXPECT_EQ(largest(view::select(view::select(y, 0, 0), 0, 1) - view::select(weight, 0, 4)), 0);
  tape.backward(sum(y) + sum(all(zeros({2, 2}, Dtype::int64))), parameters);
  const Tensor& g = parameters.gradient("words.weight");
  for (int row = 0; row < 6; row++)
    EXPECT_EQ(g.item({row, 2}), row == 0 || row == 4 ? 1 : 0) << row;
  EXPECT_EQ(parameters.gradient("all.weight").item({0, 0}), 4) << "no padding: every use counts";
  EXPECT_ERROR(Embedding(parameters, "e", 3, 2, 3), "padding_idx 3 is out of range");
  EXPECT_ERROR(words(from_values<std::int64_t>({0, 6}, {2})), "embedding: index 6 is out of range");
}

TEST(Layers, LinearAndRnnFollowTheirFormulas) {
  Parameters parameters(Dtype::float64);
  Linear linear(parameters, "fc", 3, 2);
  Rnn rnn(parameters, "rnn", 3, 2, {.activation = RnnActivation::identity});
  Random random(1);
  linear.reset(random);
  rnn.reset(random);
  const Tensor x = random.normal({4, 5, 3}, 0, 1, Dtype::float64);
  const auto get = [&](const char* name) { return parameters.get(name); };
  const Tensor y = matmul(x, transpose(get("fc.weight"), 0, 1)) + get("fc.bias");
  EXPECT_LE(largest(linear(x) - y), 1e-14);

  Tensor h = zeros({5, 2}, Dtype::float64);
  const RnnOut out = rnn(x);
  for (int t = 0; t < 4; t++) {
    h = matmul(select(x, 0, t), transpose(get("rnn.weight_ih_l0"), 0, 1)) +
        matmul(h, transpose(get("rnn.weight_hh_l0"), 0, 1)) + get("rnn.bias_ih_l0") +
        get("rnn.bias_hh_l0");
    EXPECT_LE(largest(select(out.y, 0, t) - h), 1e-14);
  }
  EXPECT_LE(largest(out.h_n - h), 1e-14);
}

}  // namespace
}  // namespace unroll
