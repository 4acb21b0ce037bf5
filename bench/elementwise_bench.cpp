// Elementwise ops in float32, with and without broadcasting. Argument: numbers in the result.
//
//   OMP_NUM_THREADS=2 build/bench/elementwise_bench --benchmark_repetitions=5
//
// Results are checked against the C library first. The limit is a loop of such traffic over as many
// bytes; what an exponential costs shows in the small sizes alone.
#include <cmath>
#include <functional>

#include "autograd/ops.h"
#include "bench/report.h"
#include "core/random.h"

namespace unroll::bench {
namespace {

constexpr std::int64_t columns = 1024;

enum class Second { none, dense, row, column, turned };

struct Case {
  const char* name;
  Second second;
  std::function<Tensor(const Tensor& a, const Tensor& b)> run;
  std::function<double(double a, double b)> value;
};

Tensor second_of(Second kind, std::int64_t rows) {
  Random random(2);
  switch (kind) {
    case Second::row: return random.normal({columns}, 2);
    case Second::column: return random.normal({rows, 1}, 2);
    case Second::turned: return transpose(random.normal({columns, rows}, 2), 0, 1);
    default: return random.normal({rows, columns}, 2);
  }
}

Tensor expected(const Case& c, const Tensor& a, const Tensor& b) {
  const Tensor other = contiguous(expand(b, a.shape()));
  Tensor y = empty(a.shape());
  const float *p = a.data<float>(), *q = other.data<float>();
  float* const to = y.mutable_data<float>();
  for (std::int64_t i = 0; i < a.numel(); i++) to[i] = float(c.value(p[i], q[i]));
  return y;
}

void run(benchmark::State& state, const Case& c) {
  const std::int64_t n = state.range(0);
  const Tensor a = Random(1).normal({n / columns, columns}), b = second_of(c.second, n / columns);
  require_close(c.name, c.run(a, b), expected(c, a, b), 1e-6);
  for (auto _ : state) benchmark::DoNotOptimize(c.run(a, b));
  const bool two = c.second == Second::dense || c.second == Second::turned;
  report_bytes(state, double(n) * 4 * (two ? 3 : 2), two ? Traffic::add : Traffic::copy);
}

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

const Case cases[] = {
    {"add", Second::dense, [](auto& a, auto& b) { return a + b; },
     [](double a, double b) { return a + b; }},
    {"add_row", Second::row, [](auto& a, auto& b) { return a + b; },
     [](double a, double b) { return a + b; }},
    {"add_column", Second::column, [](auto& a, auto& b) { return a + b; },
     [](double a, double b) { return a + b; }},
    {"add_turned", Second::turned, [](auto& a, auto& b) { return a + b; },
     [](double a, double b) { return a + b; }},
    {"mul", Second::dense, [](auto& a, auto& b) { return a * b; },
     [](double a, double b) { return a * b; }},
    {"div", Second::dense, [](auto& a, auto& b) { return a / b; },
     [](double a, double b) { return a / b; }},
    {"scale", Second::none, [](auto& a, auto&) { return a * 3.0; },
     [](double a, double) { return a * 3; }},
    {"relu", Second::none, [](auto& a, auto&) { return relu(a); },
     [](double a, double) { return a > 0 ? a : 0; }},
    {"sqrt", Second::none, [](auto& a, auto&) { return sqrt(a * a); },
     [](double a, double) { return std::fabs(a); }},
    {"exp", Second::none, [](auto& a, auto&) { return exp(a); },
     [](double a, double) { return std::exp(a); }},
    {"tanh", Second::none, [](auto& a, auto&) { return tanh(a); },
     [](double a, double) { return std::tanh(a); }},
    {"sigmoid", Second::none, [](auto& a, auto&) { return sigmoid(a); },
     [](double a, double) { return sigmoid_of(a); }},
    {"silu", Second::none, [](auto& a, auto&) { return silu(a); },
     [](double a, double) { return a * sigmoid_of(a); }},
    {"gelu_tanh", Second::none, [](auto& a, auto&) { return gelu_tanh(a); },
     [](double a, double) {
       return a * sigmoid_of(2 * std::sqrt(2 / M_PI) * (a + 0.044715 * a * a * a));
     }},
    {"log1p", Second::none, [](auto& a, auto&) { return log1p(abs(a)); },
     [](double a, double) { return std::log1p(std::fabs(a)); }},
    {"softplus", Second::none, [](auto& a, auto&) { return softplus(a); },
     [](double a, double) { return std::log1p(std::exp(a)); }},
    {"gelu", Second::none, [](auto& a, auto&) { return gelu(a); },
     [](double a, double) { return a * std::erfc(-a / std::sqrt(2)) / 2; }},
};

[[maybe_unused]] const bool added = [] {
  for (const Case& c : cases) {
    register_run(c.name, [&c](benchmark::State& state) { run(state, c); })
        ->Arg(32 << 10)
        ->Arg(512 << 10)
        ->Arg(8 << 20);
  }
  return true;
}();

}  // namespace
}  // namespace unroll::bench
