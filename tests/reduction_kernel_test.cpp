#include "kernels/reduction.h"

#include "tests/kernel_testing.h"

namespace unroll {
namespace {

using namespace unroll::testing;

template <class T>
class ReductionKernel : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ReductionKernel, Reals);

struct Sizes {
  std::int64_t outer, count, inner;
};
const Sizes sizes[] = {{1, 1, 1},     {1, 5, 1},    {3, 7, 2},    {2, 64, 1},
                       {4, 200, 1},   {1, 1000, 3}, {5, 33, 70},  {1, 70000, 1},
                       {1, 3000, 65}, {2, 3, 129},  {1, 2049, 1}, {7, 0, 3}};

template <class T>
double naive(Reduce op, const T* x, std::int64_t count, std::int64_t stride, std::int64_t& at) {
  long double sum = 0, product = 1;
  double best = op == Reduce::max ? -infinity : infinity;
  at = count > 0 ? 0 : -1;
  for (std::int64_t k = 0; k < count; k++) {
    const double value = double(x[k * stride]);
    sum += value, product *= value;
    if (op == Reduce::max ? value > best : value < best) best = value, at = k;
  }
  if (op == Reduce::sum) return double(sum);
  return op == Reduce::prod ? double(product) : best;
}

TYPED_TEST(ReductionKernel, MatchesTheNaiveLoop) {
  using T = TypeParam;
  for_each_isa([] {
    for (const Sizes& z : sizes) {
      for (const Reduce op : {Reduce::sum, Reduce::prod, Reduce::max, Reduce::min}) {
        for (const bool transposed : {false, true}) {
          SCOPED_TRACE(::testing::Message()
                       << int(op) << ": " << z.outer << "," << z.count << "," << z.inner);
          const std::vector<T> x = normals<T>(z.outer * z.count * z.inner + 1, 1);
          ReduceShape s = ReduceShape::dense(op, z.outer, z.count, z.inner);
          if (transposed)
            s.stride_inner = z.outer * z.count, s.stride_count = 1, s.stride_outer = z.count;
          const std::size_t n = std::size_t(z.outer * z.inner);
          std::vector<T> y(n, T(-7));
          std::vector<std::int64_t> index(n, -7);
          const bool positioned = op == Reduce::max || op == Reduce::min;
          cpu::reduce<T>(
              s, {.x = x.data(), .y = y.data(), .index = positioned ? index.data() : nullptr});
          for (std::size_t i = 0; i < n; i++) {
            const std::int64_t o = std::int64_t(i) / z.inner, j = std::int64_t(i) % z.inner;
            std::int64_t at = 0;
            const double want = naive(op, x.data() + o * s.stride_outer + j * s.stride_inner,
                                      z.count, s.stride_count, at);
            const double slack =
                double(std::numeric_limits<T>::epsilon()) *
                (op == Reduce::sum ? 4 * std::sqrt(double(z.count)) + 4 : 40 * std::fabs(want) + 4);
            if (T(want) != y[i]) {
              EXPECT_NEAR(double(y[i]), want, slack);
            }
            if (positioned) {
              EXPECT_EQ(index[i], at);
            }
          }
        }
      }
    }
  });
}

// A running sum of a million float32 tenths is off by about 1 %; the pairwise one by a few ulp.
TEST(ReductionKernel, SumsPairwise) {
  const std::vector<float> x(1 << 20, 0.1f);
  for_each_isa([&] {
    float total = 0;
    cpu::reduce<float>(ReduceShape::dense(Reduce::sum, 1, 1 << 20, 1),
                       {.x = x.data(), .y = &total});
    EXPECT_NEAR(total, double(0.1f) * (1 << 20), 0.05);
    float columns[2];
    cpu::reduce<float>(ReduceShape::dense(Reduce::sum, 1, 1 << 19, 2),
                       {.x = x.data(), .y = columns});
    EXPECT_NEAR(columns[1], double(0.1f) * (1 << 19), 0.03);
  });
}

TYPED_TEST(ReductionKernel, NanWinsAndTheFirstOfEqualsIsReported) {
  using T = TypeParam;
  const std::vector<T> x{1, 5, T(nan), 5, T(nan), 5, 3, 5, -1, -1};
  for_each_isa([&] {
    const auto run = [&](Reduce op, std::int64_t from, std::int64_t count, T& y, std::int64_t& at) {
      cpu::reduce<T>(ReduceShape::dense(op, 1, count, 1),
                     {.x = x.data() + from, .y = &y, .index = &at});
    };
    T y;
    std::int64_t at;
    run(Reduce::max, 0, 5, y, at);
    EXPECT_TRUE(std::isnan(y));
    EXPECT_EQ(at, 2);
    run(Reduce::min, 3, 7, y, at);
    EXPECT_TRUE(std::isnan(y));
    EXPECT_EQ(at, 1);
    run(Reduce::max, 5, 5, y, at);
    EXPECT_EQ(y, 5);
    EXPECT_EQ(at, 0);
    run(Reduce::min, 5, 5, y, at);
    EXPECT_EQ(at, 3);
    cpu::reduce<T>(ReduceShape::dense(Reduce::max, 1, 5, 1),
                   {.x = x.data() + 5, .y = nullptr, .index = &at});
    EXPECT_EQ(at, 0);
    cpu::reduce<T>(ReduceShape::dense(Reduce::sum, 1, 5, 1), {.x = x.data(), .y = &y});
    EXPECT_TRUE(std::isnan(y));
  });
}

// Extremes without their places have a loop of their own; it gives the same values.
TYPED_TEST(ReductionKernel, ExtremesAloneAreThoseWithPlaces) {
  using T = TypeParam;
  for_each_isa([] {
    for (const Sizes& z : sizes) {
      for (const Reduce op : {Reduce::max, Reduce::min}) {
        for (const std::int64_t hole : {-1, 0, 1, 7, 100, 129}) {
          std::vector<T> x = normals<T>(z.outer * z.count * z.inner, 4);
          if (hole >= 0 && std::size_t(hole) < x.size()) x[std::size_t(hole)] = T(nan);
          const ReduceShape s = ReduceShape::dense(op, z.outer, z.count, z.inner);
          const std::size_t n = std::size_t(z.outer * z.inner);
          std::vector<T> alone(n, T(-7)), placed(n, T(-7));
          std::vector<std::int64_t> index(n);
          cpu::reduce<T>(s, {.x = x.data(), .y = alone.data()});
          cpu::reduce<T>(s, {.x = x.data(), .y = placed.data(), .index = index.data()});
          for (std::size_t i = 0; i < n; i++) {
            EXPECT_TRUE(alone[i] == placed[i] || (std::isnan(alone[i]) && std::isnan(placed[i])))
                << z.outer << "," << z.count << "," << z.inner << " hole " << hole << " at " << i;
          }
        }
      }
    }
  });
}

TYPED_TEST(ReductionKernel, TheLastOfEqualsOnRequest) {
  using T = TypeParam;
  const std::vector<T> x{5, 3, 5, 1, 1, T(-infinity), T(-infinity), T(nan), T(nan)};
  for_each_isa([&] {
    const auto at = [&](Reduce op, std::int64_t from, std::int64_t count) {
      ReduceShape shape = ReduceShape::dense(op, 1, count, 1);
      shape.last = true;
      std::int64_t index;
      cpu::reduce<T>(shape, {.x = x.data() + from, .y = nullptr, .index = &index});
      return index;
    };
    EXPECT_EQ(at(Reduce::max, 0, 5), 2);
    EXPECT_EQ(at(Reduce::min, 0, 5), 4);
    EXPECT_EQ(at(Reduce::max, 5, 2), 1);
    EXPECT_EQ(at(Reduce::max, 5, 4), 2);  // the first NaN, as ever
  });
}

TYPED_TEST(ReductionKernel, SameBitsForAnyNumberOfThreads) {
  using T = TypeParam;
  for_each_isa([&] {
    for (const Sizes& z : {Sizes{1, 300001, 1}, Sizes{1, 5000, 33}, Sizes{40, 3000, 1},
                           Sizes{3, 500, 200}, Sizes{1, 3000, 1300}}) {
      const std::vector<T> x = normals<T>(z.outer * z.count * z.inner, 3);
      std::vector<T> first;
      for_each_thread_count([&](int threads) {
        std::vector<T> y(std::size_t(z.outer * z.inner));
        cpu::reduce<T>(ReduceShape::dense(Reduce::sum, z.outer, z.count, z.inner),
                       {.x = x.data(), .y = y.data()});
        if (threads == 1) first = y;
        EXPECT_TRUE(same_bits(first, y));
      });
    }
  });
}

TEST(ReductionKernelInteger, SumProductExtremes) {
  for_each_isa([] {
    const std::int64_t x[] = {3, -2, 7, 7};
    std::int64_t y, at;
    cpu::reduce<std::int64_t>(ReduceShape::dense(Reduce::sum, 1, 4, 1), {.x = x, .y = &y});
    EXPECT_EQ(y, 15);
    cpu::reduce<std::int64_t>(ReduceShape::dense(Reduce::prod, 1, 4, 1), {.x = x, .y = &y});
    EXPECT_EQ(y, -294);
    cpu::reduce<std::int64_t>(ReduceShape::dense(Reduce::max, 1, 4, 1),
                              {.x = x, .y = &y, .index = &at});
    EXPECT_EQ(y, 7);
    EXPECT_EQ(at, 2);
    cpu::reduce<std::int64_t>(ReduceShape::dense(Reduce::min, 1, 0, 1),
                              {.x = x, .y = &y, .index = &at});
    EXPECT_EQ(y, INT64_MAX);
    EXPECT_EQ(at, -1);
  });
}

}  // namespace
}  // namespace unroll
