#include "kernels/copy.h"

#include <algorithm>
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

template <class T>
class CopyKernelOf : public ::testing::Test {};
using Types = ::testing::Types<float, double, std::int64_t, bool>;
TYPED_TEST_SUITE(CopyKernelOf, Types);

TYPED_TEST(CopyKernelOf, GoesThroughStridesAndLeavesTheRestAlone) {
  using T = TypeParam;
  constexpr std::size_t count = 4000;
  const auto x = std::make_unique<T[]>(count), y = std::make_unique<T[]>(count);
  for (std::size_t i = 0; i < count; i++) x[i] = T(i % 7 > 2 ? i % 7 : 0);
  for_each_isa([&] {
    for (const Strided& s : copy_spaces()) {
      const T before = T(1);
      std::fill_n(y.get(), count, before);
      std::vector<T> want(count, before);
      cpu::copy<T>(s, {.x = x.get(), .y = y.get()});
      const auto to = offsets(s, 0), from = offsets(s, 1);
      for (std::size_t i = 0; i < to.size(); i++)
        want[std::size_t(to[i])] = x[std::size_t(from[i])];
      for (std::size_t i = 0; i < count; i++) ASSERT_EQ(y[i], want[i]) << i;
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
    cpu::copy<float>(s, {.x = x.data(), .y = y.data()});
    if (threads == 1) first = y;
    EXPECT_TRUE(same_bits(first, y));
  });
}

}  // namespace
}  // namespace unroll
