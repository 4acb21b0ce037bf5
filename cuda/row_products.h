// Products and sums over all rows of a sequence at once: what the recurrent kernels do before and
// after their loop over time.
//
//   Product<float, RowsOperand<float>, RowsOperand<float>> p{
//       .a = x, .b = w, .to = gates, .depth = I};
//   run(p, 1);                     // gates = beta gates + x w^T + bias, on current_stream()
//
// Where rows lie side by side in memory that is a plain matrix product, whose tiles are faster (a
// bias is written first, and costs a pass over the result); the kernel here takes rows of lists,
// gaps between columns, and half types beside float.
//
// A product with a long depth and few tiles, such as the gradient of a small matrix, runs in parts
// of its depth, and a second kernel adds the parts in their order: the same bits in every run.
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "cuda/gemm_tile.h"
#include "cuda/matmul_parts.h"
#include "cuda/recurrent_plan.h"

namespace unroll::UNROLL_GPU {

/// to[index(m) stride + skip(n)] = beta to + sum + bias[n]; for beta 0 it is not read.
template <class T>
struct ProductTarget {
  T* data;
  std::int64_t stride, rows, columns;
  RowIndex index = {};
  Skip skip = {};
  std::int64_t batch = 0;  // elements to the next matrix
  const T* bias = nullptr;
  T beta = 0;

  __device__ void put(std::int64_t m, std::int64_t n, T sum) const {
    T& to = data[index.at(m) * stride + skip.at(n)];
    if (bias) sum += bias[n];
    to = beta != 0 ? ScalarCell<T>::fma(beta, to, sum) : sum;
  }
};

template <class T_, class A, class B>
struct Product {
  using T = T_;
  A a;
  B b;
  ProductTarget<T> to;
  std::int64_t depth;
};

inline constexpr int product_high = 8, product_wide = 4;  // tiles of 64 x 64

/// How the depth of a product is split, as a function of the sizes alone.
struct DepthSplit {
  std::int64_t parts, length;
  /// In one part.
  explicit DepthSplit(std::int64_t depth) : parts(1), length(depth) {}
  DepthSplit(std::int64_t rows, std::int64_t columns, std::int64_t batches, std::int64_t depth) {
    constexpr std::int64_t tile = 64, least = 4 * tile_depth;
    const std::int64_t tiles = ((rows + tile - 1) / tile) * ((columns + tile - 1) / tile) * batches;
    const std::int64_t wanted = wanted_blocks() / std::max<std::int64_t>(tiles, 1);
    const std::int64_t most = std::max<std::int64_t>(depth / least, 1);
    parts = std::clamp<std::int64_t>(wanted, 1, most);
    length = (depth + parts - 1) / parts;
    length = (length + tile_depth - 1) / tile_depth * tile_depth;
  }
  /// Elements of scratch.
  std::int64_t scratch(std::int64_t rows, std::int64_t columns, std::int64_t batches) const {
    return parts > 1 ? parts * rows * columns * batches : 0;
  }
};

// Matrix blockIdx.z / parts, part blockIdx.z % parts of its depth. In parts, `to` is where all
// parts of all matrices lie side by side.
template <class P>
__global__ void __launch_bounds__(tile_threads, sizeof(typename P::T) == 4 ? 3 : 2)
    product_kernel(P p, DepthSplit split) {
  using T = typename P::T;
  const unsigned parts = unsigned(split.parts);
  const std::int64_t matrix = blockIdx.z / parts, part = blockIdx.z % parts;
  p.a.advance(matrix);
  p.b.advance(matrix);
  p.to.data += std::int64_t(blockIdx.z) * p.to.batch;
  Tile<T, product_high, product_wide> tile;
  const std::int64_t row = std::int64_t(blockIdx.x) * tile.rows;
  const std::int64_t column = std::int64_t(blockIdx.y) * tile.columns;
  const std::int64_t begin = part * split.length;
  tile.multiply(p.a, p.b,
                {.row = row,
                 .column = column,
                 .begin = begin,
                 .end = begin + split.length < p.depth ? begin + split.length : p.depth});
#pragma unroll
  for (int i = 0; i < product_high; i++) {
    const std::int64_t m = row + tile.row(i);
    if (m >= p.to.rows) continue;
#pragma unroll
    for (int j = 0; j < product_wide; j++) {
      const std::int64_t n = column + tile.column(j);
      if (n < p.to.columns) p.to.put(m, n, tile.sum[i][j]);
    }
  }
}

// The sums of all parts, in their order, for element blockIdx.x * 128 + threadIdx.x of matrix z.
template <class T>
__global__ void __launch_bounds__(128)
    add_parts_kernel(ProductTarget<T> to, const T* from, std::int64_t parts) {
  const std::int64_t size = to.rows * to.columns;
  const std::int64_t e = std::int64_t(blockIdx.x) * 128 + threadIdx.x;
  if (e >= size) return;
  to.data += blockIdx.z * to.batch;
  from += blockIdx.z * parts * size;
  T sum = 0;
  for (std::int64_t part = 0; part < parts; part++) sum += from[part * size + e];
  to.put(e / to.columns, e % to.columns, sum);
}

// ---- As a plain matrix product

template <class P>
inline constexpr bool is_of_one_type =
    std::is_same_v<typename decltype(P::a)::Stored, typename P::T>&&
        std::is_same_v<typename decltype(P::b)::Stored, typename P::T>;

/// All of the rows or columns that are wanted, side by side and without a gap.
template <class Operand>
bool is_matrix(const Operand& x, std::int64_t wanted) {
  return x.data && x.count == wanted && !x.index.list && x.skip.by == 0;
}

/// Whether a product is one of matrices, of a size that the other tiles are made for. The sums are
/// the same bits either way.
template <class P>
bool takes_matrices(const P& product, std::int64_t batches) {
  const auto& to = product.to;
  constexpr std::int64_t least = 64;
  return to.rows >= least && to.columns >= least && is_matrix(product.a, to.rows) &&
         is_matrix(product.b, to.columns) && !to.index.list && to.skip.by == 0 &&
         (!to.bias || (to.beta == 0 && batches == 1));
}

// to[m stride + n] = bias[n]
template <class T>
__global__ void __launch_bounds__(128) bias_rows_kernel(ProductTarget<T> to) {
  const std::int64_t n = std::int64_t(blockIdx.y) * 128 + threadIdx.x;
  if (n < to.columns) to.data[blockIdx.x * to.stride + n] = to.bias[n];
}

template <class P>
void run_as_matrices(const P& product, std::int64_t batches, const DepthSplit& split,
                     typename P::T* scratch) {
  using T = typename P::T;
  const ProductTarget<T>& to = product.to;
  if (to.bias)
    launch(bias_rows_kernel<T>,
           {.name = "bias_rows",
            .grid = {unsigned(to.rows), blocks_of(to.columns, 128)},
            .block = 128,
            .stream = current_stream()},
           to);
  const auto& a = product.a;
  const auto& b = product.b;
  const auto strides = [](const auto& x) {  // along rows, along depth
    constexpr bool deep = std::remove_cvref_t<decltype(x)>::along_depth;
    return std::pair<std::int64_t, std::int64_t>(deep ? x.stride : 1, deep ? 1 : x.stride);
  };
  matmul_in_parts<T>({.M = to.rows,
                      .N = to.columns,
                      .K = product.depth,
                      .a_row = strides(a).first,
                      .a_col = strides(a).second,
                      .b_row = strides(b).second,
                      .b_col = strides(b).first,
                      .c_row = to.stride,
                      .batch = batches,
                      .a_batch = a.batch,
                      .b_batch = b.batch,
                      .c_batch = to.batch,
                      .beta = to.bias ? 1. : double(to.beta)},
                     split.parts, split.length, {a.data, b.data, to.data, scratch});
}

/// Runs `batches` products whose depth is split so; scratch: as the split says.
template <class P>
void run(const P& product, std::int64_t batches, const DepthSplit& split, typename P::T* scratch) {
  using T = typename P::T;
  const ProductTarget<T>& to = product.to;
  if (to.rows == 0 || to.columns == 0 || batches == 0) return;
  if constexpr (is_of_one_type<P>)
    if (takes_matrices(product, batches)) return run_as_matrices(product, batches, split, scratch);
  P in_parts = product;
  if (split.parts > 1)
    in_parts.to = ProductTarget<T>{.data = scratch,
                                   .stride = to.columns,
                                   .rows = to.rows,
                                   .columns = to.columns,
                                   .batch = to.rows * to.columns};
  const unsigned z = unsigned(batches);
  launch(product_kernel<P>,
         {.name = "product",
          .grid = {blocks_of(to.rows, 64), blocks_of(to.columns, 64), z * unsigned(split.parts)},
          .block = tile_threads,
          .stream = current_stream()},
         in_parts, split);
  if (split.parts > 1)
    launch(add_parts_kernel<T>,
           {.name = "add_parts",
            .grid = {blocks_of(to.rows * to.columns, 128), 1, z},
            .block = 128,
            .stream = current_stream()},
           to, scratch, split.parts);
}

/// The same, split by the product's own sizes.
template <class P>
void run(const P& product, std::int64_t batches, typename P::T* scratch) {
  run(product, batches, DepthSplit(product.to.rows, product.to.columns, batches, product.depth),
      scratch);
}
/// The same, in one part.
template <class P>
void run(const P& product, std::int64_t batches) {
  run(product, batches, DepthSplit(product.depth), nullptr);
}

// ---- Sums down the rows

/// to[k batch + c] = beta to + sum over r < count of d[(r K + k) stride + skip(c)] factor[r][c];
/// without a factor, of d alone.
template <class T>
struct RowSums {
  const T* d;
  std::int64_t stride, count, columns, K;
  Skip skip = {};
  const T* factor = nullptr;  // rows factor_stride apart, row r at index(r)
  std::int64_t factor_stride = 0;
  RowIndex index = {};
  T* to;
  std::int64_t batch;
  T beta;
};

// 32 columns of direction blockIdx.y; each of 16 rows of threads adds every 16th row.
template <class T>
__global__ void __launch_bounds__(512) row_sums_kernel(RowSums<T> s) {
  constexpr int high = 16;
  SHARED(T[16][32], part);
  const std::int64_t c = std::int64_t(blockIdx.x) * 32 + threadIdx.x, k = blockIdx.y;
  const bool inside = c < s.columns;
  T sum = 0;
  for (std::int64_t r = threadIdx.y; inside && r < s.count; r += high) {
    const T d = s.d[(r * s.K + k) * s.stride + s.skip.at(c)];
    sum = s.factor ? ScalarCell<T>::fma(d, s.factor[s.index.at(r) * s.factor_stride + c], sum)
                   : sum + d;
  }
  part[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || !inside) return;
  for (int y = 1; y < high; y++) sum += part[y][threadIdx.x];
  T& to = s.to[k * s.batch + c];
  to = s.beta != 0 ? ScalarCell<T>::fma(s.beta, to, sum) : sum;
}

template <class T>
void run(const RowSums<T>& sums) {
  if (!sums.to || sums.columns == 0 || sums.K == 0) return;
  launch(row_sums_kernel<T>,
         {.name = "row_sums",
          .grid = {blocks_of(sums.columns, 32), unsigned(sums.K)},
          .block = {32, 16},
          .stream = current_stream()},
         sums);
}

}  // namespace unroll::UNROLL_GPU
