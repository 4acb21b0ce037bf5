// Stands in for CUDA's header of this name when a .cu file is compiled for the simulator: the words
// of the language, barriers, warp functions, atomics and intrinsics. Each does what the CUDA
// programming guide says under "C++ language extensions".
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "cuda/sim/device.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __grid_constant__

#define threadIdx (::unroll::sim::device::here.thread)
#define blockIdx (::unroll::sim::device::here.block)
#define blockDim (::unroll::sim::device::here.block_dim)
#define gridDim (::unroll::sim::device::here.grid_dim)
inline constexpr int warpSize = 32;

// ---- Vector types. A copy of one is one access of the memory, as it is one instruction of a GPU,
// and not one for each number: so that the meter counts what a GPU does.

namespace unroll::sim::device {

template <std::size_t bytes>
inline __attribute__((always_inline)) void copy_whole(void* to, const void* from) {
  constexpr std::size_t most = 16;
  using Piece[[ gnu::vector_size(bytes < most ? bytes : most), gnu::may_alias ]] =
      unsigned long long;
  for (std::size_t i = 0; i < bytes / sizeof(Piece); i++)
    static_cast<Piece*>(to)[i] = static_cast<const Piece*>(from)[i];
}

}  // namespace unroll::sim::device

#define UNROLL_SIM_WHOLE(type)                                                             \
  type() = default;                                                                        \
  type(const type& other) { unroll::sim::device::copy_whole<sizeof(type)>(this, &other); } \
  type& operator=(const type& other) {                                                     \
    unroll::sim::device::copy_whole<sizeof(type)>(this, &other);                           \
    return *this;                                                                          \
  }
#define UNROLL_SIM_VECTORS(type, scalar)                                                \
  struct alignas(2 * sizeof(scalar)) type##2 {                                          \
    scalar x, y;                                                                        \
    UNROLL_SIM_WHOLE(type##2)                                                           \
    type##2(scalar x_, scalar y_) : x(x_), y(y_) {}                                     \
  };                                                                                    \
  struct alignas(16) type##4 {                                                          \
    scalar x, y, z, w;                                                                  \
    UNROLL_SIM_WHOLE(type##4)                                                           \
    type##4(scalar x_, scalar y_, scalar z_, scalar w_) : x(x_), y(y_), z(z_), w(w_) {} \
  };                                                                                    \
  inline type##2 make_##type##2(scalar x, scalar y) { return {x, y}; }                  \
  inline type##4 make_##type##4(scalar x, scalar y, scalar z, scalar w) { return {x, y, z, w}; }
UNROLL_SIM_VECTORS(float, float)
UNROLL_SIM_VECTORS(double, double)
UNROLL_SIM_VECTORS(int, int)
UNROLL_SIM_VECTORS(uint, unsigned)
#undef UNROLL_SIM_VECTORS
#undef UNROLL_SIM_WHOLE

using std::max;
using std::min;

// ---- Barriers and fences

inline void __syncthreads(unroll::sim::Site site = unroll::sim::Site::here()) {
  unroll::sim::device::block_barrier(unroll::sim::device::Vote::none, false, site);
}
inline int __syncthreads_count(int predicate, unroll::sim::Site site = unroll::sim::Site::here()) {
  return unroll::sim::device::block_barrier(unroll::sim::device::Vote::count, predicate != 0, site);
}
inline int __syncthreads_and(int predicate, unroll::sim::Site site = unroll::sim::Site::here()) {
  return unroll::sim::device::block_barrier(unroll::sim::device::Vote::all, predicate != 0, site);
}
inline int __syncthreads_or(int predicate, unroll::sim::Site site = unroll::sim::Site::here()) {
  return unroll::sim::device::block_barrier(unroll::sim::device::Vote::any, predicate != 0, site);
}
inline void __syncwarp(unsigned mask = ~0u, unroll::sim::Site site = unroll::sim::Site::here()) {
  unroll::sim::device::warp_barrier(mask, site);
}
inline void __threadfence_block() { unroll::sim::device::yield(); }
inline void __threadfence() { unroll::sim::device::fence(); }
inline void __nanosleep(unsigned) { unroll::sim::device::yield(); }

// ---- Warp functions

namespace unroll::sim::device {

template <class T>
T shuffled(unsigned mask, const T& value, int source, Site site) {
  static_assert(sizeof(T) <= 16);
  T result;
  shuffle(mask, &value, &result, sizeof(T), source, site);
  return result;
}

// The first lane of this lane's segment of `width` lanes.
inline int segment(int width) { return int(here.lane) & ~(width - 1); }

}  // namespace unroll::sim::device

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              unroll::sim::Site site = unroll::sim::Site::here()) {
  namespace d = unroll::sim::device;
  return d::shuffled(mask, value, d::segment(width) + (source & (width - 1)), site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 unroll::sim::Site site = unroll::sim::Site::here()) {
  namespace d = unroll::sim::device;
  const int source = int(d::here.lane) - int(delta);
  return d::shuffled(mask, value, source >= d::segment(width) ? source : -1, site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   unroll::sim::Site site = unroll::sim::Site::here()) {
  namespace d = unroll::sim::device;
  const int source = int(d::here.lane) + int(delta);
  return d::shuffled(mask, value, source < d::segment(width) + width ? source : -1, site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  unroll::sim::Site site = unroll::sim::Site::here()) {
  namespace d = unroll::sim::device;
  const int source = int(d::here.lane) ^ bits;
  return d::shuffled(mask, value, source < d::segment(width) + width ? source : -1, site);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              unroll::sim::Site site = unroll::sim::Site::here()) {
  return unroll::sim::device::ballot(mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate,
                      unroll::sim::Site site = unroll::sim::Site::here()) {
  return unroll::sim::device::ballot(mask, predicate != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      unroll::sim::Site site = unroll::sim::Site::here()) {
  return unroll::sim::device::ballot(mask, predicate != 0, site) == mask;
}

#define UNROLL_SIM_REDUCE(name, type, kind)                                                \
  inline type __reduce_##name##_sync(unsigned mask, type value,                            \
                                     unroll::sim::Site site = unroll::sim::Site::here()) { \
    return type(unroll::sim::device::reduce(mask, unsigned(value),                         \
                                            unroll::sim::device::Reduction::kind, site));  \
  }
UNROLL_SIM_REDUCE(add, unsigned, add)
UNROLL_SIM_REDUCE(add, int, add)
UNROLL_SIM_REDUCE(min, unsigned, min_unsigned)
UNROLL_SIM_REDUCE(min, int, min_signed)
UNROLL_SIM_REDUCE(max, unsigned, max_unsigned)
UNROLL_SIM_REDUCE(max, int, max_signed)
UNROLL_SIM_REDUCE(and, unsigned, bit_and)
UNROLL_SIM_REDUCE(or, unsigned, bit_or)
UNROLL_SIM_REDUCE(xor, unsigned, bit_xor)
#undef UNROLL_SIM_REDUCE

// ---- Atomics: what the device's memory holds after each is one operation after another.

namespace unroll::sim::device {

template <class T, class F>
T atomic(T* pointer, F next, Site site) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  T old;
  atomic_begin(pointer, &old, sizeof(T), site);
  const T value = next(old);
  atomic_end(pointer, &value, sizeof(T));
  return old;
}

}  // namespace unroll::sim::device

#define UNROLL_SIM_ATOMIC(name, expression)                    \
  template <class T>                                           \
  T name(T* pointer, std::type_identity_t<T> value,            \
         unroll::sim::Site site = unroll::sim::Site::here()) { \
    return unroll::sim::device::atomic(                        \
        pointer, [=](T old) { return T(expression); }, site);  \
  }
UNROLL_SIM_ATOMIC(atomicAdd, old + value)
UNROLL_SIM_ATOMIC(atomicSub, old - value)
UNROLL_SIM_ATOMIC(atomicMax, old > value ? old : value)
UNROLL_SIM_ATOMIC(atomicMin, old < value ? old : value)
UNROLL_SIM_ATOMIC(atomicAnd, old& value)
UNROLL_SIM_ATOMIC(atomicOr, old | value)
UNROLL_SIM_ATOMIC(atomicXor, old ^ value)
UNROLL_SIM_ATOMIC(atomicExch, ((void)old, value))
#undef UNROLL_SIM_ATOMIC

template <class T>
T atomicCAS(T* pointer, std::type_identity_t<T> expected, std::type_identity_t<T> value,
            unroll::sim::Site site = unroll::sim::Site::here()) {
  return unroll::sim::device::atomic(
      pointer, [=](T old) { return old == expected ? value : old; }, site);
}

// ---- Arithmetic. The fast functions of a GPU are off by a few units in the last place; the host's
// are not, so these are made to be.

inline float __expf(float x) { return unroll::sim::device::perturbed(std::exp(x), 2); }
inline float __logf(float x) { return unroll::sim::device::perturbed(std::log(x), 2); }
inline float __fdividef(float a, float b) { return unroll::sim::device::perturbed(a / b, 2); }
inline float rsqrtf(float x) { return unroll::sim::device::perturbed(1 / std::sqrt(x), 2); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
template <class T>
T __ldg(const T* pointer) {
  return *pointer;
}
template <class T>
T __ldcg(const T* pointer) {
  return *pointer;
}
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(unsigned(x)) + 1; }
inline int __clz(int x) { return std::countl_zero(unsigned(x)); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
