#include "kernels/optimizer.h"

#include <algorithm>

#include "tests/kernel_testing.h"

namespace unroll {
namespace {

using namespace unroll::testing;

template <class T>
class OptimizerKernel : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(OptimizerKernel, Reals);

template <class T>
void expect_close(const std::vector<T>& got, const std::vector<double>& want) {
  const double tolerance = 32 * double(std::numeric_limits<T>::epsilon());
  for (std::size_t i = 0; i < got.size(); i++) {
    EXPECT_NEAR(double(got[i]), want[i], tolerance * (1 + std::fabs(want[i]))) << i;
  }
}

// torch.optim.SGD, as its documentation states the algorithm.
TYPED_TEST(OptimizerKernel, Sgd) {
  using T = TypeParam;
  for_each_isa([] {
    for (int variant = 0; variant < 8; variant++) {
      const bool nesterov = variant & 1;
      const double momentum = variant & 2 ? 0.9 : 0, decay = variant & 4 ? 0.1 : 0;
      const double dampening = nesterov ? 0 : 0.25, clip = 0.5;
      const std::int64_t n = 1037;
      std::vector<T> p = normals<T>(n, 1), velocity(p.size(), T(nan));
      std::vector<double> want(p.begin(), p.end()), b(p.size());
      for (int step = 0; step < 3; step++) {
        const std::vector<T> g = normals<T>(n, unsigned(10 + step));
        cpu::sgd<T>({.count = n,
                     .first = step == 0,
                     .lr = 0.1,
                     .momentum = momentum,
                     .dampening = dampening,
                     .weight_decay = decay,
                     .nesterov = nesterov,
                     .grad_scale = clip},
                    {.grad = g.data(),
                     .param = p.data(),
                     .velocity = momentum != 0 ? velocity.data() : nullptr});
        for (std::size_t i = 0; i < want.size(); i++) {
          const double gradient = clip * double(g[i]) + decay * want[i];
          b[i] = step == 0 ? gradient : momentum * b[i] + (1 - dampening) * gradient;
          const double use = momentum == 0 ? gradient
                             : nesterov    ? gradient + momentum * b[i]
                                           : b[i];
          want[i] -= 0.1 * use;
        }
      }
      expect_close(p, want);
    }
  });
}

// torch.optim.Adam and AdamW, as their documentation states the algorithm.
TYPED_TEST(OptimizerKernel, Adam) {
  using T = TypeParam;
  for_each_isa([] {
    for (int variant = 0; variant < 8; variant++) {
      const bool decoupled = variant & 1, amsgrad = variant & 2;
      const double decay = variant & 4 ? 0.1 : 0, lr = 0.01, eps = 1e-8, clip = 2;
      const std::int64_t n = 1037;
      std::vector<T> p = normals<T>(n, 1), m(p.size()), v(p.size()), v_max(p.size());
      std::vector<double> want(p.begin(), p.end()), wm(p.size()), wv(p.size()), wx(p.size());
      for (int step = 1; step <= 4; step++) {
        std::vector<T> g = normals<T>(n, unsigned(10 + step));
        if (step == 3) g.assign(g.size(), T(0.001));
        cpu::adam<T>({.count = n,
                      .step = step,
                      .lr = lr,
                      .eps = eps,
                      .weight_decay = decay,
                      .decoupled = decoupled,
                      .grad_scale = clip},
                     {.grad = g.data(),
                      .param = p.data(),
                      .m = m.data(),
                      .v = v.data(),
                      .v_max = amsgrad ? v_max.data() : nullptr});
        for (std::size_t i = 0; i < want.size(); i++) {
          double gradient = clip * double(g[i]);
          if (decoupled) want[i] -= lr * decay * want[i];
          if (!decoupled) gradient += decay * want[i];
          wm[i] = 0.9 * wm[i] + 0.1 * gradient;
          wv[i] = 0.999 * wv[i] + 0.001 * gradient * gradient;
          wx[i] = std::max(wx[i], wv[i]);
          const double second = (amsgrad ? wx[i] : wv[i]) / (1 - std::pow(0.999, step));
          want[i] -= lr * wm[i] / (1 - std::pow(0.9, step)) / (std::sqrt(second) + eps);
        }
      }
      expect_close(p, want);
    }
  });
}

// torch.optim.NAdam, as its documentation states the algorithm.
TYPED_TEST(OptimizerKernel, Nadam) {
  using T = TypeParam;
  for_each_isa([] {
    const double lr = 0.01, eps = 1e-8, momentum_decay = 0.004, decay = 0.1;
    const std::int64_t n = 1037;
    std::vector<T> p = normals<T>(n, 1), m(p.size()), v(p.size());
    std::vector<double> want(p.begin(), p.end()), wm(p.size()), wv(p.size());
    const auto mu = [&](int step) {
      return 0.9 * (1 - 0.5 * std::pow(0.96, step * momentum_decay));
    };
    double product = 1;
    for (int step = 1; step <= 4; step++) {
      const std::vector<T> g = normals<T>(n, unsigned(10 + step));
      product *= mu(step);
      cpu::adam<T>({.count = n,
                    .step = step,
                    .lr = lr,
                    .eps = eps,
                    .weight_decay = decay,
                    .grad_scale = 2,
                    .rule = AdamRule::nadam,
                    .mu = mu(step),
                    .mu_next = mu(step + 1),
                    .mu_product = product,
                    .mu_product_next = product * mu(step + 1)},
                   {.grad = g.data(), .param = p.data(), .m = m.data(), .v = v.data()});
      for (std::size_t i = 0; i < want.size(); i++) {
        const double gradient = 2 * double(g[i]) + decay * want[i];
        wm[i] = 0.9 * wm[i] + 0.1 * gradient;
        wv[i] = 0.999 * wv[i] + 0.001 * gradient * gradient;
        const double ahead = mu(step + 1) * wm[i] / (1 - product * mu(step + 1)) +
                             (1 - mu(step)) * gradient / (1 - product);
        want[i] -= lr * ahead / (std::sqrt(wv[i] / (1 - std::pow(0.999, step))) + eps);
      }
    }
    expect_close(p, want);
  });
}

// torch.optim.RAdam, as its documentation states the algorithm: plain momentum for 5 steps.
TYPED_TEST(OptimizerKernel, Radam) {
  using T = TypeParam;
  for_each_isa([] {
    const double lr = 0.01, eps = 1e-3, longest = 2 / (1 - 0.999) - 1;
    const std::int64_t n = 1037;
    std::vector<T> p = normals<T>(n, 1), m(p.size()), v(p.size());
    std::vector<double> want(p.begin(), p.end()), wm(p.size()), wv(p.size());
    int rectified = 0;
    for (int step = 1; step <= 8; step++) {
      const std::vector<T> g = normals<T>(n, unsigned(10 + step));
      cpu::adam<T>({.count = n, .step = step, .lr = lr, .eps = eps, .rule = AdamRule::radam},
                   {.grad = g.data(), .param = p.data(), .m = m.data(), .v = v.data()});
      const double power = std::pow(0.999, step);
      const double length = longest - 2 * step * power / (1 - power);
      const double r = std::sqrt((length - 4) * (length - 2) * longest /
                                 ((longest - 4) * (longest - 2) * length));
      rectified += length > 5;
      for (std::size_t i = 0; i < want.size(); i++) {
        wm[i] = 0.9 * wm[i] + 0.1 * double(g[i]);
        wv[i] = 0.999 * wv[i] + 0.001 * double(g[i]) * double(g[i]);
        const double ahead = wm[i] / (1 - std::pow(0.9, step));
        const double scale = std::sqrt(1 - power) / (std::sqrt(wv[i]) + eps);
        want[i] -= length > 5 ? lr * ahead * r * scale : lr * ahead;
      }
    }
    EXPECT_EQ(rectified, 3);
    expect_close(p, want);
  });
}

// torch.optim.RMSprop, as its documentation states the algorithm.
TYPED_TEST(OptimizerKernel, Rmsprop) {
  using T = TypeParam;
  for_each_isa([] {
    for (int variant = 0; variant < 8; variant++) {
      const bool centered = variant & 1;
      const double momentum = variant & 2 ? 0.9 : 0, decay = variant & 4 ? 0.1 : 0, clip = 0.5;
      const std::int64_t n = 1037;
      std::vector<T> p = normals<T>(n, 1), square(p.size()), average(p.size()), velocity(p.size());
      std::vector<double> want(p.begin(), p.end()), s(p.size()), a(p.size()), b(p.size());
      for (int step = 0; step < 4; step++) {
        const std::vector<T> g = normals<T>(n, unsigned(10 + step));
        cpu::rmsprop<T>({.count = n,
                         .lr = 0.01,
                         .alpha = 0.9,
                         .eps = 1e-3,
                         .momentum = momentum,
                         .weight_decay = decay,
                         .grad_scale = clip},
                        {.grad = g.data(),
                         .param = p.data(),
                         .square = square.data(),
                         .average = centered ? average.data() : nullptr,
                         .velocity = momentum != 0 ? velocity.data() : nullptr});
        for (std::size_t i = 0; i < want.size(); i++) {
          const double gradient = clip * double(g[i]) + decay * want[i];
          s[i] = 0.9 * s[i] + 0.1 * gradient * gradient;
          a[i] = 0.9 * a[i] + 0.1 * gradient;
          const double variance = s[i] - (centered ? a[i] * a[i] : 0);
          b[i] = momentum * b[i] + gradient / (std::sqrt(variance) + 1e-3);
          want[i] -= 0.01 * b[i];
        }
      }
      expect_close(p, want);
    }
  });
}

// A gradient that never changes has no variance; the roundings of it must not become NaN.
TYPED_TEST(OptimizerKernel, CentredRmspropOfAConstantGradient) {
  using T = TypeParam;
  for_each_isa([] {
    const std::vector<T> g{T(0.1), T(1), T(3.3), T(-7.7)};
    std::vector<T> p(4), square(4), average(4);
    for (int step = 0; step < 5000; step++)
      cpu::rmsprop<T>({.count = 4, .lr = 1e-8, .alpha = 0.9}, {.grad = g.data(),
                                                               .param = p.data(),
                                                               .square = square.data(),
                                                               .average = average.data()});
    for (const T value : p) EXPECT_TRUE(std::isfinite(value)) << value;
  });
}

// torch.optim.Adagrad and Adadelta, as their documentation states the algorithms.
TYPED_TEST(OptimizerKernel, AdagradAndAdadelta) {
  using T = TypeParam;
  for_each_isa([] {
    const std::int64_t n = 1037;
    std::vector<T> p = normals<T>(n, 1), sum(p.size(), T(0.25)), q = p, square(p.size()),
                   delta(p.size());
    std::vector<double> want(p.begin(), p.end()), other = want, s(p.size(), 0.25), v(p.size()),
                                                  d(p.size());
    for (int step = 0; step < 4; step++) {
      const std::vector<T> g = normals<T>(n, unsigned(10 + step));
      cpu::adagrad<T>({.count = n, .lr = 0.1, .weight_decay = 0.1, .grad_scale = 0.5},
                      {.grad = g.data(), .param = p.data(), .sum = sum.data()});
      cpu::adadelta<T>(
          {.count = n, .lr = 0.5, .rho = 0.9, .eps = 1e-3, .weight_decay = 0.1, .grad_scale = 0.5},
          {.grad = g.data(), .param = q.data(), .square = square.data(), .delta = delta.data()});
      for (std::size_t i = 0; i < want.size(); i++) {
        double gradient = 0.5 * double(g[i]) + 0.1 * want[i];
        s[i] += gradient * gradient;
        want[i] -= 0.1 * gradient / (std::sqrt(s[i]) + 1e-10);
        gradient = 0.5 * double(g[i]) + 0.1 * other[i];
        v[i] = 0.9 * v[i] + 0.1 * gradient * gradient;
        const double change = std::sqrt(d[i] + 1e-3) / std::sqrt(v[i] + 1e-3) * gradient;
        d[i] = 0.9 * d[i] + 0.1 * change * change;
        other[i] -= 0.5 * change;
      }
    }
    expect_close(p, want);
    expect_close(q, other);
  });
}

TYPED_TEST(OptimizerKernel, SumOfSquaresAndScale) {
  using T = TypeParam;
  for_each_isa([] {
    for (const std::int64_t n : {0, 1, 63, 64, 1000, 100003}) {
      std::vector<T> x = normals<T>(n, 1);
      long double want = 0;
      for (const T value : x) want += (long double)(value) * (long double)(value);
      EXPECT_NEAR(cpu::sum_of_squares<T>({.count = n}, {.x = x.data()}), double(want),
                  1e-12 * double(want));
      const std::vector<T> before = x;
      cpu::scale<T>({.count = n, .factor = 0.25}, {.x = x.data()});
      for (std::size_t i = 0; i < x.size(); i++) EXPECT_EQ(x[i], before[i] / 4);
    }
    const std::vector<T> bad{1, T(nan)}, large{T(1e30), T(1e30)};
    EXPECT_TRUE(std::isnan(cpu::sum_of_squares<T>({.count = 2}, {.x = bad.data()})));
    EXPECT_NEAR(cpu::sum_of_squares<T>({.count = 2}, {.x = large.data()}), 2e60, 1e54);
  });
}

TYPED_TEST(OptimizerKernel, SameBitsForAnyNumberOfThreads) {
  using T = TypeParam;
  const std::int64_t n = 200001;
  const std::vector<T> start = normals<T>(n, 1), g = normals<T>(n, 2);
  for_each_isa([&] {
    std::vector<T> first;
    double norm = 0;
    for_each_thread_count([&](int threads) {
      std::vector<T> p = start, m(p.size()), v(p.size());
      cpu::adam<T>({.count = n, .step = 1, .lr = 0.1},
                   {.grad = g.data(), .param = p.data(), .m = m.data(), .v = v.data()});
      const double squares = cpu::sum_of_squares<T>({.count = n}, {.x = g.data()});
      if (threads == 1) first = p, norm = squares;
      EXPECT_TRUE(same_bits(first, p));
      EXPECT_EQ(norm, squares);
    });
  });
}

}  // namespace
}  // namespace unroll
