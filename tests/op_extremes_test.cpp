// Extremes: +-300, zeros of both signs, infinities and NaN give what <cmath> and PyTorch give, in
// both types, at every place of a vector; derivatives there are those of the mathematics.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "tests/op_cases.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

const std::vector<double>& specials() {
  static const std::vector<double> all = {300,    -300, 0.0, -0.0, inf, -inf, nan, 1e-30,
                                          -1e-30, 1,    -1,  88,   -88, 0.5,  2.5, -3.5};
  return all;
}

// The specials, rotated, so that each meets the vector loop and the tail: 37 numbers.
Tensor special_tensor(std::size_t turn, Dtype dtype) {
  std::vector<double> values;
  for (std::size_t i = 0; i < 37; i++) values.push_back(specials()[(i + turn) % specials().size()]);
  return cast_copy(from_values<double>(values, {37}), dtype);
}

// Equal, both NaN, or within a few roundings; float32 may over- and underflow.
bool close(double ours, double expected, Dtype dtype) {
  const bool narrow = dtype == Dtype::float32;
  if (std::isnan(expected)) return std::isnan(ours);
  if (narrow) expected = static_cast<float>(expected);
  if (ours == expected) return true;
  if (std::isinf(expected) || std::isinf(ours) || std::isnan(ours)) return false;
  const double tiny = narrow ? 1e-37 : 1e-300;
  return std::abs(ours - expected) <= (narrow ? 4e-6 : 4e-15) * std::abs(expected) + tiny;
}

class Extremes : public ::testing::TestWithParam<UnaryRow> {};

TEST_P(Extremes, Value) {
  const UnaryRow& row = GetParam();
  for (const Dtype dtype : {Dtype::float32, Dtype::float64})
    for (std::size_t turn = 0; turn < specials().size(); turn++) {
      const Tensor x = special_tensor(turn, dtype), y = row.f(x);
      const auto at = to_vector<double>(cast_copy(x, Dtype::float64));
      const auto got = to_vector<double>(cast_copy(y, Dtype::float64));
      for (std::size_t i = 0; i < at.size(); i++)
        EXPECT_TRUE(close(got[i], row.value(at[i]), dtype))
            << row.op << "(" << at[i] << ") is " << got[i] << ", not " << row.value(at[i]) << ", "
            << name(dtype) << " place " << i;
    }
}

// Derivatives at finite places; where the function itself is NaN, so may be its derivative.
TEST_P(Extremes, Derivative) {
  const UnaryRow& row = GetParam();
  for (const Dtype dtype : {Dtype::float32, Dtype::float64}) {
    const Tensor x = special_tensor(0, dtype);
    Tape tape;
    const Tensor y = row.f(x);
    const Tensor d = tape.pull(y, ones(x.shape(), dtype), {x})[0];
    const auto at = to_vector<double>(cast_copy(x, Dtype::float64));
    const auto got = to_vector<double>(cast_copy(d, Dtype::float64));
    for (std::size_t i = 0; i < at.size(); i++) {
      const double expected = row.slope(at[i]);
      if (!std::isfinite(at[i]) || std::isnan(row.value(at[i])) || std::isnan(expected)) continue;
      if (dtype == Dtype::float32 && !std::isfinite(static_cast<float>(row.value(at[i])))) continue;
      const double slack = dtype == Dtype::float32 ? 3e-7 : 3e-16;  // slopes such as 1 - y^2 cancel
      EXPECT_TRUE(close(got[i], expected, dtype) || std::abs(got[i] - expected) <= slack)
          << row.op << "'(" << at[i] << ") is " << got[i] << ", not " << expected << ", "
          << name(dtype);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, Extremes, ::testing::ValuesIn(unary_rows()),
                         [](const auto& row) { return std::string(row.param.op); });

Tensor vector(std::initializer_list<double> values) {
  return from_values<double>(values, {std::int64_t(values.size())});
}

void expect_values(const Tensor& ours, std::initializer_list<double> expected) {
  EXPECT_EQ(difference(ours, vector(expected)), 0) << ours;
}

TEST(OpExtremes, MaximumAndMinimumPassNanAndShareTies) {
  const Tensor a = vector({1, nan, 2, inf, 3}), b = vector({nan, 1, 2, -inf, 4});
  expect_values(maximum(a, b), {nan, nan, 2, inf, 4});
  expect_values(minimum(a, b), {nan, nan, 2, -inf, 3});
  const Tensor x = vector({1, 2, 3}), y = vector({2, 2, 2}), one = vector({1, 1, 1});
  Tape tape;
  expect_values(tape.pull(maximum(x, y), one, {x})[0], {0, 0.5, 1});
  expect_values(tape.pull(minimum(x, y), one, {x})[0], {1, 0.5, 0});
}

TEST(OpExtremes, ClampIncludesItsEndsAndPassesNan) {
  const Tensor x = vector({-2, -1, 0, 1, 2, nan, inf});
  Tape tape;
  const Tensor y = clamp(x, -1, 1);
  expect_values(y, {-1, -1, 0, 1, 1, nan, 1});
  expect_values(tape.pull(y, ones({7}, Dtype::float64), {x})[0], {0, 1, 1, 1, 0, 0, 0});
  EXPECT_ERROR(clamp(x, 1, -1), "clamp");
  EXPECT_ERROR(clamp(x, nan, 1), "clamp");
}

TEST(OpExtremes, PowersOfZero) {
  const Tensor base = vector({0, 0, 0, 2, -2}), exponent = vector({0, 2, 1, 0, 3});
  Tape tape;
  const Tensor y = pow(base, exponent), one = ones({5}, Dtype::float64);
  expect_values(y, {1, 0, 0, 1, -8});
  const Tensors d = tape.pull(y, one, {base, exponent});
  expect_values(d[0], {0, 0, 1, 0, 12});
  EXPECT_EQ(d[1].item({0}), 0);
  EXPECT_EQ(d[1].item({1}), 0);
  EXPECT_EQ(d[1].item({2}), 0);
  EXPECT_NEAR(d[1].item({3}), std::log(2), 1e-15);
  const Tensor zero = vector({0, 0});
  expect_values(tape.pull(pow(zero, 0.0), vector({1, 1}), {zero})[0], {0, 0});
  expect_values(tape.pull(pow(zero, 2.0), vector({1, 1}), {zero})[0], {0, 0});
}

TEST(OpExtremes, WhereNeverReadsWhatIsNotChosen) {
  const Tensor x = vector({-1, 4}), mask = gt(x, scalar(0, Dtype::float64));
  Tape tape;
  const Tensor y = where(mask, sqrt(x), x * 2.0);
  expect_values(y, {-2, 2});
  const Tensor bad = vector({nan, nan}), z = where(mask, x, bad * 0.0);
  expect_values(tape.pull(z, vector({1, 1}), {x})[0], {0, 1});
}

TEST(OpExtremes, SoftmaxOfHugeNumbers) {
  const Tensor x = from_values<double>({300, -300, 0, 1e308, -1e308, 0, -inf, 0, 0}, {3, 3});
  Tape tape;
  const Tensor y = softmax(x, -1), l = log_softmax(x, -1);
  expect_values(reshape(y, {9}), {1, std::exp(-600), std::exp(-300), 1, 0, 0, 0, 0.5, 0.5});
  EXPECT_EQ(l.item({0, 1}), -600);
  EXPECT_EQ(l.item({2, 0}), -inf);
  const Tensor d = tape.pull(y, ones({3, 3}, Dtype::float64), {x})[0];
  for (double v : to_vector<double>(d)) EXPECT_EQ(v, 0);
  EXPECT_TRUE(std::isnan(softmax(vector({-inf, -inf}), 0).item({0})));
  EXPECT_TRUE(std::isnan(softmax(vector({nan, 1}), 0).item({1})));
}

TEST(OpExtremes, ReductionsOfNanAndOfNothing) {
  const Tensor x = from_values<double>({1, nan, 3, inf, -inf, 2}, {2, 3});
  expect_values(max(x, 1), {nan, inf});
  expect_values(min(x, 1), {nan, -inf});
  EXPECT_EQ(argmax(x, 1).item({0}), 1);
  EXPECT_TRUE(std::isnan(sum(x).item()));
  EXPECT_TRUE(std::isnan(mean(zeros({0}, Dtype::float64)).item()));
  EXPECT_EQ(sum(zeros({0, 3}, Dtype::float64)).item(), 0);
  EXPECT_ERROR(max(zeros({2, 0}), 1), "max: axis -1 of shape [2,0] is empty");
  EXPECT_ERROR(argmin(zeros({0, 2}), 0), "argmin: axis -2 of shape [0,2] is empty");
}

TEST(OpExtremes, TheDerivativeOfMaxGoesToTheFirstOfEquals) {
  const Tensor x = vector({1, 3, 3, 2});
  Tape tape;
  expect_values(tape.pull(max(x, 0), number(1), {x})[0], {0, 1, 0, 0});
}

TEST(OpExtremes, ExtremesOverAxesShareTheirDerivativeAmongEquals) {
  const Tensor x = from_values<double>({1, 3, 3, 2, 3, 0}, {2, 3});
  Tape tape;
  const Tensor d = tape.pull(amax(x, {0, 1}), number(1), {x})[0];
  EXPECT_LE(difference(reshape(d, {6}), vector({0, 1. / 3, 1. / 3, 0, 1. / 3, 0})), 1e-15);
  expect_values(reshape(tape.pull(norm(x, inf, 1), vector({1, 1}), {x})[0], {6}),
                {0, 0.5, 0.5, 0, 1, 0});
}

TEST(OpExtremes, ReductionsOverAxesOfNothingAndOfNan) {
  const Tensor nothing = zeros({2, 0}, Dtype::float64);
  expect_values(amax(nothing, 1), {-inf, -inf});
  expect_values(amin(nothing, 1), {inf, inf});
  expect_values(prod(nothing, 1), {1, 1});
  expect_values(logsumexp(nothing, 1), {-inf, -inf});
  expect_values(norm(nothing, 2, 1), {0, 0});
  expect_values(var(nothing, 1), {nan, nan});
  expect_values(var(vector({3}), 0, true, true), {nan});
  expect_values(var(vector({3}), 0, false, true), {0});
  const Tensor x = from_values<double>({1, nan, 3, inf, -inf, 2}, {2, 3});
  expect_values(amax(x, 1), {nan, inf});
  expect_values(amin(x, 1), {nan, -inf});
  expect_values(logsumexp(x, 1), {nan, inf});
  expect_values(logsumexp(from_values<double>({-inf, -inf, 300, 300}, {2, 2}), 1),
                {-inf, 300 + std::log(2)});
}

TEST(OpExtremes, RootsOfNothingButZerosHaveDerivativeZero) {
  const Tensor x = vector({0, 0, 0});
  Tape tape;
  expect_values(tape.pull(norm(x, 2, 0), number(1), {x})[0], {0, 0, 0});
  expect_values(tape.pull(norm(x, 3, 0), number(1), {x})[0], {0, 0, 0});
  expect_values(tape.pull(norm(x, 1, 0), number(1), {x})[0], {0, 0, 0});
  expect_values(tape.pull(std_dev(x, 0), number(1), {x})[0], {0, 0, 0});
}

TEST(OpExtremes, ProductsWithZerosHaveTheDerivativeOfThePolynomial) {
  const Tensor x = vector({2, 0, 3}), y = vector({0, 5, 0});
  Tape tape;
  expect_values(tape.pull(prod(x), number(1), {x})[0], {0, 6, 0});
  expect_values(tape.pull(prod(y), number(1), {y})[0], {0, 0, 0});
  expect_values(tape.pull(cumprod(x, 0), vector({1, 1, 1}), {x})[0], {1, 8, 0});
}

TEST(OpExtremes, RunningReductionsOfNan) {
  const Tensor x = vector({1, nan, 2});
  expect_values(cumsum(x, 0), {1, nan, nan});
  expect_values(cumsum(x, 0, {.reverse = true}), {nan, nan, 2});
  expect_values(cumprod(vector({inf, 0, 1}), 0), {inf, nan, nan});
}

TEST(OpExtremes, WhatATriangleCutsOffIsNeverRead) {
  const Tensor x = from_values<double>({1, nan, inf, 2}, {2, 2});
  expect_values(reshape(tril(triu(x)), {4}), {1, 0, 0, 2});
}

TEST(OpExtremes, HardtanhExcludesItsEnds) {
  const Tensor x = vector({-2, -1, 0, 1, 2, nan});
  Tape tape;
  const Tensor y = hardtanh(x);
  expect_values(y, {-1, -1, 0, 1, 1, nan});
  expect_values(tape.pull(y, ones({6}, Dtype::float64), {x})[0], {0, 0, 1, 0, 0, 0});
}

TEST(OpExtremes, MaskedMseNeverReadsPadding) {
  Tensor x = random_normal({3, 2, 2}), target = random_normal({3, 2, 2}, 2);
  x.mutable_data<double>()[11] = nan;      // step 2 of sequence 1
  target.mutable_data<double>()[7] = nan;  // step 1 of sequence 1
  Tape tape;
  const Tensor loss = masked_mse(x, target, Lengths{3, 1});
  EXPECT_TRUE(std::isfinite(loss.item()));
  for (const Tensor& d : tape.pull(loss, number(1), {x, target})) {
    EXPECT_TRUE(std::isfinite(norm(d)));
    EXPECT_EQ(d.item({1, 1, 0}), 0);
    EXPECT_EQ(d.item({2, 1, 1}), 0);
  }
  EXPECT_ERROR(masked_mse(x, target, Lengths{0, 0}), "masked_mse: no step is valid");
}

}  // namespace
}  // namespace unroll::testing
