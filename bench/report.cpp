#include "bench/report.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "autograd/ops.h"
#include "kernels/isa.h"

namespace unroll::bench {

namespace {

double largest_of(const Tensor& x) { return amax(reshape(abs(x), {-1}), 0).item(); }

int threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

void report(benchmark::State& state, const char* unit, double per_iteration, double limit) {
  using benchmark::Counter;
  const double all = per_iteration * double(state.iterations());
  state.counters[unit] = Counter(all / 1e9, Counter::kIsRate);
  state.counters["limit"] = limit / 1e9;
  state.counters["fraction"] = Counter(all / limit, Counter::kIsRate);
}

// The library's table, but for the "/s" behind counters that are divided by the time: the names say
// what they are, and a fraction of a limit is no rate.
class Table : public benchmark::ConsoleReporter {
 public:
  Table() : ConsoleReporter(::isatty(1) ? OO_Color : OO_None) {}
  void ReportRuns(const std::vector<Run>& runs) override {
    std::vector<Run> shown = runs;
    for (Run& run : shown)
      for (auto& [name, counter] : run.counters) counter.flags = benchmark::Counter::kDefaults;
    ConsoleReporter::ReportRuns(shown);
  }
};

}  // namespace

void require_close(const char* what, const Tensor& a, const Tensor& b, double bound) {
  require_isa();
  const double largest = largest_of(b), worst = largest_of(a - b);
  if (worst <= bound * largest) return;
  std::fprintf(stderr, "%s: the result is off by %g of %g\n", what, worst, largest);
  std::exit(1);
}

void report_flops(benchmark::State& state, double per_iteration, Dtype dtype) {
  report(state, "GFLOP/s", per_iteration, fma_peak(dtype, threads()));
}

void report_bytes(benchmark::State& state, double per_iteration, Traffic traffic,
                  double footprint) {
  const double bytes = footprint > 0 ? footprint : per_iteration;
  report(state, "GB/s", per_iteration, bandwidth(traffic, std::size_t(bytes), threads()));
}

}  // namespace unroll::bench

int main(int argc, char** argv) {
  const bool as_table = std::none_of(argv, argv + argc, [](std::string_view argument) {
    return argument.starts_with("--benchmark_format");
  });
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  unroll::bench::Table table;
  benchmark::RunSpecifiedBenchmarks(as_table ? &table : nullptr);
  benchmark::Shutdown();
}
