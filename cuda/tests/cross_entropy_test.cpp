#include "kernels/cross_entropy.h"

#include <algorithm>
#include <limits>

#include "cuda/tests/agreement.h"

namespace unroll::gpu_test {
namespace {

template <class T>
constexpr double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-14;

template <class T>
struct Case {
  CrossEntropyShape s;
  std::vector<T> x, weight;
  std::vector<std::int64_t> target;
  std::vector<T> loss, shift, log_sum;  // as the CPU has them

  Case(const CrossEntropyShape& shape, bool weighted) : s(shape), x(normal<T>(all())) {
    for (std::int64_t c = 0; weighted && c < s.n; c++) weight.push_back(T(c % 3) / 2);
    for (std::int64_t r = 0; r < s.rows; r++)
      target.push_back(r % 4 == 3 ? s.ignored : r * 5 % s.n);
    forward();
  }
  std::size_t all() const { return std::size_t(s.rows * s.n); }
  const T* weights() const { return weight.empty() ? nullptr : weight.data(); }
  void forward() {
    loss = shift = log_sum = std::vector<T>(target.size());
    cpu::cross_entropy<T>(s, {.x = x.data(),
                              .target = target.data(),
                              .weight = weights(),
                              .loss = loss.data(),
                              .shift = shift.data(),
                              .log_sum = log_sum.data()});
  }
};

template <class T>
std::vector<T> losses(const Case<T>& c) {
  const DeviceArray<T> x(c.x), weight(c.weight), loss(c.target.size()), shift(c.target.size());
  const DeviceArray<T> log_sum(c.target.size());
  const DeviceArray<std::int64_t> target(c.target);
  device::cross_entropy<T>(c.s, {.x = x.data(),
                                 .target = target.data(),
                                 .weight = weight.data(),
                                 .loss = loss.data(),
                                 .shift = shift.data(),
                                 .log_sum = log_sum.data()});
  return joined({loss.values(), shift.values(), log_sum.values()});
}

template <class T>
void check_forward(const Case<T>& c) {
  SCOPED_TRACE(std::to_string(c.s.rows) + " x " + std::to_string(c.s.n));
  const auto got = in_all_orders<T>([&] { return losses(c); });
  expect_close(got, joined({c.loss, c.shift, c.log_sum}), tolerance<T>);
}

TEST(CrossEntropyKernel, EqualsTheCpu) {
  for (const auto& [rows, n] : {std::pair{1, 1}, {5, 3}, {11, 33}, {2, 1600}}) {
    for (const double smoothing : {0.0, 0.1}) {
      check_forward(Case<float>({.rows = rows, .n = n, .smoothing = smoothing}, true));
      check_forward(Case<double>({.rows = rows, .n = n, .smoothing = smoothing}, false));
    }
  }
}

TEST(CrossEntropyKernel, RowsBeyondSharedMemory) {
  const Case<double> c({.rows = 2, .n = 12300, .smoothing = 0.1}, false);
  expect_close(losses(c), joined({c.loss, c.shift, c.log_sum}), 1e-13);
}

TEST(CrossEntropyKernel, LaunchesNothingWithoutRows) {
  expect_no_launch([] { losses(Case<float>({.rows = 0, .n = 3}, false)); });
}

// The weights of impossible classes are 0, so that they do not count.
TEST(CrossEntropyKernel, Extremes) {
  Case<double> c({.rows = 4, .n = 6, .smoothing = 0.2}, true);
  c.x[0] = -std::numeric_limits<double>::infinity();  // of weight 0
  c.x[7] = 300, c.x[8] = -300;
  c.x[19] = std::nan("");  // in the row that is ignored
  c.forward();
  check_forward(c);
}

// Cotangents or tangents of `u` numbers to those of `v`.
template <class T, class Kernel, class Reference>
void check_linear(const Case<T>& c, std::size_t u_size, std::size_t v_size, double beta,
                  Kernel kernel, Reference reference) {
  SCOPED_TRACE(std::to_string(c.s.rows) + " x " + std::to_string(c.s.n));
  const std::vector<T> u = normal<T>(u_size, 4);
  const std::vector<T> before = beta == 0 ? std::vector<T>(v_size, T(NAN)) : normal<T>(v_size, 5);
  std::vector<T> expected = before;
  reference(c.s, CrossEntropyLinear<T>{c.x.data(), c.target.data(), c.weights(), c.shift.data(),
                                       c.log_sum.data(), u.data(), expected.data(), beta});
  const auto got = in_all_orders<T>([&] {
    const DeviceArray<T> x(c.x), weight(c.weight), shift(c.shift), log_sum(c.log_sum), from(u);
    const DeviceArray<T> to(before);
    const DeviceArray<std::int64_t> target(c.target);
    kernel(c.s, CrossEntropyLinear<T>{x.data(), target.data(), weight.data(), shift.data(),
                                      log_sum.data(), from.data(), to.data(), beta});
    return to.values();
  });
  double terms = 0;
#ifdef __CUDACC__  // one class has u - 1 u: of nvcc, which makes it an fma, the rounding of u
  for (const T e : u)
    if (c.s.n == 1) terms = std::max(terms, std::fabs(double(e)));
#endif
  expect_close(got, expected, tolerance<T>, terms);
}

template <class T>
void check_maps(const Case<T>& c, double beta) {
  const std::size_t few = c.target.size() * std::size_t(c.s.directions);
  const std::size_t many = few * std::size_t(c.s.n);
  check_linear(c, few, many, beta, device::cross_entropy_pull<T>, cpu::cross_entropy_pull<T>);
  check_linear(c, many, few, 0, device::cross_entropy_push<T>, cpu::cross_entropy_push<T>);
}

TEST(CrossEntropyKernel, LinearMapsEqualTheCpu) {
  for (const auto& [rows, n] : {std::pair{1, 1}, {5, 3}, {11, 33}, {2, 1600}}) {
    check_maps(Case<float>({.rows = rows, .n = n}, true), 0);
    check_maps(Case<double>({.rows = rows, .n = n, .smoothing = 0.1, .directions = 2}, true), 0.5);
    check_maps(Case<double>({.rows = rows, .n = n, .smoothing = 0.1}, false), 1);
  }
}

// An ignored index that is a class, and logits that are no numbers where rows are ignored.
TEST(CrossEntropyKernel, IgnoredRows) {
  Case<double> c({.rows = 8, .n = 5, .ignored = 0, .smoothing = 0.1}, false);
  for (std::size_t r = 0; r < 8; r++)
    if (c.target[r] == 0) std::fill_n(c.x.begin() + std::ptrdiff_t(5 * r), 5, std::nan(""));
  c.forward();
  check_maps(c, 0);
}

}  // namespace
}  // namespace unroll::gpu_test
