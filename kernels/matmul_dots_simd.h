// Few rows against many, all of them adjacent along k: one dot product per element of C. Only for
// hot kernel files.
//
//   if (dot_sides(shape) != DotSides::none) dot_rows(..., begin, end, scratch);
//
// Few rows use each number of the other operand too rarely to pay for packing it.
#pragma once

#include "kernels/matmul.h"
#include "kernels/transpose_tile_simd.h"
#include "kernels/vector_loop_simd.h"

namespace unroll::UNROLL_ISA_NS {

// The tile: as many accumulators as the registers hold beside its operands.
inline constexpr int dot_few = 3;
inline constexpr int dot_many = UNROLL_SIMD_BYTES == 64 ? 8 : 4;

// ---- which products

// Whether columns of B or rows of A are the few.
enum class DotSides { none, few_columns, few_rows };

// More than one tile of few rows pays where sums are long beside what it takes to finish them. The
// few may lie in any way, since copying them costs little where the many are many.
static inline DotSides dot_sides(const MatmulShape& s) {
  const std::int64_t most = s.K >= 256 ? 4 * dot_few : dot_few, many = 16;
  if (s.K < 16) return DotSides::none;
  if (s.N <= most && s.a_col == 1 && (s.b_row == 1 || s.M >= many)) return DotSides::few_columns;
  if (s.M <= most && s.b_row == 1 && (s.a_col == 1 || s.N >= many)) return DotSides::few_rows;
  return DotSides::none;
}

// Numbers of scratch for a copy of the few.
static inline std::int64_t dot_copy(const MatmulShape& s) {
  const DotSides sides = dot_sides(s);
  if (sides == DotSides::few_columns) return s.b_row == 1 ? 0 : s.N * s.K;
  if (sides == DotSides::few_rows) return s.a_col == 1 ? 0 : s.M * s.K;
  return 0;
}

// ---- sums

// The sums of the lanes of four vectors; each in the order of sum_of_lanes.
template <class T>
static inline __attribute__((always_inline)) void sums_of_four(const typename Simd<T>::Vec* v,
                                                               T* sums) {
  using Vec = typename Simd<T>::Vec;
  constexpr int lanes = Simd<T>::lanes;
  if constexpr (lanes >= 4) {
    constexpr std::make_integer_sequence<int, lanes> sequence{};
    const Vec even = zip_low(v[0], v[2], sequence) + zip_high(v[0], v[2], sequence);
    const Vec odd = zip_low(v[1], v[3], sequence) + zip_high(v[1], v[3], sequence);
    const Vec all = zip_low(even, odd, sequence) + zip_high(even, odd, sequence);
    const auto add = [](Vec a, Vec b) { return a + b; };
    store_some(sums, folded<T, lanes / 2, 4>(all, add), 4);
  } else {
    for (int i = 0; i < 4; i++) sums[i] = sum_of_lanes<T>(v[i]);
  }
}

// ---- tiles

template <class T>
struct Dots {
  const T *few, *many;             // rows of k
  std::int64_t few_row, many_row;  // their strides
  T* c;
  std::int64_t c_few, c_many;  // strides of C along each
  std::int64_t few_count, depth;
  T alpha, beta;
};

// Few rows from `first` on, many rows from `at` on.
template <class T, int few, int many>
static __attribute__((noinline)) void dots(const Dots<T>& d, std::int64_t first, std::int64_t at) {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  Vec sum[few][many] = {};
  const T *const rows = d.many + at * d.many_row, *const others = d.few + first * d.few_row;
  for_each_vector<T>(d.depth, [&](std::int64_t k, int count) {
    Vec x[few];
    UNROLL_FULL_UNROLL
    for (int i = 0; i < few; i++) x[i] = load_some(others + i * d.few_row + k, count);
    UNROLL_FULL_UNROLL
    for (int j = 0; j < many; j++) {
      const Vec y = load_some(rows + j * d.many_row + k, count);
      UNROLL_FULL_UNROLL
      for (int i = 0; i < few; i++) sum[i][j] = S::fma(x[i], y, sum[i][j]);
    }
  });
  for (int i = 0; i < few; i++) {
    T value[many];
    if constexpr (many == 1) value[0] = sum_of_lanes<T>(sum[i][0]);
    for (int j = 0; j + 4 <= many; j += 4) sums_of_four<T>(sum[i] + j, value + j);
    T* to = d.c + (first + i) * d.c_few + at * d.c_many;
    for (int j = 0; j < many; j++, to += d.c_many) {
      *to = d.beta == T(0) ? d.alpha * value[j] : d.alpha * value[j] + d.beta * *to;
    }
  }
}

// All of the few against `many` rows from `at` on, in tiles of nearly equal height.
template <class T, int many>
static void dots_at(const Dots<T>& d, std::int64_t at) {
  std::int64_t first = 0;
  for (std::int64_t tiles = (d.few_count + dot_few - 1) / dot_few; tiles > 0; tiles--) {
    const std::int64_t height = (d.few_count - first + tiles - 1) / tiles;
    if (height == 1) dots<T, 1, many>(d, first, at);
    if (height == 2) dots<T, 2, many>(d, first, at);
    if (height == 3) dots<T, 3, many>(d, first, at);
    first += height;
  }
}

// Many rows begin .. end-1 of the product; the few are copied to scratch if they are not adjacent.
template <class T>
static void dot_rows(const MatmulShape& s, const MatmulArgs<T>& args, std::int64_t begin,
                     std::int64_t end, T* scratch) {
  const bool columns = dot_sides(s) == DotSides::few_columns;
  Dots<T> d{.few = columns ? args.b : args.a,
            .many = columns ? args.a : args.b,
            .few_row = columns ? s.b_col : s.a_row,
            .many_row = columns ? s.a_row : s.b_col,
            .c = args.c,
            .c_few = columns ? 1 : s.c_row,
            .c_many = columns ? s.c_row : 1,
            .few_count = columns ? s.N : s.M,
            .depth = s.K,
            .alpha = T(s.alpha),
            .beta = T(s.beta)};
  if (dot_copy(s) > 0) {
    const std::int64_t step = columns ? s.b_row : s.a_col;
    for (std::int64_t k = 0; k < s.K; k++) {
      for (std::int64_t i = 0; i < d.few_count; i++) {
        scratch[i * s.K + k] = d.few[i * d.few_row + k * step];
      }
    }
    d.few = scratch, d.few_row = s.K;
  }
  std::int64_t at = begin;
  for (; at + dot_many <= end; at += dot_many) dots_at<T, dot_many>(d, at);
  for (; at < end; at++) dots_at<T, 1>(d, at);
}

}  // namespace unroll::UNROLL_ISA_NS
