// Inversion step by step: what comes back, with which gain, and what is refused.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "core/parallel.h"
#include "core/view.h"
#include "inversion/stepwise.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

double largest(const Tensor& x) {
  double most = 0;
  for (double v : to_vector<double>(x)) most = std::max(most, std::abs(v));
  return most;
}

struct Case {
  Facts facts;
  Tensor x, y;
};

Case run_of(const EncoderSizes& sizes, const Observation& seen, std::int64_t T, std::int64_t N = 2,
            double scale = 1, std::uint64_t seed = 1) {
  Random random(seed);
  const Encoder encoder(sizes, random);
  const Facts facts(encoder, seen, T);
  const Tensor x = random.normal({T, N, sizes.I}, 0, scale, f64);
  return {facts, x, facts(x, seen.initial)};
}

TEST(Stepwise, EveryCellComesBack) {
  for (const Cell cell : {Cell::linear, Cell::tanh, Cell::relu, Cell::gru, Cell::lstm})
    for (const std::int64_t layers : {1, 2}) {
      if (cell == Cell::relu && layers == 2) continue;  // units that are off take facts away
      const Case run =
          run_of({.cell = cell, .I = 3, .H = cell == Cell::relu ? 40 : 14, .layers = layers},
                 observation("all"), 12);
      const Stepwise found = invert_stepwise(run.facts, run.y);
      EXPECT_LT(largest(found.x - run.x), 1e-12) << name(cell) << " " << layers;
      EXPECT_EQ(found.failed, (std::vector<std::int64_t>{-1, -1}));
      for (std::int64_t rank : to_vector<std::int64_t>(found.rank))
        EXPECT_EQ(rank, 3) << name(cell);
    }
}

TEST(Stepwise, TakesProjectionsReadoutsBlocksAndStarts) {
  Random random(2);
  Observation every = observation("every:3");
  every.initial = {random.normal({1, 2, 12}, 0, 0.3, f64), random.normal({1, 2, 12}, 0, 0.3, f64)};
  Observation readout = observation("all");
  readout.readout = random.normal({8, 12}, 0, 0.3, f64);
  const EncoderSizes lstm{.cell = Cell::lstm, .I = 2, .H = 12};
  EncoderSizes projected = lstm;
  projected.projection = 7;
  for (const auto& [sizes, seen] :
       {std::pair{lstm, every}, {lstm, readout}, {projected, observation("all")}}) {
    const Case run = run_of(sizes, seen, 9);
    EXPECT_LT(largest(invert_stepwise(run.facts, run.y).x - run.x), 1e-10) << name(seen);
  }
}

// CLAIMS: claim 7. Without the weights 1 - h^2 the error is 10 orders larger.
TEST(Stepwise, SaturatedRowsDoNotSpoilTheOthers) {
  const Case run = run_of({.cell = Cell::tanh, .I = 2, .H = 32}, observation("all"), 30, 1, 10);
  EXPECT_LT(largest(invert_stepwise(run.facts, run.y).x - run.x) / 10, 1e-9);
}

TEST(Stepwise, GainIsTheErrorForErrorsOfOne) {
  for (const Cell cell : {Cell::tanh, Cell::gru, Cell::lstm}) {
    const Case run =
        run_of({.cell = cell, .I = 3, .H = 12, .layers = 2}, observation("all"), 20, 4);
    Random random(9);
    constexpr double noise = 1e-7;
    const Stepwise found =
        invert_stepwise(run.facts, run.y + random.normal(run.y.shape(), 0, noise, f64),
                        {.error = full({4}, noise, f64)});
    const Tensor ratio = amax(abs(found.x - run.x), {2}) / (found.gain * noise);
    EXPECT_LT(largest(ratio), 5) << name(cell);        // a bound with the factor that invert takes
    EXPECT_GT(mean(ratio).item(), 0.1) << name(cell);  // and not an idle one
  }
}

TEST(Stepwise, IsTheSameForAnyNumberOfThreads) {
  const Case run = run_of({.cell = Cell::lstm, .I = 3, .H = 10}, observation("all"), 8, 6);
  const Stepwise two = invert_stepwise(run.facts, run.y);
  set_num_threads(1);
  const Stepwise one = invert_stepwise(run.facts, run.y);
  set_num_threads(2);
  EXPECT_EQ(to_vector<double>(one.x), to_vector<double>(two.x));
  EXPECT_EQ(to_vector<double>(one.gain), to_vector<double>(two.gain));
}

TEST(Stepwise, AWrongRootIsLeftForAnother) {
  std::int64_t found = 0;
  for (std::uint64_t seed = 1; seed <= 6; seed++) {
    const Case run =
        run_of({.cell = Cell::lstm, .I = 11, .H = 12}, observation("all"), 8, 1, 1, seed);
    found += largest(invert_stepwise(run.facts, run.y).x - run.x) < 1e-6;
  }
  EXPECT_GE(found, 5);
}

TEST(Stepwise, AStepWithoutARootIsNamed) {
  Case run = run_of({.cell = Cell::gru, .I = 2, .H = 8}, observation("all"), 6, 1);
  double* y = run.y.mutable_data<double>();
  y[3 * 8] = 5;  // no GRU from these states gives 5
  const Stepwise found = invert_stepwise(run.facts, run.y, {.restarts = 3});
  EXPECT_EQ(found.failed[0], 3);
  EXPECT_GT(found.residual.item({3, 0}), 0.1);
}

TEST(Stepwise, RefusesWhatBlocksDoNotDetermine) {
  const auto refused = [](const EncoderSizes& sizes, const Observation& seen, std::int64_t T) {
    const Case run = run_of(sizes, seen, T);
    EXPECT_FALSE(is_stepwise(run.facts));
    EXPECT_THROW(invert_stepwise(run.facts, run.y), Error);
  };
  const EncoderSizes gru{.cell = Cell::gru, .I = 3, .H = 8};
  refused(gru, observation("final"), 2);
  refused(gru, observation("every:3"), 6);  // 9 unknowns, 8 facts
  refused(gru, observation("every:2"), 5);  // the last step is never seen
  refused({.cell = Cell::gru, .I = 9, .H = 8}, observation("all"), 2);
  const Case run = run_of(gru, observation("all"), 4);
  EXPECT_THROW(invert_stepwise(run.facts, zeros({2, 5}, f64)), Error);
}

}  // namespace
}  // namespace unroll
