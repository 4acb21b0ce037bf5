// The matrix product as a kernel over any tile of cuda/tile_product.h: launches it for a plan, then
// adds up the parts of k. Private to cuda/*.cu.
#pragma once

#include "cuda/backend.h"
#include "cuda/matmul_plan.h"
#include "cuda/tile_product.h"

namespace unroll::UNROLL_GPU {

// Where sums go: C, or the parts of it in the scratch.
template <class Out>
struct ProductTarget {
  Out* c;
  std::int64_t row, batch, part;  // strides
  double alpha, beta;
  bool packs;  // rows begin at multiples of 16 bytes
};

template <class Storage, class Out>
struct ProductCall {
  TileOperand<Storage> a, b;  // of the first product, from its first row and column on
  std::int64_t a_batch, b_batch, M, N, K, row_tiles, column_tiles, batch, depth;
  ProductTarget<Out> to;
};

// The tile of a block. Blocks that run side by side share rows and columns: they walk through bands
// of 8 rows of tiles, down each column of the band.
struct TilePlace {
  std::int64_t row, column, batch, part;
};
template <class Call>
__device__ __forceinline__ TilePlace place_of(const Call& p) {
  const std::int64_t tiles = p.row_tiles * p.column_tiles, product = blockIdx.x / tiles;
  const std::int64_t tile = blockIdx.x % tiles, band = 8 * p.column_tiles;
  const std::int64_t first = tile / band * 8, left = p.row_tiles - first;
  const std::int64_t height = left < 8 ? left : 8, in_band = tile % band;
  return {first + in_band % height, in_band / height, product % p.batch, product / p.batch};
}

// values, a pack of sums at `c`, of which `left` lie inside, maybe none: C = alpha sums + beta C.
template <int n, class Sum, class Out>
__device__ __forceinline__ void put(Out* c, const Sum* values, std::int64_t left,
                                    const ProductTarget<Out>& to) {
  using Packed = Pack<Out, n>;
  const Sum alpha = Sum(to.alpha), beta = Sum(to.beta);
  if (to.packs && left >= n) {
    Packed result;
    if (to.beta != 0) result = *reinterpret_cast<const Packed*>(c);
#pragma unroll
    for (int l = 0; l < n; l++)
      result.value[l] = Out(to.beta == 0 ? alpha * values[l]
                                         : std::fma(beta, Sum(result.value[l]), alpha * values[l]));
    *reinterpret_cast<Packed*>(c) = result;
    return;
  }
#pragma unroll
  for (int l = 0; l < n; l++)
    if (l < left)
      c[l] = Out(to.beta == 0 ? alpha * values[l] : std::fma(beta, Sum(c[l]), alpha * values[l]));
}

template <class Tile, class Out>
__global__ void __launch_bounds__(Tile::threads, Tile::resident)
    product_kernel(ProductCall<typename Tile::Storage, Out> p) {
  SHARED(typename Tile::Shared, shared);
  const TilePlace at = place_of(p);
  const std::int64_t row = at.row * Tile::rows, column = at.column * Tile::columns;
  p.a.x += at.batch * p.a_batch + row * p.a.index_stride, p.a.count -= row;
  p.b.x += at.batch * p.b_batch + column * p.b.index_stride, p.b.count -= column;
  const std::int64_t begin = at.part * p.depth, end = begin + p.depth < p.K ? begin + p.depth : p.K;
  typename Tile::Sums sums;
  Tile::clear(sums);
  multiply_tiles<Tile>(shared, p.a, p.b, {begin, end}, sums);
  Out* const c = p.to.c + at.part * p.to.part + at.batch * p.to.batch;
  Tile::for_each(shared, sums, [&](int i, int j, const typename Tile::Sum* values) {
    if (row + i < p.M)
      put<Tile::pack>(c + (row + i) * p.to.row + column + j, values, p.N - column - j, p.to);
  });
}

// C = alpha (the sum of the parts, in their order) + beta C; one thread for each element.
template <class Sum, class Out>
__global__ void __launch_bounds__(256)
    product_sum_kernel(const Sum* sums, std::int64_t parts, std::int64_t M, std::int64_t N,
                       std::int64_t count, ProductTarget<Out> to) {
  const std::int64_t e = blockIdx.x * std::int64_t(256) + threadIdx.x;
  if (e >= count) return;
  Sum sum = 0;
  for (std::int64_t p = 0; p < parts; p++) sum += sums[p * count + e];
  put<1>(to.c + e / (M * N) * to.batch + e / N % M * to.row + e % N, &sum, 1, to);
}

/// Whether rows of C may be written in packs of n.
template <class Out>
bool takes_packs(const Out* c, std::int64_t row, std::int64_t batch, int n) {
  return reinterpret_cast<std::uintptr_t>(c) % (std::size_t(n) * sizeof(Out)) == 0 &&
         row % n == 0 && batch % n == 0;
}

/// The whole product by tiles of one kind. Out: what C holds, Storage or Sum.
template <class Tile, class Args>
void product(const MatmulShape& s, const gpu::MatmulPlan& plan, const Args& args) {
  using Storage = typename Tile::Storage;
  using Sum = typename Tile::Sum;
  using Out = std::remove_reference_t<decltype(*args.c)>;
  const auto launch_into = [&](auto to) {
    using To = std::remove_reference_t<decltype(*to.c)>;
    to.packs = takes_packs(to.c, to.row, to.batch, Tile::pack);
    ProductCall<Storage, To> p{
        {args.a, s.a_row, s.a_col, s.M, tile_copy(args.a, s.a_row, s.a_col, s.a_batch, s.M)},
        {args.b, s.b_col, s.b_row, s.N, tile_copy(args.b, s.b_col, s.b_row, s.b_batch, s.N)},
        s.a_batch,
        s.b_batch,
        s.M,
        s.N,
        s.K,
        plan.row_tiles,
        plan.column_tiles,
        s.batch,
        plan.depth,
        to};
    launch(product_kernel<Tile, To>,
           {.name = Tile::name,
            .grid = unsigned(plan.blocks(s)),
            .block = Tile::threads,
            .stream = current_stream()},
           p);
  };
  const ProductTarget<Out> c{args.c, s.c_row, s.c_batch, 0, s.alpha, s.beta, false};
  if (plan.parts == 1) return launch_into(c);
  Sum* const sums = static_cast<Sum*>(args.scratch);
  const std::int64_t count = s.batch * s.M * s.N;
  launch_into(ProductTarget<Sum>{sums, s.N, s.M * s.N, count, 1, 0, false});
  launch(product_sum_kernel<Sum, Out>,
         {.name = "matmul_sum",
          .grid = blocks_of(count, 256),
          .block = 256,
          .stream = current_stream()},
         sums, plan.parts, s.M, s.N, count, c);
}

}  // namespace unroll::UNROLL_GPU
