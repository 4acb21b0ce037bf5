#include "kernels/softmax.h"

#include <limits>

#include "cuda/tests/agreement.h"
#include "cuda/tests/traffic.h"

namespace unroll::gpu_test {
namespace {

template <class T>
constexpr double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;

template <class T>
std::vector<T> on_cpu(const SoftmaxShape& s, const std::vector<T>& x) {
  std::vector<T> y(x.size());
  cpu::softmax<T>(s, {.x = x.data(), .y = y.data()});
  return y;
}

template <class T>
std::vector<T> on_gpu(const SoftmaxShape& s, const std::vector<T>& x) {
  const DeviceArray<T> from(x), to(x.size());
  device::softmax<T>(s, {.x = from.data(), .y = to.data()});
  return to.values();
}

template <class T>
void check_forward(const SoftmaxShape& s) {
  SCOPED_TRACE(std::to_string(s.rows) + " x " + std::to_string(s.n) + (s.log ? " log" : ""));
  const std::vector<T> x = normal<T>(std::size_t(s.rows * s.n));
  const auto got = in_all_orders<T>([&] { return on_gpu(s, x); });
  expect_close(got, on_cpu(s, x), tolerance<T>);
}

TEST(SoftmaxKernel, EqualsTheCpu) {
  for (const bool log : {false, true}) {
    for (const auto& [rows, n] : {std::pair{1, 1}, {3, 7}, {9, 32}, {17, 33}, {2, 1700}}) {
      check_forward<float>({.rows = rows, .n = n, .log = log});
      check_forward<double>({.rows = rows, .n = n, .log = log});
    }
  }
}

TEST(SoftmaxKernel, RowsBeyondSharedMemory) {
  for (const bool log : {false, true}) {
    const SoftmaxShape single{.rows = 2, .n = 24577, .log = log};
    const SoftmaxShape twice{.rows = 2, .n = 12289, .log = log};
    const auto x = normal<float>(2 * 24577);
    const auto z = normal<double>(2 * 12289);
    expect_close(on_gpu(single, x), on_cpu(single, x), 1e-5);
    expect_close(on_gpu(twice, z), on_cpu(twice, z), 1e-13);
  }
}

TEST(SoftmaxKernel, LaunchesNothingWithoutNumbers) {
  for (const SoftmaxShape s : {SoftmaxShape{.rows = 0, .n = 3}, SoftmaxShape{.rows = 3, .n = 0}}) {
    expect_no_launch([&] {
      on_gpu<float>(s, {});
      device::softmax_pull<float>(s, {.y = nullptr, .u = nullptr, .v = nullptr});
      device::softmax_push<float>(s, {.y = nullptr, .u = nullptr, .v = nullptr});
    });
  }
}

TEST(SoftmaxKernel, InPlace) {
  const SoftmaxShape s{.rows = 4, .n = 40};
  const auto x = normal<double>(160);
  const DeviceArray<double> both(x);
  device::softmax<double>(s, {.x = both.data(), .y = both.data()});
  expect_close(both.values(), on_cpu(s, x), tolerance<double>);
}

// Rows that are kept and rows that are not agree with the CPU where numbers end.
TEST(SoftmaxKernel, Extremes) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  for (const std::int64_t n : {5, 13000}) {
    for (const bool log : {false, true}) {
      for (const double odd : {300.0, -300.0, inf, -inf, nan}) {
        const SoftmaxShape s{.rows = 2, .n = n, .log = log};
        std::vector<double> x = normal<double>(std::size_t(2 * n));
        x[3] = x[std::size_t(n) - 2] = odd;
        if (odd == -inf) std::fill(x.begin() + n, x.end(), odd);
        SCOPED_TRACE(std::to_string(odd) + (log ? " log of " : " of ") + std::to_string(n));
        expect_close(on_gpu(s, x), on_cpu(s, x), 1e-13);
      }
    }
  }
}

template <class T, class Kernel, class Reference>
void check_linear(const SoftmaxShape& s, double beta, Kernel kernel, Reference reference) {
  SCOPED_TRACE(std::to_string(s.rows) + " x " + std::to_string(s.n) + (s.log ? " log" : ""));
  const auto rows = std::size_t(s.rows * s.n), all = rows * std::size_t(s.directions);
  const std::vector<T> y = on_cpu(s, normal<T>(rows, 1)), u = normal<T>(all, 2);
  const std::vector<T> before = beta == 0 ? std::vector<T>(all, T(NAN)) : normal<T>(all, 3);
  std::vector<T> expected = before;
  reference(s, SoftmaxLinear<T>{y.data(), u.data(), expected.data(), beta});
  const auto got = in_all_orders<T>([&] {
    const DeviceArray<T> dy(y), du(u), dv(before);
    kernel(s, SoftmaxLinear<T>{dy.data(), du.data(), dv.data(), beta});
    return dv.values();
  });
  expect_close(got, expected, tolerance<T>);
}

template <class T>
void check_maps(const SoftmaxShape& s, double beta) {
  check_linear<T>(s, beta, device::softmax_pull<T>, cpu::softmax_pull<T>);
  check_linear<T>(s, beta, device::softmax_push<T>, cpu::softmax_push<T>);
}

TEST(SoftmaxKernel, LinearMapsEqualTheCpu) {
  for (const bool log : {false, true}) {
    for (const auto& [rows, n] : {std::pair{1, 1}, {3, 33}, {2, 900}}) {
      check_maps<float>({.rows = rows, .n = n, .log = log}, 0);
      check_maps<double>({.rows = rows, .n = n, .log = log, .directions = 3}, 0.5);
    }
  }
}

TEST(SoftmaxKernel, LinearMapsOfRowsBeyondSharedMemory) {
  const SoftmaxShape s{.rows = 1, .n = 12300};
  const auto y = on_cpu(s, normal<double>(12300)), u = normal<double>(12300, 2);
  for (const bool log : {false, true}) {
    const SoftmaxShape shape{.rows = 1, .n = 12300, .log = log};
    std::vector<double> expected(12300);
    cpu::softmax_push<double>(shape, {.y = y.data(), .u = u.data(), .v = expected.data()});
    const DeviceArray<double> dy(y), dv(u);  // v is u
    device::softmax_push<double>(shape, {.y = dy.data(), .u = dv.data(), .v = dv.data()});
    expect_close(dv.values(), expected, 1e-12);
  }
}

#ifndef __CUDACC__  // the meter is the simulator's
TEST(SoftmaxKernel, MovesEachElementOnce) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "traffic is counted in kernels with checks";
  for (const std::int64_t n : {40, 1024, 2048}) {
    const SoftmaxShape s{.rows = 10, .n = n};
    const auto x = normal<float>(std::size_t(s.rows * n));
    expect_lean(metered("softmax", [&] { on_gpu(s, x); }));
    expect_lean(metered("softmax_linear", [&] {
      const DeviceArray<float> y(x), u(x), v(x.size());
      device::softmax_pull<float>(s, {.y = y.data(), .u = u.data(), .v = v.data()});
      sim::synchronize();
    }));
  }
}
#endif

}  // namespace
}  // namespace unroll::gpu_test
