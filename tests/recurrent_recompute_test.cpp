// Recurrent runs that keep no gates against those that do, and what is kept.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "autograd/parameters.h"
#include "autograd/tape.h"
#include "core/memory.h"
#include "core/view.h"
#include "models/layers.h"
#include "tests/recurrent_options.h"
#include "tests/sweeps.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

// Every family and every option.
std::vector<StepsProblem> problems() {
  std::vector<StepsProblem> all;
  for (const auto& [name, cell] : {std::pair{"lstm", Cell::lstm},
                                   {"gru", Cell::gru},
                                   {"rnn_tanh", Cell::tanh},
                                   {"rnn_relu", Cell::relu},
                                   {"rnn_identity", Cell::identity}})
    all.push_back({name, cell, 1, 5, 2, 4});
  for (const StepsProblem& p : option_problems())
    if (!p.recompute) all.push_back(p);
  return all;
}

Tensors operands(const StepsProblem& p, Dtype dtype) {
  Tensors x;
  std::uint64_t seed = 1;
  for (const Shape& shape : operand_shapes(p))
    if (shape.rank() > 0) x.push_back(cast_copy(random_normal(shape, seed++, 0.6), dtype));
  return x;
}

Tensors run(StepsProblem p, const Tensors& x, bool recompute) {
  p.recompute = recompute;
  return run_options(p, x);
}

// x, h_0 and c_0, whose gradients are no sums over steps.
bool is_state(const StepsProblem& p, std::size_t i) {
  return i == 0 || i == 5 || (p.has_cell() && i == 6);
}

// Sums over the steps in another order: a few units in the last place of the largest number.
double tolerance(Dtype dtype) { return dtype == Dtype::float32 ? 1e-6 : 2e-15; }

void expect_same(const StepsProblem& p, Dtype dtype, std::int64_t K) {
  SCOPED_TRACE(::testing::Message() << "T " << p.T << ", K " << K << ", " << p.lengths.size()
                                    << " lengths" << (p.reverse ? ", reverse" : ""));
  const Tensors x = operands(p, dtype);
  const auto swept = [&](bool recompute) {
    return sweep([&] { return run(p, x, recompute); }, x, K,
                 [&](Tensors& u, Tensors& v) {
                   for (Tensors* all : {&u, &v})
                     for (Tensor& t : *all) t = cast_copy(t, dtype);
                 });
  };
  const Sweeps kept = swept(false), again = swept(true);
  for (std::size_t i = 0; i < kept.out.size(); i++) {
    EXPECT_TRUE(same_bits(again.out[i], kept.out[i])) << "output " << i;
    EXPECT_TRUE(same_bits(again.pushed[i], kept.pushed[i])) << "tangent " << i;
  }
  for (std::size_t i = 0; i < x.size(); i++) {
    if (is_state(p, i))
      EXPECT_TRUE(same_bits(again.pulled[i], kept.pulled[i])) << "gradient " << i;
    else
      EXPECT_LE(difference(again.pulled[i], kept.pulled[i]), tolerance(dtype)) << "gradient " << i;
  }
}

class RecurrentRecompute : public ::testing::TestWithParam<StepsProblem> {};

// One step; two segments; a last one that is shorter; sequences that end before, within and at the
// ends of segments, or have no step at all.
TEST_P(RecurrentRecompute, SweepsGiveTheSame) {
  for (const Dtype dtype : {Dtype::float32, Dtype::float64})
    for (const std::int64_t T : {1, 4, 11})
      for (const bool reverse : {false, true})
        for (const bool with_lengths : {false, true})
          for (const std::int64_t K : {0, 3}) {
            StepsProblem p = GetParam();
            p.T = T;
            p.reverse = reverse;
            p.lengths.clear();
            if (with_lengths) p.lengths = {std::min<std::int64_t>(T, 5), T, 0, T / 3, T - 1};
            expect_same(p, dtype, K);
          }
  StepsProblem p = GetParam();
  p.lengths = {0, 0, 0, 0, 0};
  expect_same(p, Dtype::float64, 3);
  p.lengths = {1, 0, 1, 1, 1};
  expect_same(p, Dtype::float64, 0);
}

// Few rows, whose inputs' product runs ahead over as many steps as there are.
TEST_P(RecurrentRecompute, FewRowsGiveTheSame) {
  StepsProblem p = GetParam();
  p.lengths.clear();
  for (p.N = 1; p.N <= 3; p.N++)
    for (const std::int64_t T : {4, 7, 9, 17, 40})
      for (const Dtype dtype : {Dtype::float32, Dtype::float64}) {
        p.T = T;
        expect_same(p, dtype, 0);
      }
}

INSTANTIATE_TEST_SUITE_P(, RecurrentRecompute, ::testing::ValuesIn(problems()),
                         [](const auto& p) { return p.param.name; });

// ---- Stacks and modules

RecurrentWeights weights(std::int64_t rows, std::int64_t I, std::int64_t H, std::uint64_t seed) {
  return {random_normal({rows, I}, seed, 0.5), random_normal({rows, H}, seed + 1, 0.5),
          random_normal({rows}, seed + 2), random_normal({rows}, seed + 3)};
}

// Two layers in both directions, with masks; gradients come from two records into one place.
TEST(RecurrentRecomputeStack, BothDirectionsAndTiedWeights) {
  RecurrentStack stack{.weights = {weights(16, 3, 4, 10), weights(16, 3, 4, 20),
                                   weights(16, 8, 4, 30), weights(16, 8, 4, 40)},
                       .bidirectional = true,
                       .dropout = 0.3,
                       .cell = {.zoneout_h = 0.2, .zoneout_c = 0.1, .dropout = 0.3}};
  const Tensor x = random_normal({7, 3, 3}, 1), h = random_normal({4, 3, 4}, 2),
               c = random_normal({4, 3, 4}, 3);
  const Lengths lengths{7, 2, 5};
  Tensors wanted{x, h, c};
  for (const RecurrentWeights& w : stack.weights)
    for (const Tensor& t : {w.w_ih, w.w_hh, w.b_ih, w.b_hh}) wanted.push_back(t);
  Sweeps results[2];
  for (const bool recompute : {false, true}) {
    stack.cell.recompute = recompute;
    results[recompute] = sweep(
        [&] {
          Random random(3);
          const LstmOut one = lstm_stack(x, h, c, stack, lengths, &random);
          const LstmOut two = lstm_stack(x, one.h_n, one.c_n, stack, lengths, &random);
          return Tensors{one.y, two.y, two.h_n, two.c_n};
        },
        wanted, 2);
  }
  for (std::size_t i = 0; i < results[0].out.size(); i++) {
    EXPECT_TRUE(same_bits(results[1].out[i], results[0].out[i])) << i;
    EXPECT_TRUE(same_bits(results[1].pushed[i], results[0].pushed[i])) << i;
  }
  for (std::size_t i = 0; i < wanted.size(); i++)
    EXPECT_LE(difference(results[1].pulled[i], results[0].pulled[i]), i < 3 ? 0 : 2e-15) << i;
}

// backward() adds to the gradients that are there.
TEST(RecurrentRecomputeModule, GradientsAddUp) {
  const auto gradients = [](bool recompute, int times) {
    Parameters parameters(Dtype::float64);
    Gru gru(parameters, "rnn", 3, 5, {.cell = {.recompute = recompute}});
    Random random(1);
    gru.reset(random);
    const Tensor x = random_normal({6, 2, 3}, 2), u = random_normal({6, 2, 5}, 3);
    parameters.zero_gradients();
    for (int i = 0; i < times; i++) {
      Tape tape;
      tape.backward(sum(gru(x).y * u), parameters);
    }
    return contiguous_copy(parameters.gradients());
  };
  EXPECT_LE(difference(gradients(true, 1), gradients(false, 1)), 2e-15);
  EXPECT_LE(difference(gradients(true, 2), gradients(true, 1) * 2.0), 2e-15);
}

// The gradient of a gradient is the twin's, which knows of no segments.
TEST(RecurrentRecomputeStack, SecondOrder) {
  const RecurrentWeights w = weights(16, 3, 4, 10);
  const Tensor x = random_normal({5, 2, 3}, 1), u = random_normal({5, 2, 4}, 2);
  const Tensors wanted{x, w.w_ih, w.w_hh, w.b_hh};
  Tensors second[2];
  for (const bool recompute : {false, true}) {
    Tape outer;
    Tensors first;
    {
      Tape tape;
      const LstmOut out = lstm_layer(x, {}, {}, w, {.recompute = recompute}, Lengths{5, 3});
      first = tape.pull(sum(square(out.y) * u), number(1), wanted);
    }
    Tensor total = number(0);
    for (const Tensor& g : first) total = total + sum(square(g));
    second[recompute] = outer.pull(total, number(1), wanted);
  }
  EXPECT_LE(difference(second[1], second[0]), 1e-13);
}

// The states at the starts are copies: y may change, the weights may not.
TEST(RecurrentRecomputeStack, OnlyWhatIsReadAgainMustNotChange) {
  RecurrentWeights w = weights(16, 3, 4, 10);
  const Tensor x = random_normal({5, 2, 3}, 1), u = random_normal({5, 2, 4}, 2);
  Tape tape;
  LstmOut out = lstm_layer(x, {}, {}, w, {.recompute = true});
  const Tensor before = tape.pull(out.y, u, {x})[0];
  fill(out.y, 0);
  EXPECT_TRUE(same_bits(tape.pull(out.y, u, {x})[0], before));
  fill(w.b_hh, 0);
  EXPECT_ERROR(tape.pull(out.y, u, {x}), "was changed in place");
}

// ---- What is kept

// Bytes that live behind a recorded call beside those of its operands, y included.
template <class Layer>
double kept_bytes(const Layer& layer, const Tensor& x) {
  const std::int64_t before = memory::stats().live;
  Tape tape;
  const auto out = layer(x);
  return double(memory::stats().live - before);
}

// (64,50,512,512) with an eighth of its I and H. Without, an LSTM keeps y and c once and its gates;
// PyTorch 1.13 keeps 8 times y, PyTorch 2.15 16.5 times.
TEST(RecurrentRecomputeMemory, IsAThird) {
  const std::int64_t T = 50, N = 64, I = 64, H = 64;
  const double states = double(T * N * H) * sizeof(float);
  const Tensor x = cast_copy(random_normal({T, N, I}, 1), Dtype::float32);
  for (const bool bidirectional : {false, true}) {
    double kept[2], kept_gru[2];
    for (const bool recompute : {false, true}) {
      Parameters parameters;
      const CellOptions cell{.recompute = recompute};
      const Lstm lstm(parameters, "lstm", I, H, {.bidirectional = bidirectional, .cell = cell});
      const Gru gru(parameters, "gru", I, H, {.bidirectional = bidirectional, .cell = cell});
      kept[recompute] = kept_bytes(lstm, x);
      kept_gru[recompute] = kept_bytes(gru, x);
    }
    EXPECT_LE(kept[1], kept[0] / 3) << bidirectional;
    EXPECT_LE(kept_gru[1], kept_gru[0] / 3) << bidirectional;
    if (bidirectional) continue;
    EXPECT_LE(kept[0], 7 * states);
  }
}

}  // namespace
}  // namespace unroll::testing
