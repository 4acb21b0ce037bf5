// The forward pass of attention: one kernel, for every type of operands in memory. Private to
// cuda/attention*.cu.
#pragma once

#include "cuda/attention_tile.h"

namespace unroll::UNROLL_GPU {

// For each row of a tile: the largest score so far, the sum of exp(score - shift) and the factor by
// which what was summed up before shrinks.
template <class T>
struct OnlineRows {
  T *largest, *sum, *change;

  __device__ void clear(int r) const { largest[r] = T(-INFINITY), sum[r] = change[r] = 0; }
  /// 1 / sum, or 0 where nothing was summed up.
  __device__ T inverse(int r) const { return sum[r] == T(0) ? T(0) : T(1) / sum[r]; }
};

template <class T>
__device__ __forceinline__ T shift_of(T largest) {
  return largest == T(-INFINITY) ? T(0) : largest;
}

// Scores in p to exp(score - largest so far), with the dropout; a warp for each query.
template <class T, class Tile>
__device__ __forceinline__ void online_softmax(const AttentionShape& s, const Head& h,
                                               const TileAt& t, T* p, const OnlineRows<T>& rows) {
  constexpr int warps = gpu::attention_threads / 32, steps = (Tile::n + 31) / 32;
  const int lane = int(threadIdx.x) % 32;
  for (int r = int(threadIdx.x) / 32; r < t.rows; r += warps) {
    const T before =
        lane == 0 ? rows.largest[r] : T(-INFINITY);  // lane 0's alone, which changes it
    T x[steps], most = before;
#pragma unroll
    for (int m = 0; m < steps; m++) {
      const int c = lane + 32 * m;
      x[m] = c < Tile::n ? p[r * Tile::score_row + c] : T(-INFINITY);
      most = x[m] > most ? x[m] : most;
    }
    const T now = warp_max(most);
    T sum = 0;
#pragma unroll
    for (int m = 0; m < steps; m++) {
      const int c = lane + 32 * m;
      if (c >= Tile::n) continue;
      const T e = std::exp(x[m] - shift_of(now));
      sum += e;
      p[r * Tile::score_row + c] = s.drop > 0 ? e * keep_at<T>(s, h, t, r, c) : e;
    }
    sum = warp_sum(sum);
    if (lane != 0) continue;
    const T change = std::exp(before - shift_of(now));
    rows.largest[r] = now, rows.change[r] = change;
    rows.sum[r] = std::fma(rows.sum[r], change, sum);
  }
}

// results = change results + p v, for the chunks of v from `first` on.
template <class T, class Tile>
__device__ __forceinline__ void add_values(const T* p, const T* change, int depth, int first,
                                           int count, Side<T, Tile>& v,
                                           const Results<T, Tile>& results) {
  for (int u = 0; u < count; u++) {
    v.fetch(first + u);
    arrive();
    Sums<T, Tile> x = results.load(u);
    x.for_each([&](int i, int j, int row, int) { x.at[i][j] *= change[row]; });
    multiply_scores(p, v.chunk(first + u), depth, v.columns(first + u), x);
    results.store(u, x);
    __syncthreads();
  }
}

// Scores of the tile, for finish_weights.
template <class T, class Tile>
__device__ __forceinline__ void keep_scores(const AttentionShape& s, T* weights, const Head& h,
                                            const TileAt& t, const Sums<T, Tile>& x) {
  x.for_each([&](int i, int j, int row, int column) {
    if (t.inside(row, column))
      weights[(h.query + t.first + row) * s.keys + t.from + column] = x.at[i][j];
  });
}

// Kept scores of tile i to weights, and zeros where there are none; a warp for each row.
template <class T, class Tile>
__device__ __forceinline__ void finish_weights(const AttentionShape& s, T* weights, const Head& h,
                                               int i, const OnlineRows<T>& rows) {
  const std::int64_t end = end_of_keys(s, h, i, Tile::n) * Tile::n, first = i * Tile::n;
  const int all = rows_left(first, s.queries, Tile::n),
            valid = rows_left(first, h.queries, Tile::n);
  for (int r = int(threadIdx.x) / 32; r < all; r += gpu::attention_threads / 32) {
    T* const row = weights + (h.query + first + r) * s.keys;
    const std::int64_t scored = r >= valid ? 0 : end < h.keys ? end : h.keys;
    const T inverse = rows.inverse(r);
    for (std::int64_t j = int(threadIdx.x) % 32; j < s.keys; j += 32) {
      T w = 0;
      if (j < scored) {
        w = std::exp(row[j] - shift_of(rows.largest[r])) * inverse;
        if (s.drop > 0) w *= keep_of<T>(s, h, first + r, j);
      }
      row[j] = w;
    }
  }
}

// Results over their sums to out, and the statistics; zeros for padded queries, which have no sums.
template <class T, class Tile, class Args>
__device__ __forceinline__ void finish_rows(const AttentionShape& s, const Args& a, const Head& h,
                                            int i, int part, int first, int count,
                                            const OnlineRows<T>& rows,
                                            const Results<T, Tile>& results) {
  constexpr int n = Tile::n;
  const std::int64_t query = h.query + i * n, all = s.batch * s.heads * s.queries;
  const int padded = rows_left(i * n, s.queries, n), valid = rows_left(i * n, h.queries, n);
  for (int u = 0; u < count; u++) {
    const Sums<T, Tile> x = results.load(u);
#pragma unroll
    for (int m = 0; m < Tile::each; m++) {
      const int r = own_row() + Tile::grid * m;
      if (r >= padded) continue;
      const T inverse = rows.inverse(r);
      T values[Tile::each];
#pragma unroll
      for (int j = 0; j < Tile::each; j++) values[j] = r < valid ? x.at[m][j] * inverse : T(0);
      write_row<T, Tile>(a.out + (query + r) * s.value_size,
                         std::int64_t(first + u) * n + own_column() * Tile::each, s.value_size,
                         values);
    }
  }
  const int r = int(threadIdx.x);
  if (part != 0 || r >= padded) return;
  a.stats[query + r] = shift_of(rows.largest[r]);
  a.stats[all + query + r] = rows.inverse(r);
}

// One block for each tile of queries and part of the values' columns.
template <class T, class Tile, class Args>
__global__ void __launch_bounds__(gpu::attention_threads, 2)
    attention_kernel(AttentionShape s, Args a, AttentionSpace space) {
  constexpr int n = Tile::n;
  SHARED_DYNAMIC(T, memory);
  const BlockAt at = block_at(s, s.heads, tiles_of(s.queries, n), space.parts);
  const Head h(s, 0, at.sequence, at.head);
  T* const row = memory + space.rows;
  const OnlineRows<T> rows{row, row + n, row + 2 * n};
  T *const p = memory + space.score_tile[0], *const vector = row + 3 * n;
  const Results<T, Tile> results{memory + space.sums};
  Side<T, Tile> q(memory + space.side[0], space.held[0], s.key_size);
  Side<T, Tile> k(memory + space.side[1], space.held[1], s.key_size);
  Side<T, Tile> v(memory + space.side[2], space.held[2], s.value_size);
  const int first = at.part * space.outputs, left = v.chunks() - first;
  const int count = left < space.outputs ? left : space.outputs;

  results.clear(count);
  if (int(threadIdx.x) < n) rows.clear(int(threadIdx.x));
  q.move(a.in.q + (h.query + at.tile * n) * s.key_size, rows_left(at.tile * n, h.queries, n));
  __syncthreads();
  const int end = at.tile * n < h.queries ? end_of_keys(s, h, at.tile, n) : 0;
  for (int j = 0; j < end; j++) {
    const TileAt t = tile_at(h, at.tile, j, n);
    k.move(a.in.k + (h.key + t.from) * s.key_size, t.cols);
    v.move(a.in.v + (h.key + t.from) * s.value_size, t.cols);
    const Sums<T, Tile> x = scores(s, a.in, h, t, q, k, vector);
    if (a.weights && at.part == 0) keep_scores(s, a.weights, h, t, x);
    put_tile(p, x);
    __syncthreads();
    online_softmax<T, Tile>(s, h, t, p, rows);
    add_values(p, rows.change, whole_packs<Tile>(t.cols), first, count, v, results);
  }
  finish_rows(s, a, h, at.tile, at.part, first, count, rows, results);
  if (a.weights && at.part == 0) finish_weights<T, Tile>(s, a.weights, h, at.tile, rows);
}

template <class T, class Tile, class Args>
void attend_in(const AttentionShape& s, const Args& args) {
  const auto space =
      gpu::attention_space<T, Tile>({.sides = 3,
                                     .columns = {s.key_size, s.key_size, s.value_size},
                                     .stream = {0, 1, 1},
                                     .reused = {true, false, false},
                                     .score_tiles = 1,
                                     .rows = 4,
                                     .outputs = gpu::attention_chunks(s.value_size, Tile::n)});
  const std::int64_t blocks = s.batch * s.heads * tiles_of(s.queries, Tile::n) * space.parts;
  if (blocks == 0) return;
  launch(attention_kernel<T, Tile, Args>,
         {.name = "attention",
          .grid = unsigned(blocks),
          .block = gpu::attention_threads,
          .shared = space.numbers * sizeof(T),
          .stream = current_stream()},
         s, args, space);
}

/// The pass of an attention kernel's contract. T: what is computed; Stored: q, k, v and out.
template <class T, class Stored, class Args>
void attend(const AttentionShape& s, const Args& args) {
  if (gpu::attention_takes_wide(s, sizeof(T)))
    attend_in<T, gpu::AttentionTile<T, gpu::attention_wide, Stored>>(s, args);
  else
    attend_in<T, gpu::AttentionTile<T, gpu::attention_narrow, Stored>>(s, args);
}

}  // namespace unroll::UNROLL_GPU
