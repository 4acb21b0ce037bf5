// Stands in for CUDA's header of this name: cp.async. A destination holds bytes 0xff until it has
// been waited for, and only then the copy is made.
#pragma once

#include <cuda_runtime.h>

inline void __pipeline_memcpy_async(void* shared, const void* global, std::size_t bytes,
                                    std::size_t zeros = 0,
                                    unroll::sim::Site site = unroll::sim::Site::here()) {
  unroll::sim::device::async_copy(shared, global, bytes, zeros, site);
}
inline void __pipeline_commit() { unroll::sim::device::async_commit(); }
inline void __pipeline_wait_prior(std::size_t keep) { unroll::sim::device::async_wait(keep); }
