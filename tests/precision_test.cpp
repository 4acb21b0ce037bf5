// What rounding takes: saturated pre-activations, rounded states, digits in a mantissa.
#include "inversion/precision.h"

#include <cmath>

#include "tests/testing.h"

namespace unroll {
namespace {

constexpr Dtype f32 = Dtype::float32, f64 = Dtype::float64;

TEST(Precision, TheBoundHoldsAndIsTight) {
  EXPECT_NEAR(saturation_point(f32), 9.0109, 1e-4);
  EXPECT_NEAR(saturation_point(f64), 19.0615, 1e-4);
  // To first order u*eps/(1-h^2).
  EXPECT_NEAR(preactivation_bound(0.6, 0.5, f64), 0x1p-54 / 0.64, 1e-22);
  EXPECT_TRUE(std::isinf(preactivation_bound(1, 0.5, f32)));
  for (const Dtype dtype : {f32, f64}) {
    for (const TanhQuality& q : {engine_tanh_quality(dtype), library_tanh_quality(dtype)}) {
      EXPECT_LE(q.bound_ratio, 1) << name(dtype);
      EXPECT_GT(q.bound_ratio, 0.5) << name(dtype);  // a bound that is twice too large would not
      EXPECT_LE(q.ulps, 4) << name(dtype);
      EXPECT_LE(q.saturates_at, saturation_point(dtype) * 1.01);
      EXPECT_GE(q.saturates_at, saturation_point(dtype) * 0.9);
    }
  }
}

// Rounded to nearest from long double: exactly at the predicted point.
TEST(Precision, ACorrectlyRoundedTanhSaturatesWhereItMust) {
  const auto exact = [](std::span<const double> x, std::span<double> y) {
    for (std::size_t i = 0; i < x.size(); i++)
      y[i] = static_cast<float>(std::tanh(static_cast<long double>(x[i])));
  };
  const TanhQuality q = tanh_quality(exact, f32);
  EXPECT_LE(q.ulps, 0.5);
  EXPECT_LE(q.bound_ratio, 1);
  EXPECT_NEAR(q.saturates_at, saturation_point(f32), 2e-4);
}

TEST(Precision, AWorseTanhIsFound) {
  const auto coarse = [](std::span<const double> x, std::span<double> y) {
    for (std::size_t i = 0; i < x.size(); i++)
      y[i] = static_cast<float>(std::tanh(x[i]) * (1 - 1e-6));
  };
  EXPECT_GT(tanh_quality(coarse, f32).ulps, 10);
}

TEST(Precision, RoundedStatesLoseWhatTheJacobianPredicts) {
  Random random(1);
  const Encoder encoder({.cell = Cell::tanh, .I = 1, .H = 32}, random, {.orthogonal = true});
  const Facts facts(encoder, observation("final"), 16);
  const Tensor row = random.normal({1, 16}, 0, 1, f64);
  double before = 1;
  for (const Dtype dtype : {Dtype::bfloat16, Dtype::float16, f32}) {
    const RoundingLoss loss = rounding_loss(facts, row, dtype);
    EXPECT_LT(loss.measured, before / 3) << name(dtype);
    if (dtype != Dtype::bfloat16) {
      EXPECT_NEAR(loss.measured, loss.predicted, 0.1 * loss.predicted) << name(dtype);
    }
    EXPECT_LE(loss.predicted, loss.condition * unit_roundoff(dtype) * 10);
    before = loss.measured;
  }
  EXPECT_ERROR(rounding_loss(facts, ones({1, 3}, f64), f32), "[1,3]", "[1,16]");
}

TEST(Precision, DigitsInAMantissa) {
  for (const std::int64_t V : {2, 4, 8, 16})
    for (const Dtype dtype : {f32, f64}) {
      EXPECT_EQ(base_code_measured(V, dtype), base_code_capacity(V, dtype)) << V << name(dtype);
    }
  EXPECT_EQ(base_code_capacity(2, f32), 24);
  EXPECT_EQ(base_code_capacity(2, f64), 53);
  EXPECT_EQ(base_code_capacity(4, f32), 12);
  EXPECT_EQ(base_code_capacity(4, f64), 26);
  EXPECT_EQ(base_code_capacity(3, f64), 0);
  EXPECT_LT(base_code_measured(3, f64), 33);  // what 53 bits could hold
  EXPECT_ERROR(base_code_measured(2, Dtype::float16), "float16");
}

}  // namespace
}  // namespace unroll
