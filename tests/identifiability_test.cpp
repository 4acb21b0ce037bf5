#include "inversion/identifiability.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "core/view.h"
#include "inversion/linear_algebra.h"
#include "inversion/stepwise.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

Encoder encoder_of(const EncoderSizes& sizes, bool orthogonal = false, std::uint64_t seed = 3) {
  Random random(seed);
  return Encoder(sizes, random, {.orthogonal = orthogonal});
}

Tensor noise(const Shape& shape, std::uint64_t seed, double scale = 1) {
  return Random(seed).normal(shape, 0, scale, f64);
}

TEST(Identify, ALastStateWithMoreFactsThanUnknowns) {
  const Encoder encoder = encoder_of({.cell = Cell::tanh, .I = 1, .H = 32}, true);
  const Identifiability answer = identify(Facts(encoder, observation("final"), 16));
  EXPECT_TRUE(answer.determined());
  EXPECT_TRUE(answer.exact);
  EXPECT_EQ(answer.rank, 16);
  EXPECT_EQ(answer.facts, 32);
  EXPECT_TRUE(answer.lost_steps.empty());
  EXPECT_EQ(answer.singular_values.shape(), Shape{16});
  EXPECT_LE(answer.effective_rank, 16);
  EXPECT_GT(answer.effective_rank, 1);
  EXPECT_EQ(answer.verdict.rfind("determined: rank 16", 0), 0u) << answer.verdict;
  EXPECT_TRUE(std::isnan(answer.inverse_radius)) << "nothing is seen until the end";
}

TEST(Identify, CountsAloneDecideWhereFactsAreFewer) {
  const Encoder encoder = encoder_of({.cell = Cell::linear, .I = 1, .H = 8}, true);
  const Identifiability answer = identify(Facts(encoder, observation("final"), 12));
  EXPECT_EQ(answer.rank, 8);
  EXPECT_FALSE(answer.determined());
  EXPECT_TRUE(std::isinf(answer.condition));
  EXPECT_NEAR(sum(answer.known).item(), 8, 1e-9) << "the shares add up to the rank";
  EXPECT_NE(answer.verdict.find("not determined: 8 facts, rank 8 of 12"), std::string::npos)
      << answer.verdict;
}

// CLAIMS 10: of an LSTM with an unknown start the first input is lost, and nothing else.
TEST(Identify, NamesTheStepsThatAreLost) {
  Observation seen;
  seen.initial_known = false;
  const Facts facts(encoder_of({.cell = Cell::lstm, .I = 2, .H = 6}), seen, 5);
  const Identifiability answer = identify(facts);
  EXPECT_EQ(answer.rank, answer.unknowns - 2);
  EXPECT_EQ(answer.lost_steps, std::vector<std::int64_t>{0});
  EXPECT_NE(answer.verdict.find("lost: steps 1"), std::string::npos) << answer.verdict;
  for (std::int64_t t = 0; t < 5; t++) EXPECT_EQ(std::isinf(answer.gain.item({t, 0})), t == 0) << t;
  EXPECT_LT(answer.known.item({0, 0}), 1 - 1e-6);
  EXPECT_NEAR(answer.known.item({4, 1}), 1, 1e-12);
}

// The condition grows about 3.2 times a step (CLAIMS 21): float64 has digits where float32 has
// none.
TEST(Identify, PredictsTheDigitsOfEachType) {
  const Encoder encoder = encoder_of({.cell = Cell::tanh, .I = 1, .H = 32});
  const Identifiability answer = identify(Facts(encoder, observation("final"), 22));
  ASSERT_EQ(answer.digits.size(), 4u);
  for (std::size_t i = 1; i < 4; i++) {
    EXPECT_LT(answer.digits[i].worst, answer.digits[i - 1].worst + 1e-12);
    EXPECT_GT(answer.digits[i].error, answer.digits[i - 1].error);
    EXPECT_LE(answer.digits[i].worst, answer.digits[i].median);
  }
  EXPECT_GT(answer.digits[0].worst, 3);
  EXPECT_NE(answer.verdict.find("ill-conditioned in float32"), std::string::npos) << answer.verdict;
}

TEST(Identify, AtInputsThatAreGiven) {
  const Encoder encoder = encoder_of({.cell = Cell::tanh, .I = 2, .H = 8});
  const Facts facts(encoder, observation("all"), 4);
  const Tensor x = noise({4, 3, 2}, 5);
  const Identifiability one = identify(facts, {.x = x}),
                        same = identify(facts, {.x = x, .seed = 9});
  EXPECT_EQ(one.condition, same.condition) << "no random input";
  EXPECT_NE(one.condition, identify(facts).condition);
  EXPECT_ERROR(identify(facts, {.x = zeros({3, 1, 2}, f64)}), "identify", "[3,1,2]", "[4,N,2]");
  EXPECT_ERROR(identify(facts, {.x = full({4, 1, 2}, std::nan(""), f64)}), "NaN");
  EXPECT_ERROR(identify(facts, {.inputs = 0}), "at least 1 input");
}

TEST(Identify, TheDigitsOfAZeroInputAreThoseOfItsAbsoluteError) {
  const Facts facts(encoder_of({.cell = Cell::tanh, .I = 2, .H = 8}), observation("all"), 4);
  const Identifiability answer = identify(facts, {.x = zeros({4, 1, 2}, f64)});
  EXPECT_GT(answer.digits[0].worst, 12) << answer.verdict;
}

TEST(Identify, AStartOfEachSequenceItsOwn) {
  Observation seen;
  seen.initial.h = noise({1, 3, 8}, 2, 0.5);
  const Facts facts(encoder_of({.cell = Cell::tanh, .I = 2, .H = 8}), seen, 4);
  EXPECT_TRUE(identify(facts).determined());
  EXPECT_TRUE(identify(facts, {.inputs = 5}).determined());
}

TEST(Identify, LargeProblemsAgreeWithTheDenseAnswer) {
  const Facts facts(
      encoder_of({.cell = Cell::gru, .I = 2, .H = 6, .layers = 2, .bidirectional = true}),
      observation("all"), 20);
  const Tensor x = noise({20, 1, 2}, 5);
  const Identifiability dense = identify(facts, {.x = x});
  const Identifiability large = identify(facts, {.x = x, .dense = 1});
  EXPECT_FALSE(large.exact);
  EXPECT_TRUE(large.converged);
  EXPECT_EQ(large.rank, dense.rank);
  EXPECT_NEAR(large.condition / dense.condition, 1, 0.05);
  EXPECT_LE(large.condition_from, dense.condition * (1 + 1e-9));
  EXPECT_GE(large.condition_to, dense.condition * (1 - 1e-9));
  EXPECT_NEAR(large.effective_rank / dense.effective_rank, 1, 0.15);
  for (std::int64_t t = 0; t < 20; t++)
    EXPECT_NEAR(std::log10(large.gain.item({t, 0}) / dense.gain.item({t, 0})), 0, 0.6) << t;
}

TEST(Identify, LargeProblemsSayWhatIsLost) {
  Observation seen;
  seen.initial_known = false;
  const Facts facts(encoder_of({.cell = Cell::lstm, .I = 2, .H = 6}), seen, 8);
  const Identifiability answer = identify(facts, {.dense = 1});
  EXPECT_FALSE(answer.determined());
  EXPECT_EQ(answer.lost_steps, std::vector<std::int64_t>{0}) << answer.verdict;
}

// Singular values down to 1e-17 of the largest: neither determined nor proved to be lost.
TEST(Identify, WhatSamplesCannotDecideIsNotDecided) {
  const Encoder encoder = encoder_of({.cell = Cell::tanh, .I = 1, .H = 32});
  const Identifiability answer = identify(Facts(encoder, observation("final"), 32), {.dense = 1});
  EXPECT_NE(answer.verdict.find("not decided: condition at least"), std::string::npos)
      << answer.verdict;
  EXPECT_GT(answer.condition_from, 1e8);
}

// CLAIMS 11: A - B (C B)^+ C A of a linear RNN, from its weights.
TEST(InverseRadius, OfALinearNetworkIsThatOfItsMatrices) {
  const Encoder encoder = encoder_of({.cell = Cell::linear, .I = 3, .H = 12}, true);
  Observation seen;
  seen.readout = noise({4, 12}, 8);
  const Tensor A = encoder.weights()[0].w_hh, B = encoder.weights()[0].w_ih, C = seen.readout;
  const Tensor CA = matmul(C, A), CB = matmul(C, B);
  const double wanted = spectral_radius(A - matmul(B, matmul(pseudo_inverse(CB), CA)));
  const Tensor x = noise({10, 2, 3}, 9);
  EXPECT_NEAR(inverse_radius(Facts(encoder, seen, 10), x), wanted, 1e-12);
  // As many readouts as inputs: the errors of a stepwise inversion grow by it at each step.
  seen.readout = contiguous_copy(view::slice(C, 0, 0, 3));
  const Facts facts(encoder, seen, 60);
  const Tensor longer = noise({60, 1, 3}, 9);
  const double rho = inverse_radius(facts, longer);
  const Stepwise found = invert_stepwise(facts, facts(longer, {}));
  const double growth = std::pow(found.gain.item({59, 0}) / found.gain.item({29, 0}), 1.0 / 30);
  ASSERT_GT(rho, 1.05);
  EXPECT_NEAR(growth / rho, 1, 0.1);
  seen.readout = contiguous_copy(view::slice(C, 0, 0, 2));
  EXPECT_TRUE(std::isnan(inverse_radius(Facts(encoder, seen, 10), x))) << "2 outputs of 3 inputs";
}

TEST(InverseRadius, OfOtherCellsAndBlocks) {
  const Tensor x = noise({8, 2, 2}, 9);
  for (const Cell cell : {Cell::tanh, Cell::gru, Cell::lstm}) {
    const Facts facts(encoder_of({.cell = cell, .I = 2, .H = 8, .layers = 2}),
                      observation("every:2"), 8);
    const double rho = inverse_radius(facts, x);
    EXPECT_GT(rho, 0);
    EXPECT_TRUE(std::isfinite(rho));
  }
}

TEST(SaturationMap, OfTanhIsThatOfItsDerivative) {
  const Encoder encoder = encoder_of({.cell = Cell::tanh, .I = 2, .H = 9});
  const Tensor x = noise({7, 4, 2}, 6, 20);
  const Facts facts(encoder, observation("all"), 7);
  const Tensor map = saturation_map(facts, x, 0.05), y = encoder(x).y;
  EXPECT_EQ(map.shape(), (Shape{7, 1}));
  for (std::int64_t t = 0; t < 7; t++) {
    double share = 0;
    for (std::int64_t n = 0; n < 4; n++)
      for (std::int64_t i = 0; i < 9; i++) share += 1 - std::pow(y.item({t, n, i}), 2) < 0.05;
    EXPECT_NEAR(map.item({t, 0}), share / 36, 1e-12) << t;
    EXPECT_GT(share, 0);
  }
}

TEST(SaturationMap, OfEveryCellGrowsWithTheInput) {
  for (const EncoderSizes& sizes :
       {EncoderSizes{.cell = Cell::lstm, .I = 2, .H = 8, .layers = 2, .bidirectional = true},
        EncoderSizes{.cell = Cell::gru, .I = 2, .H = 8, .bias = false},
        EncoderSizes{.cell = Cell::lstm, .I = 2, .H = 8, .projection = 3},
        EncoderSizes{.cell = Cell::relu, .I = 2, .H = 8}}) {
    const Facts facts(encoder_of(sizes), observation("all"), 5);
    const Tensor x = noise({5, 3, 2}, 6);
    const Tensor calm = saturation_map(facts, x, 1e-2);
    const Tensor wild = saturation_map(facts, x * 1000.0, 1e-2);
    EXPECT_EQ(calm.shape(), (Shape{5, sizes.layers * sizes.directions()}));
    if (sizes.cell == Cell::relu) {
      EXPECT_GT(mean(calm).item(), 0.1) << "inactive units";
    } else {
      EXPECT_LT(mean(calm).item(), 0.05);
      EXPECT_GT(wild.item({2, 0}), 0.3);
    }
  }
}

TEST(EffectiveRank, IsTheExponentialOfTheEntropy) {
  EXPECT_NEAR(effective_rank(ones({7}, f64)), 7, 1e-12);
  EXPECT_NEAR(effective_rank(from_values<double>(std::vector<double>{5, 0, 0}, {3})), 1, 1e-12);
  EXPECT_EQ(effective_rank(zeros({3}, f64)), 0);
}

}  // namespace
}  // namespace unroll
