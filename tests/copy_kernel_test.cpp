#include "kernels/copy.h"

#include <memory>

#include "tests/kernel_testing.h"

namespace unroll {
namespace {

using namespace unroll::testing;

// Shapes and strides for y and x: dense, transposed, broadcast, strided output, over one block.
std::vector<Strided> copy_spaces() {
  std::vector<Strided> spaces{Strided{}, flat(1, 2), flat(3000, 2), flat(0, 2)};
  Strided s = dense_space({37, 41});
  s.stride[1][0] = 1, s.stride[1][1] = 37, spaces.push_back(s);
  s.stride[1][0] = 0, s.stride[1][1] = 1, spaces.push_back(s);
  s.stride[0][0] = 2, s.stride[0][1] = 80, spaces.push_back(s);
  s = dense_space({4, 1, 5, 6});
  const std::int64_t turned[] = {30, 9, 1, 5};
  for (int d = 0; d < 4; d++) s.stride[1][d] = turned[d];
  spaces.push_back(s);
  return spaces;
}

template <class To, class From>
void check_copy(const std::vector<From>& values, const std::vector<To>& converted) {
  for_each_isa([&] {
    for (const Strided& s : copy_spaces()) {
      const std::size_t n = 4000;
      const auto x = std::make_unique<From[]>(n);
      const auto y = std::make_unique<To[]>(n);
      for (std::size_t i = 0; i < n; i++) x[i] = values[i % values.size()];
      cpu::copy<To, From>(s, {.x = x.get(), .y = y.get()});
      const auto to = offsets(s, 0), from = offsets(s, 1);
      for (std::size_t i = 0; i < to.size(); i++) {
        const To want = converted[std::size_t(from[i]) % values.size()],
                 got = y[std::size_t(to[i])];
        ASSERT_TRUE(got == want || (got != got && want != want)) << got << " for " << want;
      }
    }
  });
}

TEST(CopyKernel, ConvertsEveryPair) {
  const std::vector<float> f{0, 1.5f, -2.75f, 1e30f, float(nan), -float(infinity)};
  const std::vector<double> d{0, 1.5, -2.75, 1e30f, nan, -infinity};
  const std::vector<std::int64_t> i{0, 1, -2, INT64_MIN, INT64_MIN, INT64_MIN};
  const std::vector<bool> b{false, true, true, true, true, true};
  check_copy<float, float>(f, f);
  check_copy<double, float>(f, d);
  check_copy<float, double>(d, f);
  check_copy<double, double>(d, d);
  check_copy<std::int64_t, float>(f, i);
  check_copy<std::int64_t, double>(d, i);
  check_copy<std::int64_t, std::int64_t>(i, i);
  check_copy<bool, float>(f, b);
  check_copy<bool, double>(d, b);
  check_copy<bool, std::int64_t>(i, b);
  check_copy<float, std::int64_t>({0, 3, -4}, {0, 3, -4});
  check_copy<double, std::int64_t>({0, 3, -4}, {0, 3, -4});
  check_copy<bool, bool>({false, true}, {false, true});
  check_copy<float, bool>({false, true}, {0, 1});
  check_copy<double, bool>({false, true}, {0, 1});
  check_copy<std::int64_t, bool>({false, true}, {0, 1});
}

TEST(CopyKernel, FillsOnlyItsPlaces) {
  for_each_isa([] {
    std::vector<double> y(100, -1);
    Strided s = dense_space({3, 4});
    s.stride[0][0] = 20, s.stride[0][1] = 3;
    cpu::fill<double>(s, {.value = 7, .y = y.data()});
    for (std::size_t i = 0; i < y.size(); i++) {
      EXPECT_EQ(y[i], i / 20 < 3 && i % 20 < 12 && i % 20 % 3 == 0 ? 7 : -1) << i;
    }
    bool flags[2] = {false, false};
    cpu::fill<bool>(flat(2, 1), {.value = true, .y = flags});
    EXPECT_TRUE(flags[0] && flags[1]);
  });
}

TEST(CopyKernel, AxpyAddsThroughStrides) {
  for_each_isa([] {
    for (const double alpha : {1.0, -0.5}) {
      for (const Strided& s : copy_spaces()) {
        const std::vector<double> x = normals<double>(4000, 1), before = normals<double>(4000, 2);
        std::vector<double> y = before, want = before;
        cpu::axpy<double>({.space = s, .alpha = alpha}, {.x = x.data(), .y = y.data()});
        const auto to = offsets(s, 0), from = offsets(s, 1);
        for (std::size_t i = 0; i < to.size(); i++) {
          want[std::size_t(to[i])] += alpha * x[std::size_t(from[i])];
        }
        EXPECT_TRUE(same_bits(y, want));
      }
    }
  });
}

TEST(CopyKernel, SameForAnyNumberOfThreads) {
  const std::vector<float> x = normals<float>(300 * 500, 1);
  Strided s = dense_space({500, 300});
  s.stride[1][0] = 1, s.stride[1][1] = 500;
  std::vector<float> first(x.size());
  for_each_thread_count([&](int threads) {
    std::vector<float> y(x.size());
    cpu::copy<float, float>(s, {.x = x.data(), .y = y.data()});
    if (threads == 1) first = y;
    EXPECT_TRUE(same_bits(first, y));
  });
}

}  // namespace
}  // namespace unroll
