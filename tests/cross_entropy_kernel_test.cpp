#include "kernels/cross_entropy.h"

#include "tests/kernel_testing.h"

namespace unroll {
namespace {

using namespace unroll::testing;

template <class T>
class CrossEntropyKernel : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(CrossEntropyKernel, Reals);

// Rows x with targets t, run once; the linear maps for a cotangent or tangent of ones.
template <class T>
struct Run {
  std::vector<T> loss, shift, log_sum, dx, dloss;

  Run(std::int64_t n, const std::vector<T>& x, const std::vector<std::int64_t>& t,
      double smoothing = 0, const T* weight = nullptr) {
    const std::size_t rows = t.size();
    loss.resize(rows), shift.resize(rows), log_sum.resize(rows), dloss.resize(rows);
    dx.assign(x.size(), T(nan));
    const CrossEntropyShape shape{.rows = std::int64_t(rows), .n = n, .smoothing = smoothing};
    cpu::cross_entropy<T>(shape, {.x = x.data(),
                                  .target = t.data(),
                                  .weight = weight,
                                  .loss = loss.data(),
                                  .shift = shift.data(),
                                  .log_sum = log_sum.data()});
    const std::vector<T> ones(x.size(), T(1));
    CrossEntropyLinear<T> linear{.x = x.data(),
                                 .target = t.data(),
                                 .weight = weight,
                                 .shift = shift.data(),
                                 .log_sum = log_sum.data(),
                                 .u = ones.data(),
                                 .v = dx.data()};
    cpu::cross_entropy_pull<T>(shape, linear);
    linear.v = dloss.data();
    cpu::cross_entropy_push<T>(shape, linear);
  }
};

TYPED_TEST(CrossEntropyKernel, Extremes) {
  using T = TypeParam;
  for_each_isa([] {
    const T inf = T(infinity);
    const Run<T> r(3, {1000, -1000, 0, 1000, -1000, 0, -1000, -1000, -1000, 0, -inf, 0},
                   {0, 1, 2, 0});
    EXPECT_EQ(r.loss[0], 0);
    EXPECT_EQ(r.loss[1], 2000);
    EXPECT_NEAR(double(r.loss[2]), std::log(3.0), 1e-6)
        << "a tail that would overflow if not padded";
    EXPECT_NEAR(double(r.loss[3]), std::log(2.0), 1e-6) << "a class that cannot be";
    EXPECT_EQ((std::vector<T>(r.dx.begin(), r.dx.begin() + 6)),
              (std::vector<T>{0, 0, 0, 1, -1, 0}));
    EXPECT_EQ(r.dx[10], 0);
    for (const T v : r.dloss)
      EXPECT_NEAR(double(v), 0, 1e-6) << "a shift of all logits does nothing";
  });
}

TYPED_TEST(CrossEntropyKernel, ARowThatIsIgnoredIsNeverSeen) {
  using T = TypeParam;
  for_each_isa([] {
    const Run<T> r(2, {T(nan), T(infinity), 0, 0}, {-100, 1}, 0.25);
    EXPECT_EQ(r.loss[0], 0);
    EXPECT_EQ(r.dx[0], 0);
    EXPECT_EQ(r.dx[1], 0);
    EXPECT_EQ(r.dloss[0], 0);
    EXPECT_NEAR(double(r.loss[1]), std::log(2.0), 1e-6);
    const Run<T> bad(2, {T(nan), 0}, {1});
    EXPECT_TRUE(std::isnan(bad.loss[0]) && std::isnan(bad.dx[0]));
  });
}

// A class of weight 0 may have a logit of -infinity even where the target is smeared over all.
TYPED_TEST(CrossEntropyKernel, ClassesOfNoWeight) {
  using T = TypeParam;
  for_each_isa([] {
    const std::vector<T> weight{1, 0, 2};
    const Run<T> r(3, {0, T(-infinity), 0}, {2}, 0.3, weight.data());
    EXPECT_NEAR(double(r.loss[0]), (0.7 * 2 + 0.1 * 3) * std::log(2.0), 1e-6);
    EXPECT_EQ(r.dx[1], 0);
  });
}

// Every length of row, against the definition; cotangents of 2 directions, added to 1/2.
TYPED_TEST(CrossEntropyKernel, RowsOfEveryLength) {
  using T = TypeParam;
  const double tolerance = 64 * double(std::numeric_limits<T>::epsilon());
  for_each_isa([&] {
    for (std::int64_t n = 1; n < 36; n++) {
      const std::vector<T> x = normals<T>(2 * n, unsigned(n)), u{2, -1, 0.5, 3};
      const std::vector<std::int64_t> t{n - 1, n / 2};
      const Run<T> r(n, x, t, 0.2);
      std::vector<T> dx(std::size_t(4 * n), T(0.5));
      cpu::cross_entropy_pull<T>({.rows = 2, .n = n, .smoothing = 0.2, .directions = 2},
                                 {.x = x.data(),
                                  .target = t.data(),
                                  .shift = r.shift.data(),
                                  .log_sum = r.log_sum.data(),
                                  .u = u.data(),
                                  .v = dx.data(),
                                  .beta = 2});
      for (std::int64_t row = 0; row < 2; row++) {
        const auto at = [&](std::int64_t c) { return double(x[std::size_t(row * n + c)]); };
        double sum = 0, loss = 0;
        for (std::int64_t c = 0; c < n; c++) sum += std::exp(at(c));
        for (std::int64_t c = 0; c < n; c++) {
          const double q = 0.8 * (c == t[std::size_t(row)]) + 0.2 / double(n);
          loss -= q * (at(c) - std::log(sum));
          for (std::int64_t k = 0; k < 2; k++)
            ASSERT_NEAR(double(dx[std::size_t((k * 2 + row) * n + c)]),
                        1 + double(u[std::size_t(k * 2 + row)]) * (std::exp(at(c)) / sum - q),
                        tolerance)
                << n;
        }
        ASSERT_NEAR(double(r.loss[std::size_t(row)]), loss, tolerance * 4) << n;
      }
    }
  });
}

}  // namespace
}  // namespace unroll
