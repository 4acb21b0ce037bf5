// The matrix product in float32, beside Eigen's, which has the compiler's flags alone: for the
// baseline unless -DUNROLL_NATIVE=ON. Arguments: M, N, K of C[M,N] = A[M,K] B[K,N].
//
//   OMP_NUM_THREADS=2 build/bench/matmul_bench --benchmark_repetitions=5
//
// Results are checked against Eigen's first.
#include <Eigen/Core>

#include "autograd/ops.h"
#include "bench/report.h"
#include "core/random.h"

namespace unroll::bench {
namespace {

using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Problem {
  Tensor a, b, c;
  double flops;

  explicit Problem(const benchmark::State& state) {
    const std::int64_t M = state.range(0), N = state.range(1), K = state.range(2);
    a = Random(1).normal({M, K});
    b = Random(2).normal({K, N});
    c = empty({M, N});
    flops = 2.0 * double(M * N * K);
  }
  static Eigen::Map<const Rows> view(const Tensor& x) {
    return {x.data<float>(), x.shape()[0], x.shape()[1]};
  }
  void by_eigen() {
    Eigen::Map<Rows>(c.mutable_data<float>(), c.shape()[0], c.shape()[1]).noalias() =
        view(a) * view(b);
  }
};

void ours(benchmark::State& state) {
  Problem p(state);
  p.by_eigen();
  require_close("matmul", matmul(p.a, p.b), p.c, 1e-4);
  for (auto _ : state) benchmark::DoNotOptimize(matmul(p.a, p.b));
  report_flops(state, p.flops);
}

void eigen(benchmark::State& state) {
  Problem p(state);
  for (auto _ : state) {
    p.by_eigen();
    benchmark::DoNotOptimize(p.c.data<float>());
  }
  report_flops(state, p.flops);
}

// [N,H] x [H,4H] of recurrent layers, and squares.
void sizes(benchmark::internal::Benchmark* bench) {
  bench->Unit(benchmark::kMicrosecond)->UseRealTime();
  bench->Args({1, 512, 128})->Args({8, 512, 128})->Args({32, 1024, 256})->Args({64, 2048, 512});
  bench->Args({64, 64, 64})->Args({512, 512, 512})->Args({1024, 1024, 1024});
}

BENCHMARK(ours)->Apply(sizes);
BENCHMARK(eigen)->Apply(sizes);

}  // namespace
}  // namespace unroll::bench
