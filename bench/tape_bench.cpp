// What the tape costs per op: add and mul of 10 floats, untracked, recorded, recorded and swept.
//
//   build/bench/tape_bench
//
// Each figure is per op of a chain of 200; `single` is one op with a tape of its own.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>

#include "autograd/ops.h"
#include "autograd/tape.h"

namespace unroll {
namespace {

constexpr int length = 200;

Tensor add_chain(const Tensor& x) {
  Tensor y = x;
  for (int i = 0; i < length; i++) y = add(y, x);
  return y;
}

Tensor mul_chain(const Tensor& x) {
  Tensor y = x;
  for (int i = 0; i < length; i++) y = mul(y, x);
  return y;
}

using Chain = Tensor (*)(const Tensor&);

// d/dx of (length + 1) x is length + 1; of x^(length + 1) at 1, the same.
void require_right(Chain chain) {
  const Tensor x = ones({10});
  Tape tape;
  const Tensor y = chain(x);
  const double pulled = tape.pull(y, ones({10}), {x})[0].item({3});
  const double pushed = tape.push({x}, {ones({10})}, y).item({7});
  if (pulled == length + 1 && pushed == length + 1) return;
  std::fprintf(stderr, "tape_bench: wrong derivative %g, %g\n", pulled, pushed);
  std::exit(1);
}

// Time per op of the chain.
void per_op(benchmark::State& state) {
  state.counters["per_op"] =
      benchmark::Counter(double(state.iterations()) * length,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void untracked(benchmark::State& state, Chain chain) {
  const Tensor x = ones({10});
  for (auto _ : state) benchmark::DoNotOptimize(chain(x));
  per_op(state);
}

void recorded(benchmark::State& state, Chain chain) {
  const Tensor x = ones({10});
  for (auto _ : state) {
    Tape tape;
    benchmark::DoNotOptimize(chain(x));
  }
  per_op(state);
}

void recorded_and_pulled(benchmark::State& state, Chain chain) {
  require_right(chain);
  const Tensor x = ones({10}), u = ones({10});
  for (auto _ : state) {
    Tape tape;
    benchmark::DoNotOptimize(tape.pull(chain(x), u, {x}));
  }
  per_op(state);
}

void recorded_and_pushed(benchmark::State& state, Chain chain) {
  require_right(chain);
  const Tensor x = ones({10}), v = ones({10});
  for (auto _ : state) {
    Tape tape;
    benchmark::DoNotOptimize(tape.push({x}, {v}, chain(x)));
  }
  per_op(state);
}

void single_add(benchmark::State& state) {
  const Tensor x = ones({10}), w = ones({10}), u = ones({10});
  for (auto _ : state) {
    Tape tape;
    benchmark::DoNotOptimize(tape.pull(add(x, w), u, {x}));
  }
}

BENCHMARK_CAPTURE(untracked, add, add_chain);
BENCHMARK_CAPTURE(recorded, add, add_chain);
BENCHMARK_CAPTURE(recorded_and_pulled, add, add_chain);
BENCHMARK_CAPTURE(recorded_and_pushed, add, add_chain);
BENCHMARK_CAPTURE(untracked, mul, mul_chain);
BENCHMARK_CAPTURE(recorded, mul, mul_chain);
BENCHMARK_CAPTURE(recorded_and_pulled, mul, mul_chain);
BENCHMARK_CAPTURE(recorded_and_pushed, mul, mul_chain);
BENCHMARK(single_add);

}  // namespace
}  // namespace unroll
