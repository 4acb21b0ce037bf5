#include "kernels/attention_tile_simd.h"

namespace unroll::UNROLL_ISA_NS {

// With P the weights before the dropout, W = keep P those behind it:
//
//   dP = keep (dout v^T + dW)      dS = P (dP - delta)      delta[i] = dout[i] . out[i] + W[i] .
//   dW[i] dq = scale dS k                dk = scale dS^T q        dv = W^T dout              dbias
//   = dS

template <class T>
struct PullSweep {
  const AttentionShape& s;
  const AttentionPull<T>& args;
  const T *turned_keys, *turned_values;
  T* delta;     // [K,B,Hq,Tq]
  T* partials;  // [K,B,Hq,blocks of queries,D], or null where dvector is not wanted
};

// Which gradients a tile adds to.
struct Wanted {
  bool queries, keys, bias;
};

template <class T>
static T dot_rows(const T* x, const T* y, std::int64_t n) {
  typename Simd<T>::Vec sum = Simd<T>::zero();
  for_each_vector<T>(n, [&](std::int64_t i, int count) {
    sum = Simd<T>::fma(load_some(x + i, count), load_some(y + i, count), sum);
  });
  return sum_of_lanes<T>(sum);
}

template <class T>
static void find_delta(const PullSweep<T>& p) {
  const AttentionShape& s = p.s;
  const AttentionPull<T>& a = p.args;
  const std::int64_t heads = s.batch * s.heads, Dv = s.value_size;
  const std::int64_t work = s.queries * (Dv + (a.dweights ? s.keys : 0));
  for_each_index(s.directions * heads, s.directions * heads * work, [&](std::int64_t task) {
    const Head h(s, task / heads, task % heads / s.heads, task % s.heads);
    for (std::int64_t i = 0; i < h.queries; i++) {
      const std::int64_t row = h.query_in_direction + i;
      T sum = a.dout ? dot_rows(a.dout + row * Dv, a.out + (h.query + i) * Dv, Dv) : T(0);
      if (a.dweights) {
        sum += dot_rows(a.dweights + row * s.keys, a.weights + (h.query + i) * s.keys, h.keys);
      }
      p.delta[row] = sum;
    }
  });
}

// w.d = the cotangents of the scores.
template <class T>
static void pull_softmax(const PullSweep<T>& p, const Head& h, const Tile& t, const Tiles<T>& w) {
  using S = Simd<T>;
  const AttentionShape& s = p.s;
  const std::int64_t Dv = s.value_size, row = h.query_in_direction + t.first;
  if (p.args.dout) {
    multiply<T>(t.rows, t.cols, Dv, 1, {p.args.dout + row * Dv, Dv},
                Turned<T>::at(p.turned_values, h, t, Dv), 0, {w.d, block<T>}, w.product);
  } else {
    clear(w.d, t.rows * block<T>);
  }
  if (p.args.dweights) {
    for (std::int64_t i = 0; i < t.rows; i++) {
      const T* const from = p.args.dweights + (row + i) * s.keys + t.from;
      for (std::int64_t j = 0; j < t.cols; j++) w.d[i * block<T> + j] += from[j];
    }
  }
  if (s.drop > 0) apply_keep(t, w.d, w.keep, w.d);
  for (std::int64_t i = 0; i < t.rows; i++) {
    const typename S::Vec delta = S::set(p.delta[row + i]);
    T *const d = w.d + i * block<T>, *const weight = w.p + i * block<T>;
    for_each_vector<T>(t.cols, [&](std::int64_t j, int count) {
      store_some(d + j, load_some(weight + j, count) * (load_some(d + j, count) - delta), count);
    });
  }
}

// w.d to the operands of an additive score.
template <class T>
static void pull_additive(const PullSweep<T>& p, const Head& h, const Tile& t, const Wanted& wanted,
                          const Tiles<T>& w) {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  const AttentionShape& s = p.s;
  const std::int64_t D = s.key_size, query = h.query_in_direction + t.first;
  const std::int64_t own = h.k * s.batch * s.heads + h.b * s.heads + h.h;
  T* const partial = wanted.queries && p.partials
                         ? p.partials + (own * blocks_of<T>(s.queries) + t.first / block<T>)*D
                         : nullptr;
  for (std::int64_t i = 0; i < t.rows; i++) {
    const T* const q = p.args.in.q + (h.query + t.first + i) * D;
    T* const dq = wanted.queries && p.args.dq ? p.args.dq + (query + i) * D : nullptr;
    for (std::int64_t j = 0; j < t.cols; j++) {
      const T d = T(s.scale) * w.d[i * block<T> + j];
      if (d == T(0)) continue;
      const T* const k = p.args.in.k + (h.key + t.from + j) * D;
      const std::int64_t key = h.key_in_direction + t.from + j;
      T* const dk = wanted.keys && p.args.dk ? p.args.dk + key * D : nullptr;
      for_each_vector<T>(D, [&](std::int64_t a, int count) {
        const Vec y = S::tanh(load_some(q + a, count) + load_some(k + a, count));
        const Vec weighted = S::set(d) * load_some(p.args.in.vector + a, count);
        const Vec dx = S::fnma(weighted * y, y, weighted);
        if (dq) store_some(dq + a, load_some(dq + a, count) + dx, count);
        if (dk) store_some(dk + a, load_some(dk + a, count) + dx, count);
        if (partial)
          store_some(partial + a, S::fma(S::set(d), y, load_some(partial + a, count)), count);
      });
    }
  }
}

// w.d to queries and keys.
template <class T>
static void pull_scores(const PullSweep<T>& p, const Head& h, const Tile& t, const Wanted& wanted,
                        const Tiles<T>& w) {
  if (p.s.score == AttentionScore::additive) return pull_additive(p, h, t, wanted, w);
  const std::int64_t D = p.s.key_size;
  const Matrix<const T> d{w.d, block<T>};
  if (wanted.queries && p.args.dq) {
    multiply<T>(t.rows, D, t.cols, p.s.scale, d, {p.args.in.k + (h.key + t.from) * D, D}, 1,
                {p.args.dq + (h.query_in_direction + t.first) * D, D}, w.product);
  }
  if (wanted.keys && p.args.dk) {
    multiply<T>(t.cols, D, t.rows, p.s.scale, d.transposed(),
                {p.args.in.q + (h.query + t.first) * D, D}, 1,
                {p.args.dk + (h.key_in_direction + t.from) * D, D}, w.product);
  }
}

template <class T>
static void pull_bias(const PullSweep<T>& p, const Head& h, const Tile& t, const Tiles<T>& w) {
  const std::int64_t(&stride)[4] = p.s.dbias_stride;
  for (std::int64_t i = 0; i < t.rows; i++) {
    T* const to = mask_at(p.args.dbias + h.k * p.s.bias_size, stride, h, t.first + i, t.from);
    const T* const d = w.d + i * block<T>;
    for (std::int64_t j = 0; j < t.cols; j++) to[j * stride[3]] += d[j];
  }
}

template <class T>
static void pull_tile(const PullSweep<T>& p, const Head& h, const Tile& t, const Wanted& wanted,
                      const Tiles<T>& w) {
  const AttentionPull<T>& a = p.args;
  probabilities(p.s, a.in, a.stats, p.turned_keys, h, t, w);
  if (p.s.drop > 0) draw_keep(p.s, h, t, w.keep);
  pull_softmax(p, h, t, w);
  pull_scores(p, h, t, wanted, w);
  if (wanted.bias) pull_bias(p, h, t, w);
  if (!wanted.keys || !a.dv || !a.dout) return;
  const std::int64_t Dv = p.s.value_size;
  if (p.s.drop > 0) apply_keep(t, w.p, w.keep, w.p);
  multiply<T>(t.cols, Dv, t.rows, 1, Matrix<const T>{w.p, block<T>}.transposed(),
              {a.dout + (h.query_in_direction + t.first) * Dv, Dv}, 1,
              {a.dv + (h.key_in_direction + t.from) * Dv, Dv}, w.product);
}

// ---- results start from zero, or from what they held

// Rows first .. first+rows-1 of a result, unless it adds.
template <class T>
static void start(T* x, double beta, std::int64_t first, std::int64_t rows, std::int64_t size) {
  if (x && beta == 0) clear(x + first * size, rows * size);
}

template <class T>
static void start_queries(const PullSweep<T>& p, const Head& h, std::int64_t i) {
  const AttentionShape& s = p.s;
  const std::int64_t first = i * block<T>, rows = smaller(block<T>, s.queries - first);
  start(p.args.dq, p.args.beta_q, h.query_in_direction + first, rows, s.key_size);
  const std::int64_t own = h.k * s.batch * s.heads + h.b * s.heads + h.h;
  start(p.partials, 0, own * blocks_of<T>(s.queries) + i, 1, s.key_size);
}

template <class T>
static void start_keys(const PullSweep<T>& p, const Head& h, std::int64_t j) {
  const std::int64_t first = j * block<T>, rows = smaller(block<T>, p.s.keys - first);
  start(p.args.dk, p.args.beta_k, h.key_in_direction + first, rows, p.s.key_size);
  start(p.args.dv, p.args.beta_v, h.key_in_direction + first, rows, p.s.value_size);
}

// ---- the work, split by output. In all forms each sum runs over heads, then blocks, in their
// order.

template <class T>
static void pull_queries(const PullSweep<T>& p, const Head& h, std::int64_t i, const Wanted& wanted,
                         const Tiles<T>& w) {
  start_queries(p, h, i);
  if (i * block<T> >= h.queries) return;
  for (std::int64_t j = 0; j < end_of_keys<T>(p.s, h, i); j++) {
    pull_tile(p, h, tile_at<T>(h, i, j), wanted, w);
  }
}

template <class T>
static void pull_keys(const PullSweep<T>& p, const Head& h, std::int64_t j, const Tiles<T>& w) {
  if (j * block<T> >= h.keys) return;
  for (std::int64_t i = first_queries(p.s, j); i < blocks_of<T>(h.queries); i++) {
    pull_tile(p, h, tile_at<T>(h, i, j), {.queries = false, .keys = true, .bias = false}, w);
  }
}

// The query heads of key head `own` of all directions and sequences.
template <class Body>
static void for_each_of_group(const AttentionShape& s, std::int64_t own, Body body) {
  const std::int64_t group = s.heads / s.key_heads, sequence = own / s.key_heads;
  for (std::int64_t g = 0; g < group; g++) {
    body(Head(s, sequence / s.batch, sequence % s.batch, own % s.key_heads * group + g), g);
  }
}

// One task for each key head: every tile is computed once.
template <class T>
static void pull_together(const PullSweep<T>& p, void* scratch) {
  const AttentionShape& s = p.s;
  const std::int64_t count = s.directions * s.batch * s.key_heads;
  const std::int64_t work = 3 * work_of(s) * (s.heads / s.key_heads);
  for_each_task<T>(s, count, work, scratch, [&](std::int64_t own, const Tiles<T>& w) {
    for_each_of_group(s, own, [&](const Head& h, std::int64_t g) {
      for (std::int64_t j = 0; g == 0 && j < blocks_of<T>(s.keys); j++) start_keys(p, h, j);
      for (std::int64_t i = 0; i < blocks_of<T>(s.queries); i++) {
        pull_queries(p, h, i, {.queries = true, .keys = true, .bias = false}, w);
      }
    });
  });
}

// One task for each block of queries, then one for each block of keys.
template <class T>
static void pull_apart(const PullSweep<T>& p, void* scratch) {
  const AttentionShape& s = p.s;
  const std::int64_t rows = blocks_of<T>(s.queries), columns = blocks_of<T>(s.keys);
  const std::int64_t heads = s.directions * s.batch * s.heads;
  const std::int64_t key_heads = s.directions * s.batch * s.key_heads;
  if ((p.args.dq || p.partials) && rows > 0) {
    for_each_task<T>(
        s, heads * rows, 2 * work_of(s) / rows, scratch, [&](std::int64_t task, const Tiles<T>& w) {
          const std::int64_t own = task / rows, sequence = own / s.heads;
          const Head h(s, sequence / s.batch, sequence % s.batch, own % s.heads);
          pull_queries(p, h, task % rows, {.queries = true, .keys = false, .bias = false}, w);
        });
  }
  if ((p.args.dk || p.args.dv) && columns > 0) {
    const std::int64_t work = 3 * work_of(s) * (s.heads / s.key_heads) / columns;
    for_each_task<T>(s, key_heads * columns, work, scratch,
                     [&](std::int64_t task, const Tiles<T>& w) {
                       for_each_of_group(s, task / columns, [&](const Head& h, std::int64_t g) {
                         if (g == 0) start_keys(p, h, task % columns);
                         pull_keys(p, h, task % columns, w);
                       });
                     });
  }
}

// One task for each block of the bias, over everything that it was broadcast to.
template <class T>
static void pull_biases(const PullSweep<T>& p, void* scratch) {
  const AttentionShape& s = p.s;
  for (std::int64_t k = 0; k < s.directions; k++) {
    start(p.args.dbias, p.args.beta_bias, k, 1, s.bias_size);
  }
  const std::int64_t rows = blocks_of<T>(s.queries), columns = blocks_of<T>(s.keys);
  const std::int64_t sizes[4] = {s.batch, s.heads, rows, columns};
  std::int64_t parts[4], count = s.directions, shared = 1;
  for (int d = 0; d < 4; d++) {
    parts[d] = s.dbias_stride[d] == 0 ? 1 : sizes[d];
    if (sizes[d] == 0) return;
    count *= parts[d], shared *= sizes[d] / parts[d];
  }
  const std::int64_t work = 2 * work_of(s) / (rows * columns) * shared;
  for_each_task<T>(s, count, work, scratch, [&](std::int64_t task, const Tiles<T>& w) {
    std::int64_t begin[4], end[4];
    for (int d = 3; d >= 0; d--) {
      begin[d] = parts[d] == 1 ? 0 : task % parts[d];
      end[d] = parts[d] == 1 ? sizes[d] : begin[d] + 1;
      task /= parts[d];
    }
    for (std::int64_t b = begin[0]; b < end[0]; b++) {
      for (std::int64_t head = begin[1]; head < end[1]; head++) {
        const Head h(s, task, b, head);
        const std::int64_t last = smaller(end[2], blocks_of<T>(h.queries));
        for (std::int64_t i = begin[2]; i < last; i++) {
          const std::int64_t stop = smaller(end[3], end_of_keys<T>(s, h, i));
          for (std::int64_t j = begin[3]; j < stop; j++) {
            pull_tile(p, h, tile_at<T>(h, i, j), {.queries = false, .keys = false, .bias = true},
                      w);
          }
        }
      }
    }
  });
}

template <class T>
static void sum_partials(const PullSweep<T>& p) {
  const AttentionShape& s = p.s;
  const std::int64_t D = s.key_size, each = s.batch * s.heads * blocks_of<T>(s.queries);
  for (std::int64_t k = 0; k < s.directions; k++) {
    start(p.args.dvector, p.args.beta_vector, k, 1, D);
    T* const to = p.args.dvector + k * D;
    for (std::int64_t i = 0; i < each; i++) {
      const T* const from = p.partials + (k * each + i) * D;
      for (std::int64_t a = 0; a < D; a++) to[a] += from[a];
    }
  }
}

template <class T>
void attention_pull(const AttentionShape& s, const AttentionPull<T>& args) noexcept {
  const Turned<T> turned(s, args.scratch);
  if (s.score == AttentionScore::dot) turn(s, args.in.k, s.key_size, turned.keys);
  turn(s, args.in.v, s.value_size, turned.values);
  T* const pass = reinterpret_cast<T*>(static_cast<char*>(args.scratch) + Layout<T>(s).pass);
  T* const partials = pass + s.directions * s.batch * s.heads * s.queries;
  const PullSweep<T> p{
      s, args, turned.keys, turned.values, pass, args.dvector ? partials : nullptr};
  find_delta(p);
  const std::int64_t together = s.directions * s.batch * s.key_heads;
  const bool all = (args.dq || args.dvector) && (args.dk || args.dv);
  if (all && together >= threads_for(1 << 30, parallel_work))
    pull_together(p, args.scratch);
  else
    pull_apart(p, args.scratch);
  if (args.dvector) sum_partials(p);
  if (args.dbias) pull_biases(p, args.scratch);
}

#define UNROLL_INSTANTIATE(T) \
  template void attention_pull<T>(const AttentionShape&, const AttentionPull<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
