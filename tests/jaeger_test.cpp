// Linear memory capacity and the spaces that it is made of, against closed forms.
#include "inversion/jaeger.h"

#include <gtest/gtest.h>

#include <cmath>

#include "inversion/krylov.h"
#include "inversion/linear_algebra.h"
#include "inversion/reservoir.h"
#include "tests/testing.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

LinearNetwork drawn(ReservoirKind kind, std::int64_t N, double rho, std::uint64_t seed = 1) {
  Random random(seed);
  return linear_network(reservoir({.kind = kind, .N = N, .rho = rho}, random));
}

TEST(Krylov, SpaceIsInvariantAndFoundWhereItsColumnsAreParallel) {
  const LinearNetwork net = drawn(ReservoirKind::gaussian, 60, 0.9);
  const KrylovSpace space = krylov_space(net.W, net.w);
  ASSERT_EQ(space.dimension(), 60);
  const Tensor Q = space.basis, Qt = transpose(Q, 0, 1);
  EXPECT_LE(testing::difference(matmul(Qt, Q), eye(60, f64)), 1e-13);
  EXPECT_LE(testing::difference(matmul(Q, space.hessenberg), matmul(net.W, Q)), 1e-13);
  const Tensor s = singular_values(krylov_matrix(net.W, net.w, 60));
  EXPECT_LT(numerical_rank(s, 60, 60), 60) << "the columns themselves say less";
}

TEST(Krylov, WhatTheInputDoesNotReachIsLeftOut) {
  const Tensor W = from_values<double>({.5, 0, 0, 0, .5, 0, 0, 0, .2}, {3, 3});
  const auto reached = [&](std::initializer_list<double> w) {
    return krylov_space(W, from_values<double>(w, {3})).dimension();
  };
  EXPECT_EQ(reached({0, 0, 0}), 0);
  EXPECT_EQ(reached({1, 0, 0}), 1);
  EXPECT_EQ(reached({1, 2, 0}), 1) << "two units of one eigenvalue are one";
  EXPECT_EQ(reached({1, 2, 3}), 2);
  EXPECT_ERROR(krylov_space(W, zeros({2}, f64)), "krylov_space", "[2]");
  EXPECT_ERROR(krylov_matrix(W * 1e200, ones({3}, f64), 5), "overflow");
}

TEST(Krylov, SteinSolvesItsEquation) {
  const LinearNetwork net = drawn(ReservoirKind::gaussian, 20, 0.99);
  const Tensor Q = eye(20, f64), C = stein(net.W, Q);
  EXPECT_LE(testing::difference(matmul(matmul(net.W, C), transpose(net.W, 0, 1)) + Q, C), 1e-13);
  EXPECT_ERROR(stein(Q, Q), "stein", "spectral radius");
  EXPECT_ERROR(stein(Q * 1.2, Q), "stein", "spectral radius");
  EXPECT_ERROR(stein(Q, eye(3, f64)), "[3,3]");
}

TEST(Reservoir, KindsHaveTheRadiusAndGainAskedFor) {
  for (const std::string& kind : reservoir_kinds()) {
    Random random(3);
    const ReservoirOptions options{.kind = reservoir_kind(kind), .N = 200, .rho = .7, .gain = 2};
    const LinearNetwork net = linear_network(reservoir(options, random));
    EXPECT_NEAR(testing::norm(net.w), 2, 0.25) << kind;
    if (options.kind == ReservoirKind::delay) continue;
    EXPECT_NEAR(spectral_radius(net.W), .7, 1e-10) << kind;
  }
  Random random(1);
  EXPECT_ERROR(reservoir({.N = 0}, random), "N 0");
  EXPECT_ERROR(reservoir({.rho = -1}, random), "rho");
  EXPECT_ERROR(reservoir({.cell = Cell::gru}, random), "gru");
  EXPECT_ERROR(reservoir_kind("rings"), "rings", "gaussian");
  EXPECT_ERROR(linear_network(reservoir({.cell = Cell::tanh}, random)), "tanh RNN", "sample");
}

TEST(Jaeger, RingIsItsClosedForm) {
  for (const double rho : {.5, .9, .99}) {
    const LinearNetwork net = drawn(ReservoirKind::ring, 7, rho);
    for (const auto& measure : {jaeger_capacity, jaeger_capacity_naive}) {
      const JaegerCapacity c = measure(net.W, net.w, 1 << 17);
      EXPECT_NEAR(c.total, 7, 1e-9);
      EXPECT_EQ(c.controllable, 7);
      EXPECT_EQ(c.warning, "");
      for (std::size_t k = 0; k < c.m.size(); k++)
        ASSERT_NEAR(c.m[k],
                    std::pow(rho, 14 * static_cast<double>(k / 7)) * (1 - std::pow(rho, 14)), 1e-12)
            << k;
    }
  }
}

// Both ways are one where K is well-conditioned, and only the sound one is right where it is not.
TEST(Jaeger, SoundBesideNaive) {
  const LinearNetwork small = drawn(ReservoirKind::gaussian, 5, .8);
  const JaegerCapacity a = jaeger_capacity(small.W, small.w);
  const JaegerCapacity b = jaeger_capacity_naive(small.W, small.w);
  ASSERT_EQ(a.m.size(), b.m.size());
  for (std::size_t k = 0; k < a.m.size(); k++) EXPECT_NEAR(a.m[k], b.m[k], 1e-9) << k;

  const LinearNetwork large = drawn(ReservoirKind::gaussian, 50, .9);
  const JaegerCapacity sound = jaeger_capacity(large.W, large.w);
  EXPECT_NEAR(sound.total, 50, 1e-6);
  EXPECT_EQ(sound.warning, "");
  const JaegerCapacity naive = jaeger_capacity_naive(large.W, large.w);
  EXPECT_LT(naive.total, 45);
  EXPECT_LT(naive.krylov_rank, 50);
  EXPECT_GT(naive.krylov_condition, 1e13);
  EXPECT_NE(naive.warning.find("numerical failure"), std::string::npos) << naive.warning;
  EXPECT_EQ(naive.warning.find('\n'), std::string::npos);
}

TEST(Jaeger, OnlyWhatIsReachedCounts) {
  const Tensor W = from_values<double>({.5, 0, 0, .2}, {2, 2});
  EXPECT_NEAR(jaeger_capacity(W, from_values<double>({1, 0}, {2})).total, 1, 1e-9);
  EXPECT_NEAR(jaeger_capacity(W, from_values<double>({1, 1}, {2})).total, 2, 1e-9);
  const JaegerCapacity none = jaeger_capacity(W, zeros({2}, f64));
  EXPECT_EQ(none.total, 0);
  EXPECT_TRUE(none.m.empty());
  EXPECT_ERROR(jaeger_capacity(eye(2, f64) * 1.01, ones({2}, f64)), "spectral radius", "scale W");
}

TEST(Jaeger, LagsThatEndTooEarlyAreSaid) {
  const LinearNetwork net = drawn(ReservoirKind::orthogonal, 10, .99);
  const JaegerCapacity c = jaeger_capacity(net.W, net.w, 20);
  EXPECT_EQ(c.m.size(), 20u);
  EXPECT_NE(c.warning.find("lags end before"), std::string::npos) << c.warning;
}

}  // namespace
}  // namespace unroll
