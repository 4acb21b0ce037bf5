// The matrix product on the simulator against the CPU's: every kind of tile, layout and option.
#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <cstring>

#include "cuda/matmul_plan.h"
#include "cuda/tests/testing.h"

namespace unroll {
namespace {

using namespace gpu_test;
using gpu::MatmulTile;

template <class T>
class GpuMatmul : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(GpuMatmul, Reals);

// How an operand lies: rows adjacent, columns adjacent, with gaps that leave no row aligned, with
// no adjacent numbers, or one row repeated.
enum class Layout { rows, columns, gaps, sparse, repeated };

struct Case {
  std::int64_t M, N, K;
  Layout a = Layout::rows, b = Layout::rows;
  std::int64_t batch = 1;
  double alpha = 1, beta = 0;
  bool shared_b = false;  // by all products of the batch
};

void lay(Layout how, std::int64_t rows, std::int64_t columns, std::int64_t& row,
         std::int64_t& column) {
  row = how == Layout::rows      ? columns
        : how == Layout::columns ? 1
        : how == Layout::gaps    ? columns + 1
        : how == Layout::sparse  ? 3 * columns
                                 : 0;
  column = how == Layout::columns ? rows : how == Layout::sparse ? 3 : 1;
}

MatmulShape shape_of(const Case& c) {
  MatmulShape s = MatmulShape::dense(c.M, c.N, c.K);
  lay(c.a, c.M, c.K, s.a_row, s.a_col);
  lay(c.b, c.K, c.N, s.b_row, s.b_col);
  s.batch = c.batch, s.alpha = c.alpha, s.beta = c.beta;
  s.a_batch = 3 * c.M * c.K + 3 * c.M, s.b_batch = c.shared_b ? 0 : 3 * c.K * c.N + 3 * c.K;
  s.c_row = c.N + 3, s.c_batch = c.M * s.c_row + 5;
  return s;
}

template <class T>
struct Problem {
  MatmulShape s;
  std::vector<T> a, b, c;  // c: NaN in the gaps, and everywhere where beta is 0

  explicit Problem(const Case& each)
      : s(shape_of(each)),
        a(normal<T>(std::size_t(s.batch * s.a_batch + 1), 1)),
        b(normal<T>(std::size_t((s.b_batch ? s.batch * s.b_batch : 3 * s.K * s.N + 3 * s.K) + 1),
                    2)),
        c(std::size_t(s.batch * s.c_batch + 1), std::numeric_limits<T>::quiet_NaN()) {
    for (std::int64_t e = 0; s.beta != 0 && e < s.batch * s.M * s.N; e++)
      c[std::size_t(e / (s.M * s.N) * s.c_batch + e / s.N % s.M * s.c_row + e % s.N)] =
          T(0.25 * double(e % 7) - 1);
  }

  std::vector<T> on_cpu() const {
    std::vector<T> result = c;
    std::vector<char> scratch(cpu::matmul_scratch<T>(s) + 64);
    const auto address = reinterpret_cast<std::uintptr_t>(scratch.data());
    cpu::matmul<T>(s,
                   {a.data(), b.data(), result.data(), scratch.data() + (64 - address % 64) % 64});
    return result;
  }
  std::vector<T> on_sim() const {
    DeviceArray<T> x(a), y(b), result(c);
    DeviceArray<char> scratch(sim::matmul_scratch<T>(s));
    sim::matmul<T>(s, {x.data(), y.data(), result.data(), scratch.data()});
    return result.values();
  }
};

template <class T>
constexpr double tolerance = sizeof(T) == 4 ? 2e-5 : 1e-13;

template <class T>
void expect_bits(const std::vector<T>& a, const std::vector<T>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(T)), 0);
}

const Case cases[] = {
    {.M = 1, .N = 1, .K = 1},
    {.M = 3, .N = 5, .K = 0},
    {.M = 3, .N = 5, .K = 0, .beta = 2},
    {.M = 9, .N = 12, .K = 7, .beta = 1},
    {.M = 65, .N = 67, .K = 35, .a = Layout::columns, .alpha = 0.5, .beta = -2},
    {.M = 64, .N = 64, .K = 32, .b = Layout::columns, .batch = 2},
    {.M = 20, .N = 70, .K = 17, .a = Layout::gaps, .b = Layout::gaps, .batch = 3, .shared_b = true},
    {.M = 12, .N = 10, .K = 9, .a = Layout::sparse, .b = Layout::sparse, .beta = 1},
    {.M = 12, .N = 10, .K = 9, .a = Layout::repeated, .b = Layout::repeated},
    {.M = 1, .N = 130, .K = 40, .beta = 1},
    {.M = 7, .N = 129, .K = 33, .a = Layout::columns, .b = Layout::columns, .alpha = 2},
    {.M = 130, .N = 1, .K = 40},
    {.M = 129, .N = 8, .K = 33, .a = Layout::columns, .b = Layout::columns},
    {.M = 1, .N = 20, .K = 700, .batch = 2, .alpha = 0.5, .beta = 1},
    {.M = 30, .N = 1, .K = 515, .b = Layout::columns},
    {.M = 20, .N = 12, .K = 601, .a = Layout::columns, .alpha = -1, .beta = 1},
};

TYPED_TEST(GpuMatmul, IsTheCpus) {
  using T = TypeParam;
  for (const Case& each : cases) {
    SCOPED_TRACE(&each - cases);
    const Problem<T> p(each);
    expect_close(p.on_sim(), p.on_cpu(), tolerance<T>);
  }
}

// Large tiles have too many blocks to be tried as they come: a batch brings them, with a tail.
TYPED_TEST(GpuMatmul, LargeTiles) {
  using T = TypeParam;
  const Problem<T> p({.M = 130, .N = 12, .K = 19, .batch = 128, .shared_b = true});
  ASSERT_EQ(gpu::matmul_plan(p.s, sizeof(T)).tile, MatmulTile::large);
  expect_close(p.on_sim(), p.on_cpu(), tolerance<T>);
}

TYPED_TEST(GpuMatmul, SameBitsInEveryOrder) {
  using T = TypeParam;
  for (const Case& each : {cases[4], cases[6], cases[13], cases[15]}) {
    const Problem<T> p(each);
    const std::vector<T> first = p.on_sim();
    in_every_order([&] { expect_bits(p.on_sim(), first); });
  }
}

TYPED_TEST(GpuMatmul, NothingToDoLaunchesNothing) {
  using T = TypeParam;
  sim::reset_meter();
  for (const Case& each : {Case{.M = 0, .N = 3, .K = 2}, Case{.M = 3, .N = 0, .K = 2},
                           Case{.M = 3, .N = 3, .K = 2, .batch = 0}})
    sim::matmul<T>(shape_of(each), {nullptr, nullptr, nullptr, nullptr});
  sim::synchronize();
  EXPECT_TRUE(sim::meter().empty());
}

TYPED_TEST(GpuMatmul, NotANumberStaysInItsRowAndColumn) {
  using T = TypeParam;
  Problem<T> p({.M = 20, .N = 18, .K = 9});
  p.a[3] = T(NAN), p.b[5] = T(INFINITY);
  expect_close(p.on_sim(), p.on_cpu(), tolerance<T>);
}

// ---- the plan

TEST(GpuMatmulPlan, CoversCAndKOnce) {
  for (const std::int64_t M : {1, 8, 9, 64, 1000})
    for (const std::int64_t N : {1, 8, 9, 640, 5000})
      for (const std::int64_t K : {0, 1, 127, 128, 4096, 100000})
        for (const std::int64_t bytes : {4, 8}) {
          const MatmulShape s = MatmulShape::dense(M, N, K);
          const gpu::MatmulPlan p = gpu::matmul_plan(s, bytes);
          EXPECT_GE(p.rows * p.row_tiles, M);
          EXPECT_LT(p.rows * (p.row_tiles - 1), M);
          EXPECT_GE(p.columns * p.column_tiles, N);
          EXPECT_LT(p.columns * (p.column_tiles - 1), N);
          EXPECT_GE(p.depth * p.parts, K);
          if (p.parts == 1) continue;
          EXPECT_LT(p.depth * (p.parts - 1), K) << "a part is empty";
          EXPECT_EQ(p.depth % 32, 0);
          EXPECT_LE(p.blocks(s), gpu::matmul_few_blocks);
        }
}

TEST(GpuMatmulPlan, TilesFollowTheShape) {
  const auto tile = [](std::int64_t M, std::int64_t N, std::int64_t batch = 1) {
    MatmulShape s = MatmulShape::dense(M, N, 64);
    s.batch = batch;
    return gpu::matmul_plan(s, 4).tile;
  };
  EXPECT_EQ(tile(1, 4096), MatmulTile::flat);
  EXPECT_EQ(tile(4096, 1), MatmulTile::tall);
  EXPECT_EQ(tile(1, 1), MatmulTile::flat);
  EXPECT_EQ(tile(512, 512), MatmulTile::medium);
  EXPECT_EQ(tile(2048, 2048), MatmulTile::large);
  EXPECT_EQ(tile(128, 128, 256), MatmulTile::large);
}

TEST(GpuMatmulPlan, FewBlocksCutADeepK) {
  const auto parts = [](std::int64_t M, std::int64_t N, std::int64_t K) {
    return gpu::matmul_plan(MatmulShape::dense(M, N, K), 4).parts;
  };
  EXPECT_EQ(parts(64, 64, 255), 1);
  EXPECT_EQ(parts(64, 64, 256), 2);
  EXPECT_EQ(parts(64, 64, 1 << 20), 256);
  EXPECT_EQ(parts(2048, 2048, 1 << 20), 1);
}

// ---- the meter

// Whole, aligned tiles: A is read once for each column of tiles, B once for each row, C written
// once.
template <class T>
void expect_least_bytes(Case each) {
  MatmulShape s = shape_of(each);
  s.c_row = s.N, s.c_batch = s.M * s.N;
  s.a_batch = s.M * s.K, s.b_batch = s.K * s.N;
  const gpu::MatmulPlan plan = gpu::matmul_plan(s, sizeof(T));
  ASSERT_EQ(plan.parts, 1);
  const DeviceArray<T> a(normal<T>(std::size_t(s.batch * s.M * s.K))),
      b(normal<T>(std::size_t(s.batch * s.K * s.N)));
  const DeviceArray<T> c(std::size_t(s.batch * s.M * s.N));
  sim::reset_meter();
  sim::matmul<T>(s, {a.data(), b.data(), c.data(), nullptr});
  sim::synchronize();
  const sim::KernelMeter row = sim::meter().at(0);
  const std::int64_t least =
      s.batch * (s.M * s.K * plan.column_tiles + s.K * s.N * plan.row_tiles + s.M * s.N);
  EXPECT_LE(double(32 * (row.read.sectors + row.written.sectors)),
            1.1 * double(least) * double(sizeof(T)))
      << sim::meter_table();
  EXPECT_EQ(row.bank_conflicts, 0) << sim::meter_table();
  EXPECT_GT(row.shared_requests, 0);
}

TYPED_TEST(GpuMatmul, MovesTheLeastBytesWithoutBankConflicts) {
  using T = TypeParam;
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "the meter needs kernels with checks";
  sim::Options options = sim::options();
  const sim::Options before = options;
  options.meter = true;
  sim::set_options(options);
  for (const Layout a : {Layout::rows, Layout::columns})
    for (const Layout b : {Layout::rows, Layout::columns}) {
      SCOPED_TRACE(testing::Message() << "layouts " << int(a) << ", " << int(b));
      expect_least_bytes<T>({.M = 64, .N = 128, .K = 32, .a = a, .b = b});
      expect_least_bytes<T>({.M = 8, .N = 128, .K = 64, .a = a, .b = b});
      expect_least_bytes<T>({.M = 128, .N = 8, .K = 64, .a = a, .b = b});
    }
  sim::set_options(before);
}

}  // namespace
}  // namespace unroll
