// A square of numbers, one vector wide, transposed in registers. Only for hot kernel files.
//
//   transpose_tile<float>(x, x_stride, y, y_stride);      // y[j y_stride + i] = x[i x_stride + j],
//   i, j < Simd<float>::lanes
#pragma once

#include <utility>

#include "kernels/simd.h"

namespace unroll::UNROLL_ISA_NS {

// The lanes of a and b taken in turn: those of the lower halves, and those of the upper.
template <class Vec, int... i>
UNROLL_SIMD_FN Vec zip_low(Vec a, Vec b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (i / 2 + i % 2 * int(sizeof...(i)))...);
}
template <class Vec, int... i>
UNROLL_SIMD_FN Vec zip_high(Vec a, Vec b, std::integer_sequence<int, i...>) {
  constexpr int lanes = int(sizeof...(i));
  return __builtin_shufflevector(a, b, (lanes / 2 + i / 2 + i % 2 * lanes)...);
}

// Zipping row i with row i + lanes/2, log2(lanes) times over, rotates the bits of (row, lane) until
// they have changed places.
template <class T>
static inline __attribute__((always_inline)) void transpose_tile(const T* x, std::int64_t x_stride,
                                                                 T* y, std::int64_t y_stride) {
  using S = Simd<T>;
  constexpr int lanes = S::lanes;
  constexpr std::make_integer_sequence<int, lanes> sequence{};
  typename S::Vec row[lanes], next[lanes];
  UNROLL_FULL_UNROLL
  for (int i = 0; i < lanes; i++) row[i] = S::load(x + i * x_stride);
  UNROLL_FULL_UNROLL
  for (int step = 1; step < lanes; step *= 2) {
    UNROLL_FULL_UNROLL
    for (int i = 0; i < lanes / 2; i++) {
      next[2 * i] = zip_low(row[i], row[i + lanes / 2], sequence);
      next[2 * i + 1] = zip_high(row[i], row[i + lanes / 2], sequence);
    }
    UNROLL_FULL_UNROLL
    for (int i = 0; i < lanes; i++) row[i] = next[i];
  }
  UNROLL_FULL_UNROLL
  for (int i = 0; i < lanes; i++) S::store(y + i * y_stride, row[i]);
}

}  // namespace unroll::UNROLL_ISA_NS
