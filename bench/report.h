// What the benchmarks share: a check of the result, which comes first, and the rate beside the
// limit that was measured in the same run.
//
//   require_close("lstm", lstm(..).y, lstm_twin(..).y);
//   for (auto _ : state) benchmark::DoNotOptimize(lstm(..));
//   report_flops(state, 2.0 * T * N * 4 * H * (I + H));
//
// OMP_NUM_THREADS sets the number of threads, UNROLL_ISA the instruction set.
#pragma once

#include <benchmark/benchmark.h>

#include "bench/limits.h"
#include "core/tensor.h"

namespace unroll::bench {

/// Stops the program where a and b differ by more than `bound` of the largest of b.
void require_close(const char* what, const Tensor& a, const Tensor& b, double bound = 1e-3);

/// Counts GFLOP/s; beside them the "limit", fma_peak() of all threads, and the "fraction" of it.
void report_flops(benchmark::State& state, double per_iteration, Dtype dtype = Dtype::float32);

/// Counts GB/s of bytes read and written; beside them the "limit", bandwidth() of a loop with such
/// traffic over `footprint` bytes (0: as many as are moved), and the "fraction" of it.
void report_bytes(benchmark::State& state, double per_iteration, Traffic traffic,
                  double footprint = 0);

/// A benchmark of its own name, in microseconds of real time.
template <class Run>
benchmark::internal::Benchmark* register_run(const char* name, const Run& run) {
  return benchmark::RegisterBenchmark(name, run)
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime()
      ->MinTime(0.05);
}

}  // namespace unroll::bench
