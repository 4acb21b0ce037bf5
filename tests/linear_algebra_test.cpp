// Decompositions against their definitions, of tall, wide and deficient matrices.
#include "inversion/linear_algebra.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "core/view.h"
#include "tests/testing.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

double largest(const Tensor& x) {
  double most = 0;
  for (const double v : to_vector<double>(x)) most = std::max(most, std::abs(v));
  return most;
}
Tensor transposed(const Tensor& a) { return view::transpose(a, 0, 1); }

// Small and beyond the size at which the method changes; of rank 3.
TEST(LinearAlgebra, SvdIsTheMatrix) {
  Random random(1);
  for (const auto& [m, n] :
       {std::pair<std::int64_t, std::int64_t>{7, 4}, {4, 7}, {80, 60}, {60, 80}, {5, 5}}) {
    const Tensor full_rank = random.normal({m, n}, 0, 1, f64);
    const Tensor deficient =
        matmul(random.normal({m, 3}, 0, 1, f64), random.normal({3, n}, 0, 1, f64));
    for (const Tensor& a : {full_rank, deficient}) {
      const Svd s = svd(a);
      EXPECT_LT(largest(matmul(s.u * s.s, transposed(s.v)) - a), 1e-12);
      EXPECT_LT(largest(singular_values(a) - s.s), 1e-12);
      const std::int64_t k = std::min(m, n);
      EXPECT_LT(largest(matmul(transposed(s.v), s.v) - eye(k, f64)), 1e-13);
    }
    EXPECT_EQ(numerical_rank(singular_values(full_rank), m, n), std::min(m, n));
    EXPECT_EQ(numerical_rank(singular_values(deficient), m, n), 3);
    const Tensor null = null_space(deficient);
    EXPECT_EQ(null.shape(), (Shape{n, n - 3}));
    EXPECT_LT(largest(matmul(deficient, null)), 1e-11);
    const Tensor inverse = pseudo_inverse(deficient, 1e-10);
    EXPECT_LT(largest(matmul(matmul(deficient, inverse), deficient) - deficient), 1e-11);
  }
}

TEST(LinearAlgebra, SolversMeetTheirEquations) {
  Random random(2);
  const Tensor a = random.normal({9, 4}, 0, 1, f64), b = random.normal({9, 2}, 0, 1, f64);
  const Tensor x = least_squares(a, b);
  EXPECT_LT(largest(matmul(transposed(a), matmul(a, x) - b)), 1e-13);
  EXPECT_EQ(least_squares(a, view::select(b, 1, 0)).shape(), (Shape{4}));
  const Tensor spd = matmul(transposed(a), a), square = random.normal({4, 4}, 0, 1, f64);
  const Tensor right = random.normal({4, 3}, 0, 1, f64);
  EXPECT_LT(largest(matmul(spd, solve_spd(spd, right)) - right), 1e-12);
  EXPECT_LT(largest(matmul(square, solve(square, right)) - right), 1e-12);
  const Tensor L = cholesky(spd);
  EXPECT_LT(largest(matmul(L, transposed(L)) - spd), 1e-13);
  EXPECT_EQ(L.item({0, 3}), 0);
}

TEST(LinearAlgebra, EigenvaluesAreThoseOfKnownMatrices) {
  const Tensor turn = from_values<double>({0, -2, 2, 0}, {2, 2});
  EXPECT_NEAR(spectral_radius(turn), 2, 1e-14);
  EXPECT_NEAR(std::abs(eigenvalues(turn)[0].imag()), 2, 1e-14);
  const SymmetricEigen e = symmetric_eigen(from_values<double>({2, 1, 1, 2}, {2, 2}));
  EXPECT_NEAR(e.values.item({0}), 1, 1e-14);
  EXPECT_NEAR(e.values.item({1}), 3, 1e-14);
  const Tensor a = Random(3).normal({5, 5}, 0, 1, f64);
  const OrthogonalTriangular f = qr(a);
  const Tensor R = matmul(transposed(f.q), a);
  for (std::int64_t i = 0; i < 5; i++) {
    EXPECT_NEAR(R.item({i, i}), f.diagonal.item({i}), 1e-13);
    EXPECT_GT(f.diagonal.item({i}), 0);
    for (std::int64_t j = 0; j < i; j++) EXPECT_NEAR(R.item({i, j}), 0, 1e-13);
  }
}

TEST(LinearAlgebra, ConditionIsLargestOverSmallest) {
  EXPECT_EQ(condition(from_values<double>({8, 2}, {2})), 4);
  EXPECT_TRUE(std::isinf(condition(from_values<double>({8, 0}, {2}))));
  EXPECT_EQ(condition(empty({0}, f64)), 1);
}

TEST(LinearAlgebra, RefusesWhatIsNoSuchMatrix) {
  const Tensor nan = full({2, 2}, std::numeric_limits<double>::quiet_NaN(), f64);
  EXPECT_ERROR(svd(nan), "NaN or infinity");
  EXPECT_ERROR(svd(ones({2})), "matrix [m,n] of float64");
  EXPECT_ERROR(eigenvalues(ones({2, 3}, f64)), "not square");
  EXPECT_ERROR(least_squares(ones({3, 2}, f64), ones({2}, f64)), "has 3 rows");
  EXPECT_ERROR(cholesky(full({1, 1}, -1, f64)), "not positive definite");
  EXPECT_ERROR(solve(zeros({2, 2}, f64), ones({2}, f64)), "singular");
}

}  // namespace
}  // namespace unroll
