// Losses where numbers or operands are at their limits. Values and derivatives elsewhere: the rows
// in op_cases_loss.cpp and the conformance cases.
#include "autograd/losses.h"

#include <gtest/gtest.h>

#include <limits>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

Tensor row(std::initializer_list<double> values) {
  return from_values<double>(values, {static_cast<std::int64_t>(values.size())});
}
Tensor classes(std::initializer_list<std::int64_t> values) {
  return from_values<std::int64_t>(values, {static_cast<std::int64_t>(values.size())});
}

// The value and the gradient of the sum of a loss of x.
struct Pulled {
  Tensor loss, dx;
};
template <class F>
Pulled pulled(const Tensor& x, F f) {
  Tape tape;
  const Tensor loss = f(x);
  return {loss, tape.pull(loss, ones(loss.shape(), loss.dtype()), {x})[0]};
}

TEST(Losses, LogitsOfAnySizeGiveFiniteLossesAndSlopes) {
  const Pulled p = pulled(row({800, -800, 800, -800}), [](const Tensor& x) {
    return binary_cross_entropy_with_logits(x, row({1, 1, 0, 0}), {}, Reduction::none);
  });
  EXPECT_EQ(to_vector<double>(p.loss), (std::vector<double>{0, 800, 800, 0}));
  EXPECT_EQ(to_vector<double>(p.dx), (std::vector<double>{0, -1, 1, 0}));
  const Tensor small = binary_cross_entropy_with_logits(row({-40}), row({0}));
  EXPECT_NEAR(small.item(), std::exp(-40.0), 1e-30) << "not lost beside 40";
}

TEST(Losses, ProbabilitiesOfZeroAndOneAreCut) {
  const Pulled p = pulled(row({0, 1, 0, 1, 0.5}), [](const Tensor& x) {
    return binary_cross_entropy(x, row({1, 1, 0, 0, 1}), Reduction::none);
  });
  EXPECT_EQ(to_vector<double>(p.loss), (std::vector<double>{100, 0, 0, 100, std::log(2.0)}));
  EXPECT_EQ(to_vector<double>(p.dx), (std::vector<double>{0, -1, 1, 0, -2}));
  EXPECT_ERROR(binary_cross_entropy(row({1.5}), row({1})), "x holds 1.5", "no probability");
}

TEST(Losses, ATargetOfZeroAddsNothingToTheDivergence) {
  const Pulled p = pulled(row({-1, -2}), [](const Tensor& x) {
    return kl_div(x, row({0, 1}), false, Reduction::sum);
  });
  EXPECT_EQ(p.loss.item(), 2);
  EXPECT_EQ(to_vector<double>(p.dx), (std::vector<double>{0, -1}));
}

TEST(Losses, AVectorOfZerosHasACosineAndASlope) {
  const Pulled p = pulled(zeros({2, 3}, Dtype::float64), [](const Tensor& x) {
    return cosine_similarity(x, ones({2, 3}, Dtype::float64));
  });
  EXPECT_EQ(norm(p.loss), 0);
  for (const double d : to_vector<double>(p.dx)) EXPECT_TRUE(std::isfinite(d));
}

TEST(Losses, ClassesThatAreAllIgnoredHaveNoMean) {
  const Tensor x = random_normal({2, 3});
  EXPECT_TRUE(std::isnan(cross_entropy(x, classes({-100, -100})).item()));
  EXPECT_EQ(
      cross_entropy(x, classes({7, 7}), {.ignore_index = 7, .reduction = Reduction::sum}).item(),
      0);
  const Pulled p = pulled(x, [](const Tensor& at) {
    return cross_entropy(at, classes({1, 5}), {.ignore_index = 5, .label_smoothing = 0.1});
  });
  EXPECT_EQ(norm(select(p.dx, 0, 1)), 0);
  EXPECT_GT(norm(select(p.dx, 0, 0)), 0);
}

TEST(Losses, LogitsThatAreInfinitelyFarApart) {
  const Pulled p =
      pulled(from_values<double>({0, -inf, 0, 1e308, -1e308, 0}, {2, 3}), [](const Tensor& x) {
        return cross_entropy(x, classes({2, 0}), {.reduction = Reduction::none});
      });
  EXPECT_EQ(p.loss.item({0}), std::log(2.0));
  EXPECT_EQ(p.loss.item({1}), 0);
  EXPECT_EQ(to_vector<double>(p.dx), (std::vector<double>{0.5, 0, -0.5, 0, 0, 0}));
}

TEST(Losses, FusedAndTwinAgree) {
  const Tensor x = random_normal({6, 17}, 3, 4), weight = arange(17, Dtype::float64, 0.1, 0.3);
  const Tensor t = classes({0, 16, -100, 5, 9, 2});
  const ClassOptions options{.weight = weight, .label_smoothing = 0.2};
  const Pulled a = pulled(x, [&](const Tensor& at) { return cross_entropy(at, t, options); });
  const Pulled b = pulled(x, [&](const Tensor& at) { return cross_entropy_twin(at, t, options); });
  EXPECT_LE(difference(a.loss, b.loss), 1e-15);
  EXPECT_LE(difference(a.dx, b.dx), 1e-14);
}

TEST(Losses, Errors) {
  const Tensor x = random_normal({2, 3});
  EXPECT_ERROR(mse_loss(x, random_normal({3, 2})), "mse_loss: x is [2,3] but target is [3,2]");
  EXPECT_ERROR(huber_loss(x, x, 0), "huber_loss: delta must be positive");
  EXPECT_ERROR(smooth_l1_loss(x, x, -1), "smooth_l1_loss: beta must not be negative");
  EXPECT_ERROR(binary_cross_entropy_with_logits(x, x, random_normal({4, 2, 3})), "pos_weight is");
  EXPECT_ERROR(cross_entropy(x, classes({0, 3})), "cross_entropy: target 3 is out of range 0..2");
  EXPECT_ERROR(nll_loss(x, classes({-1, 0})), "nll_loss: target -1 is out of range 0..2");
  EXPECT_ERROR(cross_entropy(x, classes({0})), "x is [2,3] but target is [1], not [2]");
  EXPECT_ERROR(cross_entropy(x, random_normal({2, 4})), "probabilities need x's shape");
  EXPECT_ERROR(cross_entropy(x, classes({0, 1}), {.label_smoothing = 1.5}), "label_smoothing");
  EXPECT_ERROR(nll_loss(x, classes({0, 1}), {.label_smoothing = 0.5}), "label_smoothing");
  EXPECT_ERROR(cross_entropy(x, classes({0, 1}), {.weight = row({1, 2})}),
               "weight is [2] for 3 classes");
  EXPECT_ERROR(cross_entropy(zeros({2, 0}), classes({0, 0})), "there are no classes");
  EXPECT_ERROR(cross_entropy(scalar(1), classes({0})), "of rank 0");
  EXPECT_ERROR(cosine_embedding_loss(x, x, classes({1})), "a is [2,3] and y is [1]");
  EXPECT_ERROR(layer_norm(x, {3}, ones({2}, Dtype::float64)), "layer_norm: weight is [2], not [3]");
  EXPECT_ERROR(layer_norm(x, {}), "layer_norm: x is [2,3]", "at least one");
  EXPECT_ERROR(layer_norm(x, {3}, {}, {}, -1), "eps");
  EXPECT_ERROR(embedding(x, classes({0, 2})), "embedding: index 2 is out of range 0..1");
  EXPECT_ERROR(embedding(x, classes({0}), 2), "padding_idx 2 is out of range for weight [2,3]");
  EXPECT_ERROR(embedding(row({1}), classes({0})), "embedding: weight is [1], not [V,E]");
}

}  // namespace
}  // namespace unroll::testing
