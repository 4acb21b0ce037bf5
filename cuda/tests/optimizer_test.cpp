#include "kernels/optimizer.h"

#include <limits>

#include "cuda/tests/agreement.h"
#include "cuda/tests/traffic.h"

namespace unroll::gpu_test {
namespace {

template <class T>
constexpr double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-15;

// Four buffers behind one another; the second moments and their like are not negative.
template <class T>
struct Buffers {
  std::vector<T> grad, param, a, b, c;

  explicit Buffers(std::size_t n)
      : grad(normal<T>(n, 1)), param(normal<T>(n, 2)), a(normal<T>(n, 3)), b(n), c(n) {
    for (std::size_t i = 0; i < n; i++) {
      b[i] = a[i] * a[i] + T(1), c[i] = std::fabs(param[i]) + T(2);
      if (i % 7 == 3) grad[i] = T(300);
    }
  }
};

// The pointers of a machine's buffers, which `step` hands to its kernel.
template <class T>
struct Pointers {
  const T* grad;
  T *param, *a, *b, *c;
};

// Runs step on the CPU's buffers and, `offset` numbers behind an aligned place, on the device's.
template <class T>
void check(std::size_t n, const std::function<void(const Pointers<T>&)>& on_cpu,
           const std::function<void(const Pointers<T>&)>& on_gpu, std::size_t offset = 0) {
  SCOPED_TRACE(std::to_string(n) + " at " + std::to_string(offset));
  const Buffers<T> start(n + offset);
  Buffers<T> c = start;
  on_cpu({c.grad.data() + offset, c.param.data() + offset, c.a.data() + offset, c.b.data() + offset,
          c.c.data() + offset});
  const auto got = in_all_orders<T>([&] {
    const DeviceArray<T> grad(start.grad), param(start.param), a(start.a), b(start.b), d(start.c);
    on_gpu({grad.data() + offset, param.data() + offset, a.data() + offset, b.data() + offset,
            d.data() + offset});
    return joined({param.values(), a.values(), b.values(), d.values()});
  });
  expect_close(got, joined({c.param, c.a, c.b, c.c}), tolerance<T>);
}

template <class T>
void check_sgd(SgdShape s, std::size_t n, std::size_t offset = 0) {
  s.count = std::int64_t(n);
  const auto args = [&](const Pointers<T>& p) {
    return SgdArgs<T>{p.grad, p.param, s.momentum == 0 ? nullptr : p.a};
  };
  check<T>(
      n, [&](const auto& p) { cpu::sgd<T>(s, args(p)); },
      [&](const auto& p) { device::sgd<T>(s, args(p)); }, offset);
}

TEST(OptimizerKernel, Sgd) {
  check_sgd<float>({.lr = 0.1}, 1);
  check_sgd<double>({.lr = 0.1, .weight_decay = 0.2, .grad_scale = -0.5}, 37);
  check_sgd<float>({.lr = 0.1, .momentum = 0.9, .dampening = 0.1}, 1029);
  check_sgd<double>({.lr = 0.1, .momentum = 0.9, .nesterov = true}, 6, 1);
}

TEST(OptimizerKernel, SgdDoesNotReadTheVelocityInTheFirstStep) {
  const std::vector<float> x(9, 2);
  const DeviceArray<float> grad(x), param(x), velocity(9);
  device::sgd<float>({.count = 9, .first = true, .lr = 0.5, .momentum = 0.9},
                     {grad.data(), param.data(), velocity.data()});
  EXPECT_EQ(param.values(), std::vector<float>(9, 1));
  EXPECT_EQ(velocity.values(), x);
}

template <class T>
void check_adam(AdamShape s, std::size_t n, bool amsgrad, std::size_t offset = 0) {
  s.count = std::int64_t(n);
  const auto args = [&](const Pointers<T>& p) {
    return AdamArgs<T>{p.grad, p.param, p.a, p.b, amsgrad ? p.c : nullptr};
  };
  check<T>(
      n, [&](const auto& p) { cpu::adam<T>(s, args(p)); },
      [&](const auto& p) { device::adam<T>(s, args(p)); }, offset);
}

TEST(OptimizerKernel, AdamAndItsRelatives) {
  check_adam<float>({.step = 1, .lr = 0.01}, 1, false);
  check_adam<float>({.step = 3, .lr = 0.01, .weight_decay = 0.1}, 1030, true);
  check_adam<double>({.step = 3, .lr = 0.01, .weight_decay = 0.1, .decoupled = true}, 35, false);
  check_adam<double>({.step = 2, .lr = 0.01, .grad_scale = 0.3}, 7, true, 1);
  check_adam<float>({.step = 2, .lr = 0.01}, 1030, true, 3);
  check_adam<double>({.step = 4,
                      .lr = 0.01,
                      .rule = AdamRule::nadam,
                      .mu = 0.8,
                      .mu_next = 0.85,
                      .mu_product = 0.5,
                      .mu_product_next = 0.4},
                     33, false);
  for (const std::int64_t step : {2, 40})
    check_adam<double>({.step = step, .lr = 0.01, .rule = AdamRule::radam}, 33, false);
}

template <class T>
void check_rmsprop(RmspropShape s, std::size_t n, bool centred) {
  s.count = std::int64_t(n);
  const auto args = [&](const Pointers<T>& p) {
    return RmspropArgs<T>{p.grad, p.param, p.b, centred ? p.a : nullptr,
                          s.momentum == 0 ? nullptr : p.c};
  };
  check<T>(
      n, [&](const auto& p) { cpu::rmsprop<T>(s, args(p)); },
      [&](const auto& p) { device::rmsprop<T>(s, args(p)); });
}

TEST(OptimizerKernel, Rmsprop) {
  check_rmsprop<float>({.lr = 0.1}, 1027, false);
  check_rmsprop<double>({.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1}, 33, true);
}

TEST(OptimizerKernel, AdagradAndAdadelta) {
  for (const std::size_t n : {1, 31, 1026}) {
    const AdagradShape adagrad{.count = std::int64_t(n), .lr = 0.1, .weight_decay = 0.1};
    const auto sums = [](const auto& p) { return AdagradArgs<double>{p.grad, p.param, p.b}; };
    check<double>(
        n, [&](const auto& p) { cpu::adagrad<double>(adagrad, sums(p)); },
        [&](const auto& p) { device::adagrad<double>(adagrad, sums(p)); });
    const AdadeltaShape adadelta{.count = std::int64_t(n), .grad_scale = 0.5};
    const auto means = [](const auto& p) { return AdadeltaArgs<float>{p.grad, p.param, p.b, p.c}; };
    check<float>(
        n, [&](const auto& p) { cpu::adadelta<float>(adadelta, means(p)); },
        [&](const auto& p) { device::adadelta<float>(adadelta, means(p)); });
  }
}

template <class T>
void check_squares(std::size_t n, std::size_t offset = 0) {
  const std::vector<T> x = normal<T>(n + offset);
  const FlatShape s{.count = std::int64_t(n)};
  const double expected = cpu::sum_of_squares<T>(s, {.x = x.data() + offset});
  const auto got = in_all_orders<double>([&] {
    const DeviceArray<T> from(x);
    return std::vector<double>{device::sum_of_squares<T>(s, {.x = from.data() + offset})};
  });
  EXPECT_NEAR(got[0], expected, 1e-14 * expected) << n;
}

TEST(OptimizerKernel, SumOfSquares) {
  for (const std::size_t n : {0, 1, 3, 1030, 20001}) check_squares<float>(n);
  check_squares<double>(77, 1);
  const DeviceArray<float> odd({1, std::numeric_limits<float>::infinity(), 2}), nan({1, NAN});
  EXPECT_EQ(device::sum_of_squares<float>({.count = 3}, {.x = odd.data()}),
            std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(device::sum_of_squares<float>({.count = 2}, {.x = nan.data()})));
}

TEST(OptimizerKernel, Scale) {
  for (const std::size_t n : {0, 1, 1029}) {
    for (const std::size_t offset : {0, 1}) {
      std::vector<double> x = normal<double>(n + offset);
      const DeviceArray<double> on_device(x);
      const FlatShape s{.count = std::int64_t(n), .factor = -0.3};
      device::scale<double>(s, {.x = on_device.data() + offset});
      cpu::scale<double>(s, {.x = x.data() + offset});
      expect_same_bits(on_device.values(), x);
    }
  }
}

// Arrays that lie differently in their 16 bytes.
TEST(OptimizerKernel, MixedAddresses) {
  const std::vector<float> x = normal<float>(41);
  std::vector<float> param(x.begin() + 1, x.end());
  cpu::sgd<float>({.count = 40, .lr = 0.1}, {x.data(), param.data(), nullptr});
  const DeviceArray<float> grad(x), on_device(x);
  device::sgd<float>({.count = 40, .lr = 0.1}, {grad.data(), on_device.data() + 1, nullptr});
  const std::vector<float> got = on_device.values();
  EXPECT_EQ(got[0], x[0]);
  expect_close(std::vector<float>(got.begin() + 1, got.end()), param, 1e-6);
}

#ifndef __CUDACC__  // faults are found, and bytes counted, by the simulator
// What goes wrong in a kernel is told by the next wait, also when a number was waited for.
TEST(OptimizerKernel, AFailureIsKeptForTheNextWait) {
  const DeviceArray<float> x(4);
  EXPECT_EQ(device::sum_of_squares<float>({.count = 1 << 20}, {.x = x.data()}), 0);
  EXPECT_THROW(sim::synchronize(), sim::Failure);
}

TEST(OptimizerKernel, MovesEachElementOnce) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "traffic is counted in kernels with checks";
  const auto x = std::vector<float>(4096, 1);
  const DeviceArray<float> grad(x), param(x), m(x), v(x), v_max(x);
  expect_lean(metered("adam", [&] {
    device::adam<float>({.count = 4096, .step = 1, .lr = 0.1},
                        {grad.data(), param.data(), m.data(), v.data(), v_max.data()});
    sim::synchronize();
  }));
  expect_lean(metered("adam", [&] {  // a group of parameters, which begins anywhere
    device::adam<float>({.count = 4000, .step = 1, .lr = 0.1},
                        {grad.data() + 9, param.data() + 9, m.data() + 9, v.data() + 9});
    sim::synchronize();
  }));
  constexpr std::int64_t n = 4096;
  expect_lean(metered("sgd", [&] {
    device::sgd<float>({.count = n, .lr = 0.1, .momentum = 0.9},
                       {grad.data(), param.data(), m.data()});
    sim::synchronize();
  }));
  expect_lean(metered("rmsprop", [&] {
    device::rmsprop<float>({.count = n, .lr = 0.1, .momentum = 0.9},
                           {grad.data(), param.data(), v.data(), nullptr, m.data()});
    sim::synchronize();
  }));
  expect_lean(metered("adagrad", [&] {
    device::adagrad<float>({.count = n, .lr = 0.1}, {grad.data(), param.data(), v.data()});
    sim::synchronize();
  }));
  expect_lean(metered("adadelta", [&] {
    device::adadelta<float>({.count = n}, {grad.data(), param.data(), v.data(), m.data()});
    sim::synchronize();
  }));
  expect_lean(metered("sum_of_squares",
                      [&] { device::sum_of_squares<float>({.count = 4096}, {.x = grad.data()}); }));
}
#endif

}  // namespace
}  // namespace unroll::gpu_test
