// Correct kernels of every kind: right results and no report in every order.
#include "cuda/sim/tests/kernels.h"

#include <cmath>
#include <numeric>

#include "cuda/sim/tests/testing.h"

namespace unroll::sim_test {
namespace {

constexpr unsigned seeds = 3;

void expect_near(const std::vector<float>& got, const std::vector<double>& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); i++)
    ASSERT_NEAR(got[i], want[i], tolerance) << "at " << i;
}

// a [M,K] b [K,N], or with b [N,K] transposed.
std::vector<double> product_of(const std::vector<float>& a, const std::vector<float>& b, int M,
                               int N, int K, bool transposed = false) {
  std::vector<double> c;
  for (int m = 0; m < M; m++)
    for (int n = 0; n < N; n++) {
      double sum = 0;
      for (int k = 0; k < K; k++)
        sum +=
            double(a[std::size_t(m * K + k)]) * b[std::size_t(transposed ? n * K + k : k * N + n)];
      c.push_back(sum);
    }
  return c;
}

TEST(Kernels, Add) {
  const auto a = uniform(1003, 1), b = uniform(1003, 2);
  std::vector<double> want;
  for (std::size_t i = 0; i < a.size(); i++) want.push_back(a[i] + b[i]);
  const DeviceArray<float> da(a), db(b);
  for_schedules(seeds, [&] {
    const DeviceArray<float> c(a.size());
    add(da.data(), db.data(), c.data(), std::int64_t(a.size()));
    expect_near(c.values(), want, 0);
  });
}

TEST(Kernels, ProductInTiles) {
  const int M = 35, N = 18, K = 37;
  const auto a = uniform(M * K, 1), b = uniform(K * N, 2);
  const DeviceArray<float> da(a), db(b);
  for_schedules(seeds, [&] {
    const DeviceArray<float> c(M * N);
    product(Bug::none, da.data(), db.data(), c.data(), M, N, K);
    expect_near(c.values(), product_of(a, b, M, N, K), 1e-5);
  });
}

TEST(Kernels, SoftmaxByShuffles) {
  const int rows = 10, columns = 77;
  const auto x = uniform(rows * columns);
  std::vector<double> want;
  for (int r = 0; r < rows; r++) {
    double sum = 0;
    for (int i = 0; i < columns; i++) sum += std::exp(double(x[std::size_t(r * columns + i)]));
    for (int i = 0; i < columns; i++)
      want.push_back(std::exp(double(x[std::size_t(r * columns + i)])) / sum);
  }
  const DeviceArray<float> dx(x);
  for_schedules(seeds, [&] {
    const DeviceArray<float> y(x.size());
    softmax(dx.data(), y.data(), rows, columns);
    expect_near(y.values(), want, 1e-6);
  });
}

TEST(Kernels, BlockSumWithAtomics) {
  const auto x = uniform(3001);
  const double want = std::accumulate(x.begin(), x.end(), 0.0);
  const DeviceArray<float> dx(x);
  for_schedules(seeds, [&] {
    const DeviceArray<float> sum(std::vector<float>{0});
    block_sum(Bug::none, dx.data(), sum.data(), int(x.size()));
    expect_near(sum.values(), {want}, 1e-4);
  });
}

TEST(Kernels, RecurrentLoopOfTheWholeGrid) {
  const int H = 70, steps = 4;
  auto w = uniform(H * H);
  for (float& v : w) v *= 0.2f;
  const auto h0 = uniform(H, 2);
  std::vector<double> state(h0.begin(), h0.end()), want = state;
  for (int t = 0; t < steps; t++) {
    std::vector<double> next;
    for (int row = 0; row < H; row++) {
      double sum = 0;
      for (int k = 0; k < H; k++) sum += w[std::size_t(row * H + k)] * state[std::size_t(k)];
      next.push_back(std::tanh(sum));
    }
    state = next;
    want.insert(want.end(), state.begin(), state.end());
  }
  const DeviceArray<float> dw(w);
  for_schedules(seeds, [&] {
    const DeviceArray<float> h(std::size_t((steps + 1) * H));
    sim::memcpy(h.data(), h0.data(), h0.size() * sizeof(float));
    rnn(Bug::none, dw.data(), h.data(), H, steps);
    expect_near(h.values(), want, 1e-5);
  });
}

TEST(Kernels, AsynchronousCopiesInTwoBuffers) {
  const int tiles = 5, blocks = 3;
  const auto x = uniform(tiles * blocks * 512);
  std::vector<double> want(x.size());
  for (std::size_t i = 0; i < x.size(); i++) {
    const std::size_t tile = i / 512, vector = i % 512 / 4;
    want[tile * 512 + (127 - vector) * 4 + i % 4] = 3 * x[i];
  }
  const DeviceArray<float> dx(x);
  for_schedules(seeds, [&] {
    const DeviceArray<float> y(x.size());
    scale(Bug::none, dx.data(), y.data(), tiles, blocks, 3);
    expect_near(y.values(), want, 0);
  });
}

TEST(Kernels, WarpSumInSharedMemory) {
  const int warps = 6;
  const auto x = uniform(warps * 32);
  std::vector<double> want;
  for (int w = 0; w < warps; w++)
    want.push_back(std::accumulate(x.begin() + w * 32, x.begin() + (w + 1) * 32, 0.0));
  const DeviceArray<float> dx(x);
  for_schedules(seeds, [&] {
    const DeviceArray<float> sums(warps);
    warp_sum(Bug::none, dx.data(), sums.data(), warps);
    expect_near(sums.values(), want, 1e-5);
  });
}

// Values of a storage type, and what they are as floats.
template <class T>
std::pair<std::vector<T>, std::vector<float>> stored(T (*round)(double), std::size_t n,
                                                     unsigned seed) {
  std::pair<std::vector<T>, std::vector<float>> both;
  for (float v : uniform(n, seed)) {
    both.first.push_back(round(v));
    both.second.push_back(float(to_double(both.first.back())));
  }
  return both;
}

TEST(Kernels, TensorCoresFloat16) {
  const int M = 32, N = 48, K = 64;
  const auto [a, fa] = stored(to_float16, M * K, 1);
  const auto [b, fb] = stored(to_float16, N * K, 2);
  const auto want = product_of(fa, fb, M, N, K, true);
  const DeviceArray<Float16> da(a), db(b);
  for_schedules(seeds, [&, &want = want] {
    const DeviceArray<float> c(M * N);
    matrix_product_f16(Bug::none, da.data(), db.data(), c.data(), M, N, K);
    expect_near(c.values(), want, 1e-5);
  });
}

TEST(Kernels, TensorCoresBfloat16) {
  const int M = 16, N = 32, K = 32;
  const auto [a, fa] = stored(to_bfloat16, M * K, 1);
  const auto [b, fb] = stored(to_bfloat16, N * K, 2);
  const DeviceArray<Bfloat16> da(a), db(b);
  const DeviceArray<float> c(M * N);
  matrix_product_bf16(da.data(), db.data(), c.data(), M, N, K);
  expect_near(c.values(), product_of(fa, fb, M, N, K, true), 1e-5);
}

TEST(Kernels, TensorCoresTf32RoundsItsOperands) {
  const int M = 32, N = 16, K = 64;
  const auto a = uniform(M * K, 1), b = uniform(K * N, 2);
  const DeviceArray<float> da(a), db(b);
  const DeviceArray<float> c(M * N);
  matrix_product_tf32(da.data(), db.data(), c.data(), M, N, K);
  const auto want = product_of(a, b, M, N, K);
  const auto got = c.values();
  expect_near(got, want, 64 * 0x1p-10);
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); i++) worst = std::max(worst, std::abs(got[i] - want[i]));
  EXPECT_GT(worst, 1e-5) << "that is float32, not tf32";
}

TEST(Kernels, VotesOfABlock) {
  const std::vector<float> x = {1, -1, 2, 3, -4};
  const DeviceArray<float> dx(x);
  for_schedules(seeds, [&] {
    const DeviceArray<int> counts(3);
    vote(dx.data(), counts.data(), int(x.size()));
    EXPECT_EQ(counts.values(), (std::vector<int>{3, 0, 1}));
  });
}

TEST(Kernels, GroupsOfAWarp) {
  std::vector<int> x(32);
  std::iota(x.begin(), x.end(), 0);
  std::vector<int> want(5 * 32);
  for (int lane = 0; lane < 32; lane++) {
    const int first = lane / 8 * 8;
    want[std::size_t(lane)] = lane % 8;
    want[std::size_t(32 + lane)] = 8 * first + 28;
    want[std::size_t(64 + lane)] = 0xaa;
    want[std::size_t(96 + lane)] = 496;
    want[std::size_t(128 + lane)] = lane % 8 == 0 ? lane : lane - 1;
  }
  const DeviceArray<int> dx(x);
  for_schedules(seeds, [&] {
    const DeviceArray<int> out(want.size());
    groups(dx.data(), out.data());
    EXPECT_EQ(out.values(), want);
  });
}

TEST(Kernels, HistogramWithTwoKindsOfAtomics) {
  std::vector<int> x(1000);
  for (std::size_t i = 0; i < x.size(); i++) x[i] = int(i * i % 4);
  std::vector<unsigned> want(4);
  for (int v : x) want[std::size_t(v)]++;
  const DeviceArray<int> dx(x);
  for_schedules(seeds, [&] {
    const DeviceArray<unsigned> bins(std::vector<unsigned>(4));
    histogram(dx.data(), bins.data(), int(x.size()));
    EXPECT_EQ(bins.values(), want);
  });
}

}  // namespace
}  // namespace unroll::sim_test
