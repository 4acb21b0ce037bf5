// Loops over adjacent numbers by vectors, with the tail as a padded vector. Only for hot kernel
// files.
//
//   Vec sum = S::zero();
//   for_each_vector<T>(n, [&](std::int64_t i, int count) { sum += load_some(x + i, count); });
//   const T total = sum_of_lanes<T>(sum);
#pragma once

#include <cstdint>
#include <utility>

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

// v with its lanes moved down by `by`, and those in front behind them.
template <int by, class Vec, int... i>
UNROLL_SIMD_FN Vec moved_down(Vec v, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(v, v, ((i + by) % int(sizeof...(i)))...);
}

// v[l] = join(v[l], v[l + half]), then the same for half of that, down to `last` lanes.
template <class T, int half, int last, class Join>
UNROLL_SIMD_FN typename Simd<T>::Vec folded(typename Simd<T>::Vec v, Join join) {
  constexpr std::make_integer_sequence<int, Simd<T>::lanes> sequence{};
  if constexpr (half >= last) {
    return folded<T, half / 2, last>(join(v, moved_down<half>(v, sequence)), join);
  } else {
    return v;
  }
}

// The sum of all lanes, halves folded onto each other.
template <class T>
UNROLL_SIMD_FN T sum_of_lanes(typename Simd<T>::Vec v) {
  using Vec = typename Simd<T>::Vec;
  return folded<T, Simd<T>::lanes / 2, 1>(v, [](Vec a, Vec b) { return a + b; })[0];
}

// The largest lane; none is NaN.
template <class T>
UNROLL_SIMD_FN T max_of_lanes(typename Simd<T>::Vec v) {
  using Vec = typename Simd<T>::Vec;
  return folded<T, Simd<T>::lanes / 2, 1>(v, [](Vec a, Vec b) { return Simd<T>::max(a, b); })[0];
}

}  // namespace unroll::UNROLL_ISA_NS
