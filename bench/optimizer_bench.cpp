// Steps of the optimisers in float32, and the norm of a gradient. Argument: parameters.
//
//   OMP_NUM_THREADS=2 build/bench/optimizer_bench --benchmark_repetitions=5
//
// The first step is checked against its formula first. Each array of state counts as read and
// written once, the gradient as read once.
#include "kernels/optimizer.h"

#include <cmath>
#include <functional>

#include "autograd/ops.h"
#include "bench/report.h"
#include "core/random.h"

namespace unroll::bench {
namespace {

struct State {
  std::int64_t count;
  Tensor param, grad, first, second;

  explicit State(std::int64_t n)
      : count(n),
        param(Random(1).normal({n})),
        grad(Random(2).normal({n})),
        first(zeros({n})),
        second(zeros({n})) {}
  float* p() { return param.mutable_data<float>(); }
  float* m() { return first.mutable_data<float>(); }
  float* v() { return second.mutable_data<float>(); }
  const float* g() const { return grad.data<float>(); }
};

struct Case {
  const char* name;
  int updated;  // arrays
  void (*step)(State&);
  Tensor (*expected)(const State&);  // the parameters after the first step
};

constexpr double lr = 1e-3, eps = 1e-8;

void adam_step(State& s) {
  cpu::adam<float>({.count = s.count, .step = 1, .lr = lr},
                   {.grad = s.g(), .param = s.p(), .m = s.m(), .v = s.v()});
}
Tensor adam_expected(const State& s) { return s.param - lr * s.grad / (abs(s.grad) + eps); }

void sgd_step(State& s) {
  cpu::sgd<float>({.count = s.count, .lr = lr, .momentum = 0.9},
                  {.grad = s.g(), .param = s.p(), .velocity = s.m()});
}
Tensor sgd_expected(const State& s) { return s.param - lr * s.grad; }

void rmsprop_step(State& s) {
  cpu::rmsprop<float>({.count = s.count, .lr = lr},
                      {.grad = s.g(), .param = s.p(), .square = s.m()});
}
Tensor rmsprop_expected(const State& s) {
  return s.param - lr * s.grad / (abs(s.grad) * std::sqrt(0.01) + eps);
}

void adagrad_step(State& s) {
  cpu::adagrad<float>({.count = s.count, .lr = lr}, {.grad = s.g(), .param = s.p(), .sum = s.m()});
}
Tensor adagrad_expected(const State& s) { return s.param - lr * s.grad / (abs(s.grad) + 1e-10); }

void adadelta_step(State& s) {
  cpu::adadelta<float>({.count = s.count},
                       {.grad = s.g(), .param = s.p(), .square = s.m(), .delta = s.v()});
}
Tensor adadelta_expected(const State& s) {
  return s.param - std::sqrt(1e-6) * s.grad / sqrt(square(s.grad) * 0.1 + 1e-6);
}

const Case cases[] = {
    {"adam", 3, adam_step, adam_expected},
    {"sgd", 2, sgd_step, sgd_expected},
    {"rmsprop", 2, rmsprop_step, rmsprop_expected},
    {"adagrad", 2, adagrad_step, adagrad_expected},
    {"adadelta", 3, adadelta_step, adadelta_expected},
};

void step(benchmark::State& state, const Case& c) {
  State s(state.range(0));
  const Tensor want = c.expected(s);
  c.step(s);
  require_close(c.name, s.param, want, 1e-5);
  for (auto _ : state) c.step(s);
  const double arrays = 1 + c.updated, bytes = 4.0 * double(s.count);
  report_bytes(state, (1 + 2 * c.updated) * bytes, Traffic::update, arrays * bytes);
}

void norm(benchmark::State& state) {
  const State s(state.range(0));
  const auto squares = [&] { return cpu::sum_of_squares<float>({.count = s.count}, {.x = s.g()}); };
  const double want = sum(square(to(s.grad, Dtype::float64))).item(), got = squares();
  require_close("sum_of_squares", full({1}, got), full({1}, want), 1e-6);
  for (auto _ : state) benchmark::DoNotOptimize(squares());
  report_bytes(state, 4.0 * double(s.count), Traffic::read);
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->Unit(benchmark::kMicrosecond)->UseRealTime()->MinTime(0.05);
  bench->Arg(1 << 10)->Arg(32 << 10)->Arg(1 << 20)->Arg(16 << 20);
}

[[maybe_unused]] const bool added = [] {
  for (const Case& c : cases) {
    sizes(benchmark::RegisterBenchmark(c.name, [&c](auto& state) { step(state, c); }));
  }
  return true;
}();
BENCHMARK(norm)->Apply(sizes);

}  // namespace
}  // namespace unroll::bench
