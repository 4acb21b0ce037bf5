// The three spellings in which a .cu file of this project differs from plain CUDA, so that nvcc and
// the simulator read the same file:
//
//   SHARED(float[32][33], tile);                  // __shared__ float tile[32][33]
//   SHARED_DYNAMIC(float, row);                   // extern __shared__ float row[]; once per kernel
//   launch(kernel, {.name = "softmax", .grid = rows, .block = 128}, x, y);     // <<< >>>, checked
//
// A type with a comma needs an alias. A launch is asynchronous and does not throw: what goes wrong
// is thrown by the next wait. Include this instead of <cuda_runtime.h>; nothing else is different.
#pragma once

#include <cuda_runtime.h>

#ifndef __CUDACC__
#include "cuda/sim/launch.h"
#else

#include <cstddef>

namespace unroll {

// One program may hold the simulator too, whose Launch and launch() have these names: where they
// had the same symbols, the linker would keep one of the two for both.
inline namespace by_nvcc {

using Stream = cudaStream_t;

struct Launch {
  const char* name;
  dim3 grid = {}, block = {};
  std::size_t shared = 0;
  bool cooperative = false;
  Stream stream = {};
};

// A failure stays with the CUDA runtime, whose next call returns it.
template <class... P, class... A>
void launch(void (*kernel)(P...), const Launch& how, A&&... arguments) noexcept {
  constexpr std::size_t needs_no_attribute = 48 << 10;
  if (how.shared > needs_no_attribute)
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(how.shared));
  cudaLaunchAttribute cooperative{};
  cooperative.id = cudaLaunchAttributeCooperative;
  cooperative.val.cooperative = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = how.grid, config.blockDim = how.block;
  config.dynamicSmemBytes = how.shared, config.stream = how.stream;
  config.attrs = &cooperative, config.numAttrs = how.cooperative ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, P(arguments)...);
}

}  // namespace by_nvcc

namespace cuda::detail {
template <class T>
using type = T;
}

}  // namespace unroll

#define SHARED(T, name) __shared__ ::unroll::cuda::detail::type<T> name
#define SHARED_DYNAMIC(T, name)                                                 \
  extern __shared__ __align__(16) unsigned char unroll_dynamic_shared_memory[]; \
  T* name = reinterpret_cast<T*>(unroll_dynamic_shared_memory)

#endif
