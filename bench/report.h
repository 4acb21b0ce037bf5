// What the benchmarks share: a check of the result, which comes first, and the rate.
//
//   require_close("lstm", lstm(..).y, lstm_twin(..).y);
//   for (auto _ : state) benchmark::DoNotOptimize(lstm(..));
//   report_flops(state, 2.0 * T * N * 4 * H * (I + H));
//
// OMP_NUM_THREADS sets the number of threads.
#pragma once

#include <benchmark/benchmark.h>

#include "core/tensor.h"

namespace unroll::bench {

/// Stops the program where a and b differ by more than `bound` of the largest of b.
void require_close(const char* what, const Tensor& a, const Tensor& b, double bound = 1e-3);

/// Counts GFLOP/s, and beside them the "limit": what matmul reaches for 512 x 512 float32 matrices
/// in this run.
void report_flops(benchmark::State& state, double per_iteration);

}  // namespace unroll::bench
