// How many threads the kernels use. Results never depend on it: see docs/design.md, Determinism.
//
//   set_num_threads(2);
#pragma once

#include <cstddef>
#include <functional>

#include "core/export.h"

namespace UNROLL_API unroll {

/// Threads that the next kernel call may use: OpenMP's setting (OMP_NUM_THREADS), 1 without OpenMP.
int num_threads() noexcept;

/// Throws Error unless count >= 1. Without OpenMP only 1 has an effect.
void set_num_threads(int count);

/// Calls job(0) .. job(count - 1), num_threads() of them at a time, each in a thread of its own
/// whose kernels use one thread: for many small pieces of work that share nothing. After an
/// exception no further job is started, and the first one is thrown again here.
void run_jobs(std::size_t count, const std::function<void(std::size_t)>& job);

}  // namespace unroll
