// Levenberg-Marquardt on batches of problems whose answer is known.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "autograd/transforms.h"
#include "core/parallel.h"
#include "core/view.h"
#include "inversion/levenberg_marquardt.h"
#include "inversion/linear_algebra.h"
#include "inversion/observation.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

// r = (1 - x_0, 10 (x_1 - x_0^2)): Rosenbrock's valley, whose only minimum is (1,1).
Linearised valley(const Tensor& x) {
  return linearise(x, [](const Tensor& rows) {
    const Tensor a = slice(rows, 1, 0, 1), b = slice(rows, 1, 1, 2);
    return cat({1.0 - a, 10.0 * (b - square(a))}, 1);
  });
}

TEST(LevenbergMarquardt, FindsTheMinimumFromEveryStart) {
  Random random(1);
  const LmResult result = levenberg_marquardt([](const Tensor& x, auto) { return valley(x); },
                                              random.normal({9, 2}, 0, 3, f64));
  for (std::int64_t b = 0; b < 9; b++) {
    EXPECT_NEAR(result.x.item({b, 0}), 1, 1e-12) << b;
    EXPECT_NEAR(result.x.item({b, 1}), 1, 1e-12) << b;
    EXPECT_LT(result.residual[static_cast<std::size_t>(b)], 1e-12);
  }
}

TEST(LevenbergMarquardt, OfALinearProblemIsLeastSquares) {
  Random random(2);
  const Tensor A = random.normal({7, 3}, 0, 1, f64), y = random.normal({7}, 0, 1, f64);
  const LmResult result = levenberg_marquardt(
      [&](const Tensor& x, auto) {
        return linearise(x, [&](const Tensor& rows) { return linear(rows, A) - y; });
      },
      zeros({1, 3}, f64));
  const Tensor want = least_squares(A, y);
  for (std::int64_t i = 0; i < 3; i++) EXPECT_NEAR(result.x.item({0, i}), want.item({i}), 1e-10);
}

TEST(LevenbergMarquardt, AsksOnlyForProblemsThatGoOn) {
  std::vector<std::size_t> asked;
  const LmResult result = levenberg_marquardt(
      [&](const Tensor& x, std::span<const std::int64_t> which) {
        asked.push_back(which.size());
        return valley(x);
      },
      from_values<double>({1, 1, -1, 2}, {2, 2}));
  EXPECT_EQ(asked.front(), 2U);
  EXPECT_EQ(asked.back(), 1U);  // the first started at its minimum
  EXPECT_EQ(result.steps[0], 0);
  EXPECT_NEAR(result.x.item({1, 1}), 1, 1e-12);
}

TEST(LevenbergMarquardt, KeepsAStartWhereTheResidualIsNotFinite) {
  const LmResult result = levenberg_marquardt(
      [](const Tensor& x, auto) {
        return linearise(x, [](const Tensor& rows) { return log(rows); });
      },
      from_values<double>({-1, 5}, {2, 1}));
  EXPECT_EQ(result.x.item({0, 0}), -1);
  EXPECT_TRUE(std::isinf(result.residual[0]));
  EXPECT_NEAR(result.x.item({1, 0}), 1, 1e-12);
}

// Both sides of the choice between pulls and pushes, against the Jacobian of each row alone.
TEST(Linearise, GivesEachRowItsOwnJacobian) {
  Random random(4);
  for (std::int64_t m : {2, 6}) {
    const Tensor w = random.normal({m, 4}, 0, 1, f64), x = random.normal({3, 4}, 0, 1, f64);
    const auto f = [&](const Tensor& rows) { return tanh(linear(square(rows), w)); };
    const Linearised at = linearise(x, f);
    ASSERT_EQ(at.jacobian.shape(), (Shape{3, m, 4}));
    for (std::int64_t b = 0; b < 3; b++) {
      const Tensor one = jacobian(f, contiguous_copy(view::slice(x, 0, b, b + 1)));
      for (std::int64_t i = 0; i < m; i++)
        for (std::int64_t j = 0; j < 4; j++)
          EXPECT_NEAR(at.jacobian.item({b, i, j}), one.item({0, i, 0, j}), 1e-14);
    }
  }
}

// CLAIMS.md 20: only the last state of an orthogonal tanh RNN.
TEST(LevenbergMarquardt, RecoversTheInputFromALastState) {
  for (std::uint64_t seed : {1, 2, 3}) {
    Random random(seed);
    const Encoder encoder({.cell = Cell::tanh, .I = 1, .H = 32}, random, {.orthogonal = true});
    const Facts facts(encoder, observation("final"), 28);
    const Tensor x = random.normal({28, 1, 1}, 0, 1, f64), y = facts(x, {});
    const auto residuals = [&](const Tensor& rows, auto) {
      return linearise(rows, [&](const Tensor& v) { return facts.of_unknowns(v) - y; });
    };
    const LmResult one = levenberg_marquardt(residuals, zeros({1, 28}, f64));
    EXPECT_LT(amax(abs(one.x - facts.rows_of(x)), {0, 1}).item(), 1e-11);
    set_num_threads(1);
    const LmResult again = levenberg_marquardt(residuals, zeros({1, 28}, f64));
    set_num_threads(2);
    EXPECT_EQ(to_vector<double>(one.x), to_vector<double>(again.x));
  }
}

}  // namespace
}  // namespace unroll
