#include "kernels/scan.h"

#include <limits>

#include "cuda/tests/agreement.h"
#include "cuda/tests/traffic.h"

namespace unroll::gpu_test {
namespace {

template <class T>
std::vector<T> on_cpu(const ScanShape& s, const std::vector<T>& a, const std::vector<T>& b) {
  std::vector<T> y(b.size());
  cpu::scan<T>(s, {.a = a.empty() ? nullptr : a.data(), .b = b.data(), .y = y.data()});
  return y;
}

// The factors where lines start are never read: they are left out.
template <class T>
void check(const ScanShape& s, bool sums) {
  SCOPED_TRACE(std::to_string(s.outer) + " x " + std::to_string(s.count) + " x " +
               std::to_string(s.inner) + (s.reverse ? " reverse" : "") + (sums ? " sums" : ""));
  const auto n = std::size_t(s.outer * s.count * s.inner);
  const std::vector<T> b = normal<T>(n, 2);
  std::vector<T> a = normal<T>(sums ? 0 : n, 1);
  const std::vector<T> expected = on_cpu(s, a, b);
  const std::int64_t start = s.reverse ? s.count - 1 : 0;
  for (std::int64_t i = 0; !sums && s.count > 0 && i < s.outer * s.inner; i++)
    a[std::size_t((i / s.inner * s.count + start) * s.inner + i % s.inner)] = T(NAN);
  const auto got = in_all_orders<T>([&] {
    const DeviceArray<T> factors(a), terms(b), y(n);
    device::scan<T>(s, {.a = factors.data(), .b = terms.data(), .y = y.data()});
    return y.values();
  });
  expect_close(got, expected, sizeof(T) == 4 ? 1e-5 : 1e-14);
}

TEST(ScanKernel, EqualsTheCpu) {
  constexpr std::int64_t sizes[][3] = {{1, 1, 1},    {3, 7, 1}, {33, 40, 1}, {2, 9, 5},
                                       {1, 20, 130}, {0, 4, 2}, {2, 0, 3},   {3, 600, 1}};
  for (const auto& [outer, count, inner] : sizes) {
    for (const bool reverse : {false, true}) {
      for (const bool sums : {false, true}) {
        check<float>({outer, count, inner, reverse}, sums);
        check<double>({outer, count, inner, reverse}, sums);
      }
    }
  }
}

// Nor need they be there: the memory begins or ends behind them.
TEST(ScanKernel, FactorsOfStartsAreNotRead) {
  for (const std::int64_t inner : {1, 3}) {
    for (const bool reverse : {false, true}) {
      const ScanShape s{1, 40, inner, reverse};
      const auto n = std::size_t(40 * inner);
      std::vector<double> a = normal<double>(n, 1);
      const std::vector<double> b = normal<double>(n, 2), expected = on_cpu(s, a, b);
      a.erase(reverse ? a.end() - inner : a.begin(), reverse ? a.end() : a.begin() + inner);
      const DeviceArray<double> factors(a), terms(b), y(n);
      const double* const first = factors.data() - (reverse ? 0 : inner);
      device::scan<double>(s, {.a = first, .b = terms.data(), .y = y.data()});
      expect_close(y.values(), expected, 1e-14);
    }
  }
}

TEST(ScanKernel, InPlace) {
  for (const ScanShape s : {ScanShape{2, 300, 1}, ScanShape{2, 70, 1}, ScanShape{2, 20, 3}}) {
    const auto b = normal<double>(std::size_t(s.outer * s.count * s.inner));
    const DeviceArray<double> both(b);
    device::scan<double>(s, {.b = both.data(), .y = both.data()});
    expect_close(both.values(), on_cpu<double>(s, {}, b), 1e-14);
  }
}

// Factors whose product overflows, where the recurrence itself does not.
TEST(ScanKernel, LargeFactors) {
  const ScanShape s{1, 200, 1};
  const std::vector<double> a(200, 300), b(200, 0);
  const DeviceArray<double> factors(a), terms(b), y(200);
  device::scan<double>(s, {.a = factors.data(), .b = terms.data(), .y = y.data()});
  EXPECT_EQ(y.values(), b);
}

// What is not finite stays behind its place.
TEST(ScanKernel, NotFinite) {
  const double inf = std::numeric_limits<double>::infinity();
  for (const std::int64_t count : {40, 700}) {
    std::vector<double> b = normal<double>(std::size_t(count));
    b[30] = inf, b[35] = -inf;
    const ScanShape s{1, count, 1};
    const DeviceArray<double> terms(b), y(b.size());
    device::scan<double>(s, {.b = terms.data(), .y = y.data()});
    expect_close(y.values(), on_cpu<double>(s, {}, b), 1e-14);
  }
}

#ifndef __CUDACC__  // the meter is the simulator's
TEST(ScanKernel, MovesEachElementOnce) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "traffic is counted in kernels with checks";
  const std::pair<const char*, ScanShape> cases[] = {
      {"scan_columns", {2, 30, 64}}, {"scan_tiles", {40, 96, 1}}, {"scan_sums", {3, 1024, 1}}};
  for (const auto& [name, s] : cases) {
    const auto b = normal<float>(std::size_t(s.outer * s.count * s.inner));
    expect_lean(metered(name, [&, shape = s] {
      const DeviceArray<float> terms(b), y(b.size());
      device::scan<float>(shape, {.b = terms.data(), .y = y.data()});
      sim::synchronize();
    }));
  }
}
#endif

}  // namespace
}  // namespace unroll::gpu_test
