// All unknowns at once: roots, the prior's estimate against its formula, and what is refused.
#include "inversion/all_at_once.h"

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "inversion/first_order.h"
#include "inversion/linear_algebra.h"
#include "inversion/local_analysis.h"
#include "tests/testing.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

Facts last_state(Cell cell, std::int64_t I, std::int64_t H, std::int64_t T, std::uint64_t seed) {
  Random random(seed);
  return {Encoder({.cell = cell, .I = I, .H = H}, random, {.orthogonal = true}),
          observation("final"), T};
}

double error_of(const Tensor& a, const Tensor& b) { return amax(abs(a - b), {0, 1}).item(); }

TEST(AllAtOnce, FindsTheInputOfAGatedLastState) {
  const Facts facts = last_state(Cell::lstm, 1, 24, 10, 3);
  const Tensor x = Random(4).normal({1, 10}, 0, 1, f64);
  const AllAtOnce found = invert_all_at_once(facts, facts.of_unknowns(x), {.all_roots = true});
  ASSERT_EQ(found.roots.size(), 1U);  // fewer unknowns than facts: no other
  EXPECT_LT(error_of(found.row, x), 1e-9);
  EXPECT_NE(found.method, Method::none);
  EXPECT_EQ(found.starts, 40);
}

TEST(AllAtOnce, FindsEveryRootOfASquareSystem) {
  std::size_t most = 0;
  for (std::uint64_t seed = 1; seed <= 4; seed++) {
    const Facts facts = last_state(Cell::gru, 2, 6, 3, seed);
    const Tensor x = Random(seed).normal({1, 6}, 0, 1, f64), y = facts.of_unknowns(x);
    const AllAtOnce found = invert_all_at_once(facts, y, {.starts = 80, .all_roots = true});
    for (const Tensor& root : found.roots) EXPECT_LT(error_of(facts.of_unknowns(root), y), 1e-11);
    most = std::max(most, found.roots.size());
  }
  EXPECT_GE(most, 2U);
}

TEST(AllAtOnce, OfALinearEncoderTheMostProbableIsTheLinearEstimate) {
  const Facts facts = last_state(Cell::linear, 1, 5, 9, 5);
  const Prior prior = Prior::of_samples(Random(6).normal({60, 9}, 1, 2, f64));
  const Tensor x = Random(7).normal({1, 9}, 1, 2, f64), y = facts.of_unknowns(x);
  const Tensor zero = zeros({1, 9}, f64);
  // Sigma C^T (C Sigma C^T)^-1 (y - C mean - b)
  const LocalAnalysis local = analyse(facts, zero);
  const Tensor C = pseudo_inverse(local.pseudo_inverse);
  const Tensor shared = matmul(C, prior.covariance);
  const Tensor off = y - facts.of_unknowns(unsqueeze(prior.mean, 0));
  const Tensor weights = solve_spd(matmul(shared, transpose(C, 0, 1)), transpose(off, 0, 1));
  const Tensor want =
      unsqueeze(prior.mean, 0) + transpose(matmul(transpose(shared, 0, 1), weights), 0, 1);
  EXPECT_LT(error_of(map_estimate(facts, y, prior, 1e-7), want), 1e-5);
}

TEST(AllAtOnce, GradientsAloneComeCloseWhereTheConditionIsSmall) {
  const Facts facts = last_state(Cell::tanh, 1, 32, 8, 8);
  const Tensor x = Random(9).normal({1, 8}, 0, 1, f64), y = facts.of_unknowns(x);
  const Tensor zero = zeros({1, 8}, f64);
  EXPECT_LT(error_of(lbfgs(facts, y, zero), x), 1e-7);
  EXPECT_LT(error_of(adam_descent(facts, y, zero), x), 1e-5);
  EXPECT_GT(error_of(adam_descent(facts, y, zero, {.iterations = 5}), x), 1e-2);
}

TEST(AllAtOnce, RefusesWhatDoesNotFit) {
  const Facts facts = last_state(Cell::gru, 1, 4, 3, 1);
  const Tensor y = zeros({1, 4}, f64);
  EXPECT_ERROR(invert_all_at_once(facts, zeros({2, 4}, f64)), "[1,4]", "not [2,4]");
  EXPECT_ERROR(invert_all_at_once(facts, y, {.start = zeros({1, 2}, f64)}), "the start is [1,2]");
  EXPECT_ERROR(Prior::of_samples(ones({5, 3}, f64)), "all the same");
  EXPECT_ERROR(map_estimate(facts, y, {zeros({2}, f64), eye(2, f64)}), "the prior is of [2]");
}

}  // namespace
}  // namespace unroll
