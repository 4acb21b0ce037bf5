// What every cuda/*.cu file begins with. Each is compiled twice: by nvcc, where it defines the
// functions of namespace unroll::cuda that kernels/X.h declares, and for the simulator, where it
// defines those of unroll::sim.
//
//   namespace unroll::UNROLL_GPU {
//
//   template <class T>
//   __global__ void scale_kernel(FlatShape shape, ScaleArgs<T> args) { ... }
//
//   template <class T>
//   void scale(const FlatShape& shape, const ScaleArgs<T>& args) noexcept {
//     launch(scale_kernel<T>, {.name = "scale", .grid = blocks_of(shape.count, 256), .block = 256,
//                              .stream = current_stream()}, shape, args);
//   }
//   UNROLL_GPU_KERNEL(scale, void, FlatShape, ScaleArgs)
//
//   }
//
// Kernels take the structs of the contract by value. No float atomics: the same bits in every run.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

#ifdef __CUDACC__
#define UNROLL_GPU cuda
#else
#define UNROLL_GPU sim
#endif

// Instantiates Result name<Real>(const Shape&, const Args<Real>&) for float and double, or for
// another type, or name<Real>(const Shape&).
#define UNROLL_GPU_KERNEL(name, Result, Shape, Args)      \
  UNROLL_GPU_KERNEL_FOR(float, name, Result, Shape, Args) \
  UNROLL_GPU_KERNEL_FOR(double, name, Result, Shape, Args)
#define UNROLL_GPU_KERNEL_FOR(Real, name, Result, Shape, Args) \
  template Result name<Real>(const Shape&, const Args<Real>&) noexcept;
#define UNROLL_GPU_SHAPE(name, Result, Shape)         \
  template Result name<float>(const Shape&) noexcept; \
  template Result name<double>(const Shape&) noexcept;

namespace unroll::UNROLL_GPU {

/// Where the calling thread's kernels and copies are queued: on its device, that of the last
/// select(), the stream of this device.
Stream current_stream() noexcept;
int current_device() noexcept;

/// Makes another stream that of the thread's device; returns the one before.
Stream exchange_stream(Stream stream) noexcept;

/// Blocks of `block` threads for `count` elements, one each. A kernel with more elements than a
/// grid has threads walks on by the size of the grid: no more than `most` blocks.
inline unsigned blocks_of(std::int64_t count, int block, std::int64_t most = 1 << 30) {
  const std::int64_t blocks = (count + block - 1) / block;
  return static_cast<unsigned>(blocks < most ? blocks : most);
}

}  // namespace unroll::UNROLL_GPU
