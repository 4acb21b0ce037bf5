// The matrix product C[M,N] = A[M,K] B[K,N], with A or B transposed in memory as gradients have
// them, and Eigen's, which has the compiler's flags alone: for the baseline unless
// -DUNROLL_NATIVE=ON. Arguments: M, N, K.
//
//   OMP_NUM_THREADS=2 build/bench/matmul_bench --benchmark_repetitions=5
//
// Results are checked against Eigen's first. A product with one row or one column reads its matrix
// once: for those the bytes are what counts.
#include <Eigen/Core>

#include "autograd/ops.h"
#include "bench/report.h"
#include "core/random.h"

namespace unroll::bench {
namespace {

enum class Form { nn, nt, tn };  // which operand lies transposed in memory

template <class T>
struct Problem {
  using Rows = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  static constexpr Dtype dtype = sizeof(T) == 4 ? Dtype::float32 : Dtype::float64;
  std::int64_t M, N, K;
  Tensor a, b;  // views of the shapes that the product takes

  Problem(const benchmark::State& state, Form form)
      : M(state.range(0)), N(state.range(1)), K(state.range(2)) {
    a = form == Form::tn ? transpose(normal(1, K, M), 0, 1) : normal(1, M, K);
    b = form == Form::nt ? transpose(normal(2, N, K), 0, 1) : normal(2, K, N);
  }
  static Tensor normal(std::uint64_t seed, std::int64_t rows, std::int64_t columns) {
    return Random(seed).normal({rows, columns}, 0, 1, dtype);
  }
  static Rows copy(const Tensor& x) {
    const Tensor dense = contiguous(x);
    return Eigen::Map<const Rows>(dense.data<T>(), x.shape()[0], x.shape()[1]);
  }
  void require_right(const Tensor& got) const {
    const Rows c = copy(a) * copy(b);
    Tensor want = empty({M, N}, dtype);
    Eigen::Map<Rows>(want.mutable_data<T>(), M, N) = c;
    require_close("matmul", got, want, 1e-4);
  }
  double flops() const { return 2.0 * double(M * N * K); }
  double bytes() const { return double(sizeof(T)) * double(M * K + K * N + M * N); }
};

template <class T>
void product(benchmark::State& state, Form form) {
  const Problem<T> p(state, form);
  p.require_right(matmul(p.a, p.b));
  for (auto _ : state) benchmark::DoNotOptimize(matmul(p.a, p.b));
  if (p.M == 1 || p.N == 1) return report_bytes(state, p.bytes(), Traffic::read);
  report_flops(state, p.flops(), p.dtype);
}

void eigen(benchmark::State& state) {
  const Problem<float> p(state, Form::nn);
  const auto a = p.copy(p.a), b = p.copy(p.b);
  Problem<float>::Rows c(p.M, p.N);
  for (auto _ : state) {
    c.noalias() = a * b;
    benchmark::DoNotOptimize(c.data());
  }
  report_flops(state, p.flops());
}

void unit(benchmark::internal::Benchmark* bench) {
  bench->Unit(benchmark::kMicrosecond)->UseRealTime()->MinTime(0.1);
}

// Squares, the [N,H] x [H,4H] of recurrent layers with a batch of 8 to 64, and sizes that no tile
// divides.
void sizes(benchmark::internal::Benchmark* bench) {
  unit(bench);
  bench->Args({8, 8, 8})->Args({16, 16, 16})->Args({32, 32, 32})->Args({64, 64, 64});
  bench->Args({128, 128, 128})->Args({256, 256, 256})->Args({512, 512, 512});
  bench->Args({1024, 1024, 1024})->Args({2048, 2048, 2048})->Args({3200, 2048, 512});
  bench->Args({512, 2048, 3200})->Args({300, 500, 700})->Args({257, 257, 257});
  bench->Args({8, 512, 128})->Args({8, 2048, 512})->Args({32, 1024, 256})->Args({64, 2048, 512});
  bench->Args({2048, 8, 512});
}

// One row or one column, from the first-level cache to memory.
void vectors(benchmark::internal::Benchmark* bench) {
  unit(bench);
  bench->Args({1, 64, 64})->Args({1, 512, 128})->Args({1, 2048, 512})->Args({1, 8192, 4096});
  bench->Args({64, 1, 64})->Args({512, 1, 128})->Args({2048, 1, 512})->Args({8192, 1, 4096});
}

template <class T>
void add(const char* name, Form form) {
  const auto run = [form](benchmark::State& state) { product<T>(state, form); };
  sizes(benchmark::RegisterBenchmark(name, run));
  vectors(benchmark::RegisterBenchmark(name, run));
}

[[maybe_unused]] const bool added = [] {
  add<float>("float_nn", Form::nn);
  add<float>("float_nt", Form::nt);
  add<float>("float_tn", Form::tn);
  add<double>("double_nn", Form::nn);
  add<double>("double_nt", Form::nt);
  add<double>("double_tn", Form::tn);
  return true;
}();
BENCHMARK(eigen)->Apply(sizes);

}  // namespace
}  // namespace unroll::bench
