// One tile of a matrix product by one block of threads: C [rows,columns] += A [rows,K] B
// [K,columns]. For kernels that multiply on their way to something else; cuda/matmul.cu is the
// plain product.
//
//   using Tile = ProductTile<float, float, 64, 64, 16, 4, 4>;    // 256 threads, 4 x 4 sums each
//   SHARED(Tile::Shared, shared);
//   Tile::Sums sums;
//   Tile::clear(sums);
//   multiply_tiles<Tile>(shared, a, b, {0, K}, sums);            // the whole block calls it
//   Tile::for_each(shared, sums, [&](int row, int column, const float* values) { ... });
//
// Both operands lie in shared memory as [k][index], so that a thread reads its part of a row of k
// in vectors of 16 bytes. The next step is copied (cp.async) while this one is multiplied. A sum
// runs over k in its order. Shared memory has no bank conflicts, whichever way the operands lie:
// rows are padded so that the copies that turn an operand spread over the banks too.
//
// Storage is the type in memory, Sum that of the sums: float for float, float16 and bfloat16.
#pragma once

#include <cuda_pipeline.h>

#include <cmath>
#include <cstdint>

#include "cuda/backend.h"

namespace unroll::UNROLL_GPU {

/// n numbers that are read and written as one.
template <class T, int n>
struct alignas(sizeof(T) * n) Pack {
  T value[n];
};

/// Numbers in 16 bytes.
template <class T>
inline constexpr int lanes_of = 16 / int(sizeof(T));

// How an operand is copied. Neighbouring threads take neighbouring numbers.
enum class TileCopy {
  packs,      // 16 bytes along the index: it is adjacent and rows are aligned
  one_index,  // one number each, along the index
  one_k,      // one number each, along k, turned on the way; 32 bytes of each row at a time
};

/// X(i,k) = x[i index + k k_stride] for i < count; beyond it 0, and nothing is read.
template <class Storage>
struct TileOperand {
  const Storage* x;
  std::int64_t index_stride, k_stride, count;
  TileCopy copy;
};

/// Picks the copy for an operand, whose tiles begin at multiples of 16 bytes along the index.
template <class Storage>
TileCopy tile_copy(const Storage* x, std::int64_t index_stride, std::int64_t k_stride,
                   std::int64_t batch_stride, std::int64_t count) {
  constexpr std::int64_t n = lanes_of<Storage>;
  if (k_stride == 1 && (index_stride != 1 || count == 1)) return TileCopy::one_k;
  const bool aligned =
      reinterpret_cast<std::uintptr_t>(x) % 16 == 0 && k_stride % n == 0 && batch_stride % n == 0;
  return index_stride == 1 && aligned ? TileCopy::packs : TileCopy::one_index;
}

/// Numbers between the rows of an operand in shared memory beyond its width.
template <class Storage>
inline constexpr int tile_padding = sizeof(Storage) == 2 ? 8 : 4;

/// Copies n numbers, of which the first `valid` are read and the rest become 0.
template <int n, class Storage>
__device__ __forceinline__ void copy_async(Storage* to, const Storage* from, int valid) {
  constexpr int bytes = n * int(sizeof(Storage));
  if constexpr (bytes >= 4) {
    __pipeline_memcpy_async(to, from, bytes, std::size_t(n - valid) * sizeof(Storage));
  } else {  // cp.async takes no 2 bytes
    to[0] = valid > 0 ? from[0] : Storage(0.f);
  }
}

/// Copies step [k, k + depth) of an operand into to [depth][extent + padding].
template <int extent, int depth, int threads, TileCopy how, class Storage>
__device__ __forceinline__ void copy_operand_as(Storage* to, const TileOperand<Storage>& x,
                                                std::int64_t k, std::int64_t end) {
  constexpr int n = how == TileCopy::packs ? lanes_of<Storage> : 1, across = extent / n;
  constexpr int sector = 32 / int(sizeof(Storage)), row = extent + tile_padding<Storage>;
  constexpr int along_k = how == TileCopy::one_k || across < 8 ? sector : 1;  // spreads over banks
#pragma unroll 2  // not all of them: each would keep an address
  for (int e = int(threadIdx.x); e < across * depth; e += threads) {
    const int i = e / along_k % across * n;
    const int d = e / (along_k * across) * along_k + e % along_k;
    const std::int64_t left = k + d < end ? x.count - i : 0;
    const int valid = left <= 0 ? 0 : left < n ? int(left) : n;
    const Storage* const from = x.x + i * x.index_stride + (k + d) * x.k_stride;
    copy_async<n>(to + d * row + i, valid > 0 ? from : x.x, valid);
  }
}
template <int extent, int depth, int threads, class Storage>
__device__ void copy_operand(Storage* to, const TileOperand<Storage>& x, std::int64_t k,
                             std::int64_t end) {
  switch (x.copy) {
    case TileCopy::packs:
      return copy_operand_as<extent, depth, threads, TileCopy::packs>(to, x, k, end);
    case TileCopy::one_index:
      return copy_operand_as<extent, depth, threads, TileCopy::one_index>(to, x, k, end);
    case TileCopy::one_k:
      return copy_operand_as<extent, depth, threads, TileCopy::one_k>(to, x, k, end);
  }
}

/// Two steps of both operands: one is multiplied while the other arrives.
template <class Storage, int rows, int columns, int depth>
struct TileBuffers {
  static constexpr int a_row = rows + tile_padding<Storage>,
                       b_row = columns + tile_padding<Storage>;
  alignas(32) Storage a[2][depth * a_row];
  alignas(32) Storage b[2][depth * b_row];
};

/// Sums in registers: a thread has sub_rows x sub_columns of them, in packs of 16 bytes that are
/// spread over the tile so that the threads of a warp read neighbouring ones.
template <class Storage_, class Sum_, int rows_, int columns_, int depth_, int sub_rows,
          int sub_columns>
struct ProductTile {
  using Storage = Storage_;
  using Sum = Sum_;
  static constexpr int rows = rows_, columns = columns_, depth = depth_;
  static constexpr int thread_rows = rows / sub_rows, thread_columns = columns / sub_columns;
  static constexpr int threads = thread_rows * thread_columns;
  static constexpr int pack = lanes_of<Sum>;
  // Blocks that a multiprocessor is to hold at once, which bounds the registers of a thread.
  static constexpr int resident = sizeof(Sum) == 4 && threads == 256 ? 2 : 1;
  static constexpr const char* name = "matmul";
  using Shared = TileBuffers<Storage, rows, columns, depth>;
  struct Sums {
    Sum at[sub_rows][sub_columns];
  };

  static __device__ __forceinline__ void clear(Sums& sums) {
#pragma unroll
    for (int i = 0; i < sub_rows; i++)
#pragma unroll
      for (int j = 0; j < sub_columns; j++) sums.at[i][j] = 0;
  }

  // A warp covers 4 x 8 threads, or what comes nearest.
  static constexpr int warp_rows = thread_columns < 8 ? 32 / thread_columns
                                   : thread_rows < 4  ? thread_rows
                                                      : 4,
                       warp_columns = 32 / warp_rows;
  static __device__ __forceinline__ int own_row() {
    constexpr int across = thread_columns / warp_columns;
    return int(threadIdx.x) / 32 / across * warp_rows + int(threadIdx.x) % 32 / warp_columns;
  }
  static __device__ __forceinline__ int own_column() {
    constexpr int across = thread_columns / warp_columns;
    return int(threadIdx.x) / 32 % across * warp_columns + int(threadIdx.x) % warp_columns;
  }

  template <int count, int stride>
  static __device__ __forceinline__ void read(const Storage* row, int own, Sum (&to)[count]) {
#pragma unroll
    for (int i = 0; i < count; i += pack) {
      const auto p = *reinterpret_cast<const Pack<Storage, pack>*>(row + i * stride + own * pack);
#pragma unroll
      for (int l = 0; l < pack; l++) to[i + l] = Sum(p.value[l]);
    }
  }

  static __device__ __forceinline__ void multiply(const Storage* a, const Storage* b, Sums& sums) {
    const int row = own_row(), column = own_column();
#pragma unroll
    for (int k = 0; k < depth; k++) {
      Sum x[sub_rows], y[sub_columns];
      read<sub_rows, thread_rows>(a + k * Shared::a_row, row, x);
      read<sub_columns, thread_columns>(b + k * Shared::b_row, column, y);
#pragma unroll
      for (int i = 0; i < sub_rows; i++)
#pragma unroll
        for (int j = 0; j < sub_columns; j++) sums.at[i][j] = std::fma(x[i], y[j], sums.at[i][j]);
    }
  }

  /// each(row, column, values) for each pack of the tile, once in the block; values are adjacent.
  template <class Each>
  static __device__ __forceinline__ void for_each(Shared&, const Sums& sums, Each each) {
#pragma unroll
    for (int i = 0; i < sub_rows; i++)
#pragma unroll
      for (int j = 0; j < sub_columns; j += pack)
        each(i / pack * pack * thread_rows + own_row() * pack + i % pack,
             j * thread_columns + own_column() * pack, &sums.at[i][j]);
  }
};

/// What of k a block sums over.
struct TileDepth {
  std::int64_t begin, end;
};

/// sums += A B over the depth. Every thread of the block calls it; behind it `shared` is free.
template <class Tile, class Storage>
__device__ __forceinline__ void multiply_tiles(typename Tile::Shared& shared,
                                               const TileOperand<Storage>& a,
                                               const TileOperand<Storage>& b, TileDepth k,
                                               typename Tile::Sums& sums) {
  const auto copy = [&](std::int64_t from, int side) {
    copy_operand<Tile::rows, Tile::depth, Tile::threads>(shared.a[side], a, from, k.end);
    copy_operand<Tile::columns, Tile::depth, Tile::threads>(shared.b[side], b, from, k.end);
    __pipeline_commit();
  };
  if (k.begin < k.end) copy(k.begin, 0);
  int side = 0;
  for (std::int64_t at = k.begin; at < k.end; at += Tile::depth, side ^= 1) {
    __pipeline_wait_prior(0);
    __syncthreads();  // this step has arrived, and nobody reads the other side any more
    if (at + Tile::depth < k.end) copy(at + Tile::depth, side ^ 1);
    Tile::multiply(shared.a[side], shared.b[side], sums);
  }
  __syncthreads();
}

}  // namespace unroll::UNROLL_GPU
