// Loops over threads. Only for hot kernel files.
//
//   for_each_index(rows, rows * columns, [&](std::int64_t row) { ... });
//
// Inside a parallel region, and without OpenMP, everything runs on the calling thread. The bodies
// must not care which thread runs them: splitting is by output, so that results do not depend on
// the number of threads.
#pragma once

#ifdef _OPENMP
#include <omp.h>
#endif

#include <cstdint>

namespace unroll::UNROLL_ISA_NS {

// Below this much work, in additions, a parallel region costs more than it saves.
inline constexpr std::int64_t parallel_work = 65536;

// How many threads a loop over `count` bodies with this much work will use; also how many slots of
// scratch it needs.
static inline int threads_for(std::int64_t count, std::int64_t work) {
#ifdef _OPENMP
  if (count > 1 && work >= parallel_work && !omp_in_parallel()) {
    const std::int64_t threads = omp_get_max_threads();
    return int(threads < count ? threads : count);
  }
#endif
  (void)count, (void)work;
  return 1;
}

// Calls body(i, slot) for i in 0..count-1. Bodies that run at the same time have different slots,
// all below threads_for(count, work).
template <class Body>
static inline void for_each_index_in_slot(std::int64_t count, std::int64_t work, Body body) {
#ifdef _OPENMP
  const int threads = threads_for(count, work);
  if (threads > 1) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (std::int64_t i = 0; i < count; i++) body(i, omp_get_thread_num());
    return;
  }
#endif
  (void)work;
  for (std::int64_t i = 0; i < count; i++) body(i, 0);
}

template <class Body>
static inline void for_each_index(std::int64_t count, std::int64_t work, Body body) {
  for_each_index_in_slot(count, work, [&](std::int64_t i, int) { body(i); });
}

}  // namespace unroll::UNROLL_ISA_NS
