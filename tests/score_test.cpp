// The normalised mean squared error against its definition.
#include "models/score.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "core/random.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

TEST(Score, IsErrorOverDeviationFromTheMean) {
  const Tensor x = Random(1).normal({5, 4, 2}, 100, 3, Dtype::float64);
  const Tensor y = x + Random(2).normal({5, 4, 2}, 0, 1, Dtype::float64);
  Score score(2);
  score.add(y, x);
  const Tensor centre = mean(x, {0, 1}, true);
  const double error = sum(square(y - x)).item(), power = sum(square(x - centre)).item();
  EXPECT_NEAR(score.nmse(), error / power, 1e-12);
  EXPECT_NEAR(score.mse(), error / 40, 1e-12);
  EXPECT_EQ(score.steps(), 20);
  const Tensor one = slice(x, 2, 1, 2);
  EXPECT_NEAR(score.nmse(1),
              sum(square(slice(y, 2, 1, 2) - one)).item() /
                  sum(square(one - slice(centre, 2, 1, 2))).item(),
              1e-12);
  Score mean_predictor(2);
  mean_predictor.add(contiguous(expand(centre, x.shape())), x);
  EXPECT_NEAR(mean_predictor.nmse(), 1, 1e-12);
}

TEST(Score, PartsAddUp) {
  const Tensor x = Random(1).normal({3, 8, 2}, -50, 1, Dtype::float64);
  const Tensor y = Random(2).normal({3, 8, 2}, -50, 1, Dtype::float64);
  Score all(2), parts(2);
  all.add(y, x);
  for (const std::int64_t i : {0, 4}) {
    Score part(2);
    part.add(slice(y, 1, i, i + 4), slice(x, 1, i, i + 4));
    parts += part;
  }
  EXPECT_NEAR(parts.nmse(), all.nmse(), 1e-12);
  EXPECT_NEAR(parts.nmse(0), all.nmse(0), 1e-12);
  EXPECT_EQ(parts.steps(), all.steps());
}

TEST(Score, PaddingIsNotRead) {
  const double nan = std::nan("");
  const Tensor x = from_values<double>({1, 2, 3, nan, 5, nan}, {3, 2, 1});
  const Tensor y = from_values<double>({1, 3, 3, nan, 5, 7}, {3, 2, 1});
  Score score(1);
  score.add(y, x, Lengths({3, 1}));
  EXPECT_EQ(score.steps(), 4);
  EXPECT_DOUBLE_EQ(score.nmse(), 1 / 8.75);
}

TEST(Score, DataThatDoesNotVaryHasNone) {
  Score score(1);
  score.add(ones({3, 2, 1}), zeros({3, 2, 1}));
  EXPECT_TRUE(std::isnan(score.nmse()));
  EXPECT_EQ(score.mse(), 1);
  EXPECT_ERROR(score.add(ones({3, 2, 2}), ones({3, 2, 2})), "[3,2,2]", "[T,N,1]");
}

TEST(Score, EvaluateDoesNotDependOnTheBatch) {
  Parameters parameters(Dtype::float64);
  Reconstruction model(parameters, {.inputs = 2, .hidden = 3});
  Random random(1);
  model.reset(random);
  const Tensor windows = Random(4).normal({11, 5, 2}, 0, 1, Dtype::float64);
  const Score whole = evaluate(model, windows, {.dtype = Dtype::float64, .batch = 100});
  const Score parts = evaluate(model, windows, {.dtype = Dtype::float64, .batch = 3});
  EXPECT_NEAR(whole.nmse(), parts.nmse(), 1e-13);
  const Tensor x = permute(windows, {1, 0, 2});
  EXPECT_NEAR(whole.mse(), model.loss(x).item(), 1e-13);
  fill(parameters.mutable_flat(), std::nan(""));
  EXPECT_ERROR(evaluate(model, windows, {.dtype = Dtype::float64}), "not finite");
}

}  // namespace
}  // namespace unroll
