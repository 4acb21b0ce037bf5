// How many threads the kernels use. Results never depend on it: see docs/design.md, Determinism.
//
//   set_num_threads(2);
#pragma once

namespace unroll {

/// Threads that the next kernel call may use: OpenMP's setting (OMP_NUM_THREADS), 1 without OpenMP.
int num_threads() noexcept;

/// Throws Error unless count >= 1. Without OpenMP only 1 has an effect.
void set_num_threads(int count);

}  // namespace unroll
