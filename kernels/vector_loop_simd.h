// Loops over adjacent numbers by vectors, with the tail as a padded vector. Only for hot kernel
// files.
//
//   Vec sum = S::zero();
//   for_each_vector<T>(n, [&](std::int64_t i, int count) { sum += load_some(x + i, count); });
//   const T total = sum_of_lanes<T>(sum);
#pragma once

#include <cstdint>

#include "kernels/simd.h"

namespace unroll::UNROLL_ISA_NS {

// Calls f(i, count) for every vector of numbers i .. i+count-1 below n; only the last may hold
// fewer than all lanes.
template <class T, class F>
static inline __attribute__((always_inline)) void for_each_vector(std::int64_t n, F f) {
  constexpr int lanes = Simd<T>::lanes;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) f(i, lanes);
  if (i < n) f(i, int(n - i));
}

// The first count numbers at p, then zeros.
template <class T>
UNROLL_SIMD_FN typename Simd<T>::Vec load_some(const T* p, int count) {
  return count == Simd<T>::lanes ? Simd<T>::load(p) : Simd<T>::load_n(p, count);
}

template <class T>
UNROLL_SIMD_FN void store_some(T* p, typename Simd<T>::Vec v, int count) {
  if (count == Simd<T>::lanes) return Simd<T>::store(p, v);
  Simd<T>::store_n(p, v, count);
}

// The sum of all lanes, halves folded onto each other.
template <class T>
UNROLL_SIMD_FN T sum_of_lanes(typename Simd<T>::Vec v) {
  T lane[Simd<T>::lanes];
  Simd<T>::store(lane, v);
  for (int half = Simd<T>::lanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; i++) lane[i] += lane[i + half];
  }
  return lane[0];
}

}  // namespace unroll::UNROLL_ISA_NS
