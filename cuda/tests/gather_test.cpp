#include "kernels/gather.h"

#include <type_traits>

#include "cuda/tests/agreement.h"
#include "cuda/tests/traffic.h"

namespace unroll::gpu_test {
namespace {

// std::vector<bool> has no data(): booleans are bytes of 0 and 1 here.
template <class T>
using Stored = std::conditional_t<std::is_same_v<T, bool>, unsigned char, T>;

template <class T>
std::vector<Stored<T>> values(std::int64_t n, unsigned seed = 1) {
  std::vector<Stored<T>> x;
  for (const double v : normal<double>(std::size_t(n), seed))
    x.push_back(std::is_same_v<T, bool> ? Stored<T>(v > 0)
                                        : Stored<T>(std::is_integral_v<T> ? v * 100 : v));
  return x;
}

template <class T>
GatherArgs<T> args_of(const Stored<T>* x, const std::int64_t* index, Stored<T>* y) {
  return {reinterpret_cast<const T*>(x), index, reinterpret_cast<T*>(y)};
}

// Places with repeats, some of them never named.
std::vector<std::int64_t> indices(std::int64_t count, std::int64_t n) {
  std::vector<std::int64_t> index;
  for (std::int64_t i = 0; i < count; i++) index.push_back((i * i + i / 3) % n);
  return index;
}

constexpr GatherShape shapes[] = {
    {.outer = 1, .n = 1, .inner = 1, .m = 1},   {.outer = 3, .n = 5, .inner = 1, .m = 70},
    {.outer = 2, .n = 40, .inner = 7, .m = 33}, {.outer = 1, .n = 6, .inner = 260, .m = 9},
    {.outer = 2, .n = 3, .inner = 0, .m = 4},   {.outer = 2, .n = 3, .inner = 4, .m = 0}};

// Both kernels on a copy of `before`; x has x_size numbers and the index index_size.
template <class T, class Kernel, class Reference>
void check(const GatherShape& s, std::int64_t x_size, std::int64_t index_size,
           const std::vector<Stored<T>>& before, Kernel kernel, Reference reference) {
  SCOPED_TRACE(std::to_string(s.outer) + " x " + std::to_string(s.n) + " x " +
               std::to_string(s.inner) + " by " + std::to_string(s.m));
  const auto x = values<T>(x_size);
  const auto index = indices(index_size, s.n);
  auto expected = before;
  reference(s, args_of<T>(x.data(), index.data(), expected.data()));
  const auto got = in_all_orders<Stored<T>>([&] {
    const DeviceArray<Stored<T>> from(x), to(before);
    const DeviceArray<std::int64_t> places(index);
    kernel(s, args_of<T>(from.data(), places.data(), to.data()));
    return to.values();
  });
  expect_same_bits(got, expected);
}

template <class T>
void check_reads() {
  for (const GatherShape& s : shapes) {
    const std::int64_t from = s.outer * s.n * s.inner, to = s.outer * s.m * s.inner;
    const std::vector<Stored<T>> empty{std::vector<Stored<T>>(std::size_t(to), Stored<T>(1))};
    check<T>(s, from, s.m, empty, device::index_select<T>, cpu::index_select<T>);
    check<T>(s, from, to, empty, device::take_along<T>, cpu::take_along<T>);
  }
}

TEST(GatherKernel, ReadsWhatTheCpuReads) {
  check_reads<float>();
  check_reads<double>();
  check_reads<std::int64_t>();
  check_reads<bool>();
}

// In the order of the indices, as on the CPU: the same bits.
template <class T>
void check_adds() {
  for (const GatherShape& s : shapes) {
    const std::int64_t from = s.outer * s.m * s.inner;
    const auto before = values<T>(s.outer * s.n * s.inner, 2);
    check<T>(s, from, s.m, before, device::index_add<T>, cpu::index_add<T>);
    check<T>(s, from, from, before, device::put_along_add<T>, cpu::put_along_add<T>);
  }
}

TEST(GatherKernel, AddsAsTheCpuAdds) {
  check_adds<float>();
  check_adds<double>();
}

// Places share warps where there are more than 8192 of them: five of a slice among four warps here.
TEST(GatherKernel, RangesOfPlaces) {
  const GatherShape s{.outer = 2048, .n = 5, .inner = 1, .m = 6};
  const auto x = values<float>(2048 * 6), before = values<float>(2048 * 5, 2);
  const auto index = indices(6, 5);
  std::vector<float> expected = before;
  cpu::index_add<float>(s, {.x = x.data(), .index = index.data(), .y = expected.data()});
  const DeviceArray<float> from(x), y(before);
  const DeviceArray<std::int64_t> places(index);
  device::index_add<float>(s, {.x = from.data(), .index = places.data(), .y = y.data()});
  expect_same_bits(y.values(), expected);
}

TEST(GatherKernel, FirstBadIndex) {
  const auto first = [](const std::vector<std::int64_t>& index, std::int64_t n) {
    const DeviceArray<std::int64_t> places(index);
    return device::first_bad_index({.count = std::int64_t(index.size()), .n = n},
                                   {.index = places.data()});
  };
  EXPECT_EQ(first({}, 3), -1);
  EXPECT_EQ(first({0, 2, 1}, 3), -1);
  EXPECT_EQ(first({0, 3, -1}, 3), 1);
  EXPECT_EQ(first({0, 1, -1, 9}, 3), 2);
  std::vector<std::int64_t> many(5000, 7);
  EXPECT_EQ(first(many, 8), -1);
  many[4999] = 8;
  EXPECT_EQ(first(many, 8), 4999);
  many[1300] = many[4000] = INT64_MIN;
  EXPECT_EQ(first(many, 8), 1300);
}

#ifndef __CUDACC__  // faults are found, and bytes counted, by the simulator
// A failure of the kernel is told by the next wait, and no index is called bad.
TEST(GatherKernel, AFailureIsKeptForTheNextWait) {
  const DeviceArray<std::int64_t> index(std::vector<std::int64_t>{1, 2});
  EXPECT_EQ(device::first_bad_index({.count = 1 << 20, .n = 3}, {.index = index.data()}), -1);
  EXPECT_THROW(sim::synchronize(), sim::Failure);
}

TEST(GatherKernel, ReadsAndWritesSlicesOnce) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "traffic is counted in kernels with checks";
  const GatherShape s{.outer = 1, .n = 20, .inner = 512, .m = 20};
  std::vector<std::int64_t> index(20);
  for (std::int64_t j = 0; j < 20; j++) index[std::size_t(j)] = 19 - j;
  const DeviceArray<float> x(values<float>(20 * 512)), y(20 * 512);
  const DeviceArray<std::int64_t> places(index);
  const sim::KernelMeter row = metered("index_select", [&] {
    device::index_select<float>(s, {.x = x.data(), .index = places.data(), .y = y.data()});
    sim::synchronize();
  });
  EXPECT_EQ(row.written.sectors, 20 * 512 * 4 / 32);
  EXPECT_EQ(row.read.sectors, 20 * 512 * 4 / 32 + 20 * 512 / 32);  // an index for each warp
}
#endif

}  // namespace
}  // namespace unroll::gpu_test
