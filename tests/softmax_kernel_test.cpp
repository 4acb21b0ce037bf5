#include "kernels/softmax.h"

#include <algorithm>

#include "tests/kernel_testing.h"

namespace unroll {
namespace {

using namespace unroll::testing;

template <class T>
class SoftmaxKernel : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(SoftmaxKernel, Reals);

struct Case {
  std::int64_t rows, n;
};
const Case cases[] = {{1, 1}, {3, 7}, {5, 16}, {2, 33}, {4, 9}, {2, 100}, {0, 3}, {3, 0}};

template <class T>
std::vector<T> scaled(std::int64_t count, double scale) {
  std::vector<T> x = normals<T>(count, 1);
  for (T& value : x) value *= T(scale);
  return x;
}

SoftmaxShape shape_of(const Case& c, bool log, std::int64_t directions = 1) {
  return {.rows = c.rows, .n = c.n, .log = log, .directions = directions};
}

TYPED_TEST(SoftmaxKernel, Values) {
  using T = TypeParam;
  const double tolerance = 16 * double(std::numeric_limits<T>::epsilon());
  for_each_isa([&] {
    for (const Case& c : cases) {
      for (const double scale : {1.0, 100.0}) {
        for (const bool log : {false, true}) {
          const std::vector<T> x = scaled<T>(c.rows * c.n, scale);
          std::vector<T> y(x.size(), T(nan));
          cpu::softmax<T>(shape_of(c, log), {.x = x.data(), .y = y.data()});
          for (std::int64_t row = 0; row < c.rows; row++) {
            const T* in = x.data() + row * c.n;
            double shift = -infinity, sum = 0;
            for (std::int64_t j = 0; j < c.n; j++) shift = std::max(shift, double(in[j]));
            for (std::int64_t j = 0; j < c.n; j++) sum += std::exp(double(in[j]) - shift);
            for (std::int64_t j = 0; j < c.n; j++) {
              const double logit = double(in[j]) - shift - std::log(sum);
              const double want = log ? logit : std::exp(logit);
              EXPECT_NEAR(y[std::size_t(row * c.n + j)], want, tolerance * (1 + std::fabs(want)))
                  << row << "," << j;
            }
          }
        }
      }
    }
  });
}

TYPED_TEST(SoftmaxKernel, Extremes) {
  using T = TypeParam;
  for_each_isa([] {
    const std::vector<T> x{300, -300, 0, T(-infinity), 1000, 1000, T(-infinity), T(-infinity)};
    std::vector<T> y(8);
    cpu::softmax<T>({.rows = 2, .n = 4}, {.x = x.data(), .y = y.data()});
    EXPECT_EQ(y, (std::vector<T>{1, y[1], y[2], 0, T(0.5), T(0.5), 0, 0}));
    EXPECT_LT(y[1] + y[2], 1e-30);
    cpu::softmax<T>({.rows = 2, .n = 4, .log = true}, {.x = x.data(), .y = y.data()});
    EXPECT_EQ(y[1], -600);
    EXPECT_EQ(y[3], T(-infinity));
    const std::vector<T> bad{1, T(nan), 2};
    y.resize(3);
    cpu::softmax<T>({.rows = 1, .n = 3}, {.x = bad.data(), .y = y.data()});
    EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[1]) && std::isnan(y[2]));
  });
}

// The Jacobian of a row is p_i (d_ij - p_j), or d_ij - p_j for the logarithm; the pull is its
// transpose.
TYPED_TEST(SoftmaxKernel, LinearMapsAreTheJacobianAndItsTranspose) {
  using T = TypeParam;
  const std::int64_t K = 3;
  const double tolerance = 64 * double(std::numeric_limits<T>::epsilon());
  for_each_isa([&] {
    for (const Case& c : cases) {
      for (int variant = 0; variant < 8; variant++) {
        const bool log = variant & 1, pull = variant & 2;
        const double beta = variant & 4 ? 0.5 : 0;
        const std::vector<T> x = normals<T>(c.rows * c.n, 1), u = normals<T>(K * c.rows * c.n, 2);
        std::vector<T> y(x.size()), v(u.size(), beta == 0 ? T(nan) : T(2));
        const SoftmaxShape s = shape_of(c, log, K);
        cpu::softmax<T>(s, {.x = x.data(), .y = y.data()});
        (pull ? cpu::softmax_pull<T>
              : cpu::softmax_push<T>)(s,
                                      {.y = y.data(), .u = u.data(), .v = v.data(), .beta = beta});
        for (std::int64_t i = 0; i < K * c.rows; i++) {
          const std::int64_t row = i % c.rows;
          const auto p = [&](std::int64_t j) {
            const double value = double(y[std::size_t(row * c.n + j)]);
            return log ? std::exp(value) : value;
          };
          for (std::int64_t j = 0; j < c.n; j++) {
            double want = 0;
            for (std::int64_t k = 0; k < c.n; k++) {
              const double of = pull ? p(j) : p(k), delta = j == k ? 1 : 0;
              const double slope = log ? delta - of : p(j) * (delta - p(k));
              want += slope * double(u[std::size_t(i * c.n + k)]);
            }
            EXPECT_NEAR(v[std::size_t(i * c.n + j)], want + 2 * beta,
                        tolerance * (1 + std::fabs(want)));
          }
        }
      }
    }
  });
}

TYPED_TEST(SoftmaxKernel, SameBitsForAnyNumberOfThreads) {
  using T = TypeParam;
  const std::vector<T> x = normals<T>(300 * 401, 1);
  for_each_isa([&] {
    std::vector<T> first;
    for_each_thread_count([&](int threads) {
      std::vector<T> y(x.size());
      cpu::softmax<T>({.rows = 300, .n = 401}, {.x = x.data(), .y = y.data()});
      if (threads == 1) first = y;
      EXPECT_TRUE(same_bits(first, y));
    });
  });
}

}  // namespace
}  // namespace unroll
