#include "bench/report.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "autograd/ops.h"
#include "core/random.h"

namespace unroll::bench {

namespace {

// FLOP/s, the best of 20 after as many to warm up.
double matmul_rate() {
  const Tensor a = Random(1).normal({512, 512}), b = Random(2).normal({512, 512});
  double best = INFINITY;
  for (int i = 0; i < 40; i++) {
    const auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(matmul(a, b));
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    if (i >= 20) best = std::min(best, taken.count());
  }
  return 2.0 * 512 * 512 * 512 / best;
}

double largest_of(const Tensor& x) { return amax(reshape(abs(x), {-1}), 0).item(); }

}  // namespace

void require_close(const char* what, const Tensor& a, const Tensor& b, double bound) {
  const double largest = largest_of(b), worst = largest_of(a - b);
  if (worst <= bound * largest) return;
  std::fprintf(stderr, "%s: the result is off by %g of %g\n", what, worst, largest);
  std::exit(1);
}

void report_flops(benchmark::State& state, double per_iteration) {
  static const double limit = matmul_rate();
  state.counters["GFLOP/s"] = benchmark::Counter(per_iteration * double(state.iterations()) / 1e9,
                                                 benchmark::Counter::kIsRate);
  state.counters["limit"] = limit / 1e9;
}

}  // namespace unroll::bench
