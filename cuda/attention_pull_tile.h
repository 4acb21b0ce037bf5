// The pullback of a tile of scores, which the passes of cuda/attention_pull.h share. With P the
// weights before the dropout, W = keep P those behind it:
//
//   dP = keep (dout v^T + dW)      dS = P (dP - delta)      delta[i] = dout[i] . out[i] + W[i] .
//   dW[i] dq = scale dS k                dk = scale dS^T q        dv = W^T dout              dbias
//   = dS
#pragma once

#include "cuda/attention_tile.h"

namespace unroll::UNROLL_GPU {

/// The rows that a block reads, and room for the rows' numbers.
template <class T, class Tile>
struct PullSides {
  Side<T, Tile> q, dout, k, v;
  T *shift, *inverse, *delta, *vector;

  __device__ PullSides(T* memory, const AttentionSpace& space, const int (&place)[4],
                       const AttentionShape& s)
      : q(memory + space.side[place[0]], space.held[place[0]], s.key_size),
        dout(memory + space.side[place[1]], space.held[place[1]], s.value_size),
        k(memory + space.side[place[2]], space.held[place[2]], s.key_size),
        v(memory + space.side[place[3]], space.held[place[3]], s.value_size),
        shift(memory + space.rows),
        inverse(shift + Tile::n),
        delta(inverse + Tile::n),
        vector(delta + Tile::n) {}
};
inline constexpr int pull_rows = 4;

/// To the queries, and the keys, of a tile. The block.
template <class T, class Tile, class Args>
__device__ __forceinline__ void move_queries(const AttentionShape& s, const Args& a, const T* delta,
                                             const Head& h, const TileAt& t,
                                             PullSides<T, Tile>& sides) {
  const std::int64_t row = h.query_in_direction + t.first;
  sides.q.move(a.in.q + (h.query + t.first) * s.key_size, t.rows);
  sides.dout.move(a.dout + (a.dout ? row * s.value_size : 0), t.rows);
  read_stats<T, Tile>(s, a.stats, h, t, sides.shift, sides.inverse);
  read_rows<T, Tile>(delta + row, t.rows, sides.delta);
}
template <class T, class Tile, class Args>
__device__ __forceinline__ void move_keys(const AttentionShape& s, const Args& a, const Head& h,
                                          const TileAt& t, PullSides<T, Tile>& sides) {
  sides.k.move(a.in.k + (h.key + t.from) * s.key_size, t.cols);
  sides.v.move(a.in.v + (h.key + t.from) * s.value_size, t.cols);
}

/// The tile's weights behind the dropout, and the cotangents of its scores: 0 outside of the tile,
/// whatever was computed from NaN.
template <class T, class Tile>
struct PulledTile {
  Sums<T, Tile> weights, dscores;
};

template <class T, class Tile, class Args>
__device__ __forceinline__ PulledTile<T, Tile> pull_tile(const AttentionShape& s, const Args& a,
                                                         const Head& h, const TileAt& t,
                                                         PullSides<T, Tile>& sides) {
  PulledTile<T, Tile> x;
  x.weights = scores(s, a.in, h, t, sides.q, sides.k, sides.vector);
  to_probabilities(sides.shift, sides.inverse, x.weights);
  x.dscores.clear();
  for (int c = 0; a.dout && c < sides.v.chunks(); c++) {
    sides.dout.fetch(c), sides.v.fetch(c);
    arrive();
    multiply_rows(sides.dout.chunk(c), sides.v.chunk(c), sides.v.depth(c), x.dscores);
    __syncthreads();
  }
  Sums<T, Tile>::for_each([&](int i, int j, int row, int column) {
    T &weight = x.weights.at[i][j], &d = x.dscores.at[i][j];
    const bool inside = t.inside(row, column);
    const std::int64_t query = h.query_in_direction + t.first + row;
    if (a.dweights && inside) d += a.dweights[query * s.keys + t.from + column];
    const T keep = s.drop > 0 && inside ? keep_of<T>(s, h, t.first + row, t.from + column) : T(1);
    d = inside ? weight * (keep * d - sides.delta[row]) : T(0);
    weight *= keep;
  });
  return x;
}

// ---- additive scores: with y = tanh(q[i] + k[j]), dq[i] += dS vector (1 - y^2), and so for k[j];
// dvector += dS y. x: this thread's columns of a result; d: the tile of dS.

/// Rows are queries: x[i] += sum over keys of what `each(dS, y, column)` says.
template <class T, class Tile, class Each>
__device__ __forceinline__ void add_over_keys(const T* d, const StoredIn<Tile>* q,
                                              const StoredIn<Tile>* k, int keys, int columns,
                                              Sums<T, Tile>& x, Each each) {
  const int column = own_column() * Tile::each;
  if (column >= columns) return;
#pragma unroll 1
  for (int r = 0; r < keys; r++)
    Sums<T, Tile>::for_each([&](int i, int j, int row, int) {
      const int c = column + j;
      const T y = std::tanh(T(q[row * Tile::chunk_row + c]) + T(k[r * Tile::chunk_row + c]));
      x.at[i][j] += each(d[row * Tile::score_row + r], y, c);
    });
}

/// Rows are keys, own_row() * each + i.
template <class T, class Tile>
__device__ __forceinline__ void add_over_queries(const T* d, const StoredIn<Tile>* q,
                                                 const StoredIn<Tile>* k, const T* vector,
                                                 int queries, int columns, Sums<T, Tile>& x) {
  const int first = own_row() * Tile::each, column = own_column() * Tile::each;
  if (column >= columns) return;
#pragma unroll 1
  for (int r = 0; r < queries; r++)
    Sums<T, Tile>::for_each([&](int i, int j, int, int) {
      const int c = column + j, key = first + i;
      const T y = std::tanh(T(q[r * Tile::chunk_row + c]) + T(k[key * Tile::chunk_row + c]));
      x.at[i][j] =
          std::fma(d[r * Tile::score_row + key] * vector[c], std::fma(-y, y, T(1)), x.at[i][j]);
    });
}

}  // namespace unroll::UNROLL_GPU
