// The four tasks: their statistics, the order of the integrators, independent oracles, speed.
#include "models/generators.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>

#include "core/memory.h"
#include "core/view.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

struct Moments {
  double mean, variance;
};

Moments moments(const Tensor& x) {
  const std::vector<double> values = to_vector<double>(x);
  double sum = 0, squares = 0;
  for (const double v : values) sum += v;
  const double mean = sum / static_cast<double>(values.size());
  for (const double v : values) squares += (v - mean) * (v - mean);
  return {mean, squares / static_cast<double>(values.size())};
}

TEST(Tasks, HaveMeanZeroAndVarianceOneInEachChannel) {
  for (const std::string& name : Task::names()) {
    const Task task(name);
    EXPECT_EQ(task.name(), name);
    EXPECT_EQ(task.channels(), name == "lorenz" ? 3 : 1);
    Random random(7);
    const Tensor x = task.batch(random, 4000, 20, Dtype::float64);
    for (std::int64_t c = 0; c < task.channels(); c++) {
      const auto [mean, variance] = moments(view::select(x, 2, c));
      EXPECT_NEAR(mean, 0, 0.03) << name;
      EXPECT_NEAR(variance, 1, 0.03) << name;
    }
    // Another series of a chaotic system has about the same moments.
    const Tensor test = task.held_out(1000, 20, Dtype::float64);
    EXPECT_EQ(test.shape(), (Shape{20, 1000, task.channels()}));
    for (std::int64_t c = 0; c < task.channels(); c++) {
      const auto [mean, variance] = moments(view::select(test, 2, c));
      EXPECT_NEAR(mean, 0, 0.15) << name;
      EXPECT_NEAR(variance, 1, 0.15) << name;
    }
  }
}

TEST(Tasks, AreFreshForTrainingAndTheSameWhenHeldOut) {
  for (const std::string& name : Task::names()) {
    const Task task(name);
    Random random(1), again(1), other(2);
    const auto first = to_vector<float>(task.batch(random, 8, 20));
    EXPECT_NE(to_vector<float>(task.batch(random, 8, 20)), first) << name;
    EXPECT_EQ(to_vector<float>(task.batch(again, 8, 20)), first) << name;
    EXPECT_NE(to_vector<float>(task.batch(other, 8, 20)), first) << name;
    const auto held = to_vector<float>(task.held_out(8, 20));
    EXPECT_EQ(to_vector<float>(Task(name).held_out(8, 20)), held) << name;
    EXPECT_NE(held, first) << name;
  }
}

TEST(Tasks, BothDtypesSayTheSame) {
  for (const std::string& name : Task::names()) {
    const Task task(name);
    Random a(5), b(5);
    const Tensor narrow = task.batch(a, 16, 20), wide = task.batch(b, 16, 20, Dtype::float64);
    EXPECT_EQ(narrow.dtype(), Dtype::float32);
    EXPECT_EQ(wide.dtype(), Dtype::float64);
    EXPECT_EQ(a.counter(), b.counter());
    EXPECT_EQ(to_vector<float>(cast_copy(wide, Dtype::float32)), to_vector<float>(narrow)) << name;
  }
}

TEST(Tasks, WhatCannotBeMade) {
  Random random(1);
  EXPECT_ERROR(Task("sine"), "'sine'", "sines, iid, mackey-glass or lorenz");
  for (const std::string& name : Task::names()) {
    const Task task(name);
    EXPECT_ERROR(task.batch(random, 0, 20), "empty");
    EXPECT_ERROR(task.batch(random, 4, 0), "empty");
    EXPECT_ERROR(task.held_out(0, 20), "task");
    EXPECT_ERROR(task.batch(random, 4, 20, Dtype::int64), "float32");
  }
  EXPECT_ERROR(Task("lorenz").batch(random, 4, 6001), "6000 steps");
  EXPECT_ERROR(Task("lorenz").held_out(4, 3001), "3000 steps");
  EXPECT_EQ(Task("lorenz").held_out(2, 3000).shape(), (Shape{3000, 2, 3}));
}

TEST(Tasks, HeldOutWindowsSpanTheHeldOutSeries) {
  const Task task("mackey-glass");
  const Tensor all = task.held_out(1, 3000, Dtype::float64);
  const Tensor two = task.held_out(2, 20, Dtype::float64);
  EXPECT_EQ(two.item({0, 0, 0}), all.item({0, 0, 0}));
  EXPECT_EQ(two.item({19, 1, 0}), all.item({2999, 0, 0}));
}

TEST(Sines, AreWhatTheFormulaSays) {
  const Task task("sines");
  Random random(11), draws(11);
  const Tensor x = task.batch(random, 5, 300, Dtype::float64);
  const Tensor u = draws.uniform({5, 3, 3}, 0, 1, Dtype::float64);
  for (std::int64_t n = 0; n < 5; n++)
    for (std::int64_t t = 0; t < 300; t++) {
      double sum = 0;
      for (std::int64_t i = 0; i < 3; i++)
        sum += (0.5 + 0.5 * u.item({n, i, 0})) *
               std::sin(2 * std::numbers::pi *
                        ((0.02 + 0.18 * u.item({n, i, 1})) * double(t) + u.item({n, i, 2})));
      ASSERT_NEAR(x.item({t, n, 0}), sum / std::sqrt(0.875), 1e-12);
    }
}

TEST(Sines, AmplitudesReachAcrossTheirRange) {
  Random random(1);
  const std::vector<double> x =
      to_vector<double>(Task("sines").batch(random, 20000, 20, Dtype::float64));
  const double largest = *std::max_element(x.begin(), x.end());
  EXPECT_LE(largest, 3 / std::sqrt(0.875));
  EXPECT_GT(largest, 2.8 / std::sqrt(0.875) * 0.95);
}

// Mackey-Glass by explicit Euler with a tiny step: slow, of first order, and independent.
std::vector<double> mackey_glass_by_euler(int samples, int per_unit) {
  std::vector<double> x(static_cast<std::size_t>(17 * per_unit) + 1, 1.2), out;
  const std::size_t history = x.size() - 1;
  for (int i = 0; i < samples * per_unit; i++) {
    if (i % per_unit == 0) out.push_back(x.back());
    const double late = x[x.size() - 1 - history];
    x.push_back(x.back() + (0.2 * late / (1 + std::pow(late, 10)) - 0.1 * x.back()) / per_unit);
  }
  return out;
}

TEST(MackeyGlassSeries, AgreesWithEulerOfATinyStep) {
  const auto x = to_vector<double>(mackey_glass(80, {.discard = 0}));
  const auto oracle = mackey_glass_by_euler(80, 4000);
  for (int t = 0; t < 80; t++) EXPECT_NEAR(x[t], oracle[t], 3e-4) << t;
}

TEST(MackeyGlassSeries, ConvergesInTheFourthOrder) {
  const auto at_100 = [](double dt, std::int64_t every) {
    return mackey_glass(1, {.dt = dt, .every = every, .discard = 100}).item();
  };
  const double fine = at_100(0.0125, 80);
  const double coarse_error = std::abs(at_100(0.1, 10) - fine);
  const double half_error = std::abs(at_100(0.05, 20) - fine);
  EXPECT_LT(coarse_error, 1e-6);
  EXPECT_GT(coarse_error / half_error, 12) << "order 4 gives about 16";
  EXPECT_LT(coarse_error / half_error, 22);
}

TEST(MackeyGlassSeries, LiesWhereTheLiteratureSaysAndIsAperiodic) {
  const auto x = to_vector<double>(mackey_glass(6000));
  EXPECT_GT(*std::min_element(x.begin(), x.end()), 0.2);
  EXPECT_LT(*std::max_element(x.begin(), x.end()), 1.4);
  const auto [mean, variance] = moments(mackey_glass(6000));
  EXPECT_NEAR(mean, 0.92, 0.03);
  EXPECT_NEAR(std::sqrt(variance), 0.235, 0.02);
  // A rest state of the equation stays: x = 1 solves .2/(1+1) = .1.
  EXPECT_NEAR(mackey_glass(1, {.discard = 50, .start = 1}).item(), 1, 1e-14);
  EXPECT_EQ(mackey_glass(0).shape(), (Shape{0, 1}));
  EXPECT_ERROR(mackey_glass(5, {.dt = 0.3}), "0.3", "17");
  EXPECT_ERROR(mackey_glass(5, {.dt = 0}), "dt");
  EXPECT_ERROR(mackey_glass(5, {.every = 0}), "every");
  EXPECT_ERROR(mackey_glass(-1), "-1");
}

TEST(LorenzSeries, ConvergesInTheFourthOrder) {
  const auto at_half = [](double dt, std::int64_t every) {
    return to_vector<double>(lorenz(1, {.dt = dt, .every = every, .discard = 1}));
  };
  const auto fine = at_half(0.000625, 800);
  const auto error = [&](const std::vector<double>& x) {  // one component alone may pass zero
    return std::hypot(x[0] - fine[0], x[1] - fine[1], x[2] - fine[2]);
  };
  const double coarse_error = error(at_half(0.01, 50)), half_error = error(at_half(0.005, 100));
  EXPECT_LT(coarse_error, 1e-2);
  EXPECT_GT(coarse_error / half_error, 12) << "order 4 gives about 16";
  EXPECT_LT(coarse_error / half_error, 22);
}

TEST(LorenzSeries, HasTheKnownRestStateAndMoments) {
  const double side = std::sqrt(8.0 / 3 * 27);
  const auto rest = to_vector<double>(lorenz(1, {.discard = 3, .start = {side, side, 27}}));
  EXPECT_NEAR(rest[0], side, 1e-12);
  EXPECT_NEAR(rest[2], 27, 1e-12);
  const Tensor x = lorenz(20000);
  EXPECT_EQ(x.shape(), (Shape{20000, 3}));
  EXPECT_NEAR(moments(view::select(x, 1, 0)).mean, 0, 0.5);
  EXPECT_NEAR(std::sqrt(moments(view::select(x, 1, 0)).variance), 7.92, 0.15);
  EXPECT_NEAR(std::sqrt(moments(view::select(x, 1, 1)).variance), 9.01, 0.15);
  EXPECT_NEAR(moments(view::select(x, 1, 2)).mean, 23.55, 0.2);
  EXPECT_NEAR(std::sqrt(moments(view::select(x, 1, 2)).variance), 8.62, 0.15);
  EXPECT_ERROR(lorenz(-1), "-1");
}

TEST(Tasks, ABatchIsQuickAndTakesNothingNewFromTheSystem) {
  for (const std::string& name : Task::names()) {
    const Task task(name);
    Random random(1);
    for (int i = 0; i < 3; i++) task.batch(random, 64, 20);
    const memory::Stats before = memory::stats();
    double best = 1;
    for (int i = 0; i < 50; i++) {
      const auto start = std::chrono::steady_clock::now();
      task.batch(random, 64, 20);
      best = std::min(
          best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    const memory::Stats after = memory::stats();
    EXPECT_EQ(before.live, after.live) << name;
    EXPECT_EQ(before.live + before.pooled, after.live + after.pooled) << name;
    RecordProperty(name + "_microseconds", std::to_string(best * 1e6));
    EXPECT_LT(best, 2e-3) << name << ": far below a training step, sanitizers included";
  }
}

}  // namespace
}  // namespace unroll
