// One tile of attention: `block` queries by `block` keys of one head. Only for hot kernel files.
//
//   for_each_task<T>(s, count, scratch, [&](std::int64_t i, const Tiles<T>& w) {
//     probabilities(s, in, stats, turned, head, tile, w);     // w.p = weights before the dropout
//   });
//
// Everything is [rows][cols] of the tile, rows `block` apart. The keys and values lie in the
// scratch once more, turned block by block, so that no product has to pack them.
#pragma once

#include "core/philox.h"
#include "kernels/attention.h"
#include "kernels/counts.h"
#include "kernels/parallel_loop.h"
#include "kernels/product.h"
#include "kernels/softmax_row_simd.h"
#include "kernels/transpose_tile_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Queries and keys of a tile: a block of 64 numbers wide fits the first-level cache as it is.
template <class T>
inline constexpr std::int64_t block = 256 / std::int64_t(sizeof(T));

template <class T>
static inline std::int64_t blocks_of(std::int64_t n) {
  return (n + block<T> - 1) / block<T>;
}

// ---- where things are

// A matrix inside a tensor: where it starts and its two strides.
template <class T>
struct Matrix {
  T* data;
  std::int64_t row, column = 1;

  Matrix<T> transposed() const { return {data, column, row}; }
};

// C [M,N] = alpha A B + beta C
template <class T>
static inline void multiply(std::int64_t M, std::int64_t N, std::int64_t K, double alpha,
                            Matrix<const T> a, Matrix<const T> b, double beta, Matrix<T> c,
                            void* scratch) {
  MatmulShape s = MatmulShape::dense(M, N, K);
  s.a_row = a.row, s.a_col = a.column, s.b_row = b.row, s.b_col = b.column, s.c_row = c.row;
  s.alpha = alpha, s.beta = beta;
  matmul<T>(s, {.a = a.data, .b = b.data, .c = c.data, .scratch = scratch});
}

// Query head h of sequence b in direction k: its valid lengths, and the number of its first query
// and first key among all rows of a tensor [B,H,T,*] and (in_direction) of one [K,B,H,T,*].
struct Head {
  std::int64_t k, b, h;
  std::int64_t queries, keys;
  std::int64_t query, key, query_in_direction, key_in_direction;

  Head(const AttentionShape& s, std::int64_t direction, std::int64_t sequence, std::int64_t head)
      : k(direction),
        b(sequence),
        h(head),
        queries(s.query_lengths ? s.query_lengths[b] : s.queries),
        keys(s.key_lengths ? s.key_lengths[b] : s.keys),
        query((b * s.heads + h) * s.queries),
        key((b * s.key_heads + h / (s.heads / s.key_heads)) * s.keys),
        query_in_direction(k * s.batch * s.heads * s.queries + query),
        key_in_direction(k * s.batch * s.key_heads * s.keys + key) {}
};

// Queries first .. first+rows-1 and keys from .. from+cols-1 of a head.
struct Tile {
  std::int64_t first, rows, from, cols;
};

template <class T>
static inline Tile tile_at(const Head& h, std::int64_t i, std::int64_t j) {
  return {i * block<T>, smaller(block<T>, h.queries - i * block<T>), j * block<T>,
          smaller(block<T>, h.keys - j * block<T>)};
}

// Blocks of keys that queries of block i may attend to, and the first block of queries that may
// attend to keys of block j.
template <class T>
static inline std::int64_t end_of_keys(const AttentionShape& s, const Head& h, std::int64_t i) {
  const std::int64_t all = blocks_of<T>(h.keys);
  return s.causal ? smaller(all, i + 1) : all;
}
static inline std::int64_t first_queries(const AttentionShape& s, std::int64_t j) {
  return s.causal ? j : 0;
}

// ---- scratch: keys turned, values turned, what a pass asks for, then for each thread its tiles
// and what a product needs

// What one thread computes with.
template <class T>
struct Tiles {
  T *p, *d, *keep;                    // [block][block]
  T *largest, *sum, *shift, *change;  // [block]
  void* product;
};

static inline std::size_t padded(std::int64_t count, std::size_t size) {
  return (std::size_t(count) * size + 63) / 64 * 64;
}

template <class T>
static inline std::size_t tile_bytes() {
  return std::size_t(3 * block<T> + 4) * std::size_t(block<T>) * sizeof(T);
}

template <class T>
static inline std::size_t product_bytes(const AttentionShape& s) {
  const std::int64_t n = block<T>, D = s.key_size, Dv = s.value_size;
  std::size_t most = 0;
  const auto consider = [&](std::int64_t N, std::int64_t K) {
    const std::size_t bytes = matmul_slot_bytes_within<T>(MatmulShape::dense(n, N, K));
    most = bytes > most ? bytes : most;
  };
  consider(n, D), consider(n, Dv), consider(D, n), consider(Dv, n);
  return most;
}

// How much one head in one direction costs, in additions.
static inline std::int64_t work_of(const AttentionShape& s) {
  const std::int64_t each = s.score == AttentionScore::dot ? 1 : 16;
  return s.queries * s.keys * (each * s.key_size + s.value_size + 16) / 4;
}

template <class T>
struct Layout {
  std::size_t turned_keys, turned_values, pass, tiles, products, total;

  Layout(const AttentionShape& s) {
    const std::int64_t keys = s.batch * s.key_heads * s.keys;
    const std::int64_t queries = s.directions * s.batch * s.heads * s.queries;
    // Of the pullback: a number for each query, and of additive scores a vector for each block.
    const std::int64_t partial =
        s.score == AttentionScore::dot
            ? 0
            : s.directions * s.batch * s.heads * blocks_of<T>(s.queries) * s.key_size;
    const std::size_t slots = std::size_t(threads_for(1 << 30, parallel_work));
    turned_keys = 0;
    turned_values = turned_keys + padded(keys * s.key_size, sizeof(T));
    pass = turned_values + padded(keys * s.value_size, sizeof(T));
    tiles = pass + padded(queries + partial, sizeof(T));
    products = tiles + slots * tile_bytes<T>();
    total = products + slots * product_bytes<T>(s);
  }
};

// Calls body(i, tiles) for i in 0..count-1, each of which costs `work`.
template <class T, class Body>
static inline void for_each_task(const AttentionShape& s, std::int64_t count, std::int64_t work,
                                 void* scratch, Body body) {
  const Layout<T> layout(s);
  char* const base = static_cast<char*>(scratch);
  const std::size_t product = product_bytes<T>(s);
  for_each_index_in_slot(count, count * work, [&](std::int64_t i, int slot) {
    T* const p = reinterpret_cast<T*>(base + layout.tiles + std::size_t(slot) * tile_bytes<T>());
    constexpr std::int64_t n = block<T>, area = n * n;
    T* const rows = p + 3 * area;
    body(i, Tiles<T>{p, p + area, p + 2 * area, rows, rows + n, rows + 2 * n, rows + 3 * n,
                     base + layout.products + std::size_t(slot) * product});
  });
}

// ---- turned blocks: block j of a head's [keys][size] as [size][cols], at the place of its rows

template <class T>
static inline void turn_block(const T* x, std::int64_t rows, std::int64_t size, T* y) {
  constexpr int lanes = Simd<T>::lanes;
  const std::int64_t whole_rows = rows / lanes * lanes, whole = size / lanes * lanes;
  for (std::int64_t i = 0; i < whole_rows; i += lanes) {
    for (std::int64_t j = 0; j < whole; j += lanes) {
      transpose_tile<T>(x + i * size + j, size, y + j * rows + i, rows);
    }
    for (std::int64_t j = whole; j < size; j++) {
      for (std::int64_t r = i; r < i + lanes; r++) y[j * rows + r] = x[r * size + j];
    }
  }
  for (std::int64_t r = whole_rows; r < rows; r++) {
    for (std::int64_t j = 0; j < size; j++) y[j * rows + r] = x[r * size + j];
  }
}

// x [B,Hk,Tk,size] to y.
template <class T>
static inline void turn(const AttentionShape& s, const T* x, std::int64_t size, T* y) {
  const std::int64_t each = blocks_of<T>(s.keys), group = s.heads / s.key_heads;
  const std::int64_t count = s.batch * s.key_heads * each;
  for_each_index(count, count * block<T> * size, [&](std::int64_t i) {
    const std::int64_t head = i / each, j = i % each;
    const Head h(s, 0, head / s.key_heads, head % s.key_heads * group);
    const std::int64_t rows = smaller(block<T>, h.keys - j * block<T>);
    const std::int64_t at = (h.key + j * block<T>)*size;
    if (rows > 0) turn_block(x + at, rows, size, y + at);
  });
}

template <class T>
struct Turned {
  T *keys, *values;  // in the scratch; keys only for dot scores

  Turned(const AttentionShape& s, void* scratch) {
    const Layout<T> layout(s);
    keys = reinterpret_cast<T*>(static_cast<char*>(scratch) + layout.turned_keys);
    values = reinterpret_cast<T*>(static_cast<char*>(scratch) + layout.turned_values);
  }
  static Matrix<const T> at(const T* x, const Head& h, const Tile& t, std::int64_t size) {
    return {x + (h.key + t.from) * size, t.cols};
  }
};

// ---- scores

template <class T>
static inline T additive_score(const T* q, const T* k, const T* vector, std::int64_t n) {
  using S = Simd<T>;
  typename S::Vec sum = S::zero();
  for_each_vector<T>(n, [&](std::int64_t a, int count) {
    const typename S::Vec t = S::tanh(load_some(q + a, count) + load_some(k + a, count));
    sum = S::fma(load_some(vector + a, count), t, sum);
  });
  return sum_of_lanes<T>(sum);
}

// w.p = the scores without bias and masks.
template <class T>
static inline void raw_scores(const AttentionShape& s, const AttentionInputs<T>& in,
                              const T* turned_keys, const Head& h, const Tile& t,
                              const Tiles<T>& w) {
  const std::int64_t D = s.key_size;
  const T* const q = in.q + (h.query + t.first) * D;
  if (s.score == AttentionScore::dot) {
    return multiply<T>(t.rows, t.cols, D, s.scale, {q, D}, Turned<T>::at(turned_keys, h, t, D), 0,
                       {w.p, block<T>}, w.product);
  }
  const T* const k = in.k + (h.key + t.from) * D;
  for (std::int64_t i = 0; i < t.rows; i++) {
    for (std::int64_t j = 0; j < t.cols; j++) {
      w.p[i * block<T> + j] = T(s.scale) * additive_score(q + i * D, k + j * D, in.vector, D);
    }
  }
}

template <class U>
static inline U* mask_at(U* mask, const std::int64_t (&stride)[4], const Head& h, std::int64_t i,
                         std::int64_t j) {
  return mask + h.b * stride[0] + h.h * stride[1] + i * stride[2] + j * stride[3];
}

// scores += bias
template <class T>
static inline void add_bias(const T* bias, const std::int64_t (&stride)[4], const Head& h,
                            const Tile& t, T* scores) {
  for (std::int64_t i = 0; i < t.rows; i++) {
    const T* const from = mask_at(bias, stride, h, t.first + i, t.from);
    T* const row = scores + i * block<T>;
    if (stride[3] == 1) {
      for_each_vector<T>(t.cols, [&](std::int64_t j, int count) {
        store_some(row + j, load_some(row + j, count) + load_some(from + j, count), count);
      });
    } else {
      for (std::int64_t j = 0; j < t.cols; j++) row[j] += from[j * stride[3]];
    }
  }
}

// Scores of pairs that may not attend become -infinity.
template <class T>
static inline void mask_scores(const AttentionShape& s, const bool* attend, const Head& h,
                               const Tile& t, T* scores) {
  const bool diagonal = s.causal && t.from + t.cols > t.first + 1;
  if (!attend && !diagonal) return;
  for (std::int64_t i = 0; i < t.rows; i++) {
    T* const row = scores + i * block<T>;
    if (attend) {
      const bool* const from = mask_at(attend, s.attend_stride, h, t.first + i, t.from);
      for (std::int64_t j = 0; j < t.cols; j++) {
        if (!from[j * s.attend_stride[3]]) row[j] = T(-__builtin_inf());
      }
    }
    if (!diagonal) continue;
    const std::int64_t past = t.first + i + 1 - t.from;  // keys that it may see
    for (std::int64_t j = past > 0 ? past : 0; j < t.cols; j++) row[j] = T(-__builtin_inf());
  }
}

// w.p = the scores.
template <class T>
static inline void scores(const AttentionShape& s, const AttentionInputs<T>& in,
                          const T* turned_keys, const Head& h, const Tile& t, const Tiles<T>& w) {
  raw_scores(s, in, turned_keys, h, t, w);
  if (in.bias) add_bias(in.bias, s.bias_stride, h, t, w.p);
  mask_scores(s, in.attend, h, t, w.p);
}

// A row of scores to exp(score - shift) times `factor`.
template <class T>
static inline void exp_scaled(T* row, std::int64_t n, T shift, T factor) {
  using S = Simd<T>;
  for_each_vector<T>(n, [&](std::int64_t j, int count) {
    const typename S::Vec e = S::exp(load_some(row + j, count) - S::set(shift));
    store_some(row + j, e * S::set(factor), count);
  });
}

// The row's shift, and behind all rows of all heads 1 / its sum.
template <class T>
struct RowStats {
  T shift, inverse;

  RowStats(const AttentionShape& s, const T* stats, const Head& h, std::int64_t i)
      : shift(stats[h.query + i]), inverse(stats[s.batch * s.heads * s.queries + h.query + i]) {}
};

// w.p = the weights before the dropout.
template <class T>
static inline void probabilities(const AttentionShape& s, const AttentionInputs<T>& in,
                                 const T* stats, const T* turned_keys, const Head& h, const Tile& t,
                                 const Tiles<T>& w) {
  scores(s, in, turned_keys, h, t, w);
  for (std::int64_t i = 0; i < t.rows; i++) {
    const RowStats<T> row(s, stats, h, t.first + i);
    exp_scaled(w.p + i * block<T>, t.cols, row.shift, row.inverse);
  }
}

// ---- dropout

// keep: 0 or 1 / (1 - drop) for each pair of the tile.
template <class T>
static inline void draw_keep(const AttentionShape& s, const Head& h, const Tile& t, T* keep) {
  constexpr int lanes = UNROLL_SIMD_BYTES / 8;
  typedef std::uint64_t Words __attribute__((vector_size(UNROLL_SIMD_BYTES)));
  const auto threshold = std::uint64_t(__builtin_ceil(s.drop * 0x1p53));
  const T kept = s.drop < 1 ? T(1 / (1 - s.drop)) : T(0);
  constexpr std::uint64_t low = 0xffffffff;
  for (std::int64_t i = 0; i < t.rows; i++) {
    const std::int64_t element = (h.query + t.first + i) * s.keys + t.from;
    for (std::int64_t j = 0; j < t.cols; j += lanes) {
      Words counter;
      for (int l = 0; l < lanes; l++) counter[l] = s.counter + std::uint64_t(element + j + l);
      const Words none{};
      Words c[4] = {counter & low, counter >> 32, none + (s.stream & low), none + (s.stream >> 32)};
      philox_rounds(c, s.seed & low, s.seed >> 32);
      const Words bits = ((c[1] << 32) | c[0]) >> 11;
      for (int l = 0; l < lanes; l++) {
        keep[i * block<T> + j + l] = bits[l] >= threshold ? kept : T(0);
      }
    }
  }
}

// y = x keep, tile by tile; y may be x.
template <class T>
static inline void apply_keep(const Tile& t, const T* x, const T* keep, T* y) {
  for (std::int64_t i = 0; i < t.rows; i++) {
    const std::int64_t at = i * block<T>;
    for_each_vector<T>(t.cols, [&](std::int64_t j, int count) {
      store_some(y + at + j, load_some(x + at + j, count) * load_some(keep + at + j, count), count);
    });
  }
}

template <class T>
static inline void clear(T* x, std::int64_t n) {
  for_each_vector<T>(n,
                     [&](std::int64_t i, int count) { store_some(x + i, Simd<T>::zero(), count); });
}

// x *= factor
template <class T>
static inline void scale_row(T* x, std::int64_t n, T factor) {
  for_each_vector<T>(n, [&](std::int64_t i, int count) {
    store_some(x + i, load_some(x + i, count) * Simd<T>::set(factor), count);
  });
}

}  // namespace unroll::UNROLL_ISA_NS
