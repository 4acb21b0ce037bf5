// The pushforward of attention: one kernel, for every type of operands in memory. Private to
// cuda/attention*.cu.
//
// With P the weights before the dropout and tS the tangents of the scores:
//
//   change[i] = P[i] . tS[i]                    tout = keep P tS v + keep P tv - change out
//   tweights = keep P (tS - change)
//
// One block for each tile of queries, direction and part of the values' columns.
#pragma once

#include "cuda/attention_tile.h"

namespace unroll::UNROLL_GPU {

inline constexpr int push_rows = 5, push_sides = 6;

template <class T, class Tile>
struct PushSides {
  Side<T, Tile> q, tq, k, tk, v, tv;
  T *shift, *inverse, *change, *vector, *tvector;  // n numbers each

  __device__ PushSides(T* memory, const AttentionSpace& space, const AttentionShape& s)
      : q(memory + space.side[0], space.held[0], s.key_size),
        tq(memory + space.side[1], space.held[1], s.key_size),
        k(memory + space.side[2], space.held[2], s.key_size),
        tk(memory + space.side[3], space.held[3], s.key_size),
        v(memory + space.side[4], space.held[4], s.value_size),
        tv(memory + space.side[5], space.held[5], s.value_size),
        shift(memory + space.rows),
        inverse(shift + Tile::n),
        change(inverse + Tile::n),
        vector(change + Tile::n),
        tvector(vector + Tile::n) {}
};

// To rows of an operand's tangent, which may be absent.
template <class T, class Tile>
__device__ __forceinline__ void move_tangent(Side<T, Tile>& side, const StoredIn<Tile>* tangent,
                                             std::int64_t row, int valid) {
  side.move(tangent + (tangent ? row * side.size() : 0), valid);
}

// x: sums of scores, as scores() has them; moved: of their tangents. Both from chunk c.
template <class T, class Tile, class Args>
__device__ __forceinline__ void add_dot(const Args& a, const PushSides<T, Tile>& y, int c,
                                        Sums<T, Tile>& x, Sums<T, Tile>& moved) {
  multiply_rows(y.q.chunk(c), y.k.chunk(c), y.q.depth(c), x);
  if (a.tq) multiply_rows(y.tq.chunk(c), y.k.chunk(c), y.q.depth(c), moved);
  if (a.tk) multiply_rows(y.q.chunk(c), y.tk.chunk(c), y.q.depth(c), moved);
}
template <class T, class Tile, class Args>
__device__ __forceinline__ void add_additive(const Args& a, const PushSides<T, Tile>& sides, int c,
                                             Sums<T, Tile>& x, Sums<T, Tile>& moved) {
  const auto *const q = sides.q.chunk(c), *const k = sides.k.chunk(c);
  const auto *const tq = sides.tq.chunk(c), *const tk = sides.tk.chunk(c);
#pragma unroll 1
  for (int d = 0; d < sides.q.columns(c); d++)
    x.for_each([&](int i, int j, int row, int column) {
      const int at = row * Tile::chunk_row + d, key = column * Tile::chunk_row + d;
      const T y = std::tanh(T(q[at]) + T(k[key]));
      const T by = (a.tq ? T(tq[at]) : T(0)) + (a.tk ? T(tk[key]) : T(0));
      x.at[i][j] = std::fma(sides.vector[d], y, x.at[i][j]);
      moved.at[i][j] = std::fma(sides.vector[d] * by, std::fma(-y, y, T(1)), moved.at[i][j]);
      if (a.tvector) moved.at[i][j] = std::fma(sides.tvector[d], y, moved.at[i][j]);
    });
}

// x: the weights before the dropout; moved: the tangents of the scores, 0 where none are allowed.
template <class T, class Tile, class Args>
__device__ __forceinline__ void push_scores(const AttentionShape& s, const Args& a, const Head& h,
                                            const TileAt& t, PushSides<T, Tile>& y,
                                            Sums<T, Tile>& x, Sums<T, Tile>& moved) {
  x.clear(), moved.clear();
  const bool additive = s.score == AttentionScore::additive;
  for (int c = 0; c < y.q.chunks(); c++) {
    y.q.fetch(c), y.k.fetch(c);
    if (a.tq) y.tq.fetch(c);
    if (a.tk) y.tk.fetch(c);
    if (additive) read_vector<T, Tile>(a.in.vector, s.key_size, c, y.vector);
    if (a.tvector) read_vector<T, Tile>(a.tvector + h.k * s.key_size, s.key_size, c, y.tvector);
    arrive();
    if (additive)
      add_additive(a, y, c, x, moved);
    else
      add_dot(a, y, c, x, moved);
    __syncthreads();
  }
  finish_scores(s, a.in, h, t, x);
  to_probabilities(y.shift, y.inverse, x);
  x.for_each([&](int i, int j, int row, int column) {
    T tangent = T(s.scale) * moved.at[i][j];
    if (a.tbias && t.inside(row, column))
      tangent +=
          *mask_at(a.tbias + h.k * s.bias_size, s.dbias_stride, h, t.first + row, t.from + column);
    moved.at[i][j] = tangent;
  });
}

// Tangents of the scores of the tile, for finish_weights.
template <class T, class Tile>
__device__ __forceinline__ void keep_tangents(const AttentionShape& s, T* tweights, const Head& h,
                                              const TileAt& t, const Sums<T, Tile>& moved) {
  moved.for_each([&](int i, int j, int row, int column) {
    if (t.inside(row, column))
      tweights[(h.query_in_direction + t.first + row) * s.keys + t.from + column] = moved.at[i][j];
  });
}

// d, P tS, summed up into change; a warp for each row.
template <class T, class Tile>
__device__ __forceinline__ void sum_changes(const T* d, T* change) {
  const int lane = int(threadIdx.x) % 32;
  for (int r = int(threadIdx.x) / 32; r < Tile::n; r += gpu::attention_threads / 32) {
    T sum = 0;
    for (int c = lane; c < Tile::n; c += 32) sum += d[r * Tile::score_row + c];
    sum = warp_sum(sum);
    if (lane == 0) change[r] += sum;
  }
}

// results += d v + w tv, for the chunks of the values from `first` on.
template <class T, class Tile, class Args>
__device__ __forceinline__ void add_values(const Args& a, const T* d, const T* w, int depth,
                                           int first, int count, PushSides<T, Tile>& sides,
                                           const Results<T, Tile>& results) {
  for (int u = 0; u < count; u++) {
    sides.v.fetch(first + u);
    if (a.tv) sides.tv.fetch(first + u);
    arrive();
    const int columns = sides.v.columns(first + u);
    Sums<T, Tile> x = results.load(u);
    multiply_scores(d, sides.v.chunk(first + u), depth, columns, x);
    if (a.tv) multiply_scores(w, sides.tv.chunk(first + u), depth, columns, x);
    results.store(u, x);
    __syncthreads();
  }
}

template <class T, class Tile, class Args>
__device__ __forceinline__ void finish_rows(const AttentionShape& s, const Args& a, const Head& h,
                                            int i, int first, int count, const T* change,
                                            const Results<T, Tile>& results) {
  constexpr int n = Tile::n;
  const int all = rows_left(i * n, s.queries, n), valid = rows_left(i * n, h.queries, n);
  for (int u = 0; u < count; u++) {
    const Sums<T, Tile> x = results.load(u);
    const std::int64_t column = std::int64_t(first + u) * n + own_column() * Tile::each;
#pragma unroll
    for (int m = 0; m < Tile::each; m++) {
      const int r = own_row() + Tile::grid * m;
      if (r >= all) continue;
      const auto* const out = a.out + (h.query + i * n + r) * s.value_size;
      T values[Tile::each];
#pragma unroll
      for (int j = 0; j < Tile::each; j++)
        values[j] = r < valid && column + j < s.value_size
                        ? std::fma(-change[r], T(out[column + j]), x.at[m][j])
                        : T(0);
      write_row<T, Tile>(a.tout + (h.query_in_direction + i * n + r) * s.value_size, column,
                         s.value_size, values);
    }
  }
}

// Kept tangents to those of the weights, and zeros where there are none; a warp for each row.
template <class T, class Tile, class Args>
__device__ __forceinline__ void finish_weights(const AttentionShape& s, const Args& a,
                                               const Head& h, int i, const T* change) {
  const std::int64_t end = end_of_keys(s, h, i, Tile::n) * Tile::n, first = i * Tile::n;
  const int all = rows_left(first, s.queries, Tile::n),
            valid = rows_left(first, h.queries, Tile::n);
  for (int r = int(threadIdx.x) / 32; r < all; r += gpu::attention_threads / 32) {
    T* const row = a.tweights + (h.query_in_direction + first + r) * s.keys;
    const T* const weights = a.weights + (h.query + first + r) * s.keys;
    const std::int64_t scored = r >= valid ? 0 : end < h.keys ? end : h.keys;
    for (std::int64_t j = int(threadIdx.x) % 32; j < s.keys; j += 32)
      row[j] = j < scored ? weights[j] * (row[j] - change[r]) : T(0);
  }
}

template <class T, class Tile, class Args>
__global__ void __launch_bounds__(gpu::attention_threads, 2)
    push_kernel(AttentionShape s, Args a, AttentionSpace space) {
  constexpr int n = Tile::n;
  SHARED_DYNAMIC(T, memory);
  const BlockAt at = block_at(s, s.heads, tiles_of(s.queries, n), space.parts);
  const Head h(s, at.direction, at.sequence, at.head);
  PushSides<T, Tile> y(memory, space, s);
  T *const d = memory + space.score_tile[0], *const w = memory + space.score_tile[1];
  const Results<T, Tile> results{memory + space.sums};
  const int first = at.part * space.outputs, left = y.v.chunks() - first;
  const int count = left < space.outputs ? left : space.outputs;
  const bool with_weights = a.tweights && at.part == 0;

  results.clear(count);
  if (int(threadIdx.x) < n) y.change[threadIdx.x] = 0;
  const TileAt own = tile_at(h, at.tile, 0, n);
  y.q.move(a.in.q + (h.query + own.first) * s.key_size, own.rows);
  move_tangent(y.tq, a.tq, h.query_in_direction + own.first, own.rows);
  read_stats<T, Tile>(s, a.stats, h, own, y.shift, y.inverse);
  __syncthreads();
  const int end = own.rows > 0 ? end_of_keys(s, h, at.tile, n) : 0;
  for (int j = 0; j < end; j++) {
    const TileAt t = tile_at(h, at.tile, j, n);
    y.k.move(a.in.k + (h.key + t.from) * s.key_size, t.cols);
    y.v.move(a.in.v + (h.key + t.from) * s.value_size, t.cols);
    move_tangent(y.tk, a.tk, h.key_in_direction + t.from, t.cols);
    move_tangent(y.tv, a.tv, h.key_in_direction + t.from, t.cols);
    Sums<T, Tile> x, moved;
    push_scores(s, a, h, t, y, x, moved);
    if (with_weights) keep_tangents(s, a.tweights, h, t, moved);
    x.for_each([&](int r, int c, int, int) { moved.at[r][c] *= x.at[r][c]; });
    put_tile(d, moved);
    __syncthreads();
    sum_changes<T, Tile>(d, y.change);
    if (s.drop > 0) {
      __syncthreads();
      x.for_each([&](int r, int c, int row, int column) {
        const T keep = keep_at<T>(s, h, t, row, column);
        x.at[r][c] *= keep, moved.at[r][c] *= keep;
      });
      put_tile(d, moved);
    }
    if (a.tv) put_tile(w, x);
    add_values(a, d, w, whole_packs<Tile>(t.cols), first, count, y, results);
  }
  finish_rows(s, a, h, at.tile, first, count, y.change, results);
  if (with_weights) finish_weights<T, Tile>(s, a, h, at.tile, y.change);
}

/// The pass of an attention_push kernel's contract. T: what is computed; Stored: q, k, v, out and
/// their tangents.
template <class T, class Stored, class Args>
void push_attention(const AttentionShape& s, const Args& args) {
  using Tile = gpu::AttentionTile<T, gpu::attention_narrow, Stored>;
  const std::int64_t D = s.key_size, Dv = s.value_size;
  const auto space =
      gpu::attention_space<T, Tile>({.sides = push_sides,
                                     .columns = {D, D, D, D, Dv, Dv},
                                     .stream = {0, 1, 2, 3, 2, 3},
                                     .reused = {true, true, false, false, false, false},
                                     .score_tiles = 2,
                                     .rows = push_rows,
                                     .outputs = gpu::attention_chunks(Dv, Tile::n)});
  const std::int64_t blocks =
      s.directions * s.batch * s.heads * tiles_of(s.queries, Tile::n) * space.parts;
  if (blocks == 0) return;
  launch(push_kernel<T, Tile, Args>,
         {.name = "attention_push",
          .grid = unsigned(blocks),
          .block = gpu::attention_threads,
          .shared = space.numbers * sizeof(T),
          .stream = current_stream()},
         s, args, space);
}

}  // namespace unroll::UNROLL_GPU
