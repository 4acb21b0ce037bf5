#include "kernels/matmul.h"

#include <array>

#include "tests/kernel_testing.h"

namespace unroll {
namespace {

using namespace unroll::testing;

template <class T>
class MatmulKernel : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(MatmulKernel, Reals);

template <class T>
void run(const MatmulShape& s, const std::vector<T>& a, const std::vector<T>& b,
         std::vector<T>& c) {
  Scratch scratch(cpu::matmul_scratch<T>(s));
  cpu::matmul<T>(s, {.a = a.data(), .b = b.data(), .c = c.data(), .scratch = scratch.get()});
}

// Against the definition in double; the slack grows with the sum of |a b|.
template <class T>
void check(const MatmulShape& s, const std::vector<T>& a, const std::vector<T>& b,
           const std::vector<T>& before, const std::vector<T>& c) {
  std::vector<bool> written(c.size(), false);
  for (std::int64_t p = 0; p < s.batch; p++) {
    for (std::int64_t m = 0; m < s.M; m++) {
      for (std::int64_t n = 0; n < s.N; n++) {
        long double sum = 0;
        double size = 0;
        for (std::int64_t k = 0; k < s.K; k++) {
          const double term = double(a[std::size_t(p * s.a_batch + m * s.a_row + k * s.a_col)]) *
                              double(b[std::size_t(p * s.b_batch + k * s.b_row + n * s.b_col)]);
          sum += term, size += std::fabs(term);
        }
        const std::size_t at = std::size_t(p * s.c_batch + m * s.c_row + n);
        const double old = s.beta == 0 ? 0 : s.beta * double(before[at]);
        const double slack = double(std::numeric_limits<T>::epsilon()) *
                             (4 * std::fabs(s.alpha) * size + 4 * std::fabs(old));
        ASSERT_NEAR(double(c[at]), s.alpha * double(sum) + old, slack) << p << "," << m << "," << n;
        written[at] = true;
      }
    }
  }
  for (std::size_t i = 0; i < c.size(); i++) {
    ASSERT_TRUE(written[i] || std::isnan(c[i])) << "wrote outside C, at " << i;
  }
}

// C has a gap after each row, and holds NaN where beta is 0 and in the gaps.
template <class T>
void try_shape(MatmulShape s, std::size_t a_count, std::size_t b_count) {
  SCOPED_TRACE(::testing::Message() << s.batch << " x [" << s.M << "," << s.K << "][" << s.K << ","
                                    << s.N << "] beta " << s.beta);
  s.c_row = s.N + 3;
  s.c_batch = s.M * s.c_row + 5;
  const std::vector<T> a = normals<T>(std::int64_t(a_count), 1),
                       b = normals<T>(std::int64_t(b_count), 2);
  std::vector<T> before(std::size_t(s.batch * s.c_batch), T(nan));
  if (s.beta != 0) {
    for (std::int64_t p = 0; p < s.batch; p++) {
      for (std::int64_t m = 0; m < s.M; m++) {
        for (std::int64_t n = 0; n < s.N; n++) {
          before[std::size_t(p * s.c_batch + m * s.c_row + n)] = T(0.25 * double(m) - double(n));
        }
      }
    }
  }
  std::vector<T> c = before;
  run(s, a, b, c);
  check(s, a, b, before, c);
}

MatmulShape with_transposes(std::int64_t M, std::int64_t N, std::int64_t K, bool ta, bool tb) {
  MatmulShape s = MatmulShape::dense(M, N, K);
  if (ta) s.a_row = 1, s.a_col = M;
  if (tb) s.b_row = 1, s.b_col = K;
  return s;
}

TYPED_TEST(MatmulKernel, AllTransposesAndOddSizes) {
  const std::int64_t some[] = {1, 2, 3, 5, 7, 8, 13, 16, 17, 24, 31, 33, 50};
  for_each_isa([&] {
    for (const std::int64_t M : some) {
      for (const std::int64_t N : some) {
        for (const std::int64_t K : {1, 4, 19, 40}) {
          for (int t = 0; t < 4; t++) {
            MatmulShape s = with_transposes(M, N, K, t & 1, t & 2);
            s.beta = (M + N + t) % 3 == 0 ? 1 : 0;
            try_shape<TypeParam>(s, std::size_t(M * K), std::size_t(K * N));
          }
        }
      }
    }
  });
}

TYPED_TEST(MatmulKernel, SizesBeyondTheBlocks) {
  for_each_isa([&] {
    for (int t = 0; t < 4; t++) {
      for (const auto& [M, N, K] : {std::array<std::int64_t, 3>{150, 130, 700},
                                    {301, 40, 300},
                                    {20, 700, 90},
                                    {1, 600, 500},
                                    {600, 1, 500},
                                    {4, 70, 900},
                                    {1, 2200, 500},
                                    {8, 71, 500},
                                    {67, 11, 300},
                                    {129, 257, 65}}) {
        MatmulShape s = with_transposes(M, N, K, t & 1, t & 2);
        s.alpha = -1.5, s.beta = t == 1 ? 0.5 : t == 2 ? 1 : 0;
        try_shape<TypeParam>(s, std::size_t(M * K), std::size_t(K * N));
      }
    }
  });
}

TYPED_TEST(MatmulKernel, BatchesShareAndRepeatOperands) {
  for_each_isa([&] {
    MatmulShape s = MatmulShape::dense(6, 9, 11);
    s.batch = 5;
    s.a_batch = 66, s.b_batch = 0;
    try_shape<TypeParam>(s, 66 * 5, 99);
    s.a_batch = 0, s.b_batch = 99;
    try_shape<TypeParam>(s, 66, 99 * 5);
    s.a_batch = 66, s.b_batch = 99, s.beta = 1;
    try_shape<TypeParam>(s, 66 * 5, 99 * 5);
    s.a_row = 0;  // one row of A, used for every row of C
    try_shape<TypeParam>(s, 66 * 5, 99 * 5);
    s.a_row = 5 * 22, s.a_col = 2, s.a_batch = 22;  // interleaved batches, every other column
    try_shape<TypeParam>(s, 22 * 5 * 6, 99 * 5);
  });
}

TYPED_TEST(MatmulKernel, EmptyProductsStillDefineC) {
  using T = TypeParam;
  for_each_isa([&] {
    std::vector<T> c{T(nan), T(nan)};
    run<T>(MatmulShape::dense(1, 2, 0), {}, {}, c);
    EXPECT_EQ(c, (std::vector<T>{0, 0}));
    c = {3, -4};
    MatmulShape s = MatmulShape::dense(2, 1, 0);
    s.beta = 0.5;
    run<T>(s, {}, {}, c);
    EXPECT_EQ(c, (std::vector<T>{1.5, -2}));
    run<T>(MatmulShape::dense(0, 2, 3), {}, {}, c);
    run<T>(MatmulShape::dense(2, 0, 3), {}, {}, c);
    EXPECT_EQ(c, (std::vector<T>{1.5, -2}));
  });
}

TYPED_TEST(MatmulKernel, NanAndInfinityStayInTheirRowsAndColumns) {
  using T = TypeParam;
  for_each_isa([&] {
    std::vector<T> a(20 * 30, 1), b(30 * 25, 1), c(20 * 25);
    a[3 * 30 + 7] = T(nan), b[9 * 25 + 11] = T(infinity);
    run<T>(MatmulShape::dense(20, 25, 30), a, b, c);
    for (std::size_t i = 0; i < c.size(); i++) {
      if (i / 25 == 3) {
        EXPECT_TRUE(std::isnan(c[i]));
      } else {
        EXPECT_EQ(c[i], i % 25 == 11 ? T(infinity) : T(30));
      }
    }
  });
}

TYPED_TEST(MatmulKernel, SameBitsForAnyNumberOfThreads) {
  using T = TypeParam;
  for_each_isa([&] {
    for (const auto& size : {std::array<std::int64_t, 4>{301, 260, 333, 1},
                             {64, 32, 32, 20},
                             {1, 3000, 500, 1},
                             {3000, 1, 500, 1},
                             {3, 2000, 700, 1},
                             {8, 400, 300, 1},
                             {-8, 400, 300, 1},
                             {-400, 8, 300, 1}}) {  // negative: B is transposed
      const std::int64_t M = std::abs(size[0]), N = size[1], K = size[2], batch = size[3];
      MatmulShape s = with_transposes(M, N, K, false, size[0] < 0);
      s.batch = batch, s.a_batch = M * K, s.b_batch = K * N, s.c_batch = M * N;
      const std::vector<T> a = normals<T>(batch * M * K, 1), b = normals<T>(batch * K * N, 2);
      std::vector<T> first;
      for_each_thread_count([&](int threads) {
        std::vector<T> c(std::size_t(batch * M * N));
        run(s, a, b, c);
        if (threads == 1) first = c;
        EXPECT_TRUE(same_bits(first, c)) << M << " " << N << " " << K;
      });
    }
  });
}

}  // namespace
}  // namespace unroll
