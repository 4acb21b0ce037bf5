// Scaled dot-product attention in float32, 8 heads of 64: forward, and forward and backward to
// q, k and v. Arguments: sequences, time steps, causal.
//
//   OMP_NUM_THREADS=2 build/bench/attention_bench --benchmark_repetitions=5
//
// Results are checked against the slow twin first. A causal mask halves the work that is counted.
#include "autograd/attention.h"

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "bench/report.h"
#include "core/random.h"

namespace unroll::bench {
namespace {

struct Problem {
  Tensors x;  // q, k, v
  Tensor u;   // cotangent of the context
  AttentionOptions options;
  double flops;

  explicit Problem(const benchmark::State& state) {
    const std::int64_t N = state.range(0), T = state.range(1), heads = 8, D = 64;
    options.causal = state.range(2) != 0;
    Random random(1);
    for (int i = 0; i < 3; i++) x.push_back(random.normal({N, heads, T, D}));
    u = random.normal({N, heads, T, D});
    flops = 4.0 * double(N * heads * T * T * D) * (options.causal ? 0.5 : 1);
  }
  Tensor run() const { return scaled_dot_product_attention(x[0], x[1], x[2], options).context; }
  Tensor twin() const { return attention_twin(x[0], x[1], x[2], {}, options).context; }
};

void forward(benchmark::State& state) {
  const Problem p(state);
  require_close("attention", p.run(), p.twin());
  for (auto _ : state) benchmark::DoNotOptimize(p.run());
  report_flops(state, p.flops);
}

// Backward computes the scores again, which counts: five products for the two of the forward pass.
void step(benchmark::State& state) {
  const Problem p(state);
  const auto gradients = [&](bool twin) {
    Tape tape;
    return tape.pull(twin ? p.twin() : p.run(), p.u, p.x);
  };
  const Tensors got = gradients(false), want = gradients(true);
  for (std::size_t i = 0; i < got.size(); i++) require_close("attention", got[i], want[i]);
  for (auto _ : state) benchmark::DoNotOptimize(gradients(false));
  report_flops(state, 3.5 * p.flops);
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->Unit(benchmark::kMillisecond)->UseRealTime();
  for (const int causal : {0, 1}) {
    bench->Args({1, 128, causal})->Args({4, 512, causal})->Args({1, 2048, causal});
  }
}

BENCHMARK(forward)->Apply(sizes);
BENCHMARK(step)->Apply(sizes);

}  // namespace
}  // namespace unroll::bench
