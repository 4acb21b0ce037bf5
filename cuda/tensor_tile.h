// A tile of a matrix product by tensor cores (wmma), with the interface of ProductTile: float is
// rounded to tf32, float16 and bfloat16 are multiplied as they are, and all are summed up in float.
//
//   using Tile = TensorTile<float, 128, 128, 16, 2, 4>;      // 8 warps, 2 down and 4 across
#pragma once

#include <mma.h>

#include "cuda/tile_product.h"

namespace unroll::UNROLL_GPU {

// What the tensor cores call a type in memory, and how much of k they take at once.
template <class Storage>
struct TensorElement {
  using type = Storage;
  static constexpr int depth = 16;
};
template <>
struct TensorElement<float> {
  using type = nvcuda::wmma::precision::tf32;
  static constexpr int depth = 8;
};

/// Sums in fragments of 16 x 16, down x across of them for each warp.
template <class Storage_, int rows_, int columns_, int depth_, int warp_rows, int warp_columns>
struct TensorTile {
  using Storage = Storage_;
  using Sum = float;
  static constexpr int rows = rows_, columns = columns_, depth = depth_;
  static constexpr int threads = 32 * warp_rows * warp_columns, pack = 4, resident = 1;
  static constexpr int down = rows / warp_rows / 16, across = columns / warp_columns / 16;
  static constexpr const char* name = "matmul_tensor";
  using Shared = TileBuffers<Storage, rows, columns, depth>;

  using Element = typename TensorElement<Storage>::type;
  static constexpr int step = TensorElement<Storage>::depth;
  template <class Use, class Layout>
  using Operand = nvcuda::wmma::fragment<Use, 16, 16, step, Element, Layout>;
  using Fragment = nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, step, float>;
  struct Sums {
    Fragment at[down][across];
  };

  static __device__ __forceinline__ int own_row() {
    return int(threadIdx.x) / 32 / warp_columns * down * 16;
  }
  static __device__ __forceinline__ int own_column() {
    return int(threadIdx.x) / 32 % warp_columns * across * 16;
  }
  static __device__ __forceinline__ void clear(Sums& sums) {
#pragma unroll
    for (int i = 0; i < down; i++)
#pragma unroll
      for (int j = 0; j < across; j++) nvcuda::wmma::fill_fragment(sums.at[i][j], 0.f);
  }

  template <class F>
  static __device__ __forceinline__ void load(F& fragment, const Storage* from, int row) {
    nvcuda::wmma::load_matrix_sync(fragment, from, unsigned(row));
    if constexpr (sizeof(Storage) == 4)
#pragma unroll
      for (auto& x : fragment.x) x = nvcuda::wmma::__float_to_tf32(x);
  }

  // A lies as [k][row]: its matrix is one of columns.
  static __device__ __forceinline__ void multiply(const Storage* a, const Storage* b, Sums& sums) {
    using namespace nvcuda::wmma;
#pragma unroll
    for (int k = 0; k < depth; k += step) {
      Operand<matrix_a, col_major> x[down];
      Operand<matrix_b, row_major> y[across];
#pragma unroll
      for (int i = 0; i < down; i++)
        load(x[i], a + k * Shared::a_row + own_row() + 16 * i, Shared::a_row);
#pragma unroll
      for (int j = 0; j < across; j++)
        load(y[j], b + k * Shared::b_row + own_column() + 16 * j, Shared::b_row);
#pragma unroll
      for (int i = 0; i < down; i++)
#pragma unroll
        for (int j = 0; j < across; j++) mma_sync(sums.at[i][j], x[i], y[j], sums.at[i][j]);
    }
  }

  // Which elements of a fragment a lane holds is open: each goes through a corner of the buffers
  // that belongs to its warp, with rows that far apart.
  static constexpr int corner_row = 20, corner = 16 * corner_row;
  static_assert(sizeof(Shared) >= sizeof(float) * corner * (threads / 32));

  template <class Each>
  static __device__ __forceinline__ void for_each(Shared& shared, const Sums& sums, Each each) {
    float* const own = reinterpret_cast<float*>(&shared) + int(threadIdx.x) / 32 * corner;
    const int lane = int(threadIdx.x) % 32;
#pragma unroll
    for (int i = 0; i < down; i++)
#pragma unroll
      for (int j = 0; j < across; j++) {
        nvcuda::wmma::store_matrix_sync(own, sums.at[i][j], corner_row,
                                        nvcuda::wmma::mem_row_major);
        __syncwarp();
#pragma unroll
        for (int row = lane / 4; row < 16; row += 8) {
          const int column = lane % 4 * pack;
          each(own_row() + 16 * i + row, own_column() + 16 * j + column,
               own + row * corner_row + column);
        }
        __syncwarp();
      }
  }
};

}  // namespace unroll::UNROLL_GPU
