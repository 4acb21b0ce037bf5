#include "kernels/layer_norm.h"

#include "cuda/tests/agreement.h"
#include "cuda/tests/traffic.h"

namespace unroll::gpu_test {
namespace {

template <class T>
constexpr double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-14;

struct Options {
  bool weight = true, bias = true;
  double offset = 0;  // of x: a mean far from 0
};

template <class T>
struct Case {
  LayerNormShape s;
  std::vector<T> x, weight, bias;
  std::vector<T> y, mean, mean_low, inv_sd;  // as the CPU has them

  Case(const LayerNormShape& shape, const Options& o) : s(shape) {
    const auto n = std::size_t(s.n), rows = std::size_t(s.rows);
    x = normal<T>(rows * n, 1);
    for (T& value : x) value += T(o.offset);
    if (o.weight) weight = normal<T>(n, 2);
    if (o.bias) bias = normal<T>(n, 3);
    y.resize(rows * n);
    mean = mean_low = inv_sd = std::vector<T>(rows);
    cpu::layer_norm<T>(s, {.x = x.data(),
                           .weight = o.weight ? weight.data() : nullptr,
                           .bias = o.bias ? bias.data() : nullptr,
                           .y = y.data(),
                           .mean = mean.data(),
                           .mean_low = mean_low.data(),
                           .inv_sd = inv_sd.data()});
  }
};

// The four outputs behind one another.
template <class T>
std::vector<T> forward(const Case<T>& c) {
  const DeviceArray<T> x(c.x), weight(c.weight), bias(c.bias), y(c.y.size());
  const DeviceArray<T> mean(c.mean.size()), low(c.mean.size()), inv_sd(c.mean.size());
  device::layer_norm<T>(c.s, {.x = x.data(),
                              .weight = weight.data(),
                              .bias = bias.data(),
                              .y = y.data(),
                              .mean = mean.data(),
                              .mean_low = low.data(),
                              .inv_sd = inv_sd.data()});
  return joined({y.values(), mean.values(), low.values(), inv_sd.values()});
}

template <class T>
void check_forward(const LayerNormShape& s, const Options& o = {}) {
  SCOPED_TRACE(std::to_string(s.rows) + " x " + std::to_string(s.n));
  const Case<T> c(s, o);
  const std::vector<T> got = in_all_orders<T>([&] { return forward(c); });
  const auto y_size = std::ptrdiff_t(c.y.size()), rows = std::ptrdiff_t(s.rows);
  const auto y = got.begin(), mean = y + y_size, low = mean + rows, inv_sd = low + rows;
  expect_close(std::vector<T>(y, mean), c.y, tolerance<T>);
  expect_close(std::vector<T>(inv_sd, got.end()), c.inv_sd, tolerance<T>);
  for (std::ptrdiff_t r = 0; r < rows; r++) {  // the parts may differ, their sum may not
    const auto i = std::size_t(r);
    EXPECT_NEAR(double(mean[r]) + double(low[r]), double(c.mean[i]) + double(c.mean_low[i]),
                tolerance<T> * (1 + 0.1 * std::fabs(o.offset)));
  }
}

TEST(LayerNormKernel, EqualsTheCpu) {
  for (const auto& [rows, n] : {std::pair{1, 1}, {3, 7}, {17, 40}, {3, 700}}) {
    check_forward<float>({.rows = rows, .n = n});
    check_forward<double>({.rows = rows, .n = n}, {.weight = false});
    check_forward<double>({.rows = rows, .n = n}, {.bias = false});
  }
}

TEST(LayerNormKernel, RowsBeyondSharedMemory) {
  const Case<double> c({.rows = 1, .n = 12300}, {.weight = false, .bias = false});
  const std::vector<double> got = forward(c);
  expect_close(std::vector<double>(got.begin(), got.begin() + 12300), c.y, 1e-13);
}

// The digits of the deviations stay where the mean is large.
TEST(LayerNormKernel, LargeMean) { check_forward<float>({.rows = 3, .n = 60}, {.offset = 1e4}); }

TEST(LayerNormKernel, WithoutRowsGradientsAreZero) {
  const Case<float> none({.rows = 0, .n = 5}, {});
  expect_no_launch([&] { forward(none); });
  const DeviceArray<float> dweight(5);
  device::layer_norm_pull<float>(none.s, {.x = nullptr,
                                          .mean = nullptr,
                                          .mean_low = nullptr,
                                          .inv_sd = nullptr,
                                          .u = nullptr,
                                          .dweight = dweight.data()});
  EXPECT_EQ(dweight.values(), std::vector<float>(5, 0));
}

template <class T>
struct Cotangents {
  std::vector<T> dx, dweight, dbias;
};

// Calls `kernel` with what the forward pass gave and returns dx, dweight and dbias; an empty one is
// not asked for.
template <class T>
std::vector<T> pulled_on_gpu(const Case<T>& c, const std::vector<T>& u, const Cotangents<T>& before,
                             double beta) {
  const DeviceArray<T> x(c.x), weight(c.weight), mean(c.mean), low(c.mean_low), inv(c.inv_sd);
  const DeviceArray<T> du(u), dx(before.dx), dweight(before.dweight), dbias(before.dbias);
  device::layer_norm_pull<T>(c.s, {.x = x.data(),
                                   .weight = weight.data(),
                                   .mean = mean.data(),
                                   .mean_low = low.data(),
                                   .inv_sd = inv.data(),
                                   .u = du.data(),
                                   .dx = dx.data(),
                                   .dweight = dweight.data(),
                                   .dbias = dbias.data(),
                                   .beta_x = beta,
                                   .beta_weight = beta,
                                   .beta_bias = beta});
  return joined({dx.values(), dweight.values(), dbias.values()});
}

template <class T>
T* or_null(std::vector<T>& v) {
  return v.empty() ? nullptr : v.data();
}

template <class T>
void check_pull(const LayerNormShape& s, const Options& o, double beta, bool wants_x = true,
                bool wants_weight = true, double allowed = tolerance<T>) {
  SCOPED_TRACE(std::to_string(s.rows) + " x " + std::to_string(s.n));
  Case<T> c(s, o);
  const auto n = std::size_t(s.n * s.directions), all = c.x.size() * std::size_t(s.directions);
  const std::vector<T> u = normal<T>(all, 4);
  const auto filled = [&](std::size_t size, unsigned seed) {
    return beta == 0 ? std::vector<T>(size, T(NAN)) : normal<T>(size, seed);
  };
  const Cotangents<T> before{filled(wants_x ? all : 0, 5), filled(wants_weight ? n : 0, 6),
                             filled(n, 7)};
  Cotangents<T> expected = before;
  cpu::layer_norm_pull<T>(s, {.x = c.x.data(),
                              .weight = or_null(c.weight),
                              .mean = c.mean.data(),
                              .mean_low = c.mean_low.data(),
                              .inv_sd = c.inv_sd.data(),
                              .u = u.data(),
                              .dx = or_null(expected.dx),
                              .dweight = or_null(expected.dweight),
                              .dbias = or_null(expected.dbias),
                              .beta_x = beta,
                              .beta_weight = beta,
                              .beta_bias = beta});
  const auto got = in_all_orders<T>([&] { return pulled_on_gpu(c, u, before, beta); });
  expect_close(got, joined({expected.dx, expected.dweight, expected.dbias}), allowed);
}

TEST(LayerNormKernel, PullEqualsTheCpu) {
  for (const auto& [rows, n] : {std::pair{1, 1}, {5, 7}, {18, 40}}) {
    check_pull<float>({.rows = rows, .n = n}, {}, 0);
    check_pull<double>({.rows = rows, .n = n, .directions = 2}, {.weight = false}, 0.5);
    check_pull<double>({.rows = rows, .n = n}, {}, 1, false);
    check_pull<double>({.rows = rows, .n = n}, {}, 0, true, false);
  }
  check_pull<double>({.rows = 2, .n = 450}, {}, 0);
}

// Few columns and many rows, which are summed in parts.
TEST(LayerNormKernel, PullInParts) {
  check_pull<float>({.rows = 600, .n = 5, .directions = 2}, {}, 1, false);
  check_pull<double>({.rows = 777, .n = 3}, {}, 0, false);
}

TEST(LayerNormKernel, PullOfRowsBeyondSharedMemory) {
  check_pull<double>({.rows = 1, .n = 6200}, {.weight = false}, 0, true, false, 1e-13);
}

template <class T>
std::vector<T> pushed_on_gpu(const LayerNormShape& s, const Case<T>& c, const std::vector<T>& tx,
                             const std::vector<T>& tweight, const std::vector<T>& tbias) {
  const DeviceArray<T> x(c.x), weight(c.weight), mean(c.mean), low(c.mean_low), inv(c.inv_sd);
  const DeviceArray<T> dx(tx), dweight(tweight), dbias(tbias);
  const DeviceArray<T> ty(c.x.size() * std::size_t(s.directions));
  device::layer_norm_push<T>(s, {.x = x.data(),
                                 .weight = weight.data(),
                                 .mean = mean.data(),
                                 .mean_low = low.data(),
                                 .inv_sd = inv.data(),
                                 .tx = dx.data(),
                                 .tweight = dweight.data(),
                                 .tbias = dbias.data(),
                                 .ty = ty.data()});
  return ty.values();
}

template <class T>
void check_push(const LayerNormShape& s, const Options& o, bool with_x, bool with_parameters) {
  SCOPED_TRACE(std::to_string(s.rows) + " x " + std::to_string(s.n));
  Case<T> c(s, o);
  const auto n = std::size_t(s.n * s.directions), all = c.x.size() * std::size_t(s.directions);
  std::vector<T> tx = normal<T>(with_x ? all : 0, 4),
                 tweight = normal<T>(with_parameters ? n : 0, 5),
                 tbias = normal<T>(with_parameters ? n : 0, 6), expected(all);
  cpu::layer_norm_push<T>(s, {.x = c.x.data(),
                              .weight = or_null(c.weight),
                              .mean = c.mean.data(),
                              .mean_low = c.mean_low.data(),
                              .inv_sd = c.inv_sd.data(),
                              .tx = or_null(tx),
                              .tweight = or_null(tweight),
                              .tbias = or_null(tbias),
                              .ty = expected.data()});
  const auto got = in_all_orders<T>([&] { return pushed_on_gpu(s, c, tx, tweight, tbias); });
  expect_close(got, expected, tolerance<T>, 1);  // of rows of two, all but nothing cancels
}

TEST(LayerNormKernel, PushEqualsTheCpu) {
  for (const auto& [rows, n] : {std::pair{2, 2}, {5, 7}, {18, 40}}) {
    check_push<float>({.rows = rows, .n = n}, {}, true, true);
    check_push<double>({.rows = rows, .n = n, .directions = 3}, {}, true, true);
    check_push<double>({.rows = rows, .n = n}, {.weight = false}, true, false);
    check_push<double>({.rows = rows, .n = n}, {}, false, true);
  }
}

#ifndef __CUDACC__  // the meter is the simulator's
// One multiprocessor, so that blocks take several rows, as they do on a GPU where there are many.
TEST(LayerNormKernel, MovesEachElementOnce) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "traffic is counted in kernels with checks";
  const sim::Options before = sim::options();
  sim::Options small = before;
  small.arch.multiprocessors = 1;
  sim::set_options(small);
  const Case<float> c({.rows = 640, .n = 256}, {});
  expect_lean(metered("layer_norm", [&] { forward(c); }));
  const auto u = normal<float>(c.x.size());
  const Cotangents<float> none{std::vector<float>(c.x.size()), std::vector<float>(256),
                               std::vector<float>(256)};
  expect_lean(metered("layer_norm_pull", [&] { pulled_on_gpu(c, u, none, 0); }));
  expect_lean(meter_of("layer_norm_columns"));
  expect_lean(metered("layer_norm_push", [&] { pushed_on_gpu(c.s, c, u, c.weight, c.bias); }));
  sim::set_options(before);
}
#endif

}  // namespace
}  // namespace unroll::gpu_test
