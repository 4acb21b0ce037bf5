#include "kernels/reduction.h"

#include <algorithm>
#include <limits>

#include "cuda/tests/agreement.h"
#include "cuda/tests/traffic.h"

namespace unroll::gpu_test {
namespace {

constexpr Reduce every_op[] = {Reduce::sum, Reduce::prod, Reduce::max, Reduce::min};

// n numbers whose product stays within bounds.
template <class T>
std::vector<T> numbers(std::size_t n) {
  std::vector<T> values = normal<T>(n);
  for (T& v : values) v = T(1) + v / T(64);
  return values;
}
template <>
std::vector<std::int64_t> numbers(std::size_t n) {
  std::vector<std::int64_t> values(n);
  for (std::size_t i = 0; i < n; i++)
    values[i] = i % 101 == 0 ? 2 : i % 3 == 0 ? -1 : 1;  // whose product fits
  return values;
}

template <class T>
struct Result {
  std::vector<T> y;
  std::vector<std::int64_t> index;
};

template <class T>
Result<T> on_cpu(const ReduceShape& s, const std::vector<T>& x) {
  const auto n = std::size_t(s.outer * s.inner);
  const bool indexed = s.op == Reduce::max || s.op == Reduce::min;
  Result<T> r{std::vector<T>(n), std::vector<std::int64_t>(indexed ? n : 0)};
  cpu::reduce<T>(s, {.x = x.data(), .y = r.y.data(), .index = indexed ? r.index.data() : nullptr});
  return r;
}

// New memory holds NaNs, so that what is not written shows.
template <class T>
Result<T> on_gpu(const ReduceShape& s, const std::vector<T>& x) {
  const auto n = std::size_t(s.outer * s.inner);
  const bool indexed = s.op == Reduce::max || s.op == Reduce::min;
  const DeviceArray<T> from(x), y(n);
  const DeviceArray<std::int64_t> index(indexed ? n : 0);
  device::reduce<T>(s, {.x = from.data(), .y = y.data(), .index = index.data()});
  return {y.values(), index.values()};
}

template <class T>
void check(const ReduceShape& s, const std::vector<T>& x, bool every_order = true) {
  SCOPED_TRACE("op " + std::to_string(int(s.op)) + " of " + std::to_string(s.outer) + " x " +
               std::to_string(s.count) + " x " + std::to_string(s.inner));
  const Result<T> expected = on_cpu(s, x);
  Result<T> got = on_gpu(s, x);
  if (every_order) got.y = in_all_orders<T>([&] { return on_gpu(s, x).y; });
  EXPECT_EQ(got.index, expected.index);
  if constexpr (std::is_integral_v<T>) {
    EXPECT_EQ(got.y, expected.y);
  } else {
    expect_close(got.y, expected.y,
                 s.op == Reduce::max || s.op == Reduce::min ? 0
                 : sizeof(T) == 4                           ? 2e-6
                                                            : 1e-14);
  }
}

template <class T>
void check_dense() {
  constexpr std::int64_t sizes[][3] = {{1, 1, 1}, {5, 3, 1},   {3, 40, 1},   {1, 0, 4}, {70, 2, 1},
                                       {2, 9, 5}, {1, 40, 33}, {2, 1100, 1}, {3, 17, 2}};
  for (const Reduce op : every_op) {
    for (const auto& [outer, count, inner] : sizes) {
      const ReduceShape s = ReduceShape::dense(op, outer, count, inner);
      check<T>(s, numbers<T>(std::size_t(outer * count * inner)));
    }
  }
}

TEST(ReductionKernel, EqualsTheCpuFloat) { check_dense<float>(); }
TEST(ReductionKernel, EqualsTheCpuDouble) { check_dense<double>(); }
TEST(ReductionKernel, EqualsTheCpuInt64) { check_dense<std::int64_t>(); }

// Few outputs of many numbers: a second kernel combines the parts.
TEST(ReductionKernel, InParts) {
  for (const Reduce op : every_op) {
    const ReduceShape line = ReduceShape::dense(op, 1, 9001, 1);
    const ReduceShape columns = ReduceShape::dense(op, 1, 1100, 3);
    check<float>(line, numbers<float>(9001), op == Reduce::sum);
    check<double>(columns, numbers<double>(3300), op == Reduce::max);
  }
}

TEST(ReductionKernel, Strides) {
  const auto x = numbers<double>(450);
  for (const Reduce op : every_op) {
    check<double>({op, 20, 13, 1, 1, 20, 1}, x);          // transposed
    check<double>({op, 4, 10, 5, 100, 3, 30}, x, false);  // neither axis is dense
    check<double>({op, 3, 8, 2, 0, 5, 1}, x, false);      // repeated along outer
    check<double>({op, 3, 8, 2, 16, 0, 1}, x, false);     // repeated along the reduced axis
  }
  std::vector<double> backwards(x.rbegin(), x.rend());
  const DeviceArray<double> from(backwards), y(1);
  device::reduce<double>({Reduce::sum, 1, 450, 1, 0, -1, 0},
                         {.x = from.data() + 449, .y = y.data()});
  expect_close(y.values(), on_cpu(ReduceShape::dense(Reduce::sum, 1, 450, 1), x).y, 1e-14);
}

TEST(ReductionKernel, LaunchesNothingWithoutSums) {
  expect_no_launch([] { on_gpu<float>(ReduceShape::dense(Reduce::sum, 0, 3, 4), {}); });
}

TEST(ReductionKernel, ExtremesOfEqualsAndNans) {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  std::vector<double> x(50, 1.0);
  const auto check_all = [&] {
    for (const Reduce op : {Reduce::max, Reduce::min, Reduce::sum}) {
      for (const bool last : {false, true}) {
        ReduceShape s = ReduceShape::dense(op, 1, 50, 1);
        s.last = last;
        check<double>(s, x, false);
        ReduceShape columns = ReduceShape::dense(op, 1, 25, 2);
        columns.last = last;
        check<double>(columns, x, false);
        ReduceShape short_rows = ReduceShape::dense(op, 2, 20, 1);  // not every lane has a number
        short_rows.last = last;
        check<double>(short_rows, x, false);
      }
    }
  };
  check_all();
  x[20] = x[31] = 3, x[22] = x[33] = -3;
  check_all();
  x[7] = x[40] = nan;
  check_all();
  std::fill(x.begin(), x.end(), inf);
  check_all();
  std::fill(x.begin(), x.end(), -inf);
  check_all();
}

TEST(ReductionKernel, ValuesOrIndicesAlone) {
  const auto x = numbers<float>(60);
  const ReduceShape s = ReduceShape::dense(Reduce::max, 3, 20, 1);
  const Result<float> expected = on_cpu(s, x);
  const DeviceArray<float> from(x), y(3);
  const DeviceArray<std::int64_t> index(3);
  device::reduce<float>(s, {.x = from.data(), .y = y.data()});
  device::reduce<float>(s, {.x = from.data(), .y = nullptr, .index = index.data()});
  EXPECT_EQ(y.values(), expected.y);
  EXPECT_EQ(index.values(), expected.index);
}

// What cancels does not take other numbers with it, but those few of its own leaf.
TEST(ReductionKernel, LongSumsKeepTheirDigits) {
  std::vector<float> x(40000, 1);
  x[100] = 1e12F, x[39000] = -1e12F;
  const auto y = on_gpu(ReduceShape::dense(Reduce::sum, 1, 40000, 1), x).y;
  EXPECT_NEAR(double(y[0]), 39998, 32);
}

#ifndef __CUDACC__  // the meter is the simulator's
TEST(ReductionKernel, MovesEachElementOnce) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "traffic is counted in kernels with checks";
  const auto x = numbers<float>(64 * 512);
  expect_lean(
      metered("reduce_rows", [&] { on_gpu(ReduceShape::dense(Reduce::sum, 64, 512, 1), x); }));
  expect_lean(
      metered("reduce_long_rows", [&] { on_gpu(ReduceShape::dense(Reduce::sum, 8, 4096, 1), x); }));
  expect_lean(
      metered("reduce_columns", [&] { on_gpu(ReduceShape::dense(Reduce::sum, 1, 64, 512), x); }));
}
#endif

}  // namespace
}  // namespace unroll::gpu_test
