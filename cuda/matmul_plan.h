// How the matrix product of cuda/matmul.cu is cut: a function of the shape alone, so that a shape
// has the same bits on every GPU. This is the one place where that is chosen.
//
//   tile     for                                          float        double
//   large    products that fill the GPU with large tiles  128 x 128    128 x 64
//   medium   all others                                   64 x 64      64 x 64
//   flat     8 rows of C at most                          8 x 128      8 x 128
//   tall     8 columns of C at most                       128 x 8      128 x 8
//
// Large tiles read the least, since A is read once for each column of tiles and B once for each
// row. Flat and tall ones read the larger operand once. Where that leaves most of the GPU idle, k
// is cut into parts whose sums go to scratch and are added up in their order.
#pragma once

#include "kernels/matmul.h"

namespace unroll::gpu {

enum class MatmulTile { large, medium, flat, tall };

struct MatmulPlan {
  MatmulTile tile;
  std::int64_t rows, columns;            // of a tile
  std::int64_t row_tiles, column_tiles;  // of C
  std::int64_t parts, depth;             // of k, and the size of each but the last

  std::int64_t blocks(const MatmulShape& s) const {
    return row_tiles * column_tiles * s.batch * parts;
  }
  /// Numbers of scratch: a C for each part.
  std::int64_t sums(const MatmulShape& s) const {
    return parts > 1 ? parts * s.batch * s.M * s.N : 0;
  }
};

inline constexpr std::int64_t matmul_thin = 8;           // rows or columns of flat and tall tiles
inline constexpr std::int64_t matmul_few_blocks = 256;   // about two for each multiprocessor
inline constexpr std::int64_t matmul_least_depth = 128;  // of a part of k

inline std::int64_t tiles_of(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

/// The tiles where k is cut into so many parts, or will be where that is wanted.
inline MatmulPlan matmul_tiling(const MatmulShape& s, std::int64_t bytes_of_number,
                                std::int64_t parts = 1) {
  const std::int64_t wide = bytes_of_number == 8 ? 64 : 128;
  const auto cut = [&](MatmulTile tile, std::int64_t rows, std::int64_t columns) {
    return MatmulPlan{tile, rows, columns, tiles_of(s.M, rows), tiles_of(s.N, columns), 1, s.K};
  };
  const MatmulPlan large = cut(MatmulTile::large, 128, wide);
  if (s.M <= matmul_thin) return cut(MatmulTile::flat, matmul_thin, 128);
  if (s.N <= matmul_thin) return cut(MatmulTile::tall, 128, matmul_thin);
  return large.blocks(s) * parts < matmul_few_blocks ? cut(MatmulTile::medium, 64, 64) : large;
}

inline MatmulPlan matmul_plan(const MatmulShape& s, std::int64_t bytes_of_number) {
  MatmulPlan plan = matmul_tiling(s, bytes_of_number);
  const std::int64_t blocks = plan.blocks(s), most = s.K / matmul_least_depth;
  if (blocks == 0 || blocks > matmul_few_blocks / 2 || most < 2) return plan;
  const std::int64_t wanted = matmul_few_blocks / blocks, parts = wanted < most ? wanted : most;
  plan.depth = tiles_of(tiles_of(s.K, parts), 32) * 32;
  plan.parts = tiles_of(s.K, plan.depth);
  return plan;
}

}  // namespace unroll::gpu
