// The recurrent ops with options against their twins, in stacks and modules, and their errors.
#include "tests/recurrent_options.h"

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "models/layers.h"
#include "tests/sweeps.h"
#include "tests/testing.h"

namespace unroll::testing {

namespace {

Tensors operands(const StepsProblem& p) {
  Tensors x;
  std::uint64_t seed = 1;
  for (const Shape& shape : operand_shapes(p))
    if (shape.rank() > 0) x.push_back(random_normal(shape, seed++, 0.6));
  return x;
}

class RecurrentOptionsOp : public ::testing::TestWithParam<StepsProblem> {};

TEST_P(RecurrentOptionsOp, IsItsTwin) {
  for (const bool reverse : {false, true})
    for (const bool with_lengths : {false, true})
      for (const std::int64_t K : {0, 3}) {
        StepsProblem p = GetParam();
        p.reverse = reverse;
        if (!with_lengths) p.lengths.clear();
        const Tensors x = operands(p);
        expect_equal(sweep([&] { return run_options(p, x); }, x, K),
                     sweep([&] { return run_options(p, x, true); }, x, K));
      }
}

INSTANTIATE_TEST_SUITE_P(, RecurrentOptionsOp, ::testing::ValuesIn(option_problems()),
                         [](const auto& p) { return p.param.name; });

// A bidirectional layer is one op; its second run draws behind its first.
TEST(RecurrentOptionsStack, BidirectionalIsTwoRuns) {
  const CellOptions cell{.clip = 1, .zoneout_h = 0.3, .zoneout_c = 0.2, .dropout = 0.3};
  const auto weights = [](std::uint64_t seed) {
    return RecurrentWeights{
        random_normal({16, 2}, seed, 0.5), random_normal({16, 3}, seed + 1, 0.5),
        random_normal({16}, seed + 2),     random_normal({16}, seed + 3),
        random_normal({3, 4}, seed + 4),   random_normal({3, 4}, seed + 5)};
  };
  const RecurrentWeights there = weights(10), back = weights(20);
  const Tensor x = random_normal({4, 3, 2}, 1), h = random_normal({2, 3, 3}, 2),
               c = random_normal({2, 3, 4}, 3), u = random_normal({4, 3, 6}, 4);
  const Lengths lengths{4, 1, 3};
  const Tensors wanted{x, h, c, there.w_ih, there.w_hr, back.w_hh, back.w_hr, back.peephole};
  Random one(3), two(3);
  Tape tape;
  const LstmOut both = lstm_stack(
      x, h, c, {.weights = {there, back}, .bidirectional = true, .cell = cell}, lengths, &one);
  const LstmOut a = lstm_layer(x, select(h, 0, 0), select(c, 0, 0), there, cell, lengths, &two);
  const LstmOut b =
      lstm_layer(x, select(h, 0, 1), select(c, 0, 1), back, cell, lengths, &two, true);
  const Tensor y = cat({a.y, b.y}, -1);
  EXPECT_LE(difference(both.y, y), 1e-14);
  EXPECT_LE(difference(both.h_n, stack({a.h_n, b.h_n}, 0)), 1e-14);
  EXPECT_LE(difference(both.c_n, stack({a.c_n, b.c_n}, 0)), 1e-14);
  EXPECT_LE(difference(tape.pull(both.y, u, wanted), tape.pull(y, u, wanted)), 1e-13);
  EXPECT_EQ(one.counter(), two.counter());
  EXPECT_EQ(one.counter(), 2u * (3 * 3 + 4 * 3 * (3 + 4)));
}

TEST(RecurrentOptionsModule, RegistersItsParametersAndDrawsWhileTraining) {
  Parameters parameters(Dtype::float64);
  Lstm lstm(parameters, "rnn", 3, 4,
            {.num_layers = 2,
             .cell = {.zoneout_h = 0.5},
             .proj_size = 2,
             .peephole = true,
             .layer_norm = true});
  Random random(1);
  lstm.reset(random);
  EXPECT_TRUE(parameters.get("rnn.weight_hr_l1").shape() == (Shape{2, 4}));
  EXPECT_TRUE(parameters.get("rnn.weight_hh_l0").shape() == (Shape{16, 2}));
  EXPECT_TRUE(parameters.get("rnn.weight_ih_l1").shape() == (Shape{16, 2}));
  EXPECT_TRUE(parameters.get("rnn.weight_peephole_l0").shape() == (Shape{3, 4}));
  EXPECT_EQ(to_vector<double>(parameters.get("rnn.norm_c_l1")), std::vector<double>(4, 1.0));
  const Tensor x = random_normal({5, 2, 3}, 2);
  EXPECT_ERROR(lstm(x), "Lstm: dropout and zoneout need a Random");
  const Tensor first = lstm(x, {}, nullptr, &random).y, second = lstm(x, {}, nullptr, &random).y;
  EXPECT_TRUE(first.shape() == (Shape{5, 2, 2}));
  EXPECT_GT(difference(first, second), 1e-3);
  lstm.train(false);
  EXPECT_EQ(difference(lstm(x).y, lstm(x).y), 0);
}

TEST(RecurrentOptionsErrors, NameTheOptionAndTheShape) {
  const Tensor x = zeros({3, 2, 4}, Dtype::float64);
  const auto z = [](const Shape& s) { return zeros(s, Dtype::float64); };
  const RecurrentWeights plain{z({20, 4}), z({20, 5})};
  RecurrentWeights w = plain;
  w.w_hr = z({2, 5});
  EXPECT_ERROR(lstm_layer(x, {}, {}, w, CellOptions{}),
               "lstm: weight_hr is [2,5] but must be [5,5]");
  w = plain, w.peephole = z({5, 3});
  EXPECT_ERROR(lstm_layer(x, {}, {}, w, CellOptions{}), "lstm: weight_peephole is [5,3]");
  w = plain, w.norm_ih = z({20});
  EXPECT_ERROR(lstm_layer(x, {}, {}, w, CellOptions{}), "lstm: layer norm needs");
  EXPECT_ERROR(lstm_layer(x, {}, {}, plain, {.clip = -1}), "lstm: clip is");
  EXPECT_ERROR(lstm_layer(x, {}, {}, plain, {.zoneout_c = 1.5}), "lstm: zoneout_c is");
  EXPECT_ERROR(lstm_layer(x, {}, {}, plain, {.dropout = 1}), "lstm: recurrent dropout is");
  EXPECT_ERROR(lstm_layer(x, {}, {}, plain, {.reset_first = true}), "lstm: reset_first");
  EXPECT_ERROR(
      lstm_layer_twin(x, {}, {}, plain, {.coupled = true}, {}, nullptr, false, {.gate = tanh}),
      "lstm_twin: coupled gates", "sigmoid");
  RecurrentWeights gates{z({15, 4}), z({15, 5})};
  EXPECT_ERROR(gru_layer(x, {}, gates, {.zoneout_c = 0.5}), "gru: zoneout_c is");
  EXPECT_ERROR(gru_layer(x, {}, gates, {.coupled = true}), "gru: coupled is set");
  gates.peephole = z({3, 5});
  EXPECT_ERROR(gru_layer(x, {}, gates, CellOptions{}), "gru: a tensor of [3,5]");
}

}  // namespace
}  // namespace unroll::testing
