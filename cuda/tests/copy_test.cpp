// Copies between views against the CPU's.
#include "kernels/copy.h"

#include <numeric>

#include "cuda/tests/testing.h"
#include "cuda/tests/traffic.h"

namespace unroll {
namespace {

using namespace gpu_test;

struct Case {
  const char* name;
  std::vector<std::int64_t> sizes, to, from;
};

// In arrays of at most 4096 elements.
const std::vector<Case> cases{
    {"nothing", {0, 3}, {3, 1}, {3, 1}},
    {"one", {}, {}, {}},
    {"dense", {513}, {1}, {1}},
    {"a number for all", {77}, {1}, {0}},
    {"transposed", {40, 70}, {70, 1}, {1, 40}},
    {"transposed, whole tiles", {64, 32}, {32, 1}, {1, 64}},
    {"transposed with gaps", {33, 47}, {50, 1}, {1, 36}},
    {"transposed, in a batch", {3, 17, 33}, {17 * 33, 33, 1}, {17 * 33, 1, 17}},
    {"an axis between", {20, 3, 35}, {105, 35, 1}, {1, 20, 60}},
    {"too small for a tile", {5, 7}, {7, 1}, {1, 5}},
    {"to a transposed view", {20, 30}, {1, 20}, {30, 1}},
    {"steps of three", {100}, {2}, {3}},
    {"four axes", {3, 4, 5, 6}, {120, 30, 6, 1}, {1, 3, 12, 60}},
    {"a row for all", {21, 8}, {8, 1}, {0, 1}},
};

Strided space_of(const Case& c) {
  Strided s{};
  s.rank = static_cast<int>(c.sizes.size());
  for (std::size_t d = 0; d < c.sizes.size(); d++)
    s.size[d] = c.sizes[d], s.stride[0][d] = c.to[d], s.stride[1][d] = c.from[d];
  return s;
}

// Elements of an array that ends with the view, so that nothing behind it may be read.
std::size_t extent(const std::vector<std::int64_t>& sizes,
                   const std::vector<std::int64_t>& strides) {
  std::int64_t last = 0;
  for (std::size_t d = 0; d < sizes.size(); d++) {
    if (sizes[d] == 0) return 0;
    last += (sizes[d] - 1) * strides[d];
  }
  return static_cast<std::size_t>(last) + 1;
}

template <class T>
void check(const Case& c) {
  SCOPED_TRACE(c.name);
  std::vector<T> x(extent(c.sizes, c.from)), expected(extent(c.sizes, c.to), T(9));
  std::iota(x.begin(), x.end(), T(10));
  cpu::copy<T>(space_of(c), {x.data(), expected.data()});
  const DeviceArray<T> from(x), to(std::vector<T>(expected.size(), T(9)));
  device::copy<T>(space_of(c), {from.data(), to.data()});
  EXPECT_EQ(to.values(), expected);
}

TEST(Copy, EveryView) {
  for (const Case& c : cases) {
    check<float>(c);
    check<double>(c);
    check<std::int64_t>(c);
  }
}

TEST(Copy, EverySizeOfElement) {
  for (const Case& c : cases) {
    const Shape shape(c.sizes), to_strides(c.to), from_strides(c.from);
    for (const std::size_t element : {1, 2, 4, 8}) {
      SCOPED_TRACE(std::string(c.name) + ", " + std::to_string(element) + " bytes");
      std::vector<unsigned char> x(4096 * element), expected(4096 * element, 9);
      for (std::size_t i = 0; i < x.size(); i++) x[i] = static_cast<unsigned char>(i * 31 % 251);
      const std::int64_t count = shape.numel();
      for (std::int64_t i = 0; i < count; i++) {
        std::int64_t rest = i, at = 0, source = 0;
        for (int d = shape.rank(); d-- > 0; rest /= shape[d]) {
          at += rest % shape[d] * to_strides[d];
          source += rest % shape[d] * from_strides[d];
        }
        std::copy_n(x.data() + source * std::int64_t(element), element,
                    expected.data() + at * std::int64_t(element));
      }
      const DeviceArray<unsigned char> from(x), to(std::vector<unsigned char>(4096 * element, 9));
      device::copy_strided({from.data(), to.data(), shape, from_strides, to_strides, element});
      EXPECT_EQ(to.values(), expected);
    }
  }
}

TEST(Copy, TheSameInEveryOrder) {
  in_every_order([&] {
    for (const Case& c : cases) check<float>(c);
  });
}

#ifndef __CUDACC__  // the meter is the simulator's
TEST(Copy, TransposingMovesEachElementOnce) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "needs kernels with checks";
  constexpr std::int64_t M = 96, N = 64;
  const DeviceArray<float> from(normal<float>(M * N)), to(M * N);
  const DeviceArray<double> wide(normal<double>(M * N)), wide_to(M * N);
  const Metered now;
  device::copy<float>(space_of({"", {M, N}, {N, 1}, {1, M}}), {from.data(), to.data()});
  device::copy<double>(space_of({"", {M, N}, {N, 1}, {1, M}}), {wide.data(), wide_to.data()});
  device::copy<float>(space_of({"", {M * N}, {1}, {1}}), {from.data(), to.data()});
  sim::synchronize();
  EXPECT_EQ(sim::meter().size(), 2u);
  for (const sim::KernelMeter& row : sim::meter()) {
    EXPECT_EQ(32 * row.read.sectors, row.read.least) << row.kernel;
    EXPECT_EQ(32 * row.written.sectors, row.written.least) << row.kernel;
    expect_lean(row);
  }
}
#endif

}  // namespace
}  // namespace unroll
