// Kernels over the rows of a dense matrix that read and write each element once: a warp takes a
// row, or a whole block a long one, and keeps it in shared memory between its passes.
//
//   const RowPlan plan = plan_rows(rows, n, sizeof(T), 1);    // one number kept for each element
//   ...
//   RowGroup<whole_block> group;
//   T* kept = ...;
//   for (std::int64_t row = group.first(); row < rows; row += group.step()) {
//     group.each(n, [&](std::int64_t i) { sum += kept[i] = x[row * n + i]; });
//     sum = group.reduce(sum, Add{});
//     ...
//   }
//
// A thread meets the same elements in every pass, so what it keeps is its own and needs no barrier.
// Limits: a warp takes a row while the rows of 8 warps fit into 48 KiB (n <= 1536 for float and one
// number kept), so that several blocks share a multiprocessor; a block takes it while it fits into
// 96 KiB, which every architecture has (n <= 24576). Beyond, `kept` is false: the kernel reads its
// input again in each pass, from the second-level cache if it can.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/reduce.h"
#include "cuda/workspace.h"

namespace unroll::UNROLL_GPU {

inline constexpr int row_threads = 256;
inline constexpr int row_warps = row_threads / warp;

/// Blocks of a multiprocessor that kernels leave registers for: exponentials of doubles need many.
template <class T>
inline constexpr int row_blocks = sizeof(T) == 4 ? 4 : 2;

template <bool whole_block>
struct RowGroup {
  static constexpr int rows = whole_block ? 1 : row_warps;  // of a block at a time
  static constexpr int threads = row_threads / rows;

  // Which of them this thread works on, and as which of the row's threads.
  __device__ int slot() const { return whole_block ? 0 : int(threadIdx.x) / warp; }
  __device__ int thread() const { return whole_block ? int(threadIdx.x) : int(threadIdx.x) % warp; }
  __device__ std::int64_t first() const { return std::int64_t(blockIdx.x) * rows + slot(); }
  __device__ std::int64_t step() const { return std::int64_t(gridDim.x) * rows; }

  // Calls f(i) for this thread's elements.
  template <class F>
  __device__ void each(std::int64_t n, F f) const {
#pragma unroll 4
    for (std::int64_t i = thread(); i < n; i += threads) f(i);
  }

  template <class T, class Op>
  __device__ T reduce(T value, Op op) const {
    if constexpr (whole_block) {
      return reduce_block(value, op);
    } else {
      return reduce_warp(value, op);
    }
  }
};

/// A row that all rows of a block use, such as weights: copied to `next` in shared memory, which
/// moves on, if it is to be kept. Null stays null. A barrier must follow.
template <class T>
__device__ const T* common_row(const T* from, T*& next, std::int64_t n, bool keep) {
  if (!from || !keep) return from;
  T* const to = next;
  for (std::int64_t i = threadIdx.x; i < n; i += row_threads) to[i] = from[i];
  next += n;
  return to;
}

struct RowPlan {
  bool whole_block, kept;
  std::size_t shared;  // bytes; never 0, which would be no array
  unsigned blocks;     // one for each RowGroup::rows rows
};

/// For rows of n elements of which `each` numbers of `size` bytes are kept, and `common` more for
/// all rows of a block.
inline RowPlan plan_rows(std::int64_t rows, std::int64_t n, std::size_t size, int each,
                         int common = 0) {
  constexpr std::size_t most_of_warps = 48 << 10, most_of_block = 96 << 10;
  const std::size_t bytes = std::size_t(n) * size;
  const std::size_t by_warps = bytes * std::size_t(row_warps * each + common);
  const std::size_t by_block = bytes * std::size_t(each + common);
  const bool whole_block = by_warps > most_of_warps, kept = by_block <= most_of_block;
  const std::size_t shared = !whole_block ? by_warps : kept ? by_block : 0;
  return {whole_block, kept, shared > 0 ? shared : size,
          blocks_of(rows, whole_block ? 1 : row_warps)};
}

/// The blocks of a plan that are resident at once: each takes several rows where there are more, so
/// that a row which all use is seldom read.
inline unsigned resident(const RowPlan& plan) {
  const unsigned most = unsigned(multiprocessors()) * (2048 / row_threads);
  return plan.blocks < most ? plan.blocks : most;
}

}  // namespace unroll::UNROLL_GPU
