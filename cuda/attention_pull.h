// The pullback of attention: its kernels, for every type of operands in memory. Private to
// cuda/attention*.cu.
//
// The passes, each of which sums in one order: delta for every query; dq by tiles of queries, over
// the keys; dk and dv by tiles of keys, over the query heads of their group and the queries; dbias
// by its own tiles, over all that it was broadcast to. Narrow tiles, so that both operands of both
// products lie in shared memory.
#pragma once

#include "cuda/attention_pull_tile.h"

namespace unroll::UNROLL_GPU {

// Which of the results a block has: chunks first .. first+count-1.
struct PullPart {
  int first, count;
};
__device__ __forceinline__ PullPart part_of(const AttentionSpace& space, int part, int all) {
  const int first = part * space.outputs, left = all - first;
  return {first, left < space.outputs ? left : space.outputs};
}

// ---- delta: a warp for each query

template <class T, class Args>
__global__ void __launch_bounds__(gpu::attention_threads, 2)
    delta_kernel(AttentionShape s, Args a, T* delta, std::int64_t rows) {
  const std::int64_t row =
      blockIdx.x * std::int64_t(gpu::attention_threads / 32) + threadIdx.x / 32;
  if (row >= rows) return;
  const std::int64_t head = row / s.queries, i = row % s.queries, sequence = head / s.heads;
  const Head h(s, sequence / s.batch, sequence % s.batch, head % s.heads);
  if (i >= h.queries) return;
  const std::int64_t Dv = s.value_size, query = h.query + i;
  T sum = 0;
  for (std::int64_t j = threadIdx.x % 32; a.dout && j < Dv; j += 32)
    sum = std::fma(T(a.dout[row * Dv + j]), T(a.out[query * Dv + j]), sum);
  for (std::int64_t j = threadIdx.x % 32; a.dweights && j < h.keys; j += 32)
    sum = std::fma(a.dweights[row * s.keys + j], a.weights[query * s.keys + j], sum);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) delta[row] = sum;
}

// ---- dq and the vector's sums: results are dq's chunks, then those for the vector

template <class T, class Tile, class Args>
__device__ __forceinline__ void add_to_queries(const AttentionShape& s, const Args& a, const T* d,
                                               const TileAt& t, const PullPart& part,
                                               PullSides<T, Tile>& sides,
                                               const Results<T, Tile>& results) {
  const int chunks = sides.k.chunks();
  for (int u = 0; u < part.count; u++) {
    const bool for_vector = part.first + u >= chunks;
    const int c = for_vector ? part.first + u - chunks : part.first + u;
    const bool additive = s.score == AttentionScore::additive;
    sides.k.fetch(c);
    if (additive) sides.q.fetch(c), read_vector<T, Tile>(a.in.vector, s.key_size, c, sides.vector);
    arrive();
    Sums<T, Tile> x = results.load(u);
    const int columns = sides.k.columns(c);
    if (!additive)
      multiply_scores(d, sides.k.chunk(c), whole_packs<Tile>(t.cols), columns, x);
    else
      add_over_keys(
          d, sides.q.chunk(c), sides.k.chunk(c), t.cols, columns, x, [&](T ds, T y, int column) {
            return for_vector ? ds * y : ds * sides.vector[column] * std::fma(-y, y, T(1));
          });
    results.store(u, x);
    __syncthreads();
  }
}

// The sum of a result's rows, which are queries, to its place among the vector's sums. The block.
template <class T, class Tile>
__device__ __forceinline__ void sum_rows(const Sums<T, Tile>& x, T* tile, T* to, int columns) {
  x.for_each([&](int i, int j, int row, int) {
    tile[row * Tile::score_row + own_column() * Tile::each + j] = x.at[i][j];
  });
  __syncthreads();
  if (int(threadIdx.x) < columns) {
    T sum = 0;
    for (int r = 0; r < Tile::n; r++) sum += tile[r * Tile::score_row + threadIdx.x];
    to[threadIdx.x] = sum;
  }
  __syncthreads();
}

template <class T, class Tile, class Args>
__device__ __forceinline__ void write_queries(const AttentionShape& s, const Args& a, T* partials,
                                              T* tile, const Head& h, int i, const PullPart& part,
                                              const Results<T, Tile>& results) {
  constexpr int n = Tile::n;
  const int all = rows_left(i * n, s.queries, n), valid = rows_left(i * n, h.queries, n);
  const int chunks = int(gpu::attention_chunks(s.key_size, n));
  const std::int64_t head = (h.k * s.batch + h.b) * s.heads + h.h;
  for (int u = 0; u < part.count; u++) {
    Sums<T, Tile> x = results.load(u);
    const int c = part.first + u;
    x.for_each([&](int m, int j, int row, int) {
      x.at[m][j] = row < valid ? T(s.scale) * x.at[m][j] : T(0);
    });
    if (c >= chunks) {
      const std::int64_t column = std::int64_t(c - chunks) * n;
      T* const to = partials + (head * tiles_of(s.queries, n) + i) * s.key_size + column;
      sum_rows(x, tile, to, rows_left(column, s.key_size, n));
      continue;
    }
#pragma unroll
    for (int m = 0; m < Tile::each; m++) {
      const int r = own_row() + Tile::grid * m;
      if (a.dq && r < all)
        write_row<T, Tile>(a.dq + (h.query_in_direction + i * n + r) * s.key_size,
                           std::int64_t(c) * n + own_column() * Tile::each, s.key_size, x.at[m],
                           a.beta_q);
    }
  }
}

template <class T, class Tile, class Args>
__global__ void __launch_bounds__(gpu::attention_threads, 2)
    queries_kernel(AttentionShape s, Args a, AttentionSpace space, const T* delta, T* partials) {
  constexpr int n = Tile::n;
  SHARED_DYNAMIC(T, memory);
  const BlockAt at = block_at(s, s.heads, tiles_of(s.queries, n), space.parts);
  const Head h(s, at.direction, at.sequence, at.head);
  PullSides<T, Tile> sides(memory, space, {0, 1, 2, 3}, s);
  T* const d = memory + space.score_tile[0];
  const Results<T, Tile> results{memory + space.sums};
  const PullPart part = part_of(space, at.part, sides.k.chunks() * (partials ? 2 : 1));

  results.clear(part.count);
  move_queries(s, a, delta, h, tile_at(h, at.tile, 0, n), sides);
  const int end = at.tile * n < h.queries ? end_of_keys(s, h, at.tile, n) : 0;
  for (int j = 0; j < end; j++) {
    const TileAt t = tile_at(h, at.tile, j, n);
    move_keys(s, a, h, t, sides);
    put_tile(d, pull_tile(s, a, h, t, sides).dscores);
    add_to_queries(s, a, d, t, part, sides, results);
  }
  write_queries(s, a, partials, d, h, at.tile, part, results);
}

// dvector[k,d] = beta dvector + the sum of its partials, in their order.
template <class T>
__global__ void __launch_bounds__(gpu::attention_threads, 2)
    vector_kernel(const T* partials, std::int64_t each, std::int64_t size, std::int64_t count,
                  T* dvector, double beta) {
  const std::int64_t e = blockIdx.x * std::int64_t(gpu::attention_threads) + threadIdx.x;
  if (e >= count) return;
  const T* const from = partials + e / size * each * size + e % size;
  T sum = 0;
  for (std::int64_t i = 0; i < each; i++) sum += from[i * size];
  dvector[e] = beta == 0 ? sum : std::fma(T(beta), dvector[e], sum);
}

// ---- dk and dv: results are dk's chunks, then dv's

template <class T, class Tile, class Args>
__device__ __forceinline__ void add_to_keys(const AttentionShape& s, const Args& a, const T* d,
                                            const T* weights, const TileAt& t, const PullPart& part,
                                            int keys, PullSides<T, Tile>& sides,
                                            const Results<T, Tile>& results) {
  for (int u = 0; u < part.count; u++) {
    const bool of_values = part.first + u >= keys;
    const int c = of_values ? part.first + u - keys : part.first + u;
    const bool additive = s.score == AttentionScore::additive && !of_values;
    if (of_values && !a.dout) continue;
    Side<T, Tile>& side = of_values ? sides.dout : sides.q;
    side.fetch(c);
    if (additive) sides.k.fetch(c), read_vector<T, Tile>(a.in.vector, s.key_size, c, sides.vector);
    arrive();
    Sums<T, Tile> x = results.load(u);
    if (additive)
      add_over_queries(d, side.chunk(c), sides.k.chunk(c), sides.vector, t.rows, side.columns(c),
                       x);
    else
      multiply_turned(of_values ? weights : d, side.chunk(c), t.rows, side.columns(c), x);
    results.store(u, x);
    __syncthreads();
  }
}

template <class T, class Tile, class Args>
__device__ __forceinline__ void write_keys(const AttentionShape& s, const Args& a, const Head& h,
                                           int j, const PullPart& part, int keys,
                                           const Results<T, Tile>& results) {
  constexpr int n = Tile::n;
  const int all = rows_left(j * n, s.keys, n), valid = rows_left(j * n, h.keys, n);
  for (int u = 0; u < part.count; u++) {
    const bool of_values = part.first + u >= keys;
    const int c = of_values ? part.first + u - keys : part.first + u;
    const std::int64_t size = of_values ? s.value_size : s.key_size;
    const T scale = of_values ? T(1) : T(s.scale);
    const Sums<T, Tile> x = results.load(u);
#pragma unroll
    for (int i = 0; i < Tile::each; i++) {
      const int r = own_row() * Tile::each + i;
      if (r >= all) continue;
      T values[Tile::each];
#pragma unroll
      for (int m = 0; m < Tile::each; m++) values[m] = r < valid ? scale * x.at[i][m] : T(0);
      write_row<T, Tile>((of_values ? a.dv : a.dk) + (h.key_in_direction + j * n + r) * size,
                         std::int64_t(c) * n + own_column() * Tile::each, size, values,
                         of_values ? a.beta_v : a.beta_k);
    }
  }
}

template <class T, class Tile, class Args>
__global__ void __launch_bounds__(gpu::attention_threads, 2)
    keys_kernel(AttentionShape s, Args a, AttentionSpace space, const T* delta) {
  constexpr int n = Tile::n;
  SHARED_DYNAMIC(T, memory);
  const BlockAt at = block_at(s, s.key_heads, tiles_of(s.keys, n), space.parts);
  const int group = int(s.heads / s.key_heads);
  PullSides<T, Tile> sides(memory, space, {2, 3, 0, 1}, s);
  T *const d = memory + space.score_tile[0], *const weights = memory + space.score_tile[1];
  const Results<T, Tile> results{memory + space.sums};
  const int keys = a.dk ? sides.k.chunks() : 0;
  const PullPart part = part_of(space, at.part, keys + (a.dv ? sides.v.chunks() : 0));

  results.clear(part.count);
  const Head first(s, at.direction, at.sequence, at.head * group);
  move_keys(s, a, first, tile_at(first, 0, at.tile, n), sides);
  // Of a part that is dv alone nothing is added without dout.
  const bool adds = at.tile * n < first.keys && (part.first < keys || a.dout);
  for (int g = 0; g < (adds ? group : 0); g++) {
    const Head h(s, at.direction, at.sequence, at.head * group + g);
    for (int i = s.causal ? at.tile : 0; i < int(tiles_of(h.queries, n)); i++) {
      const TileAt t = tile_at(h, i, at.tile, n);
      move_queries(s, a, delta, h, t, sides);
      const PulledTile<T, Tile> x = pull_tile(s, a, h, t, sides);
      put_tile(d, x.dscores), put_tile(weights, x.weights);
      add_to_keys(s, a, d, weights, t, part, keys, sides, results);
    }
  }
  write_keys(s, a, first, at.tile, part, keys, results);
}

// ---- dbias

// Along B, Hq, tiles of queries and of keys: how many there are, and how many parts dbias has
// there, 1 where it was broadcast.
struct BiasTiles {
  std::int64_t size[4], parts[4];
};

// A tile of dbias: one number for each of its own rows and columns, summed over those that were
// broadcast. The block.
template <class T, class Tile, class Args>
__device__ __forceinline__ void write_bias(const AttentionShape& s, const Args& a, T* tile,
                                           const Head& h, const TileAt& t, const Sums<T, Tile>& x) {
  const bool rows = s.dbias_stride[2] != 0, columns = s.dbias_stride[3] != 0;
  const int all_rows = rows ? rows_left(t.first, s.queries, Tile::n) : 1;
  const int all_columns = columns ? rows_left(t.from, s.keys, Tile::n) : 1;
  put_tile(tile, x);
  __syncthreads();
  for (int e = int(threadIdx.x); e < all_rows * all_columns; e += gpu::attention_threads) {
    const int r = e / all_columns, c = e % all_columns;
    T sum = 0;
    for (int i = rows ? r : 0; i < (rows ? r + 1 : Tile::n); i++)
      for (int j = columns ? c : 0; j < (columns ? c + 1 : Tile::n); j++)
        sum += tile[i * Tile::score_row + j];
    T* const to = mask_at(a.dbias + h.k * s.bias_size, s.dbias_stride, h, t.first + r, t.from + c);
    *to = a.beta_bias == 0 ? sum : std::fma(T(a.beta_bias), *to, sum);
  }
}

template <class T, class Tile, class Args>
__global__ void __launch_bounds__(gpu::attention_threads, 2)
    bias_kernel(AttentionShape s, Args a, AttentionSpace space, const T* delta, BiasTiles tiles) {
  constexpr int n = Tile::n;
  SHARED_DYNAMIC(T, memory);
  PullSides<T, Tile> sides(memory, space, {0, 1, 2, 3}, s);
  std::int64_t begin[4], end[4], task = blockIdx.x;
  for (int d = 3; d >= 0; d--) {
    const bool own = tiles.parts[d] != 1;
    begin[d] = own ? task % tiles.parts[d] : 0;
    end[d] = own ? begin[d] + 1 : tiles.size[d];
    task /= tiles.parts[d];
  }
  Sums<T, Tile> sum;
  sum.clear();
  for (std::int64_t b = begin[0]; b < end[0]; b++)
    for (std::int64_t head = begin[1]; head < end[1]; head++) {
      const Head h(s, task, b, head);
      const std::int64_t last = tiles_of(h.queries, n);
      for (std::int64_t i = begin[2]; i < end[2] && i < last; i++) {
        const std::int64_t stop = end_of_keys(s, h, i, n);
        for (std::int64_t j = begin[3]; j < end[3] && j < stop; j++) {
          const TileAt t = tile_at(h, i, j, n);
          move_queries(s, a, delta, h, t, sides), move_keys(s, a, h, t, sides);
          const PulledTile<T, Tile> x = pull_tile(s, a, h, t, sides);
          sum.for_each([&](int r, int c, int, int) { sum.at[r][c] += x.dscores.at[r][c]; });
          __syncthreads();  // the next tile's statistics lie where this one's are read
        }
      }
    }
  const Head own(s, task, begin[0], begin[1]);
  write_bias(s, a, memory + space.score_tile[0], own,
             TileAt{int(begin[2] * n), int(begin[3] * n), 0, 0}, sum);
}

// ---- launches

inline gpu::AttentionNeeds pull_needs(const AttentionShape& s, bool by_queries) {
  const std::int64_t D = s.key_size, Dv = s.value_size;
  const int own = by_queries ? 0 : 1, other = 1 - own;  // what stays comes first
  return {.sides = 4,
          .columns = {D, Dv, D, Dv},
          .stream = {own, own, other, other},
          .reused = {true, true, true, !by_queries},
          .score_tiles = by_queries ? 1 : 2,
          .rows = pull_rows,
          .outputs = 0};
}

template <class T>
Launch pull_launch(const char* name, std::int64_t blocks, const AttentionSpace& space) {
  return {.name = name,
          .grid = unsigned(blocks),
          .block = gpu::attention_threads,
          .shared = space.numbers * sizeof(T),
          .stream = current_stream()};
}

template <class T, class Tile, class Args>
void pull_queries(const AttentionShape& s, const Args& a, const T* delta, T* partials) {
  gpu::AttentionNeeds needs = pull_needs(s, true);
  needs.outputs = gpu::attention_chunks(s.key_size, Tile::n) * (partials ? 2 : 1);
  const auto space = gpu::attention_space<T, Tile>(needs);
  const std::int64_t blocks =
      s.directions * s.batch * s.heads * tiles_of(s.queries, Tile::n) * space.parts;
  if (blocks > 0)
    launch(queries_kernel<T, Tile, Args>, pull_launch<T>("attention_pull_queries", blocks, space),
           s, a, space, delta, partials);
}

template <class T, class Tile, class Args>
void pull_keys(const AttentionShape& s, const Args& a, const T* delta) {
  gpu::AttentionNeeds needs = pull_needs(s, false);
  needs.outputs = (a.dk ? gpu::attention_chunks(s.key_size, Tile::n) : 0) +
                  (a.dv ? gpu::attention_chunks(s.value_size, Tile::n) : 0);
  const auto space = gpu::attention_space<T, Tile>(needs);
  const std::int64_t blocks =
      s.directions * s.batch * s.key_heads * tiles_of(s.keys, Tile::n) * space.parts;
  if (blocks > 0)
    launch(keys_kernel<T, Tile, Args>, pull_launch<T>("attention_pull_keys", blocks, space), s, a,
           space, delta);
}

template <class T, class Tile, class Args>
void pull_bias(const AttentionShape& s, const Args& a, const T* delta) {
  BiasTiles tiles{{s.batch, s.heads, tiles_of(s.queries, Tile::n), tiles_of(s.keys, Tile::n)}, {}};
  std::int64_t blocks = s.directions;
  for (int d = 0; d < 4; d++) blocks *= tiles.parts[d] = s.dbias_stride[d] == 0 ? 1 : tiles.size[d];
  gpu::AttentionNeeds needs = pull_needs(s, true);
  for (bool& reused : needs.reused) reused = false;
  const auto space = gpu::attention_space<T, Tile>(needs);
  if (blocks > 0)
    launch(bias_kernel<T, Tile, Args>, pull_launch<T>("attention_pull_bias", blocks, space), s, a,
           space, delta, tiles);
}

template <class T, class Tile, class Args>
void sum_vector(const AttentionShape& s, const Args& a, const T* partials) {
  const std::int64_t each = s.batch * s.heads * tiles_of(s.queries, Tile::n);
  const std::int64_t count = s.directions * s.key_size;
  if (count > 0)
    launch(vector_kernel<T>,
           {.name = "attention_pull_vector",
            .grid = blocks_of(count, gpu::attention_threads),
            .block = gpu::attention_threads,
            .stream = current_stream()},
           partials, each, s.key_size, count, a.dvector, a.beta_vector);
}

/// The pass of an attention_pull kernel's contract. T: what is computed; Stored: q, k, v, out and
/// their cotangents.
template <class T, class Stored, class Args>
void pull_attention(const AttentionShape& s, const Args& args) {
  using Tile = gpu::AttentionTile<T, gpu::attention_narrow, Stored>;
  T* const delta = static_cast<T*>(args.scratch);
  T* const partials = args.dvector ? delta + gpu::attention_pass<T>(s).partials : nullptr;
  const std::int64_t rows = s.directions * s.batch * s.heads * s.queries;
  if (rows > 0)
    launch(delta_kernel<T, Args>,
           {.name = "attention_pull_delta",
            .grid = blocks_of(rows, gpu::attention_threads / 32),
            .block = gpu::attention_threads,
            .stream = current_stream()},
           s, args, delta, rows);
  if ((args.dq || args.dvector) && s.key_size > 0) pull_queries<T, Tile>(s, args, delta, partials);
  if (args.dk || args.dv) pull_keys<T, Tile>(s, args, delta);
  if (args.dbias) pull_bias<T, Tile>(s, args, delta);
  if (args.dvector) sum_vector<T, Tile>(s, args, partials);
}

}  // namespace unroll::UNROLL_GPU
