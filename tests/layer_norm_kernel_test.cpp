#include "kernels/layer_norm.h"

#include "tests/kernel_testing.h"

namespace unroll {
namespace {

using namespace unroll::testing;

template <class T>
class LayerNormKernel : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(LayerNormKernel, Reals);

template <class T>
constexpr double epsilon = double(std::numeric_limits<T>::epsilon());

// Rows whose lengths meet whole vectors and every tail, with a mean that dwarfs the deviations:
// quarters lie on the grid of T around 2^20, or 2^49, but their mean does not.
TYPED_TEST(LayerNormKernel, ALargeMeanCostsNoDigits) {
  using T = TypeParam;
  const double offset = sizeof(T) == 4 ? 0x1p20 : 0x1p49;
  for_each_isa([&] {
    for (std::int64_t n = 2; n < 40; n++) {
      std::vector<T> x(std::size_t(2 * n)), y(x.size()), mean(2), low(2), inv_sd(2);
      std::vector<double> exact(x.size());
      for (std::size_t i = 0; i < x.size(); i++) {
        exact[i] = double((i * 7) % 5) / 4;
        x[i] = T(offset + exact[i]);
      }
      cpu::layer_norm<T>({.rows = 2, .n = n, .eps = 0}, {.x = x.data(),
                                                         .y = y.data(),
                                                         .mean = mean.data(),
                                                         .mean_low = low.data(),
                                                         .inv_sd = inv_sd.data()});
      for (std::int64_t row = 0; row < 2; row++) {
        const double* at = exact.data() + row * n;
        double m = 0, variance = 0;
        for (std::int64_t i = 0; i < n; i++) m += at[i] / double(n);
        for (std::int64_t i = 0; i < n; i++) variance += (at[i] - m) * (at[i] - m) / double(n);
        for (std::int64_t i = 0; i < n; i++)
          ASSERT_NEAR(double(y[std::size_t(row * n + i)]), (at[i] - m) / std::sqrt(variance),
                      64 * epsilon<T>)
              << n << ": " << i;
      }
    }
  });
}

// The reference of all three passes, by the definitions, in double.
struct Problem {
  std::int64_t rows, n, K;
  std::vector<double> x, weight, bias, mean, inv_sd;

  double z(std::int64_t row, std::int64_t i) const {
    return (x[std::size_t(row * n + i)] - mean[std::size_t(row)]) * inv_sd[std::size_t(row)];
  }
};

template <class T>
std::vector<double> wide(const std::vector<T>& x) {
  return {x.begin(), x.end()};
}

// inv_sd (g - mean(g) - z mean(g z)) of one row.
std::vector<double> centred(const Problem& p, std::int64_t row, const std::vector<double>& g) {
  double sum = 0, with_z = 0;
  for (std::int64_t i = 0; i < p.n; i++)
    sum += g[std::size_t(i)], with_z += g[std::size_t(i)] * p.z(row, i);
  std::vector<double> v(g.size());
  for (std::int64_t i = 0; i < p.n; i++)
    v[std::size_t(i)] = p.inv_sd[std::size_t(row)] * (g[std::size_t(i)] - sum / double(p.n) -
                                                      p.z(row, i) * with_z / double(p.n));
  return v;
}

TYPED_TEST(LayerNormKernel, ForwardPullAndPushAreTheirDefinitions) {
  using T = TypeParam;
  for_each_isa([] {
    for (const std::int64_t n : {1, 5, 16, 33, 131}) {
      const std::int64_t rows = 67, K = 2;
      const std::vector<T> x = normals<T>(rows * n, 1), w = normals<T>(n, 2), b = normals<T>(n, 3);
      std::vector<T> y(x.size()), mean(rows), low(rows), inv_sd(rows);
      const LayerNormShape shape{.rows = rows, .n = n, .eps = 0.1, .directions = K};
      cpu::layer_norm<T>(shape, {.x = x.data(),
                                 .weight = w.data(),
                                 .bias = b.data(),
                                 .y = y.data(),
                                 .mean = mean.data(),
                                 .mean_low = low.data(),
                                 .inv_sd = inv_sd.data()});
      const Problem p{rows, n, K, wide(x), wide(w), wide(b), wide(mean), wide(inv_sd)};
      const double tolerance = 256 * epsilon<T>;
      const std::vector<T> u = normals<T>(K * rows * n, 4), tw = normals<T>(K * n, 5),
                           tb = normals<T>(K * n, 6);
      // What is added to: 1 everywhere, with weights 0 (written over), 0.5 and 2.
      std::vector<T> dx(u.size(), T(nan)), dw(std::size_t(K * n), T(1)), db(dw),
          ty(u.size(), T(nan));
      cpu::layer_norm_pull<T>(shape, {.x = x.data(),
                                      .weight = w.data(),
                                      .mean = mean.data(),
                                      .mean_low = low.data(),
                                      .inv_sd = inv_sd.data(),
                                      .u = u.data(),
                                      .dx = dx.data(),
                                      .dweight = dw.data(),
                                      .dbias = db.data(),
                                      .beta_weight = 0.5,
                                      .beta_bias = 2});
      cpu::layer_norm_push<T>(shape, {.x = x.data(),
                                      .weight = w.data(),
                                      .mean = mean.data(),
                                      .mean_low = low.data(),
                                      .inv_sd = inv_sd.data(),
                                      .tx = u.data(),
                                      .tweight = tw.data(),
                                      .tbias = tb.data(),
                                      .ty = ty.data()});
      for (std::int64_t k = 0; k < K; k++) {
        std::vector<double> want_dw(std::size_t(n), 0.5), want_db(std::size_t(n), 2);
        for (std::int64_t row = 0; row < rows; row++) {
          std::vector<double> g, t;
          for (std::int64_t i = 0; i < n; i++) {
            const double at = u[std::size_t((k * rows + row) * n + i)];
            g.push_back(at * p.weight[std::size_t(i)]);
            t.push_back(at);
            want_dw[std::size_t(i)] += at * p.z(row, i);
            want_db[std::size_t(i)] += at;
          }
          const std::vector<double> back = centred(p, row, g), on = centred(p, row, t);
          for (std::int64_t i = 0; i < n; i++) {
            const std::size_t at = std::size_t((k * rows + row) * n + i);
            const double weight = p.weight[std::size_t(i)];
            if (k == 0) {
              ASSERT_NEAR(double(y[at]), p.z(row, i) * weight + p.bias[std::size_t(i)], tolerance);
            }
            ASSERT_NEAR(double(dx[at]), back[std::size_t(i)], tolerance * 4) << n;
            ASSERT_NEAR(double(ty[at]),
                        on[std::size_t(i)] * weight +
                            p.z(row, i) * double(tw[std::size_t(k * n + i)]) +
                            double(tb[std::size_t(k * n + i)]),
                        tolerance * 4)
                << n;
          }
        }
        for (std::int64_t i = 0; i < n; i++) {
          ASSERT_NEAR(double(dw[std::size_t(k * n + i)]), want_dw[std::size_t(i)], tolerance * 8);
          ASSERT_NEAR(double(db[std::size_t(k * n + i)]), want_db[std::size_t(i)], tolerance * 8);
        }
      }
    }
  });
}

TYPED_TEST(LayerNormKernel, SameBitsForAnyNumberOfThreads) {
  using T = TypeParam;
  const std::int64_t rows = 301, n = 257;
  const std::vector<T> x = normals<T>(rows * n, 1), u = normals<T>(rows * n, 2);
  for_each_isa([&] {
    std::vector<T> first;
    for_each_thread_count([&](int threads) {
      std::vector<T> y(x.size()), mean(rows), low(rows), inv_sd(rows), dx(x.size()), dw(n);
      const LayerNormShape shape{.rows = rows, .n = n};
      cpu::layer_norm<T>(shape, {.x = x.data(),
                                 .y = y.data(),
                                 .mean = mean.data(),
                                 .mean_low = low.data(),
                                 .inv_sd = inv_sd.data()});
      cpu::layer_norm_pull<T>(shape, {.x = x.data(),
                                      .mean = mean.data(),
                                      .mean_low = low.data(),
                                      .inv_sd = inv_sd.data(),
                                      .u = u.data(),
                                      .dx = dx.data(),
                                      .dweight = dw.data()});
      for (const std::vector<T>* part : {&dx, &dw}) y.insert(y.end(), part->begin(), part->end());
      if (threads == 1) first = y;
      EXPECT_TRUE(same_bits(first, y));
    });
  });
}

}  // namespace
}  // namespace unroll
