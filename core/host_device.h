// What functions are marked with that are compiled for the CPU and for the GPU, such as the
// per-element formulas of kernels/.
#pragma once

// Always inlined on the CPU: a copy that the linker could share between instruction sets must never
// be emitted.
#ifdef __CUDACC__
#define UNROLL_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define UNROLL_HOST_DEVICE inline __attribute__((always_inline))
#endif
