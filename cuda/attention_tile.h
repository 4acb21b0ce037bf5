// What the attention kernels share: where a block works, rows of operands in shared memory, small
// products of them, the scores of a tile and their dropout. Private to cuda/attention*.cu.
//
//   Side<T, Tile> q(memory + space.side[0], space.held[0], s.key_size);
//   q.move(rows_of_q, count);
//   Sums<T, Tile> x = scores(s, in, h, tile, q, k, vector);     // of this thread
//
// A block is 256 threads, 16 x 16 of them, 4 x 8 in a warp. The thread (row, column) has the scores
// [row + 16 i][column + 16 j], and of results the columns column * each + j. Every function that
// says "the block" is called by all its threads.
//
// A product goes over chunks, of which there is one at least. Each has the barrier of arrive()
// before it is read, and one behind that. So a product orders whatever is written to shared memory
// before it and read in it or behind it, and whatever is read before it and written behind it:
// kernels have barriers of their own only where no product lies between.
//
// T is the type of all that is computed. Operands lie in memory, and in shared memory, as
// Tile::Stored, which is T or a half type: each is widened where it is multiplied, and a result is
// rounded once, where it is written.
#pragma once

#include "core/philox.h"
#include "cuda/attention_plan.h"
#include "cuda/backend.h"
#include "cuda/tile_product.h"

namespace unroll::UNROLL_GPU {

using gpu::AttentionSpace;
using gpu::tiles_of;

__device__ __forceinline__ int own_row() {
  return int(threadIdx.x) / 64 * 4 + int(threadIdx.x) % 32 / 8;
}
__device__ __forceinline__ int own_column() {
  return int(threadIdx.x) / 32 % 2 * 8 + int(threadIdx.x) % 8;
}

/// What was copied is there, for the whole block.
__device__ __forceinline__ void arrive() {
  __pipeline_commit();
  __pipeline_wait_prior(0);
  __syncthreads();
}

template <class T>
__device__ __forceinline__ T warp_max(T x) {
#pragma unroll
  for (int by = 16; by > 0; by /= 2) {
    const T other = __shfl_xor_sync(~0u, x, by);
    x = other > x ? other : x;
  }
  return x;
}
template <class T>
__device__ __forceinline__ T warp_sum(T x) {
#pragma unroll
  for (int by = 16; by > 0; by /= 2) x += __shfl_xor_sync(~0u, x, by);
  return x;
}

// ---- where a block works

/// Query head h of sequence b in direction k: its valid lengths, and the number of its first query
/// and key among all rows of [B,H,T,*] and (in_direction) of [K,B,H,T,*].
struct Head {
  std::int64_t k, b, h;
  int queries, keys;  // a sequence is shorter than 2^31
  std::int64_t query, key, query_in_direction, key_in_direction;

  __device__ Head(const AttentionShape& s, std::int64_t direction, std::int64_t sequence,
                  std::int64_t head)
      : k(direction),
        b(sequence),
        h(head),
        queries(int(s.query_lengths ? s.query_lengths[b] : s.queries)),
        keys(int(s.key_lengths ? s.key_lengths[b] : s.keys)),
        query((b * s.heads + h) * s.queries),
        key((b * s.key_heads + h / (s.heads / s.key_heads)) * s.keys),
        query_in_direction(k * s.batch * s.heads * s.queries + query),
        key_in_direction(k * s.batch * s.key_heads * s.keys + key) {}
};

/// Queries first .. first+rows-1 and keys from .. from+cols-1 of a head.
struct TileAt {
  int first, from, rows, cols;

  __device__ bool inside(int row, int column) const { return row < rows && column < cols; }
};

// Of n rows from `first` on, how many lie below `end`.
__device__ __forceinline__ int rows_left(std::int64_t first, std::int64_t end, int n) {
  const std::int64_t left = end - first;
  return left < 0 ? 0 : left < n ? int(left) : n;
}

template <class Tile>
using StoredIn = typename Tile::Stored;

/// n rounded up to whole packs.
template <class Tile>
__device__ __forceinline__ int whole_packs(int n) {
  return (n + Tile::pack - 1) / Tile::pack * Tile::pack;
}

__device__ __forceinline__ TileAt tile_at(const Head& h, int i, int j, int n) {
  return {i * n, j * n, rows_left(i * n, h.queries, n), rows_left(j * n, h.keys, n)};
}

/// Tiles of keys that queries of tile i may attend to.
__device__ __forceinline__ int end_of_keys(const AttentionShape& s, const Head& h, int i, int n) {
  const int all = int(tiles_of(h.keys, n));
  return s.causal && i + 1 < all ? i + 1 : all;
}

/// Tile `tile` of head `head` in a direction, with part `part` of the results: one block each. The
/// last tiles, which have the most keys under a causal mask, come first.
struct BlockAt {
  int tile, head, sequence, direction, part;
};
__device__ __forceinline__ BlockAt block_at(const AttentionShape& s, std::int64_t heads,
                                            std::int64_t tiles, int parts) {
  const unsigned all = unsigned(tiles), i = blockIdx.x / unsigned(parts), own = i / all;
  const unsigned sequence = own / unsigned(heads);
  return {int(all - 1 - i % all), int(own % unsigned(heads)), int(sequence % unsigned(s.batch)),
          int(sequence / unsigned(s.batch)), int(blockIdx.x % unsigned(parts))};
}

// ---- sides: rows of an operand in shared memory

/// The row that is copied as number i. Eight threads write 128 bytes at once. Where a row has half
/// of that they write two, which share no bank if they are four rows of an odd number of packs
/// apart.
template <class Tile>
__device__ __forceinline__ int copied_row(int i) {
  if constexpr (Tile::n * sizeof(StoredIn<Tile>) == 64)
    return i / 8 * 8 + i % 2 * 4 + i % 8 / 2;
  else
    return i;
}

template <class T, class Tile>
class Side {
 public:
  using Stored = StoredIn<Tile>;

  __device__ Side(T* buffer, bool held, std::int64_t size)
      : buffer_(reinterpret_cast<Stored*>(buffer)), held_(held), size_(size) {}

  /// To other rows, of which `valid` are read; the others are 0.
  __device__ void move(const Stored* rows, int valid) { rows_ = rows, valid_ = valid, ready_ = 0; }
  __device__ std::int64_t size() const { return size_; }
  __device__ int chunks() const { return int(gpu::attention_chunks(size_, Tile::n)); }
  /// Columns of chunk c, and those up to the next whole pack, which are 0.
  __device__ int columns(int c) const {
    return rows_left(c * std::int64_t(Tile::n), size_, Tile::n);
  }
  __device__ int depth(int c) const { return whole_packs<Tile>(columns(c)); }
  __device__ const Stored* chunk(int c) const { return buffer_ + (held_ ? c * Tile::chunk : 0); }

  /// Begins to copy chunk c, unless it is there; arrive() waits. The block.
  __device__ __forceinline__ void fetch(int c) {
    if (held_ && c < ready_) return;
    ready_ = c + 1;
    Stored* const to = buffer_ + (held_ ? c * Tile::chunk : 0);
    const int columns = this->columns(c), packs = depth(c) / Tile::pack;
    const Stored* const from = rows_ + c * std::int64_t(Tile::n);
    const bool whole = reinterpret_cast<std::uintptr_t>(from) % 16 == 0 && size_ % Tile::pack == 0;
#pragma unroll 1
    for (int e = int(threadIdx.x); e < Tile::n * packs; e += gpu::attention_threads) {
      const int r = copied_row<Tile>(e / packs), x = e % packs * Tile::pack;
      const int left = columns - x, inside = left < Tile::pack ? left : Tile::pack;
      const int valid = r < valid_ ? inside : 0;
      const Stored* const source = valid > 0 ? from + r * size_ + x : from;
      Stored* const target = to + r * Tile::chunk_row + x;
      if (whole)
        copy_async<Tile::pack>(target, source, valid);
      else
        for (int l = 0; l < Tile::pack; l++)
          copy_async<1>(target + l, l < valid ? source + l : from, l < valid ? 1 : 0);
    }
  }

 private:
  Stored* buffer_;
  bool held_;
  std::int64_t size_;
  const Stored* rows_ = nullptr;
  int valid_ = 0, ready_ = 0;
};

// ---- products. x: this thread's sums.

template <class T, class Tile>
struct Sums {
  T at[Tile::each][Tile::each];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < Tile::each; i++)
#pragma unroll
      for (int j = 0; j < Tile::each; j++) at[i][j] = 0;
  }
  /// each(i, j, row, column) for the scores of this thread.
  template <class Each>
  static __device__ __forceinline__ void for_each(Each each) {
#pragma unroll
    for (int i = 0; i < Tile::each; i++)
#pragma unroll
      for (int j = 0; j < Tile::each; j++)
        each(i, j, own_row() + Tile::grid * i, own_column() + Tile::grid * j);
  }
};

template <int count, class T>
__device__ __forceinline__ Pack<T, count> read_pack(const T* from) {
  return *reinterpret_cast<const Pack<T, count>*>(from);
}

/// x[i][j] += sum over d of a[i][d] b[j][d]: rows of two chunks.
template <class T, class Tile>
__device__ __forceinline__ void multiply_rows(const StoredIn<Tile>* a, const StoredIn<Tile>* b,
                                              int depth, Sums<T, Tile>& x) {
  constexpr int each = Tile::each, pack = lanes_of<T>;  // more would spill half types
  a += own_row() * Tile::chunk_row, b += own_column() * Tile::chunk_row;
#pragma unroll 1  // a step's packs are enough for the registers
  for (int d = 0; d < depth; d += pack) {
    Pack<StoredIn<Tile>, pack> p[each], q[each];
#pragma unroll
    for (int i = 0; i < each; i++) {
      p[i] = read_pack<pack>(a + Tile::grid * i * Tile::chunk_row + d);
      q[i] = read_pack<pack>(b + Tile::grid * i * Tile::chunk_row + d);
    }
#pragma unroll
    for (int l = 0; l < pack; l++)
#pragma unroll
      for (int i = 0; i < each; i++)
#pragma unroll
        for (int j = 0; j < each; j++)
          x.at[i][j] = std::fma(T(p[i].value[l]), T(q[j].value[l]), x.at[i][j]);
  }
}

/// x[i][j] += sum over k of w[i][k] b[k][j]: a tile of scores and a chunk of `columns`; depth is a
/// multiple of a pack.
template <class T, class Tile>
__device__ __forceinline__ void multiply_scores(const T* w, const StoredIn<Tile>* b, int depth,
                                                int columns, Sums<T, Tile>& x) {
  constexpr int each = Tile::each, pack = lanes_of<T>;
  if (own_column() * each >= columns) return;
  w += own_row() * Tile::score_row, b += own_column() * each;
#pragma unroll 1
  for (int k = 0; k < depth; k += pack) {
    Pack<T, pack> p[each];
#pragma unroll
    for (int i = 0; i < each; i++) p[i] = read_pack<pack>(w + Tile::grid * i * Tile::score_row + k);
#pragma unroll
    for (int l = 0; l < pack; l++) {
      const auto q = read_pack<each>(b + (k + l) * Tile::chunk_row);
#pragma unroll
      for (int i = 0; i < each; i++)
#pragma unroll
        for (int j = 0; j < each; j++)
          x.at[i][j] = std::fma(p[i].value[l], T(q.value[j]), x.at[i][j]);
    }
  }
}

/// x[i][j] += sum over r of w[r][i] b[r][j]: a tile of scores, turned, and a chunk. Here this
/// thread has the rows own_row() * each + i.
template <class T, class Tile>
__device__ __forceinline__ void multiply_turned(const T* w, const StoredIn<Tile>* b, int depth,
                                                int columns, Sums<T, Tile>& x) {
  constexpr int each = Tile::each;
  if (own_column() * each >= columns) return;
  w += own_row() * each, b += own_column() * each;
#pragma unroll 2
  for (int r = 0; r < depth; r++) {
    const auto p = read_pack<each>(w + r * Tile::score_row);
    const auto q = read_pack<each>(b + r * Tile::chunk_row);
#pragma unroll
    for (int i = 0; i < each; i++)
#pragma unroll
      for (int j = 0; j < each; j++) x.at[i][j] = std::fma(p.value[i], T(q.value[j]), x.at[i][j]);
  }
}

// ---- results

/// Sums of chunk u of a block's results: each thread's own, side by side for the threads.
template <class T, class Tile>
struct Results {
  T* at;

  __device__ __forceinline__ T& own(int u, int i, int j) const {
    return at[u * Tile::sums + (i * Tile::each + j) * gpu::attention_threads + int(threadIdx.x)];
  }
  __device__ __forceinline__ void clear(int count) const {
    for (int e = int(threadIdx.x); e < count * Tile::sums; e += gpu::attention_threads) at[e] = 0;
  }
  __device__ __forceinline__ Sums<T, Tile> load(int u) const {
    Sums<T, Tile> x;
    Sums<T, Tile>::for_each([&](int i, int j, int, int) { x.at[i][j] = own(u, i, j); });
    return x;
  }
  __device__ __forceinline__ void store(int u, const Sums<T, Tile>& x) const {
    Sums<T, Tile>::for_each([&](int i, int j, int, int) { own(u, i, j) = x.at[i][j]; });
  }
};

/// values[0..each-1] to a row of a result of `size` columns, from column `first` on: beta old +
/// new.
template <class T, class Tile>
__device__ __forceinline__ void write_row(StoredIn<Tile>* row, std::int64_t first,
                                          std::int64_t size, const T (&values)[Tile::each],
                                          double beta = 0) {
  using Stored = StoredIn<Tile>;
  constexpr int each = Tile::each;
  Stored* const to = row + first;
  if (size % each == 0 && first < size &&
      reinterpret_cast<std::uintptr_t>(to) % (each * sizeof(Stored)) == 0) {
    Pack<Stored, each> p;
    if (beta != 0) p = read_pack<each>(to);
#pragma unroll
    for (int j = 0; j < each; j++)
      p.value[j] = Stored(beta == 0 ? values[j] : std::fma(T(beta), T(p.value[j]), values[j]));
    *reinterpret_cast<Pack<Stored, each>*>(to) = p;
    return;
  }
#pragma unroll
  for (int j = 0; j < each; j++)
    if (first + j < size)
      to[j] = Stored(beta == 0 ? values[j] : std::fma(T(beta), T(to[j]), values[j]));
}

// ---- scores

/// Numbers [c n, c n + n) of the vector of additive scores, 0 beyond it. The block.
template <class T, class Tile>
__device__ __forceinline__ void read_vector(const T* from, std::int64_t size, int c, T* to) {
  const std::int64_t d = c * std::int64_t(Tile::n) + threadIdx.x;
  if (int(threadIdx.x) < Tile::n) to[threadIdx.x] = d < size ? from[d] : T(0);
}

/// x[i][j] += sum over d of vector[d] tanh(q[i][d] + k[j][d]).
template <class T, class Tile>
__device__ __forceinline__ void add_additive(const StoredIn<Tile>* q, const StoredIn<Tile>* k,
                                             const T* vector, int depth, Sums<T, Tile>& x) {
#pragma unroll 1
  for (int d = 0; d < depth; d++)
    x.for_each([&](int i, int j, int row, int column) {
      const T y = std::tanh(T(q[row * Tile::chunk_row + d]) + T(k[column * Tile::chunk_row + d]));
      x.at[i][j] = std::fma(vector[d], y, x.at[i][j]);
    });
}

template <class U>
__device__ __forceinline__ U* mask_at(U* mask, const std::int64_t (&stride)[4], const Head& h,
                                      std::int64_t i, std::int64_t j) {
  return mask + h.b * stride[0] + h.h * stride[1] + i * stride[2] + j * stride[3];
}

/// Whether query `row` of the tile may attend to key `column` of it.
template <class Inputs>
__device__ __forceinline__ bool may_attend(const AttentionShape& s, const Inputs& in, const Head& h,
                                           const TileAt& t, int row, int column) {
  const int i = t.first + row, j = t.from + column;
  return t.inside(row, column) && (!s.causal || j <= i) &&
         (!in.attend || *mask_at(in.attend, s.attend_stride, h, i, j));
}

/// Sums of products to scores: scaled, with the bias, -infinity where a query may not attend.
template <class T, class Tile, class Inputs>
__device__ __forceinline__ void finish_scores(const AttentionShape& s, const Inputs& in,
                                              const Head& h, const TileAt& t, Sums<T, Tile>& x) {
  x.for_each([&](int i, int j, int row, int column) {
    T score = T(s.scale) * x.at[i][j];
    const bool may = may_attend(s, in, h, t, row, column);
    if (may && in.bias)
      score += *mask_at(in.bias, s.bias_stride, h, t.first + row, t.from + column);
    x.at[i][j] = may ? score : T(-INFINITY);
  });
}

/// Scores of a tile whose rows are those of q and columns those of k. vector: room for n numbers.
/// The block.
template <class T, class Tile, class Inputs>
__device__ __forceinline__ Sums<T, Tile> scores(const AttentionShape& s, const Inputs& in,
                                                const Head& h, const TileAt& t, Side<T, Tile>& q,
                                                Side<T, Tile>& k, T* vector) {
  Sums<T, Tile> x;
  x.clear();
  for (int c = 0; c < q.chunks(); c++) {
    q.fetch(c), k.fetch(c);
    if (s.score == AttentionScore::additive) read_vector<T, Tile>(in.vector, q.size(), c, vector);
    arrive();
    if (s.score == AttentionScore::dot)
      multiply_rows(q.chunk(c), k.chunk(c), q.depth(c), x);
    else
      add_additive(q.chunk(c), k.chunk(c), vector, q.columns(c), x);
    __syncthreads();
  }
  finish_scores(s, in, h, t, x);
  return x;
}

/// The tile of this thread's numbers to shared memory.
template <class T, class Tile>
__device__ __forceinline__ void put_tile(T* tile, const Sums<T, Tile>& x) {
  x.for_each([&](int i, int j, int row, int column) {
    tile[row * Tile::score_row + column] = x.at[i][j];
  });
}

/// Rows of statistics of the queries of a tile: `values` of head rows, 0 beyond them. The block.
template <class T, class Tile>
__device__ __forceinline__ void read_rows(const T* values, int rows, T* to) {
  if (int(threadIdx.x) < Tile::n)
    to[threadIdx.x] = int(threadIdx.x) < rows ? values[threadIdx.x] : T(0);
}

/// Scores to weights before the dropout, by each row's shift and 1 / sum in shared memory.
template <class T, class Tile>
__device__ __forceinline__ void to_probabilities(const T* shift, const T* inverse,
                                                 Sums<T, Tile>& x) {
  x.for_each([&](int i, int j, int row, int) {
    x.at[i][j] = std::exp(x.at[i][j] - shift[row]) * inverse[row];
  });
}

/// The tile's rows of stats to shared memory. The block.
template <class T, class Tile>
__device__ __forceinline__ void read_stats(const AttentionShape& s, const T* stats, const Head& h,
                                           const TileAt& t, T* shift, T* inverse) {
  const T* const own = stats + h.query + t.first;
  read_rows<T, Tile>(own, t.rows, shift);
  read_rows<T, Tile>(own + s.batch * s.heads * s.queries, t.rows, inverse);
}

// ---- dropout

/// 0 or 1 / (1 - drop) for query i and key j of a head.
template <class T>
__device__ __forceinline__ T keep_of(const AttentionShape& s, const Head& h, std::int64_t i,
                                     std::int64_t j) {
  constexpr std::uint64_t low = 0xffffffff;
  const std::uint64_t at = s.counter + std::uint64_t((h.query + i) * s.keys + j);
  std::uint64_t c[4] = {at & low, at >> 32, s.stream & low, s.stream >> 32};
  philox_rounds(c, s.seed & low, s.seed >> 32);
  const std::uint64_t bits = ((c[1] << 32) | c[0]) >> 11;
  const bool kept = double(bits) * 0x1p-53 >= s.drop;
  return kept && s.drop < 1 ? T(1 / (1 - s.drop)) : T(0);
}
/// The same for a place of the tile. Outside of it, where weights are 0, nothing is drawn.
template <class T>
__device__ __forceinline__ T keep_at(const AttentionShape& s, const Head& h, const TileAt& t,
                                     int row, int column) {
  if (!t.inside(row, column)) return 0;
  return keep_of<T>(s, h, t.first + row, t.from + column);
}

}  // namespace unroll::UNROLL_GPU
