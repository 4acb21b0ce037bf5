#include "inversion/matrix_free.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "core/parallel.h"
#include "core/view.h"
#include "inversion/linear_algebra.h"
#include "inversion/local_analysis.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

double largest(const Tensor& x) {
  return amax(abs(view::reshape(contiguous_copy(x), {x.numel()})), {0}).item();
}

// [m,n] of these singular values.
Tensor with_spectrum(std::int64_t m, std::int64_t n, const std::vector<double>& s) {
  Random random(7);
  const std::int64_t k = static_cast<std::int64_t>(s.size());
  const Tensor u = slice(qr(random.normal({m, m}, 0, 1, f64)).q, 1, 0, k);
  const Tensor v = slice(qr(random.normal({n, n}, 0, 1, f64)).q, 1, 0, k);
  return matmul(u * from_values<double>(s, {k}), transpose(v, 0, 1));
}

Tensor noise(const Shape& shape, std::uint64_t seed) {
  return Random(seed).normal(shape, 0, 1, f64);
}

Facts gru_facts(std::int64_t T) {
  Random random(2);
  const Encoder encoder({.cell = Cell::gru, .I = 2, .H = 5, .layers = 2, .bidirectional = true},
                        random);
  return {encoder, observation("all"), T};
}

TEST(Lsmr, SolvesLeastSquaresForSeveralRightSides) {
  const Tensor a = noise({30, 12}, 1), b = noise({3, 30}, 2);
  const LsmrResult found = lsmr(map_of(a), b);
  const Tensor wanted = transpose(least_squares(a, transpose(b, 0, 1)), 0, 1);
  EXPECT_LT(largest(found.x - wanted), 1e-12);
  EXPECT_EQ(found.converged, std::vector<bool>(3, true));
  EXPECT_LE(found.iterations, 13) << "orthogonal vectors: no more steps than unknowns";
}

TEST(Lsmr, DampingIsThatOfTheAugmentedSystem) {
  const Tensor a = noise({20, 8}, 3), b = noise({1, 20}, 4);
  const Tensor more = cat({a, eye(8, f64) * 0.7}, 0), zero = zeros({1, 8}, f64);
  const Tensor wanted = least_squares(more, transpose(cat({b, zero}, 1), 0, 1));
  const LsmrResult found = lsmr(map_of(a), b, {.damping = 0.7});
  EXPECT_LT(largest(found.x - transpose(wanted, 0, 1)), 1e-12);
}

TEST(Lsmr, OfManySolutionsTheShortest) {
  const Tensor a = noise({6, 15}, 5), b = noise({1, 6}, 6);
  const LsmrResult found = lsmr(map_of(a), b);
  const Tensor wanted = matmul(b, transpose(pseudo_inverse(a), 0, 1));
  EXPECT_LT(largest(found.x - wanted), 1e-12);
}

TEST(Lsmr, SaysWhereTheIterationsRanOut) {
  const Tensor a = with_spectrum(20, 20, {1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5});
  const LsmrResult found =
      lsmr(map_of(a), noise({1, 20}, 6), {.tolerance = 1e-20, .iterations = 3});
  EXPECT_EQ(found.converged, std::vector<bool>{false});
  EXPECT_EQ(found.iterations, 3);
  EXPECT_ERROR(lsmr(map_of(a), noise({1, 7}, 6)), "lsmr", "[K,20]", "[1,7]");
  EXPECT_EQ(largest(lsmr(map_of(a), zeros({1, 20}, f64)).x), 0);
}

TEST(ExtremeSingularValues, AreThoseOfTheMatrix) {
  std::vector<double> s;
  for (int i = 0; i < 40; i++) s.push_back(std::pow(10, -i / 20.0));
  const ExtremeValues ends = extreme_singular_values(map_of(with_spectrum(60, 40, s)));
  EXPECT_NEAR(ends.largest, 1, 1e-13);
  EXPECT_NEAR(ends.smallest, s.back(), 1e-13);
  EXPECT_TRUE(ends.converged);
  EXPECT_NEAR(ends.condition(), 1 / s.back(), 1e-9);
}

TEST(ExtremeSingularValues, FewStepsBoundTheSmallestFromAboveAndSaySo) {
  std::vector<double> s;
  for (int i = 0; i < 80; i++) s.push_back(std::pow(10, -i / 20.0));
  const Tensor a = with_spectrum(80, 80, s);
  const ExtremeValues ends = extreme_singular_values(map_of(a), 10);
  EXPECT_FALSE(ends.converged);
  EXPECT_GT(ends.smallest, s.back());
  EXPECT_NEAR(ends.largest, 1, ends.largest_error + 1e-14);
}

// The entropy of the whole spectrum from few steps: of many equal values, n; of a decaying one, the
// exact number.
TEST(ExtremeSingularValues, EffectiveRank) {
  EXPECT_NEAR(extreme_singular_values(map_of(eye(50, f64))).effective_rank, 50, 1e-9);
  std::vector<double> s;
  double total = 0, entropy = 0;
  for (int i = 0; i < 200; i++) s.push_back(1 / (1 + 0.05 * i)), total += s.back();
  for (const double value : s) entropy -= value / total * std::log(value / total);
  const ExtremeValues ends = extreme_singular_values(map_of(with_spectrum(200, 200, s)), 60);
  EXPECT_NEAR(ends.effective_rank / std::exp(entropy), 1, 0.1);
}

TEST(JacobianAt, ProductsAreThoseOfTheJacobian) {
  const Facts facts = gru_facts(6);
  const Tensor row = noise({1, facts.unknowns()}, 8);
  JacobianAt at(facts, row);
  const LinearMap map = at.map();
  const Tensor v = noise({3, map.n}, 9), u = noise({3, map.m}, 10);
  const Tensor jv = map.apply(v), jtu = map.transposed(u);
  EXPECT_EQ(jv.shape(), (Shape{3, facts.count()}));
  EXPECT_LT(largest(sum(jv * u, {1}) - sum(jtu * v, {1})), 1e-12);
  const double h = 1e-6;
  const Tensor step = contiguous_copy(view::slice(v, 0, 0, 1)) * h;
  const Tensor slope = (facts.of_unknowns(row + step) - facts.of_unknowns(row - step)) / (2 * h);
  EXPECT_LT(largest(view::slice(jv, 0, 0, 1) - slope), 1e-8);
  EXPECT_ERROR(JacobianAt(facts, noise({1, 3}, 1)), "[1,12]");
}

TEST(SampledAnalysis, GainsAreThoseOfTheDenseAnalysis) {
  const Facts facts = gru_facts(10);
  const Tensor row = noise({1, facts.unknowns()}, 8);
  const LocalAnalysis dense = analyse(facts, row);
  JacobianAt at(facts, row);
  const ExtremeValues ends = extreme_singular_values(at.map());
  EXPECT_NEAR(ends.condition() / dense.condition, 1, 1e-6);
  const SampledAnalysis sampled = analyse_by_samples(at.map(), ends.largest, 2, {}, 64);
  EXPECT_TRUE(sampled.converged);
  EXPECT_FALSE(sampled.deficient);
  EXPECT_LT(largest(sampled.lost), 1e-12);
  for (std::int64_t i = 0; i < facts.unknowns(); i++)
    EXPECT_GT(sampled.gain.item({i}), 0.6 * dense.gain.item({i}));
  const double exact = std::sqrt(sum(square(dense.gain)).item());
  EXPECT_NEAR(sampled.inverse_norm / exact, 1, 0.3);
}

TEST(SampledAnalysis, WhatIsLostIsFoundAndProved) {
  Random random(2);
  const Encoder encoder({.cell = Cell::lstm, .I = 2, .H = 5}, random);
  Observation seen;
  seen.initial_known = false;  // x_1 is lost: CLAIMS 10
  const Facts facts(encoder, seen, 6);
  JacobianAt at(facts, noise({1, facts.unknowns()}, 8) * 0.3);
  const ExtremeValues ends = extreme_singular_values(at.map());
  const SampledAnalysis sampled = analyse_by_samples(at.map(), ends.largest, 2);
  EXPECT_TRUE(sampled.deficient);
  EXPECT_NEAR(sampled.null_dimension, 2, 1.5);
  EXPECT_GT(sampled.lost.item({0}), 1e-4);
  EXPECT_GT(sampled.lost.item({1}), 1e-4);
  EXPECT_LT(largest(view::slice(sampled.lost, 0, 2, 12)), 1e-12) << "x_2 .. x_6 are not lost";
}

TEST(LevenbergMarquardtMatrixFree, FindsTheInputOfALargeProblem) {
  const Facts facts = gru_facts(40);
  const Tensor truth = noise({1, facts.unknowns()}, 11), y = facts.of_unknowns(truth);
  const MatrixFreeResult found =
      levenberg_marquardt_matrix_free(facts, y, zeros({1, facts.unknowns()}, f64));
  EXPECT_LT(found.residual, 1e-14);
  EXPECT_LT(largest(found.row - truth), 1e-11);
  EXPECT_EQ(is_recording(), false);
  const int threads = num_threads();
  set_num_threads(1);
  const MatrixFreeResult again =
      levenberg_marquardt_matrix_free(facts, y, zeros({1, facts.unknowns()}, f64));
  set_num_threads(threads);
  EXPECT_EQ(largest(found.row - again.row), 0) << "results do not depend on the threads";
  EXPECT_ERROR(levenberg_marquardt_matrix_free(facts, truth, truth), "facts [1,400]");
}

}  // namespace
}  // namespace unroll
