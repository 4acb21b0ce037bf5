// Blocks of the operands of a product, rearranged so that the register tile reads them in one
// stream. Only for hot kernel files.
//
//   pack_b(Source<T>{b, row, col}, depth, columns, width, to);     // panels of `width` columns
//   pack_a(a, row, col, depth, rows, to);                          // strips of tile_rows rows
#pragma once

#include "kernels/counts.h"
#include "kernels/transpose_tile_simd.h"
#include "kernels/vector_loop_simd.h"

namespace unroll::UNROLL_ISA_NS {

#if UNROLL_SIMD_BYTES == 64
inline constexpr int tile_rows = 12;
#elif UNROLL_SIMD_BYTES == 32
inline constexpr int tile_rows = 6;
#else
inline constexpr int tile_rows = 5;
#endif

// ---- the right operand

// Where a block of B comes from: B(k,j) = b[k row + j col].
template <class T>
struct Source {
  const T* b;
  std::int64_t row, col;
};

// `panels` whole panels of adjacent columns: several at a time, so that each row is read in long
// runs.
template <class T>
static void pack_rows(const Source<T>& s, std::int64_t depth, std::int64_t panels, int width,
                      T* to) {
  constexpr std::int64_t together = 4;
  for (std::int64_t first = 0; first < panels; first += together) {
    const std::int64_t last = smaller(first + together, panels);
    for (std::int64_t k = 0; k < depth; k++) {
      for (std::int64_t p = first; p < last; p++) {
        const T* const from = s.b + k * s.row + p * width;
        T* const at = to + (p * depth + k) * width;
        for (int i = 0; i < width; i += Simd<T>::lanes)
          Simd<T>::store(at + i, Simd<T>::load(from + i));
      }
    }
  }
}

// The last panel, of which `used` columns exist and are adjacent; the others are zero.
template <class T>
static void pack_edge(const Source<T>& s, std::int64_t depth, int used, int width, T* to) {
  constexpr int lanes = Simd<T>::lanes;
  for (std::int64_t k = 0; k < depth; k++, to += width) {
    for (int i = 0; i < width; i += lanes) {
      const int left = used - i, count = left < 0 ? 0 : left < lanes ? left : lanes;
      Simd<T>::store(to + i, load_some(s.b + k * s.row + i, count));
    }
  }
}

// One panel of any strides, of which `used` columns exist and the others are zero.
template <class T>
static void pack_any(const Source<T>& s, std::int64_t depth, int used, int width, T* to) {
  for (int i = 0; i < width; i++) {
    for (std::int64_t k = 0; k < depth; k++)
      to[k * width + i] = i < used ? s.b[k * s.row + i * s.col] : T(0);
  }
}

// One whole panel of a transposed B, whose columns are adjacent along k.
template <class T>
static void pack_columns(const Source<T>& s, std::int64_t depth, int width, T* to) {
  constexpr int lanes = Simd<T>::lanes;
  const std::int64_t whole = depth / lanes * lanes;
  for (int i = 0; i < width; i += lanes) {
    for (std::int64_t k = 0; k < whole; k += lanes) {
      transpose_tile<T>(s.b + i * s.col + k, s.col, to + k * width + i, width);
    }
  }
  pack_any(Source<T>{s.b + whole, 1, s.col}, depth - whole, width, width, to + whole * width);
}

// The first `columns` columns, into panels of `width`: panel by panel, each row by row, zeros
// beyond the edge.
template <class T>
static void pack_b(const Source<T>& s, std::int64_t depth, std::int64_t columns, int width, T* to) {
  const std::int64_t panels = columns / width;
  const int rest = int(columns - panels * width);
  if (s.col == 1) {
    pack_rows(s, depth, panels, width, to);
  } else {
    for (std::int64_t p = 0; p < panels; p++) {
      const Source<T> panel{s.b + p * width * s.col, s.row, s.col};
      T* const at = to + p * width * depth;
      s.row == 1 ? pack_columns(panel, depth, width, at) : pack_any(panel, depth, width, width, at);
    }
  }
  if (rest == 0) return;
  const Source<T> last{s.b + panels * width * s.col, s.row, s.col};
  T* const at = to + panels * width * depth;
  s.col == 1 ? pack_edge(last, depth, rest, width, at) : pack_any(last, depth, rest, width, at);
}

// ---- the left operand

// Rows of A into strips of tile_rows, each strip column by column.
template <class T>
static void pack_a(const T* a, std::int64_t row, std::int64_t col, std::int64_t depth,
                   std::int64_t rows, T* to) {
  for (std::int64_t i = 0; i < rows;
       i += tile_rows, a += tile_rows * row, to += tile_rows * depth) {
    const int used = int(smaller(tile_rows, rows - i));
    for (std::int64_t k = 0; k < depth; k++) {
      for (int r = 0; r < used; r++) to[k * tile_rows + r] = a[r * row + k * col];
    }
  }
}

}  // namespace unroll::UNROLL_ISA_NS
