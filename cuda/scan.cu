// Running sums and recurrences. Three ways, by the shape alone:
//
//   columns   inner > 1: a thread walks down a line; what a warp reads is adjacent
//   tiles     inner = 1: a warp takes 32 lines; 32 places of each go through shared memory, so that
//             lanes lie along a line to read and write it, and across the lines to walk
//   blocks    sums of lines of 256 and more, inner = 1: a block takes a line, 256 places at a time,
//             which it adds up in a tree
//
// The first two compute each line in the order of the axis. A recurrence is never cut into pieces:
// products of its factors could overflow where the recurrence itself does not.
#include "kernels/scan.h"

#include "cuda/backend.h"
#include "cuda/reduce.h"

namespace unroll::UNROLL_GPU {
namespace {

constexpr int column_threads = 128;
constexpr int block_threads = 256;

// y[t] from a[t], y[t-1] and b[t]; `first` starts a line.
template <class T>
__device__ T advanced(bool first, bool sums, T a, T before, T b) {
  return first ? b : sums ? before + b : a * before + b;
}

template <class T>
__global__ void __launch_bounds__(column_threads)
    scan_columns_kernel(ScanShape s, ScanArgs<T> args) {
  constexpr int batch = 8;  // places that are fetched together, since y may be b
  const std::int64_t line = std::int64_t(blockIdx.x) * column_threads + threadIdx.x;
  if (line >= s.outer * s.inner) return;
  const std::int64_t o = quotient(line, s.inner);
  const std::int64_t step = s.reverse ? -s.inner : s.inner;
  std::int64_t at = o * s.count * s.inner + (line - o * s.inner);
  if (s.reverse) at += (s.count - 1) * s.inner;
  T y = T(0);
  for (std::int64_t t = 0; t < s.count; t += batch, at += batch * step) {
    T a[batch], b[batch];
#pragma unroll
    for (int j = 0; j < batch; j++) {
      const bool there = t + j < s.count;
      b[j] = there ? args.b[at + j * step] : T(0);
      a[j] = there && args.a && t + j > 0 ? args.a[at + j * step] : T(0);
    }
#pragma unroll
    for (int j = 0; j < batch; j++) {
      if (t + j >= s.count) break;
      y = advanced(t + j == 0, args.a == nullptr, a[j], y, b[j]);
      args.y[at + j * step] = y;
    }
  }
}

// Rows of a tile are a number longer than a warp, so that lanes that walk down meet no conflicts.
template <class T>
using Tile = T[warp][warp + 1];

// Moves 32 places of up to 32 lines: move(line's row in the tile, this lane's place in memory).
template <class Move>
__device__ void each_line(const ScanShape& s, std::int64_t first, std::int64_t t, Move move) {
  const std::int64_t place = t + threadIdx.x;
  if (place >= s.count) return;
#pragma unroll 8
  for (int r = 0; r < warp; r++) {
    if (first + r >= s.outer) break;
    move(r, (first + r) * s.count + (s.reverse ? s.count - 1 - place : place));
  }
}

template <class T>
__global__ void __launch_bounds__(warp) scan_tiles_kernel(ScanShape s, ScanArgs<T> args) {
  SHARED(Tile<T>, a);
  SHARED(Tile<T>, b);
  const std::int64_t first = std::int64_t(blockIdx.x) * warp;
  const int lane = int(threadIdx.x);
  const bool active = first + lane < s.outer;
  T y = T(0);
  for (std::int64_t t = 0; t < s.count; t += warp) {
    const int places = s.count - t < warp ? int(s.count - t) : warp;
    each_line(s, first, t, [&](int r, std::int64_t at) {
      b[r][lane] = args.b[at];
      if (args.a && t + lane > 0) a[r][lane] = args.a[at];
    });
    __syncwarp();
    for (int j = 0; active && j < places; j++) {
      const bool starts = t + j == 0, sums = args.a == nullptr;
      y = advanced(starts, sums, starts || sums ? T(0) : a[lane][j], y, b[lane][j]);
      b[lane][j] = y;
    }
    __syncwarp();
    each_line(s, first, t, [&](int r, std::int64_t at) { args.y[at] = b[r][lane]; });
  }
}

// The sum of this lane's number and those of the lanes below it.
template <class T>
__device__ T sum_below(T value) {
  const int lane = int(threadIdx.x) % warp;
  for (int by = 1; by < warp; by *= 2) {
    const T below = __shfl_up_sync(~0u, value, unsigned(by));
    if (lane >= by) value = below + value;
  }
  return value;
}

// A block for each line. For lines of block_threads numbers or more, which scan() sees to.
template <class T>
__global__ void __launch_bounds__(block_threads) scan_sums_kernel(ScanShape s, ScanArgs<T> args) {
  SHARED(T[block_threads / warp], totals);
  const std::int64_t line = blockIdx.x * s.count;
  const int own = int(threadIdx.x) / warp;
  const auto at = [&](std::int64_t t) { return line + (s.reverse ? s.count - 1 - t : t); };
  T carry = T(0);
  std::int64_t t = threadIdx.x;
  T next = args.b[at(t)];
  for (std::int64_t begin = 0; begin < s.count; begin += block_threads, t += block_threads) {
    T sum = sum_below(next);
    next = t + block_threads < s.count ? args.b[at(t + block_threads)] : T(0);
    if (threadIdx.x % warp == warp - 1) totals[own] = sum;
    __syncthreads();
    T before = carry;
    for (int w = 0; w < block_threads / warp; w++) {
      if (w == own) before = carry;
      carry += totals[w];
    }
    __syncthreads();
    if (t < s.count) args.y[at(t)] = before + sum;
  }
}

}  // namespace

template <class T>
void scan(const ScanShape& s, const ScanArgs<T>& args) noexcept {
  const std::int64_t lines = s.outer * s.inner;
  if (lines * s.count == 0) return;
  const Stream stream = current_stream();
  if (s.inner > 1) {
    launch(scan_columns_kernel<T>,
           {.name = "scan_columns",
            .grid = blocks_of(lines, column_threads),
            .block = column_threads,
            .stream = stream},
           s, args);
  } else if (!args.a && s.count >= block_threads) {
    launch(scan_sums_kernel<T>,
           {.name = "scan_sums", .grid = unsigned(lines), .block = block_threads, .stream = stream},
           s, args);
  } else {
    launch(scan_tiles_kernel<T>,
           {.name = "scan_tiles", .grid = blocks_of(lines, warp), .block = warp, .stream = stream},
           s, args);
  }
}

UNROLL_GPU_KERNEL(scan, void, ScanShape, ScanArgs)

}  // namespace unroll::UNROLL_GPU
