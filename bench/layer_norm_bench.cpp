// Layer norm of rows in float32 with weight and bias, and back to all three. Arguments: rows,
// columns.
//
//   OMP_NUM_THREADS=2 build/bench/layer_norm_bench --benchmark_repetitions=5
//
// Results are checked against a composition of small ops first. Each input counts as read once.
#include "autograd/ops.h"
#include "autograd/tape.h"
#include "bench/report.h"
#include "core/random.h"

namespace unroll::bench {
namespace {

struct Problem {
  Tensors x;  // x, weight, bias
  Tensor u;

  explicit Problem(const benchmark::State& state) {
    const std::int64_t rows = state.range(0), n = state.range(1);
    Random random(1);
    x = {random.normal({rows, n}, 1), random.normal({n}, 1), random.normal({n})};
    u = random.normal({rows, n});
  }
  Tensor run() const { return layer_norm(x[0], {x[0].shape()[1]}, x[1], x[2]); }
  Tensor by_parts() const {
    const Tensor centred = x[0] - mean(x[0], {1}, true);
    return centred / sqrt(mean(square(centred), {1}, true) + 1e-5) * x[1] + x[2];
  }
  double numbers() const { return double(x[0].numel()); }
};

void forward(benchmark::State& state) {
  const Problem p(state);
  require_close("layer_norm", p.run(), p.by_parts(), 1e-5);
  for (auto _ : state) benchmark::DoNotOptimize(p.run());
  report_bytes(state, 8 * p.numbers(), Traffic::copy);
}

// The pull alone: x and the cotangent of y are read, that of x is written.
void pull(benchmark::State& state) {
  const Problem p(state);
  const auto by = [&](const Tensor& y, Tape& tape) { return tape.pull(y, p.u, p.x); };
  Tape tape;
  const Tensor y = p.run();
  const Tensors got = by(y, tape);
  {
    Tape other;
    const Tensors want = by(p.by_parts(), other);
    for (std::size_t i = 0; i < got.size(); i++) require_close("layer_norm", got[i], want[i]);
  }
  for (auto _ : state) benchmark::DoNotOptimize(by(y, tape));
  report_bytes(state, 12 * p.numbers(), Traffic::add);
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->Unit(benchmark::kMicrosecond)->UseRealTime()->MinTime(0.05);
  bench->Args({512, 64})->Args({32, 1024})->Args({512, 1024})->Args({262144, 64});
  bench->Args({16384, 1024});
}

BENCHMARK(forward)->Apply(sizes);
BENCHMARK(pull)->Apply(sizes);

}  // namespace
}  // namespace unroll::bench
