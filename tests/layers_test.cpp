// Layers: names and shapes as PyTorch's, initial values, and the calls against the formulas.
#include "models/layers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
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
