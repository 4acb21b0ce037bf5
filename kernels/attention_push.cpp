#include "kernels/attention_tile_simd.h"

namespace unroll::UNROLL_ISA_NS {

// With P the weights before the dropout and tS the tangents of the scores:
//
//   change[i] = P[i] . tS[i]                    tout = keep P tS v + keep P tv - change out
//   tweights = keep P (tS - change)

template <class T>
static T additive_tangent(const AttentionShape& s, const AttentionPush<T>& args, const Head& h,
                          std::int64_t query, std::int64_t key) {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  const std::int64_t D = s.key_size;
  const T *const q = args.in.q + (h.query + query) * D, *const k = args.in.k + (h.key + key) * D;
  const T* const tq = args.tq ? args.tq + (h.query_in_direction + query) * D : nullptr;
  const T* const tk = args.tk ? args.tk + (h.key_in_direction + key) * D : nullptr;
  const T* const tvector = args.tvector ? args.tvector + h.k * D : nullptr;
  Vec sum = S::zero();
  for_each_vector<T>(D, [&](std::int64_t a, int count) {
    const Vec y = S::tanh(load_some(q + a, count) + load_some(k + a, count));
    Vec moved = S::zero();
    if (tq) moved += load_some(tq + a, count);
    if (tk) moved += load_some(tk + a, count);
    moved = S::fnma(moved * y, y, moved);
    sum = S::fma(load_some(args.in.vector + a, count), moved, sum);
    if (tvector) sum = S::fma(load_some(tvector + a, count), y, sum);
  });
  return T(s.scale) * sum_of_lanes<T>(sum);
}

// w.d = the tangents of the scores.
template <class T>
static void push_scores(const AttentionShape& s, const AttentionPush<T>& args, const T* turned_keys,
                        const Head& h, const Tile& t, const Tiles<T>& w) {
  const std::int64_t D = s.key_size;
  clear(w.d, t.rows * block<T>);
  if (s.score == AttentionScore::additive) {
    for (std::int64_t i = 0; i < t.rows; i++) {
      for (std::int64_t j = 0; j < t.cols; j++) {
        w.d[i * block<T> + j] = additive_tangent(s, args, h, t.first + i, t.from + j);
      }
    }
  } else {
    if (args.tq) {
      multiply<T>(t.rows, t.cols, D, s.scale, {args.tq + (h.query_in_direction + t.first) * D, D},
                  Turned<T>::at(turned_keys, h, t, D), 1, {w.d, block<T>}, w.product);
    }
    if (args.tk) {
      const Matrix<const T> tk{args.tk + (h.key_in_direction + t.from) * D, D};
      multiply<T>(t.rows, t.cols, D, s.scale, {args.in.q + (h.query + t.first) * D, D},
                  tk.transposed(), 1, {w.d, block<T>}, w.product);
    }
  }
  if (args.tbias) add_bias(args.tbias + h.k * s.bias_size, s.dbias_stride, h, t, w.d);
}

// w.d = P tS, summed up into w.change; tweights, where wanted, keeps tS.
template <class T>
static void push_softmax(const AttentionShape& s, const AttentionPush<T>& args, const Head& h,
                         const Tile& t, const Tiles<T>& w) {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  for (std::int64_t i = 0; i < t.rows; i++) {
    T *const d = w.d + i * block<T>, *const weight = w.p + i * block<T>;
    if (args.tweights) {
      T* const to = args.tweights + (h.query_in_direction + t.first + i) * s.keys + t.from;
      for (std::int64_t j = 0; j < t.cols; j++) to[j] = d[j];
    }
    Vec sum = S::zero();
    for_each_vector<T>(t.cols, [&](std::int64_t j, int count) {
      const Vec moved = load_some(weight + j, count) * load_some(d + j, count);
      sum += moved;
      store_some(d + j, moved, count);
    });
    w.change[i] += sum_of_lanes<T>(sum);
  }
}

template <class T>
static void finish_rows(const AttentionShape& s, const AttentionPush<T>& args, const Head& h,
                        std::int64_t i, const Tiles<T>& w) {
  using S = Simd<T>;
  const std::int64_t Dv = s.value_size, first = i * block<T>;
  const std::int64_t rows = smaller(block<T>, h.queries - first);
  const std::int64_t end = smaller(end_of_keys<T>(s, h, i) * block<T>, h.keys);
  for (std::int64_t r = 0; r < rows; r++) {
    const std::int64_t own = h.query + first + r, row = h.query_in_direction + first + r;
    const typename S::Vec change = S::set(w.change[r]);
    T* const to = args.tout + row * Dv;
    for_each_vector<T>(Dv, [&](std::int64_t j, int count) {
      store_some(
          to + j,
          S::fnma(change, load_some(args.out + own * Dv + j, count), load_some(to + j, count)),
          count);
    });
    if (!args.tweights) continue;
    T* const moved = args.tweights + row * s.keys;
    for_each_vector<T>(end, [&](std::int64_t j, int count) {
      const typename S::Vec weight = load_some(args.weights + own * s.keys + j, count);
      store_some(moved + j, weight * (load_some(moved + j, count) - change), count);
    });
    clear(moved + end, s.keys - end);
  }
}

// Padded queries of block i: zeros.
template <class T>
static void clear_padding(const AttentionShape& s, const AttentionPush<T>& args, const Head& h,
                          std::int64_t i) {
  const std::int64_t begin = i * block<T>, first = h.queries > begin ? h.queries : begin;
  const std::int64_t rows = smaller(begin + block<T>, s.queries) - first;
  if (rows <= 0) return;
  clear(args.tout + (h.query_in_direction + first) * s.value_size, rows * s.value_size);
  if (args.tweights) {
    clear(args.tweights + (h.query_in_direction + first) * s.keys, rows * s.keys);
  }
}

template <class T>
static void push_block(const AttentionShape& s, const AttentionPush<T>& args, const T* turned_keys,
                       const Head& h, std::int64_t i, const Tiles<T>& w) {
  const std::int64_t Dv = s.value_size, first = i * block<T>;
  const std::int64_t rows = smaller(block<T>, h.queries - first);
  if (rows <= 0) return;
  const Matrix<T> tout{args.tout + (h.query_in_direction + first) * Dv, Dv};
  clear(tout.data, rows * Dv), clear(w.change, rows);
  for (std::int64_t j = 0; j < end_of_keys<T>(s, h, i); j++) {
    const Tile t = tile_at<T>(h, i, j);
    probabilities(s, args.in, args.stats, turned_keys, h, t, w);
    push_scores(s, args, turned_keys, h, t, w);
    push_softmax(s, args, h, t, w);
    if (s.drop > 0) {
      draw_keep(s, h, t, w.keep);
      apply_keep(t, w.d, w.keep, w.d);
      if (args.tv) apply_keep(t, w.p, w.keep, w.p);
    }
    multiply<T>(t.rows, Dv, t.cols, 1, {w.d, block<T>}, {args.in.v + (h.key + t.from) * Dv, Dv}, 1,
                tout, w.product);
    if (!args.tv) continue;
    multiply<T>(t.rows, Dv, t.cols, 1, {w.p, block<T>},
                {args.tv + (h.key_in_direction + t.from) * Dv, Dv}, 1, tout, w.product);
  }
  finish_rows(s, args, h, i, w);
}

template <class T>
void attention_push(const AttentionShape& s, const AttentionPush<T>& args) noexcept {
  const Turned<T> turned(s, args.scratch);
  if (s.score == AttentionScore::dot) turn(s, args.in.k, s.key_size, turned.keys);
  const std::int64_t each = blocks_of<T>(s.queries);
  const std::int64_t count = s.directions * s.batch * s.heads * each;
  if (count == 0) return;
  for_each_task<T>(s, count, 2 * work_of(s) / each, args.scratch,
                   [&](std::int64_t task, const Tiles<T>& w) {
                     const std::int64_t own = task / each, sequence = own / s.heads;
                     const Head h(s, sequence / s.batch, sequence % s.batch, own % s.heads);
                     push_block(s, args, turned.keys, h, task % each, w);
                     clear_padding(s, args, h, task % each);
                   });
}

#define UNROLL_INSTANTIATE(T) \
  template void attention_push<T>(const AttentionShape&, const AttentionPush<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
