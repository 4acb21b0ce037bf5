// Linear readouts of states: held-out scores, memory by lag, the last state's bound, attention.
#include "inversion/memory_profile.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/view.h"
#include "inversion/attention_share.h"
#include "inversion/jaeger.h"
#include "inversion/readout.h"
#include "inversion/reservoir.h"
#include "models/trainer.h"
#include "tests/testing.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

TEST(Readout, FindsAnAffineMapAndScoresWhatItHasNotSeen) {
  Random random(1);
  const Tensor map = random.normal({3, 2}, 0, 1, f64);
  const auto samples = [&](std::int64_t n, double noise) {
    const Tensor states = random.normal({n, 3}, 5, 1, f64);
    return Samples{states, matmul(states, map) + 7.0 + random.normal({n, 2}, 0, noise, f64)};
  };
  const ReadoutScore exact = score_readout(samples(20, 0), samples(10, 0));
  EXPECT_LE(exact.total_nmse, 1e-25);
  EXPECT_NEAR(exact.explained[1], 1, 1e-12);
  EXPECT_EQ(exact.rank, 3);

  const ReadoutScore noisy = score_readout(samples(4000, 1), samples(40000, 1));
  for (std::int64_t j = 0; j < 2; j++) {
    const double signal = sum(square(select(map, 1, j))).item();
    EXPECT_NEAR(noisy.nmse[static_cast<std::size_t>(j)], 1 / (1 + signal), 0.02);
    EXPECT_NEAR(noisy.explained[static_cast<std::size_t>(j)], signal / (1 + signal), 0.03);
  }
  EXPECT_GT(score_readout(samples(20, 0), samples(10, 0), 1).total_nmse, 1e-3) << "ridge shrinks";
}

TEST(Readout, StatesThatRepeatEachOtherCountOnce) {
  Random random(2);
  const Tensor x = random.normal({50, 2}, 0, 1, f64);
  const Samples twice{cat({x, x}, 1), x};
  const ReadoutScore score = score_readout(twice, twice);
  EXPECT_EQ(score.rank, 2);
  EXPECT_LE(score.total_nmse, 1e-25);
  EXPECT_ERROR(score_readout({ones({4, 4}, f64), x}, twice), "fit", "[n,H]");
  EXPECT_ERROR(score_readout({ones({4, 4}, f64), ones({4, 2}, f64)}, twice), "4 samples", "more");
}

// The sampled curve of a ring is its closed form, lag by lag.
TEST(MemoryProfile, RingIsItsClosedForm) {
  Random random(3);
  const Encoder ring =
      reservoir({.kind = ReservoirKind::ring, .N = 5, .rho = .8, .gain = .1}, random);
  const MemoryProfile p = memory_profile(ring, {.lags = 30, .washout = 100}, random);
  for (std::size_t k = 0; k < 30; k++) {
    const double m = std::pow(.8, 10 * static_cast<double>(k / 5)) * (1 - std::pow(.8, 10));
    EXPECT_NEAR(p.m[k], m, 0.02) << k;
    EXPECT_NEAR(p.r2[k], m, 0.02) << k;
  }
  EXPECT_NEAR(p.capacity, 5, 0.1);
  EXPECT_EQ(p.rank, 5);
  EXPECT_EQ(p.warning, "");
}

TEST(MemoryProfile, EveryCellAndTwoInputs) {
  for (const Cell cell : {Cell::linear, Cell::tanh, Cell::relu, Cell::lstm, Cell::gru}) {
    Random random(4);
    const Encoder encoder({.cell = cell, .I = 2, .H = 8, .layers = 2}, random);
    const MemoryOptions options{.lags = 12, .washout = 50, .steps = 2000};
    const MemoryProfile p = memory_profile(encoder, options, random);
    EXPECT_EQ(p.states, 8);
    EXPECT_GT(p.r2[0], .5) << name(cell);
    EXPECT_LE(p.r2[0], 1);
    EXPECT_LT(p.r2[11], p.r2[0]);
    EXPECT_LE(p.capacity, 8.5);
  }
}

TEST(MemoryProfile, SaysWhatIsWrong) {
  Random random(5);
  const Encoder net = reservoir({.N = 10, .rho = .99}, random);
  const MemoryProfile p = memory_profile(net, {.lags = 3, .steps = 1000}, random);
  EXPECT_NE(p.warning.find("take more"), std::string::npos) << p.warning;
  // A sine is not white: all its past is in two numbers.
  const Tensor wave = reshape(sin(arange(3000, f64, 0, .1)), {3000, 1, 1});
  const MemoryProfile sine = memory_profile(net, wave, wave, {.lags = 40, .washout = 1500});
  EXPECT_GT(sine.capacity, 20);
  EXPECT_NE(sine.warning.find("not white"), std::string::npos) << sine.warning;
  EXPECT_ERROR(memory_profile(net, wave, wave, {.washout = 3000}), "3000 steps", "shorter washout");
  EXPECT_ERROR(memory_profile(net, ones({9, 1, 2}, f64), wave, {}), "[T,N,1]", "[9,1,2]");
  EXPECT_ERROR(memory_profile(net, {.lags = 0}, random), "lags");
}

TEST(FinalReadout, LinearIsOneMinusRankOverUnknowns) {
  Random random(6);
  for (const std::int64_t I : {1, 2}) {
    const Encoder net({.cell = Cell::linear, .I = I, .H = 6, .bias = false}, random,
                      {.orthogonal = true});
    for (const std::int64_t T : {2, 6, 10}) {
      const double bound = readout_bound(6, T, I);
      EXPECT_DOUBLE_EQ(bound, std::max(0.0, 1 - 6.0 / static_cast<double>(T * I)));
      const FinalReadout exact = linear_final_readout(net, T);
      EXPECT_NEAR(exact.nmse, bound, 1e-12);
      EXPECT_EQ(exact.rank, std::min<std::int64_t>(6, T * I));
      EXPECT_EQ(exact.warning, "");
      const FinalReadout sampled = sampled_final_readout(net, T, {4000, 4000}, random);
      EXPECT_NEAR(sampled.nmse, bound, 0.03);
      // The readout itself gives the input back where it is determined.
      if (bound > 0) continue;
      const Tensor x = random.normal({T, 1, I}, 0, 1, f64);
      const Tensor back = matmul(exact.readout, reshape(net(x).last.h, {6}));
      EXPECT_LE(testing::difference(back, reshape(x, {T * I})), 1e-9);
    }
  }
  EXPECT_ERROR(linear_final_readout(Encoder({.I = 1, .H = 2}, random), 3), "tanh RNN", "sample");
}

TEST(FinalReadout, NoCellBeatsTheBound) {
  for (const Cell cell : {Cell::tanh, Cell::gru, Cell::lstm}) {
    Random random(7);
    const Encoder net({.cell = cell, .I = 1, .H = 4}, random, {.orthogonal = true});
    const FinalReadout r = sampled_final_readout(net, 8, {4000, 4000}, random);
    EXPECT_EQ(r.bound, .5);
    EXPECT_GE(r.nmse, .48) << name(cell);
    EXPECT_EQ(r.warning, "");
  }
}

// Waves of random phase: [T,N,1], variance 1.
Tensor waves(std::int64_t T, std::int64_t N, Random& random) {
  const Tensor phase = random.uniform({1, N, 1}, 0, 6.28, f64);
  return sin(reshape(arange(T, f64, 0, .7), {T, 1, 1}) + phase) * std::sqrt(2.0);
}

TEST(AttentionShare, IsTheLossWithoutContextAndNothingForADeafLayer) {
  Parameters parameters(f64);
  Reconstruction model(parameters, {.kind = ModelKind::attention, .inputs = 1, .hidden = 6});
  Random random(8);
  model.reset(random);
  const Lengths lengths = random_lengths(random, 64, 4, 8);
  const Tensor held_out = waves(8, 64, random);
  EXPECT_LE(testing::difference(model.from_glimpse(model.glimpse(held_out, lengths)),
                                model(held_out, lengths)),
            1e-15);
  Trainer trainer(model, parameters, {.steps = 300, .lr = 1e-2});
  trainer.run([&](std::int64_t) {
    return Batch{waves(8, 16, random), random_lengths(random, 16, 4, 8)};
  });
  const AttentionShare trained = attention_share(model, held_out, lengths);
  EXPECT_LT(trained.whole, .5);
  EXPECT_GT(trained.ablated, trained.whole);
  EXPECT_NEAR(trained.share, (trained.ablated - trained.whole) / (1 - trained.whole), 1e-15);
  EXPECT_GT(trained.share, .02);
  EXPECT_LE(trained.share, 1);
  EXPECT_GT(trained.refitted, 0);
  EXPECT_EQ(trained.rank, 6);

  // Columns of the combining layer that read the context: without them it is not heard.
  Tensor heard = view::slice(parameters.get("attention.combine.weight"), 1, 0, 6);
  fill(heard, 0);
  const AttentionShare deaf = attention_share(model, held_out, lengths);
  EXPECT_EQ(deaf.ablated, deaf.whole);
  EXPECT_EQ(deaf.share, 0);

  Parameters others;
  const Reconstruction decoder(others, {.kind = ModelKind::decoder});
  EXPECT_ERROR(attention_share(decoder, ones({3, 2, 1})), "decoder", "not attention");
  EXPECT_ERROR(attention_share(model, ones({3, 1, 1}, f64)), "[3,1,1]", "two sequences");
}

}  // namespace
}  // namespace unroll
