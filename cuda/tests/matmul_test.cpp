// The matrix product on a GPU against the CPU's: every kind of tile, layout and option.
#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/error.h"
#include "cuda/cublas.h"
#include "cuda/matmul_half.h"
#include "cuda/matmul_plan.h"
#include "cuda/tests/testing.h"
#include "cuda/tests/traffic.h"
#include "kernels/matmul_backend.h"

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
  bool packs = false;     // rows of C begin at multiples of 16 bytes, with gaps
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
  if (c.packs) s.c_row = (c.N + 7) / 4 * 4, s.c_batch = c.M * s.c_row + 4;
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
  std::vector<T> on_gpu() const {
    DeviceArray<T> x(a), y(b), result(c);
    DeviceArray<char> scratch(device::matmul_scratch<T>(s));
    device::matmul<T>(s, {x.data(), y.data(), result.data(), scratch.data()});
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
    {.M = 20, .N = 18, .K = 9, .batch = 2, .packs = true},
    {.M = 9, .N = 71, .K = 3, .beta = 1, .packs = true},
    {.M = 580, .N = 66, .K = 3},  // more than a band of row tiles, in two columns
};

TYPED_TEST(GpuMatmul, IsTheCpus) {
  using T = TypeParam;
  for (const Case& each : cases) {
    SCOPED_TRACE(&each - cases);
    const Problem<T> p(each);
    expect_close(p.on_gpu(), p.on_cpu(), tolerance<T>);
  }
}

// Large tiles have too many blocks to be tried as they come: a batch brings them, with a tail.
TYPED_TEST(GpuMatmul, LargeTiles) {
  using T = TypeParam;
  const Problem<T> p({.M = 130, .N = 12, .K = 19, .batch = 128, .shared_b = true});
  ASSERT_EQ(gpu::matmul_plan(p.s, sizeof(T)).tile, MatmulTile::large);
  expect_close(p.on_gpu(), p.on_cpu(), tolerance<T>);
}

TYPED_TEST(GpuMatmul, SameBitsInEveryOrder) {
  using T = TypeParam;
  for (const Case& each : {cases[4], cases[6], cases[13], cases[15]}) {
    const Problem<T> p(each);
    const std::vector<T> first = p.on_gpu();
    in_every_order([&] { expect_bits(p.on_gpu(), first); });
  }
}

TYPED_TEST(GpuMatmul, LaunchesNothingWithoutProducts) {
  using T = TypeParam;
  for (const Case& each : {Case{.M = 0, .N = 3, .K = 2}, Case{.M = 3, .N = 0, .K = 2},
                           Case{.M = 3, .N = 3, .K = 2, .batch = 0}})
    expect_no_launch([&] {
      device::matmul<T>(shape_of(each), {nullptr, nullptr, nullptr, nullptr});
    });
}

TYPED_TEST(GpuMatmul, NotANumberStaysInItsRowAndColumn) {
  using T = TypeParam;
  Problem<T> p({.M = 20, .N = 18, .K = 9});
  p.a[3] = T(NAN), p.b[5] = T(INFINITY);
  expect_close(p.on_gpu(), p.on_cpu(), tolerance<T>);
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

// ---- tensor cores

class Chosen {
 public:
  explicit Chosen(const MatmulOptions& options) : before_(matmul_options()) {
    set_matmul_options(options);
  }
  ~Chosen() { set_matmul_options(before_); }
  Chosen(const Chosen&) = delete;
  Chosen& operator=(const Chosen&) = delete;

 private:
  MatmulOptions before_;
};

const Case tensor_cases[] = {
    {.M = 65, .N = 67, .K = 35, .a = Layout::columns, .alpha = 0.5, .beta = -2},
    {.M = 64, .N = 64, .K = 32, .b = Layout::columns, .batch = 2},
    {.M = 20, .N = 12, .K = 300, .a = Layout::gaps, .beta = 1},
    {.M = 9, .N = 9, .K = 0, .beta = 2},
    {.M = 130, .N = 12, .K = 7, .batch = 128, .shared_b = true},
};

TEST(GpuMatmulTensorCores, Tf32RoundsOperandsAlone) {
  const Chosen chosen({.tf32 = true});
  for (const Case& each : tensor_cases) {
    SCOPED_TRACE(&each - tensor_cases);
    Problem<float> p(each);
    expect_launch("matmul_tensor", true, [&] { expect_close(p.on_gpu(), p.on_cpu(), 2e-3); });
    // Operands of few bits are what tf32 holds: then it is exact.
    for (auto* x : {&p.a, &p.b})
      for (float& value : *x) value = std::round(8 * value) / 8;
    expect_close(p.on_gpu(), p.on_cpu(), tolerance<float>);
  }
}

TEST(GpuMatmulTensorCores, OffByDefaultAndForThinTilesAndFloat64) {
  const Problem<float> thick(tensor_cases[1]), thin({.M = 1, .N = 70, .K = 40});
  const Problem<double> wide(tensor_cases[1]);
  expect_launch("matmul_tensor", false, [&] {
    expect_close(thick.on_gpu(), thick.on_cpu(), tolerance<float>);
    const Chosen chosen({.tf32 = true});
    expect_close(thin.on_gpu(), thin.on_cpu(), tolerance<float>);
    expect_close(wide.on_gpu(), wide.on_cpu(), tolerance<double>);
  });
}

TEST(GpuMatmulTensorCores, SameBitsInEveryOrder) {
  const Chosen chosen({.tf32 = true});
  const Problem<float> p(tensor_cases[2]);
  const std::vector<float> first = p.on_gpu();
  in_every_order([&] { expect_bits(p.on_gpu(), first); });
}

template <class Half>
class GpuMatmulHalf : public ::testing::Test {};
using Halves = ::testing::Types<Float16, Bfloat16>;
TYPED_TEST_SUITE(GpuMatmulHalf, Halves);

Float16 narrowed(float x, Float16) { return to_float16(x); }
Bfloat16 narrowed(float x, Bfloat16) { return to_bfloat16(x); }

// Products of halves are exact in float, so only the order of the sums differs.
TYPED_TEST(GpuMatmulHalf, IsTheProductInFloat) {
  using Half = TypeParam;
  std::vector<Case> all(std::begin(tensor_cases), std::end(tensor_cases));
  all.insert(all.end(), {cases[7], cases[8], cases[10], cases[12], cases[13]});
  for (const Case& each : all) {
    SCOPED_TRACE(::testing::Message() << each.M << ", " << each.N << ", " << each.K);
    Problem<float> p(each);
    std::vector<Half> a, b;
    const auto narrow = [](std::vector<float>& from, std::vector<Half>& to) {
      for (float& x : from) {
        to.push_back(narrowed(x, Half{}));
        x = static_cast<float>(to_double(to.back()));
      }
    };
    narrow(p.a, a), narrow(p.b, b);
    const DeviceArray<Half> x(a), y(b);
    const DeviceArray<float> c(p.c);
    const DeviceArray<char> scratch(device::matmul_half_scratch(p.s));
    device::matmul_half<Half>(p.s, {x.data(), y.data(), c.data(), scratch.data()});
    expect_close(c.values(), p.on_cpu(), tolerance<float>);
  }
}

// ---- options, and cuBLAS

TEST(MatmulOptions, TheEnvironmentNamesThem) {
  const auto with = [](const char* matmul, const char* tf32) {
    setenv("UNROLL_MATMUL", matmul, 1), setenv("UNROLL_TF32", tf32, 1);
    return matmul_options_of_environment();
  };
  EXPECT_EQ(with("", ""), MatmulOptions{});
  EXPECT_EQ(with("own", "0"), MatmulOptions{});
  EXPECT_EQ(with("cublas", "1"), (MatmulOptions{MatmulBackend::cublas, true}));
  EXPECT_THROW(with("mkl", "0"), Error);
  EXPECT_THROW(with("own", "yes"), Error);
  unsetenv("UNROLL_MATMUL"), unsetenv("UNROLL_TF32");
  EXPECT_EQ(matmul_options_of_environment(), MatmulOptions{});
}

// It is not where kernels run on the simulator, and may not be where they run on a GPU.
TEST(MatmulOptions, CublasMultipliesOrSaysWhyNot) {
  EXPECT_NO_THROW(device::require_matmul_backend());
  const Chosen chosen({.backend = MatmulBackend::cublas});
  std::string what;
  try {
    device::require_matmul_backend();
  } catch (const Error& error) {
    what = error.what();
  }
  EXPECT_EQ(what.find("UNROLL_MATMUL=own") != std::string::npos,
            device::cublas_missing() != nullptr);
#ifndef __CUDACC__
  EXPECT_NE(device::cublas_missing(), nullptr);
#endif
  for (const Case& each : cases) {  // what it does not take goes the usual way
    SCOPED_TRACE(&each - cases);
    const Problem<float> p(each);
    expect_close(p.on_gpu(), p.on_cpu(), tolerance<float>);
  }
}

// cuBLAS's own definition, columns first: C^T [N,M] = op(B) op(A), with op turned or not.
TEST(MatmulOptions, CublasLayoutsNameTheSameNumbers) {
  for (const Layout a :
       {Layout::rows, Layout::columns, Layout::gaps, Layout::sparse, Layout::repeated})
    for (const Layout b :
         {Layout::rows, Layout::columns, Layout::gaps, Layout::sparse, Layout::repeated})
      for (const Case& size : {Case{.M = 3, .N = 4, .K = 5}, Case{.M = 1, .N = 4, .K = 5},
                               Case{.M = 3, .N = 1, .K = 5}, Case{.M = 3, .N = 4, .K = 1}}) {
        Case c = size;
        c.a = a, c.b = b;
        const MatmulShape s = shape_of(c);
        const gpu::CublasLayout x = gpu::cublas_layout(s);
        const bool whole = size.M > 1 && size.N > 1 && size.K > 1;
        const auto known = [](Layout l) { return l != Layout::sparse && l != Layout::repeated; };
        EXPECT_TRUE(!whole || x.takes == (known(a) && known(b))) << int(a) << int(b);
        if (!x.takes) continue;
        for (std::int64_t k = 0; k < s.K; k++) {
          for (std::int64_t m = 0; m < s.M; m++)
            EXPECT_EQ(m * s.a_row + k * s.a_col, x.turn_a ? m + k * x.a : k + m * x.a);
          for (std::int64_t n = 0; n < s.N; n++)
            EXPECT_EQ(k * s.b_row + n * s.b_col, x.turn_b ? k + n * x.b : n + k * x.b);
        }
      }
}

#ifndef __CUDACC__  // the meter is the simulator's
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
  device::matmul<T>(s, {a.data(), b.data(), c.data(), nullptr});
  sim::synchronize();
  const sim::KernelMeter row = sim::meter().at(0);
  const std::int64_t least =
      s.batch * (s.M * s.K * plan.column_tiles + s.K * s.N * plan.row_tiles + s.M * s.N);
  expect_lean(row, double(least) * double(sizeof(T)));
  EXPECT_GT(row.shared_requests, 0);
}

TYPED_TEST(GpuMatmul, MovesTheLeastBytesWithoutBankConflicts) {
  using T = TypeParam;
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "the meter needs kernels with checks";
  const Metered now;
  for (const Layout a : {Layout::rows, Layout::columns})
    for (const Layout b : {Layout::rows, Layout::columns}) {
      SCOPED_TRACE(testing::Message() << "layouts " << int(a) << ", " << int(b));
      expect_least_bytes<T>({.M = 64, .N = 128, .K = 32, .a = a, .b = b});
      expect_least_bytes<T>({.M = 8, .N = 128, .K = 64, .a = a, .b = b});
      expect_least_bytes<T>({.M = 128, .N = 8, .K = 64, .a = a, .b = b});
    }
}
#endif

}  // namespace
}  // namespace unroll
