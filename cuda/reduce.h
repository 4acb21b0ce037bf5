// What threads compute together, in an order that is fixed by their number alone: the same bits in
// every run.
//
//   const double sum = reduce_warp(part, Add{});         // by all 32 lanes; each gets the result
//   const double total = reduce_block(part, Add{});      // by all threads of the block; each gets
//   it
//
// Parts are combined in pairs of neighbours, so `op` must be commutative, or all lanes would not
// agree; it need not be associative.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

namespace unroll::UNROLL_GPU {

inline constexpr int warp = 32;

struct Add {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

/// The larger number; a NaN counts as none unless it is `a`.
struct Larger {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return b > a ? b : a;
  }
};

struct Smaller {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};

/// The value of the lane whose number differs in `bits`. Overload it for structs.
template <class T>
__device__ T across(T value, int bits) {
  return __shfl_xor_sync(~0u, value, bits);
}

/// The values of each `width` adjacent lanes combined, for every one of them; width is a power of
/// two. All lanes of the warp call it.
template <class T, class Op>
__device__ T reduce_warp(T value, Op op, int width = warp) {
  for (int bits = width / 2; bits > 0; bits /= 2) value = op(value, across(value, bits));
  return value;
}

/// The values of all threads of a one-dimensional block of whole warps combined, for every one of
/// them.
template <class T, class Op>
__device__ T reduce_block(T value, Op op) {
  SHARED(T[32], part);  // one for each warp
  value = reduce_warp(value, op);
  if (threadIdx.x % warp == 0) part[threadIdx.x / warp] = value;
  __syncthreads();
  value = part[0];
  for (int w = 1; w < int(blockDim.x) / warp; w++) value = op(value, part[w]);
  __syncthreads();  // the next call writes there
  return value;
}

/// a / b for numbers that are not negative: 32 bits of them, which is most, are divided at a tenth
/// of the cost.
__device__ inline std::int64_t quotient(std::int64_t a, std::int64_t b) {
  if (((a | b) >> 32) == 0) return std::uint32_t(a) / std::uint32_t(b);
  return a / b;
}

}  // namespace unroll::UNROLL_GPU
