#include "kernels/gather.h"

#include "tests/kernel_testing.h"

namespace unroll {
namespace {

using namespace unroll::testing;

std::vector<std::int64_t> indices(std::int64_t count, std::int64_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<std::int64_t> index(static_cast<std::size_t>(count));
  for (auto& i : index) i = std::int64_t(engine() % std::uint64_t(n));
  return index;
}

const GatherShape shapes[] = {
    {.outer = 1, .n = 5, .inner = 3, .m = 9},    {.outer = 3, .n = 4, .inner = 1, .m = 2},
    {.outer = 2, .n = 7, .inner = 200, .m = 30}, {.outer = 2, .n = 3, .inner = 2, .m = 0},
    {.outer = 0, .n = 3, .inner = 2, .m = 4},    {.outer = 2, .n = 3, .inner = 0, .m = 4}};

std::size_t at(std::int64_t i) { return std::size_t(i); }

TEST(GatherKernel, SelectAndItsTranspose) {
  for_each_isa([] {
    for (const GatherShape& s : shapes) {
      const auto index = indices(s.m, s.n, 1);
      const auto x = normals<double>(s.outer * s.n * s.inner, 2),
                 dy = normals<double>(s.outer * s.m * s.inner, 3);
      std::vector<double> y(dy.size(), nan), dx = x, want = x;
      cpu::index_select<double>(s, {.x = x.data(), .index = index.data(), .y = y.data()});
      cpu::index_add<double>(s, {.x = dy.data(), .index = index.data(), .y = dx.data()});
      for (std::int64_t o = 0; o < s.outer; o++) {
        for (std::int64_t j = 0; j < s.m; j++) {
          for (std::int64_t i = 0; i < s.inner; i++) {
            const std::int64_t from = (o * s.n + index[at(j)]) * s.inner + i,
                               to = (o * s.m + j) * s.inner + i;
            EXPECT_EQ(y[at(to)], x[at(from)]);
            want[at(from)] += dy[at(to)];
          }
        }
      }
      EXPECT_TRUE(same_bits(dx, want));
    }
  });
}

TEST(GatherKernel, TakeAlongAndItsTranspose) {
  for_each_isa([] {
    for (const GatherShape& s : shapes) {
      const auto index = indices(s.outer * s.m * s.inner, s.n, 1);
      const auto x = normals<float>(s.outer * s.n * s.inner, 2),
                 dy = normals<float>(s.outer * s.m * s.inner, 3);
      std::vector<float> y(dy.size(), float(nan)), dx = x, want = x;
      cpu::take_along<float>(s, {.x = x.data(), .index = index.data(), .y = y.data()});
      cpu::put_along_add<float>(s, {.x = dy.data(), .index = index.data(), .y = dx.data()});
      for (std::int64_t to = 0; to < s.outer * s.m * s.inner; to++) {
        const std::int64_t from =
            (to / (s.m * s.inner) * s.n + index[at(to)]) * s.inner + to % s.inner;
        EXPECT_EQ(y[at(to)], x[at(from)]);
        want[at(from)] += dy[at(to)];
      }
      EXPECT_TRUE(same_bits(dx, want));
    }
  });
}

TEST(GatherKernel, OtherTypes) {
  for_each_isa([] {
    const std::int64_t index[] = {2, 0}, x[] = {10, 11, 12};
    std::int64_t y[2];
    cpu::index_select<std::int64_t>({.outer = 1, .n = 3, .inner = 1, .m = 2},
                                    {.x = x, .index = index, .y = y});
    EXPECT_EQ(y[0], 12);
    EXPECT_EQ(y[1], 10);
    const bool p[] = {false, false, true};
    bool q[2];
    cpu::take_along<bool>({.outer = 1, .n = 3, .inner = 1, .m = 2},
                          {.x = p, .index = index, .y = q});
    EXPECT_TRUE(q[0] && !q[1]);
  });
}

TEST(GatherKernel, FindsTheFirstBadIndex) {
  const std::int64_t index[] = {0, 2, 3, -1};
  EXPECT_EQ(cpu::first_bad_index({.count = 4, .n = 3}, {.index = index}), 2);
  EXPECT_EQ(cpu::first_bad_index({.count = 4, .n = 4}, {.index = index}), 3);
  EXPECT_EQ(cpu::first_bad_index({.count = 3, .n = 4}, {.index = index}), -1);
  EXPECT_EQ(cpu::first_bad_index({.count = 0, .n = 0}, {.index = nullptr}), -1);
}

TEST(GatherKernel, SameBitsForAnyNumberOfThreads) {
  const GatherShape s{.outer = 1, .n = 10, .inner = 300, .m = 2000};
  const auto index = indices(s.m, s.n, 1);
  const auto dy = normals<float>(s.m * s.inner, 3);
  std::vector<float> first;
  for_each_thread_count([&](int threads) {
    std::vector<float> dx(at(s.n * s.inner));
    cpu::index_add<float>(s, {.x = dy.data(), .index = index.data(), .y = dx.data()});
    if (threads == 1) first = dx;
    EXPECT_TRUE(same_bits(first, dx));
  });
}

}  // namespace
}  // namespace unroll
