// Softmax and log-softmax along the last axis in float32, and back. Arguments: rows, columns.
//
//   OMP_NUM_THREADS=2 build/bench/softmax_bench --benchmark_repetitions=5
//
// Results are checked against compositions of small ops first. Each input counts as read once.
#include "autograd/ops.h"
#include "autograd/tape.h"
#include "bench/report.h"
#include "core/random.h"

namespace unroll::bench {
namespace {

Tensor by_parts(const Tensor& x) {
  const Tensor e = exp(x - amax(x, {1}, true));
  return e / sum(e, {1}, true);
}
Tensor log_by_parts(const Tensor& x) { return x - logsumexp(x, {1}, true); }

struct Case {
  const char* name;
  Tensor (*run)(const Tensor& x);
  Tensor (*parts)(const Tensor& x);
};
const Case cases[] = {
    {"softmax", [](const Tensor& x) { return softmax(x, -1); }, by_parts},
    {"log_softmax", [](const Tensor& x) { return log_softmax(x, -1); }, log_by_parts},
};

Tensor input(const benchmark::State& state) {
  return Random(1).normal({state.range(0), state.range(1)}, 0, 3);
}

void forward(benchmark::State& state, const Case& c) {
  const Tensor x = input(state);
  require_close(c.name, c.run(x), c.parts(x), 1e-5);
  for (auto _ : state) benchmark::DoNotOptimize(c.run(x));
  report_bytes(state, double(x.numel()) * 8, Traffic::copy);
}

// The pull alone: y and its cotangent are read, that of x is written.
void pull(benchmark::State& state, const Case& c) {
  const Tensor x = input(state), u = Random(2).normal(x.shape());
  const auto by = [&](Tensor (*f)(const Tensor&)) {
    Tape tape;
    return tape.pull(f(x), u, {x})[0];
  };
  require_close(c.name, by(c.run), by(c.parts), 1e-4);
  Tape tape;
  const Tensor y = c.run(x);
  for (auto _ : state) benchmark::DoNotOptimize(tape.pull(y, u, {x}));
  report_bytes(state, double(x.numel()) * 12, Traffic::add);
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->Unit(benchmark::kMicrosecond)->UseRealTime()->MinTime(0.05);
  bench->Args({512, 64})->Args({32, 1024})->Args({512, 1024})->Args({262144, 64});
  bench->Args({16384, 1024})->Args({512, 32768});
}

[[maybe_unused]] const bool added = [] {
  for (const Case& c : cases) {
    const std::string name = c.name;
    sizes(benchmark::RegisterBenchmark(c.name, [&c](auto& state) { forward(state, c); }));
    sizes(benchmark::RegisterBenchmark((name + "_pull").c_str(),
                                       [&c](auto& state) { pull(state, c); }));
  }
  return true;
}();

}  // namespace
}  // namespace unroll::bench
