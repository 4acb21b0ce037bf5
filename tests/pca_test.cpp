// Principal components against what they must be: exact on data of their rank, and leaving on the
// data they were fitted to just the variance of the directions left out.
#include "models/pca.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "core/random.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

double squares(const Tensor& x) { return sum(square(x)).item(); }

// [count,T,C] of the given rank, about a mean that is not zero.
Tensor low_rank(std::int64_t count, std::int64_t T, std::int64_t C, std::int64_t rank) {
  Random random(3);
  const Tensor codes = random.normal({count, rank}, 0, 1, Dtype::float64);
  const Tensor directions = random.normal({rank, T * C}, 0, 1, Dtype::float64);
  const Tensor mean = random.normal({1, T * C}, 5, 1, Dtype::float64);
  return reshape(matmul(codes, directions) + mean, {count, T, C});
}

TEST(Pca, IsExactOnDataOfItsRank) {
  for (const std::int64_t count : {100, 7}) {  // more and fewer windows than numbers in one
    const Tensor x = low_rank(count, 5, 2, 3);
    const Pca pca(x, 3);
    EXPECT_EQ(pca.components(), 3);
    EXPECT_LE(squares(pca.reconstruct(x) - x), 1e-18 * squares(x));
    EXPECT_GT(squares(Pca(x, 2).reconstruct(x) - x), 1e-3);
    EXPECT_LE(squares(Pca(x, 10).reconstruct(x) - x), 1e-18 * squares(x)) << "more than the rank";
  }
}

TEST(Pca, LeavesTheVarianceOfTheOtherDirections) {
  for (const std::int64_t count : {60, 8}) {
    const Tensor x = Random(1).normal({count, 4, 3}, 2, 1, Dtype::float64);
    const Pca all(x, 12), some(x, 5);
    double left = 0;
    for (std::int64_t i = 5; i < all.components(); i++) left += all.variances().item({i});
    const double error = squares(some.reconstruct(x) - x) / static_cast<double>(count);
    EXPECT_NEAR(error, left, 1e-10 * left);
    const Tensor V = all.directions();
    const Tensor gram = matmul(V, transpose(V, 0, 1));
    EXPECT_LE(squares(gram - eye(all.components(), Dtype::float64)), 1e-20) << "orthonormal";
    for (std::int64_t i = 1; i < all.components(); i++)
      EXPECT_LE(all.variances().item({i}), all.variances().item({i - 1}));
  }
}

TEST(Pca, ReconstructsWindowsItHasNotSeen) {
  const Tensor x = low_rank(50, 3, 2, 2);
  const Pca pca(slice(x, 0, 0, 40), 2);
  const Tensor held_out = slice(x, 0, 40, 50);
  EXPECT_LE(squares(pca.reconstruct(held_out) - held_out), 1e-18 * squares(held_out));
  EXPECT_EQ(pca.reconstruct(to(held_out, Dtype::float32)).dtype(), Dtype::float64);
}

TEST(Pca, OneWindowIsItsOwnMean) {
  const Tensor x = low_rank(1, 3, 2, 2);
  const Pca pca(x, 4);
  EXPECT_EQ(pca.components(), 0);
  EXPECT_LE(squares(pca.reconstruct(x) - x), 1e-24);
}

TEST(Pca, Errors) {
  const Tensor x = low_rank(9, 3, 2, 2);
  EXPECT_ERROR(Pca(x, 0), "0 components", "1 to 6");
  EXPECT_ERROR(Pca(x, 7), "7 components");
  EXPECT_ERROR(Pca(zeros({3, 4}), 1), "[count,T,C]");
  EXPECT_ERROR(Pca(zeros({0, 3, 2}), 1), "no window");
  EXPECT_ERROR(Pca(full({2, 3, 2}, std::nan("")), 1), "NaN");
  EXPECT_ERROR(Pca(x, 2).reconstruct(zeros({1, 2, 3})), "[1,2,3]", "3,2");
}

}  // namespace
}  // namespace unroll
