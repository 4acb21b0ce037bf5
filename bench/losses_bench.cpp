// Losses in float32, and their gradients: cross entropy of classes and the mean square error, and
// the rows of an embedding. Arguments: rows, columns.
//
//   OMP_NUM_THREADS=2 build/bench/losses_bench --benchmark_repetitions=5
//
// Results are checked against twins of small ops first. Each input counts as read once.
#include "autograd/losses.h"

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "bench/report.h"
#include "core/random.h"

namespace unroll::bench {
namespace {

Tensor indices(std::int64_t count, std::int64_t below) {
  Tensor index = empty({count}, Dtype::int64);
  for (std::int64_t i = 0; i < count; i++) {
    index.mutable_data<std::int64_t>()[i] = i * 7919 % below;
  }
  return index;
}

struct Problem {
  Tensor x, target, classes;

  explicit Problem(const benchmark::State& state) {
    const std::int64_t rows = state.range(0), n = state.range(1);
    x = Random(1).normal({rows, n});
    target = Random(2).normal({rows, n});
    classes = indices(rows, n);
  }
  double bytes(int arrays) const { return 4.0 * arrays * double(x.numel()); }
};

template <class F>
Tensor gradient(const Tensor& x, F loss) {
  Tape tape;
  const Tensor y = loss(x);
  return tape.pull(y, ones(y.shape()), {x})[0];
}

void cross_entropy_forward(benchmark::State& state) {
  const Problem p(state);
  require_close("cross_entropy", cross_entropy(p.x, p.classes), cross_entropy_twin(p.x, p.classes),
                1e-5);
  for (auto _ : state) benchmark::DoNotOptimize(cross_entropy(p.x, p.classes));
  report_bytes(state, p.bytes(1), Traffic::read);
}

// Both passes read the logits; the second writes their gradient.
void cross_entropy_step(benchmark::State& state) {
  const Problem p(state);
  const auto ours = [&](const Tensor& x) { return cross_entropy(x, p.classes); };
  const auto twin = [&](const Tensor& x) { return cross_entropy_twin(x, p.classes); };
  require_close("cross_entropy", gradient(p.x, ours), gradient(p.x, twin), 1e-5);
  for (auto _ : state) benchmark::DoNotOptimize(gradient(p.x, ours));
  report_bytes(state, p.bytes(3), Traffic::add, p.bytes(2));
}

Tensor mse_by_parts(const Tensor& x, const Tensor& target) { return mean(square(x - target)); }

void mse_forward(benchmark::State& state) {
  const Problem p(state);
  require_close("mse_loss", mse_loss(p.x, p.target), mse_by_parts(p.x, p.target), 1e-5);
  for (auto _ : state) benchmark::DoNotOptimize(mse_loss(p.x, p.target));
  report_bytes(state, p.bytes(2), Traffic::read);
}

// x and target are read twice, the gradient is written.
void mse_step(benchmark::State& state) {
  const Problem p(state);
  const auto ours = [&](const Tensor& x) { return mse_loss(x, p.target); };
  const auto parts = [&](const Tensor& x) { return mse_by_parts(x, p.target); };
  require_close("mse_loss", gradient(p.x, ours), gradient(p.x, parts), 1e-5);
  for (auto _ : state) benchmark::DoNotOptimize(gradient(p.x, ours));
  report_bytes(state, p.bytes(5), Traffic::add, p.bytes(3));
}

// As many rows as the table has, each once, in an order without neighbours.
void embedding_forward(benchmark::State& state) {
  const Problem p(state);
  const std::int64_t rows = p.x.shape()[0];
  const Tensor index = indices(rows, rows);
  require_close("embedding", embedding(p.x, index), index_select(p.x, 0, index), 1e-7);
  for (auto _ : state) benchmark::DoNotOptimize(embedding(p.x, index));
  report_bytes(state, p.bytes(2), Traffic::copy);
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->Unit(benchmark::kMicrosecond)->UseRealTime()->MinTime(0.05);
  bench->Args({512, 64})->Args({512, 1024})->Args({16384, 1024});
}

BENCHMARK(cross_entropy_forward)->Apply(sizes);
BENCHMARK(cross_entropy_step)->Apply(sizes);
BENCHMARK(mse_forward)->Apply(sizes);
BENCHMARK(mse_step)->Apply(sizes);
BENCHMARK(embedding_forward)->Apply(sizes);

}  // namespace
}  // namespace unroll::bench
