// Matrix product with a packed right operand: the inner loop of the recurrent kernels.
//
//   PanelProduct<float> p{.rows = N, .depth = K, .a = a, .a_stride = K, .panel = packed,
//                         .out = out, .out_stride = 16};
//   multiply_panel<Simd<float>, 2, Left::row_major>(p);   // out[N, 2 vectors] = a[N,K] packed
//
// A panel is [depth][vectors * lanes], 64-byte aligned where the vectors are full: one step of the
// inner loop reads one row of it and one number per row of a. A tile of rows x vectors stays in
// registers. Each element of out is one sum in the order of the depth (or two, of its even and its
// odd places), whatever the rows around it.
#pragma once

#include <cstdint>

#include "kernels/simd.h"

namespace unroll::UNROLL_ISA_NS {

// Which index of the left operand changes fastest in memory.
enum class Left { row_major, column_major };

template <class Real>
struct PanelProduct {
  std::int64_t rows;
  std::int64_t segments = 1;  // the sum runs over segments x depth
  std::int64_t depth;
  const Real* a;               // row_major: a[segment a_segment + row a_stride + k]
  std::int64_t a_segment = 0;  // column_major: a[segment a_segment + row + k a_stride]
  std::int64_t a_stride;
  const Real* panel;  // [segments * depth][vectors * lanes]
  Real* out;          // [rows][vectors * lanes], rows out_stride apart
  std::int64_t out_stride;
  bool accumulate = false;  // adds to out instead of overwriting it
  bool two_sums = false;  // for two_sums_rows rows at most, row_major: hides the latency of an fma
};

inline constexpr std::int64_t two_sums_rows = 3;

// Rows of the tile: as many accumulators as the registers hold beside a row of the panel and one
// number of a (and, without fma, one product).
template <int vectors>
constexpr int tile_rows() {
#if UNROLL_SIMD_BYTES == 64
  return vectors <= 2 ? 12 : vectors == 3 ? 8 : 6;
#elif UNROLL_SIMD_BYTES == 32
  return vectors == 1 ? 8 : vectors == 2 ? 6 : vectors == 3 ? 4 : 2;
#else
  return vectors == 1 ? 8 : vectors == 2 ? 5 : vectors == 3 ? 3 : 2;
#endif
}

template <class S, int rows, int vectors, Left left>
__attribute__((noinline)) void multiply_tile(const PanelProduct<typename S::Real>& p,
                                             std::int64_t first_row) {
  using Real = typename S::Real;
  using Vec = typename S::Vec;
  const std::int64_t out_stride = p.out_stride;  // a copy: stores might alias p
  Real* out = p.out + first_row * out_stride;
  Vec sum[rows][vectors];
  UNROLL_FULL_UNROLL
  for (int i = 0; i < rows; ++i) {
    UNROLL_FULL_UNROLL
    for (int j = 0; j < vectors; ++j) {
      sum[i][j] = p.accumulate ? S::load(out + i * out_stride + j * S::lanes) : S::zero();
    }
  }
  const std::int64_t row_step = left == Left::row_major ? p.a_stride : 1;
  const std::int64_t depth_step = left == Left::row_major ? 1 : p.a_stride;
  const Real* panel = p.panel;
  for (std::int64_t segment = 0; segment < p.segments; ++segment) {
    const Real* a = p.a + segment * p.a_segment + first_row * row_step;
    for (std::int64_t k = 0; k < p.depth; ++k, panel += vectors * S::lanes, a += depth_step) {
      Vec b[vectors];
      UNROLL_FULL_UNROLL
      for (int j = 0; j < vectors; ++j) b[j] = S::load(panel + j * S::lanes);
      UNROLL_FULL_UNROLL
      for (int i = 0; i < rows; ++i) {
        const Vec x = S::set(a[i * row_step]);
        UNROLL_FULL_UNROLL
        for (int j = 0; j < vectors; ++j) sum[i][j] = S::fma(x, b[j], sum[i][j]);
      }
    }
  }
  UNROLL_FULL_UNROLL
  for (int i = 0; i < rows; ++i) {
    UNROLL_FULL_UNROLL
    for (int j = 0; j < vectors; ++j) {
      S::store(out + i * out_stride + j * S::lanes, sum[i][j]);
    }
  }
}

// The same with two sums.
template <class S, int rows, int vectors>
__attribute__((noinline)) void multiply_tile_in_two(const PanelProduct<typename S::Real>& p,
                                                    std::int64_t first_row) {
  using Real = typename S::Real;
  using Vec = typename S::Vec;
  const std::int64_t out_stride = p.out_stride, a_stride = p.a_stride;
  Real* out = p.out + first_row * out_stride;
  Vec even[rows][vectors], odd[rows][vectors];
  UNROLL_FULL_UNROLL
  for (int i = 0; i < rows; ++i) {
    UNROLL_FULL_UNROLL
    for (int j = 0; j < vectors; ++j) {
      even[i][j] = p.accumulate ? S::load(out + i * out_stride + j * S::lanes) : S::zero();
      odd[i][j] = S::zero();
    }
  }
  const auto add = [&](Vec(&sum)[rows][vectors], const Real* a, const Real* panel) {
    UNROLL_FULL_UNROLL
    for (int j = 0; j < vectors; ++j) {
      const Vec b = S::load(panel + j * S::lanes);
      UNROLL_FULL_UNROLL
      for (int i = 0; i < rows; ++i) sum[i][j] = S::fma(S::set(a[i * a_stride]), b, sum[i][j]);
    }
  };
  const Real* panel = p.panel;
  for (std::int64_t segment = 0; segment < p.segments; ++segment) {
    const Real* a = p.a + segment * p.a_segment + first_row * a_stride;
    std::int64_t k = 0;
    for (; k + 1 < p.depth; k += 2, panel += 2 * vectors * S::lanes) {
      add(even, a + k, panel);
      add(odd, a + k + 1, panel + vectors * S::lanes);
    }
    if (k == p.depth) continue;
    add(even, a + k, panel);
    panel += vectors * S::lanes;
  }
  UNROLL_FULL_UNROLL
  for (int i = 0; i < rows; ++i) {
    UNROLL_FULL_UNROLL
    for (int j = 0; j < vectors; ++j) {
      S::store(out + i * out_stride + j * S::lanes, even[i][j] + odd[i][j]);
    }
  }
}

// The tile of a height known only at run time: 1 <= height <= rows.
template <class S, int rows, int vectors, Left left>
inline void multiply_tile_of(int height, const PanelProduct<typename S::Real>& p,
                             std::int64_t first_row) {
  if (height == rows) {
    if constexpr (rows <= two_sums_rows && left == Left::row_major) {
      if (p.two_sums) return multiply_tile_in_two<S, rows, vectors>(p, first_row);
    }
    return multiply_tile<S, rows, vectors, left>(p, first_row);
  }
  if constexpr (rows > 1) multiply_tile_of<S, rows - 1, vectors, left>(height, p, first_row);
}

template <class S, int vectors, Left left>
inline void multiply_panel(const PanelProduct<typename S::Real>& p) {
  constexpr int most = tile_rows<vectors>();
  // Tiles of nearly equal height: 7 rows are 4 + 3, not 6 + 1.
  std::int64_t first = 0;
  for (std::int64_t left_over = (p.rows + most - 1) / most; left_over > 0; --left_over) {
    const std::int64_t height = (p.rows - first + left_over - 1) / left_over;
    multiply_tile_of<S, most, vectors, left>(int(height), p, first);
    first += height;
  }
}

// The same for a width known only at run time: 1 to 4 vectors.
template <class S, Left left>
inline void multiply_panel_of(std::int64_t vectors, const PanelProduct<typename S::Real>& p) {
  switch (vectors) {
    case 1: return multiply_panel<S, 1, left>(p);
    case 2: return multiply_panel<S, 2, left>(p);
    case 3: return multiply_panel<S, 3, left>(p);
    default: return multiply_panel<S, 4, left>(p);
  }
}

}  // namespace unroll::UNROLL_ISA_NS
