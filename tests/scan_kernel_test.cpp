#include "kernels/scan.h"

#include "tests/kernel_testing.h"

namespace unroll {
namespace {

using namespace unroll::testing;

template <class T>
class ScanKernel : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ScanKernel, Reals);

// Widths around the strips of lines that are computed side by side.
const ScanShape shapes[] = {{1, 1, 1},   {1, 9, 1},   {3, 5, 2},   {2, 7, 127},
                            {2, 3, 128}, {1, 4, 129}, {2, 2, 300}, {2, 0, 3}};

TYPED_TEST(ScanKernel, MatchesTheNaiveLoop) {
  using T = TypeParam;
  for_each_isa([] {
    for (ScanShape s : shapes)
      for (const bool reverse : {false, true})
        for (const bool plain : {false, true}) {
          SCOPED_TRACE(::testing::Message() << s.outer << "," << s.count << "," << s.inner);
          s.reverse = reverse;
          const std::int64_t size = s.outer * s.count * s.inner;
          const std::vector<T> a = normals<T>(size, 1), b = normals<T>(size, 2);
          std::vector<T> y(b.size(), T(-7)), want(b.size());
          cpu::scan<T>(s, {.a = plain ? nullptr : a.data(), .b = b.data(), .y = y.data()});
          for (std::int64_t o = 0; o < s.outer; o++)
            for (std::int64_t i = 0; i < s.inner; i++) {
              T last = 0;
              for (std::int64_t k = 0; k < s.count; k++) {
                const std::int64_t t = reverse ? s.count - 1 - k : k;
                const std::size_t at = std::size_t((o * s.count + t) * s.inner + i);
                last = k == 0 ? b[at] : (plain ? last : a[at] * last) + b[at];
                want[at] = last;
              }
            }
          EXPECT_TRUE(same_bits(y, want));
          std::vector<T> in_place = b;
          cpu::scan<T>(
              s, {.a = plain ? nullptr : a.data(), .b = in_place.data(), .y = in_place.data()});
          EXPECT_TRUE(same_bits(in_place, want));
        }
  });
}

TYPED_TEST(ScanKernel, TheFactorOfTheFirstPlaceIsNeverRead) {
  using T = TypeParam;
  for_each_isa([] {
    const std::vector<T> a{T(nan), 2, 3, T(nan)}, b{1, 1, 1, 1};
    std::vector<T> y(4);
    cpu::scan<T>({1, 3, 1}, {.a = a.data(), .b = b.data(), .y = y.data()});
    EXPECT_EQ(y[2], 10);
    cpu::scan<T>({1, 3, 1, true}, {.a = a.data() + 1, .b = b.data() + 1, .y = y.data() + 1});
    EXPECT_EQ(y[1], 9);
  });
}

TYPED_TEST(ScanKernel, SameBitsForAnyNumberOfThreads) {
  using T = TypeParam;
  for_each_isa([] {
    const ScanShape s{40, 30, 200};
    const std::vector<T> a = normals<T>(40 * 30 * 200, 3), b = normals<T>(40 * 30 * 200, 4);
    std::vector<T> first;
    for_each_thread_count([&](int threads) {
      std::vector<T> y(b.size());
      cpu::scan<T>(s, {.a = a.data(), .b = b.data(), .y = y.data()});
      if (threads == 1) first = y;
      EXPECT_TRUE(same_bits(first, y));
    });
  });
}

}  // namespace
}  // namespace unroll
