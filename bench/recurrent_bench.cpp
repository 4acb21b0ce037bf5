// The RNN, the LSTM and the GRU in float32: forward, and a training step (forward and backward to
// the inputs and all weights). Arguments: N, T, I, H.
//
//   OMP_NUM_THREADS=2 build/bench/recurrent_bench --benchmark_filter=lstm --benchmark_repetitions=5
//
// Results are checked against the slow twins first.
#include <cmath>

#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/ops.h"
#include "autograd/rnn.h"
#include "autograd/tape.h"
#include "bench/report.h"
#include "core/random.h"

namespace unroll::bench {
namespace {

struct Family {
  const char* name;
  std::int64_t gates;
  Tensor (*run)(const Tensors& x);  // x, w_ih, w_hh, b_ih, b_hh -> y
  Tensor (*twin)(const Tensors& x);
};

const Family rnn_family{
    "rnn", 1, [](const Tensors& x) { return rnn(x[0], {}, x[1], x[2], x[3], x[4]).y; },
    [](const Tensors& x) { return rnn_twin(x[0], {}, x[1], x[2], x[3], x[4]).y; }};
const Family lstm_family{
    "lstm", 4, [](const Tensors& x) { return lstm(x[0], {}, {}, x[1], x[2], x[3], x[4]).y; },
    [](const Tensors& x) { return lstm_twin(x[0], {}, {}, x[1], x[2], x[3], x[4]).y; }};
const Family gru_family{
    "gru", 3, [](const Tensors& x) { return gru(x[0], {}, x[1], x[2], x[3], x[4]).y; },
    [](const Tensors& x) { return gru_twin(x[0], {}, x[1], x[2], x[3], x[4]).y; }};

struct Problem {
  Tensors x;
  Tensor u;  // cotangent of y
  double flops;

  Problem(const Family& family, const benchmark::State& state) {
    const std::int64_t N = state.range(0), T = state.range(1), I = state.range(2),
                       H = state.range(3), rows = family.gates * H;
    const double sd = 1 / std::sqrt(double(H));
    Random random(1);
    x = {random.normal({T, N, I}), random.normal({rows, I}, 0, sd), random.normal({rows, H}, 0, sd),
         random.normal({rows}, 0, sd), random.normal({rows}, 0, sd)};
    u = random.normal({T, N, H});
    flops = 2.0 * double(T * N * rows * (I + H));
  }
};

Tensors step_of(Tensor (*run)(const Tensors&), const Problem& p) {
  Tape tape;
  return tape.pull(run(p.x), p.u, p.x);
}

void forward(benchmark::State& state, const Family& family) {
  const Problem p(family, state);
  require_close(family.name, family.run(p.x), family.twin(p.x));
  for (auto _ : state) benchmark::DoNotOptimize(family.run(p.x));
  report_flops(state, p.flops);
}

void step(benchmark::State& state, const Family& family) {
  const Problem p(family, state);
  const Tensors got = step_of(family.run, p), want = step_of(family.twin, p);
  for (std::size_t i = 0; i < got.size(); i++) require_close(family.name, got[i], want[i]);
  for (auto _ : state) benchmark::DoNotOptimize(step_of(family.run, p));
  report_flops(state, 3 * p.flops);
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->Unit(benchmark::kMicrosecond)->UseRealTime();
  bench->Args({1, 20, 10, 20})->Args({1, 200, 64, 128})->Args({8, 100, 64, 128});
  bench->Args({32, 100, 128, 256})->Args({64, 50, 512, 512})->Args({16, 1000, 32, 64});
}

BENCHMARK_CAPTURE(forward, lstm, lstm_family)->Apply(sizes);
BENCHMARK_CAPTURE(step, lstm, lstm_family)->Apply(sizes);
BENCHMARK_CAPTURE(forward, gru, gru_family)->Apply(sizes);
BENCHMARK_CAPTURE(step, gru, gru_family)->Apply(sizes);
BENCHMARK_CAPTURE(forward, rnn, rnn_family)->Apply(sizes);
BENCHMARK_CAPTURE(step, rnn, rnn_family)->Apply(sizes);

}  // namespace
}  // namespace unroll::bench
