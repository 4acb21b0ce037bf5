// Schedules against PyTorch's definitions, step by step as its classes chain them.
#include "autograd/schedules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <numbers>

#include <nlohmann/json.hpp>

#include "tests/temporary.h"

namespace unroll {
namespace {

TEST(Schedules, StepMultiStepAndExponential) {
  const StepDecay step{.lr = 0.4, .every = 3, .gamma = 0.5};
  const MultiStepDecay multi{.lr = 0.4, .milestones = {7, 2, 7}, .gamma = 0.5};
  const ExponentialDecay exponential{.lr = 0.4, .gamma = 0.9};
  double by_step = 0.4, by_milestone = 0.4, by_factor = 0.4;
  for (std::int64_t i = 0; i < 20; i++) {
    if (i > 0 && i % 3 == 0) by_step *= 0.5;
    if (i == 2) by_milestone *= 0.5;
    if (i == 7) by_milestone *= 0.25;
    if (i > 0) by_factor *= 0.9;
    EXPECT_EQ(step(i), by_step) << i;
    EXPECT_EQ(multi(i), by_milestone) << i;
    EXPECT_NEAR(exponential(i), by_factor, 1e-15) << i;
  }
}

TEST(Schedules, LinearAndPolynomial) {
  const LinearRamp warm{.lr = 0.4, .start = 0.1, .end = 1, .steps = 5};
  const LinearRamp constant{.lr = 0.4, .start = 0.5, .end = 0.5, .steps = 5};
  EXPECT_DOUBLE_EQ(warm(0), 0.04);
  EXPECT_DOUBLE_EQ(warm(2), 0.4 * (0.1 + 0.9 * 0.4));
  EXPECT_DOUBLE_EQ(warm(5), 0.4);
  EXPECT_DOUBLE_EQ(warm(500), 0.4);
  EXPECT_DOUBLE_EQ(constant(3), 0.2);
  const PolynomialDecay polynomial{.lr = 0.4, .steps = 4, .power = 2};
  EXPECT_DOUBLE_EQ(polynomial(0), 0.4);
  EXPECT_DOUBLE_EQ(polynomial(1), 0.4 * 0.75 * 0.75);
  EXPECT_EQ(polynomial(4), 0);
  EXPECT_EQ(polynomial(9), 0);
}

TEST(Schedules, Cosines) {
  EXPECT_EQ(cosine(0, 10, 0.4, 0.1), 0.4);
  EXPECT_DOUBLE_EQ(cosine(5, 10, 0.4, 0.1), 0.4 * 0.55);
  EXPECT_DOUBLE_EQ(cosine(10, 10, 0.4, 0.1), 0.04);
  EXPECT_DOUBLE_EQ(cosine(99, 10, 0.4, 0.1), 0.04) << "constant beyond";
  const CosineAnnealing annealing{.lr = 0.4, .half_period = 10, .lowest = 0.01};
  EXPECT_DOUBLE_EQ(annealing(5), 0.205);
  EXPECT_DOUBLE_EQ(annealing(10), 0.01);
  EXPECT_DOUBLE_EQ(annealing(20), 0.4) << "and back";
  const CosineRestarts restarts{.lr = 0.4, .period = 4, .growth = 2};
  EXPECT_DOUBLE_EQ(restarts(2), 0.2);
  for (const std::int64_t start : {0, 4, 12, 28}) EXPECT_EQ(restarts(start), 0.4) << start;
  EXPECT_DOUBLE_EQ(restarts(8), 0.2);
  EXPECT_DOUBLE_EQ(restarts(20), 0.2);
  const CosineRestarts same{.lr = 0.4, .period = 4};
  EXPECT_DOUBLE_EQ(same(400'000'000'002), 0.2) << "in no time, however many periods";
}

TEST(Schedules, OneCycle) {
  const OneCycle linear{
      .max_lr = 1, .steps = 20, .rise = 0.25, .divisor = 10, .anneal = Anneal::linear};
  EXPECT_DOUBLE_EQ(linear(0), 0.1);
  EXPECT_DOUBLE_EQ(linear(2), 0.55);
  EXPECT_DOUBLE_EQ(linear(4), 1);
  EXPECT_DOUBLE_EQ(linear(9), 1 - (1 - 1e-5) / 3);
  EXPECT_DOUBLE_EQ(linear(19), 1e-5);
  EXPECT_DOUBLE_EQ(linear(90), 1e-5) << "constant beyond";
  OneCycle three = linear;
  three.three_phase = true;
  EXPECT_DOUBLE_EQ(three(4), 1);
  EXPECT_DOUBLE_EQ(three(8), 0.1);
  EXPECT_DOUBLE_EQ(three(19), 1e-5);
  OneCycle smooth = linear;
  smooth.anneal = Anneal::cosine;
  EXPECT_DOUBLE_EQ(smooth(1), 1 - 0.45 * (1 + std::cos(std::numbers::pi / 4)));
  const OneCycle at_once{.max_lr = 1, .steps = 10, .rise = 0.1};
  EXPECT_EQ(at_once(0), 1) << "a rise of no steps";
}

TEST(Schedules, Cyclic) {
  const Cyclic cyclic{.lr = 0.1, .max_lr = 0.5, .up = 4, .down = 2};
  for (const std::int64_t start : {0, 6, 12}) {
    EXPECT_DOUBLE_EQ(cyclic(start), 0.1);
    EXPECT_DOUBLE_EQ(cyclic(start + 1), 0.2);
    EXPECT_DOUBLE_EQ(cyclic(start + 4), 0.5);
    EXPECT_DOUBLE_EQ(cyclic(start + 5), 0.3);
  }
  Cyclic halving = cyclic;
  halving.shape = CycleShape::triangular2;
  EXPECT_DOUBLE_EQ(halving(4), 0.5);
  EXPECT_DOUBLE_EQ(halving(10), 0.3);
  EXPECT_DOUBLE_EQ(halving(16), 0.2);
  Cyclic shrinking = cyclic;
  shrinking.shape = CycleShape::exponential;
  shrinking.gamma = 0.9;
  EXPECT_DOUBLE_EQ(shrinking(10), 0.1 + 0.4 * std::pow(0.9, 10));
}

TEST(Schedules, PlateauFollowsTheLoss) {
  Plateau plateau{.lr = 1, .factor = 0.5, .patience = 2, .cooldown = 1};
  EXPECT_EQ(plateau.report(1.0), 1);
  EXPECT_EQ(plateau.report(0.99995), 1) << "within the threshold: bad 1";
  EXPECT_EQ(plateau.report(std::nan("")), 1) << "bad 2";
  const Plateau saved = plateau;
  EXPECT_EQ(plateau.report(1.5), 0.5) << "bad 3: more than the patience";
  EXPECT_EQ(plateau.report(1.5), 0.5) << "cooling down";
  EXPECT_EQ(plateau.report(1.5), 0.5);
  EXPECT_EQ(plateau.report(1.5), 0.5);
  EXPECT_EQ(plateau.report(1.5), 0.25);
  Plateau resumed{.lr = saved.lr, .factor = 0.5, .patience = 2, .cooldown = 1};
  resumed.best = saved.best, resumed.bad = saved.bad, resumed.cooling = saved.cooling;
  EXPECT_EQ(resumed.report(1.5), 0.5);

  Plateau score{
      .lr = 1, .factor = 0.1, .patience = 0, .relative = false, .maximize = true, .lowest = 0.05};
  EXPECT_EQ(score.report(-3), 1);
  EXPECT_EQ(score.report(-2), 1);
  EXPECT_EQ(score.report(-2), 0.1);
  EXPECT_EQ(score.report(-2), 0.05) << "never below the lowest";
  EXPECT_EQ(score.report(-1), 0.05);
  EXPECT_EQ(Plateau{.lr = 1}.report(std::nan("")), 1);
}

// What PyTorch's classes gave for 12 steps from a rate of 0.4.
TEST(Schedules, AsPyTorchsOwn) {
  const char* folder = std::getenv("UNROLL_CONFORMANCE");
  if (!folder || !*folder)
    GTEST_SKIP() << "skipped, UNROLL_CONFORMANCE does not name a folder of cases";
  std::ifstream file(std::string(folder) + "/pytorch/lr_schedules.json");
  if (!file) GTEST_SKIP() << "skipped, " << folder << "/pytorch has no lr_schedules.json";
  const std::map<std::string, std::function<double(std::int64_t)>> ours = {
      {"step", StepDecay{.lr = 0.4, .every = 3, .gamma = 0.5}},
      {"exp", ExponentialDecay{.lr = 0.4, .gamma = 0.9}},
      {"cosine", CosineAnnealing{.lr = 0.4, .half_period = 10, .lowest = 0.01}},
      {"onecycle", OneCycle{.max_lr = 1, .steps = 12}},
      {"cosine_restarts", CosineRestarts{.lr = 0.4, .period = 4, .growth = 2}},
      {"linear", LinearRamp{.lr = 0.4, .start = 0.1, .end = 1, .steps = 5}},
  };
  const nlohmann::json expected = nlohmann::json::parse(file);
  ASSERT_FALSE(expected.empty());
  for (const auto& [name, rates] : expected.items()) {
    ASSERT_TRUE(ours.count(name)) << name;
    double largest = 0;
    for (const double rate : rates) largest = std::max(largest, rate);
    for (std::size_t i = 0; i < rates.size(); i++)
      EXPECT_NEAR(ours.at(name)(static_cast<std::int64_t>(i)), rates[i].get<double>(),
                  1e-12 * largest)
          << name << " at " << i;
  }
}

TEST(Schedules, Errors) {
  EXPECT_ERROR(StepDecay({.lr = 1, .every = 0})(1), "step_decay: every must be positive, not 0");
  EXPECT_ERROR(LinearRamp({.lr = 1, .steps = 0})(1), "linear_ramp: steps");
  EXPECT_ERROR(PolynomialDecay({.lr = 1, .steps = -1})(1), "polynomial_decay: steps");
  EXPECT_ERROR(CosineAnnealing({.lr = 1, .half_period = 0})(1), "cosine_annealing: half_period");
  EXPECT_ERROR(CosineRestarts({.lr = 1, .period = 0})(1), "cosine_restarts: period");
  EXPECT_ERROR(CosineRestarts({.lr = 1, .period = 1, .growth = 0})(1), "cosine_restarts: growth");
  EXPECT_ERROR(OneCycle({.max_lr = 1, .steps = 0})(1), "one_cycle: steps");
  EXPECT_ERROR(Cyclic({.lr = 1, .max_lr = 2, .up = 0})(1), "cyclic: up");
}

}  // namespace
}  // namespace unroll
