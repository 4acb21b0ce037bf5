// Sums and extremes of a float32 matrix, over its rows, its columns and all of it. Arguments: rows,
// columns.
//
//   OMP_NUM_THREADS=2 build/bench/reduction_bench --benchmark_repetitions=5
//
// Results are checked against plain loops in double first.
#include <algorithm>
#include <vector>

#include "autograd/ops.h"
#include "bench/report.h"
#include "core/random.h"

namespace unroll::bench {
namespace {

enum class Over { rows, columns, all };

struct Case {
  const char* name;
  Over over;
  Tensor (*run)(const Tensor& x);
  double (*join)(double a, double b);
};

Tensor expected(const Case& c, const Tensor& x) {
  const std::int64_t rows = x.shape()[0], columns = x.shape()[1];
  const std::int64_t count = c.over == Over::rows ? columns : c.over == Over::columns ? rows : 1;
  std::vector<double> y(std::size_t(count), 0);
  std::vector<bool> seen(std::size_t(count), false);
  const float* const p = x.data<float>();
  for (std::int64_t i = 0; i < rows * columns; i++) {
    const std::int64_t at = c.over == Over::rows      ? i % columns
                            : c.over == Over::columns ? i / columns
                                                      : 0;
    double& to = y[std::size_t(at)];
    to = seen[std::size_t(at)] ? c.join(to, p[i]) : p[i];
    seen[std::size_t(at)] = true;
  }
  Tensor result = empty({count});
  for (std::int64_t i = 0; i < count; i++) {
    result.mutable_data<float>()[i] = float(y[std::size_t(i)]);
  }
  return result;
}

void run(benchmark::State& state, const Case& c) {
  const Tensor x = Random(1).normal({state.range(0), state.range(1)}, 1);
  require_close(c.name, reshape(c.run(x), {-1}), expected(c, x), 1e-5);
  for (auto _ : state) benchmark::DoNotOptimize(c.run(x));
  report_bytes(state, double(x.numel()) * 4, Traffic::read);
}

double plus(double a, double b) { return a + b; }
double larger(double a, double b) { return std::max(a, b); }

const Case cases[] = {
    {"sum_all", Over::all, [](const Tensor& x) { return sum(x); }, plus},
    {"sum_rows", Over::rows, [](const Tensor& x) { return sum(x, {0}); }, plus},
    {"sum_columns", Over::columns, [](const Tensor& x) { return sum(x, {1}); }, plus},
    {"max_rows", Over::rows, [](const Tensor& x) { return amax(x, {0}); }, larger},
    {"max_columns", Over::columns, [](const Tensor& x) { return amax(x, {1}); }, larger},
};

[[maybe_unused]] const bool added = [] {
  for (const Case& c : cases) {
    register_run(c.name, [&c](benchmark::State& state) { run(state, c); })
        ->Args({64, 1024})
        ->Args({1024, 1024})
        ->Args({16384, 1024})
        ->Args({262144, 64});
  }
  return true;
}();

}  // namespace
}  // namespace unroll::bench
