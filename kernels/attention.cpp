#include "kernels/attention.h"

#include "kernels/attention_tile_simd.h"

namespace unroll::UNROLL_ISA_NS {

template <class T>
std::size_t attention_scratch(const AttentionShape& s) noexcept {
  return Layout<T>(s).total;
}

// A tile of scores, in w.p, becomes exp(score - largest so far); what was summed up before shrinks
// to the new shift.
template <class T>
static void online_softmax(const Tile& t, std::int64_t size, T* out, const Tiles<T>& w) {
  using S = Simd<T>;
  const T none = T(-__builtin_inf());
  for (std::int64_t i = 0; i < t.rows; i++) {
    const T found = row_max(w.p + i * block<T>, t.cols);
    const T before = w.largest[i], now = found > before ? found : before;
    w.largest[i] = now;
    w.shift[i] = now == none ? T(0) : now;
    w.change[i] = before - w.shift[i];
  }
  for_each_vector<T>(t.rows, [&](std::int64_t i, int count) {
    store_some(w.change + i, S::exp(load_some(w.change + i, count)), count);
  });
  for (std::int64_t i = 0; i < t.rows; i++) {
    T* const row = w.p + i * block<T>;
    w.sum[i] = w.sum[i] * w.change[i] + exp_row(row, w.shift[i], row, t.cols);
    if (w.change[i] != T(1)) scale_row(out + i * size, size, w.change[i]);
  }
}

// Scores of the tile, for finish_weights.
template <class T>
static void keep_scores(const AttentionShape& s, const AttentionArgs<T>& args, const Head& h,
                        const Tile& t, const Tiles<T>& w) {
  for (std::int64_t i = 0; i < t.rows; i++) {
    T* const row = args.weights + (h.query + t.first + i) * s.keys + t.from;
    for (std::int64_t j = 0; j < t.cols; j++) row[j] = w.p[i * block<T> + j];
  }
}

// Kept scores of a block of queries to weights, and zeros beyond the keys.
template <class T>
static void finish_weights(const AttentionShape& s, const AttentionArgs<T>& args, const Head& h,
                           std::int64_t i, const Tiles<T>& w) {
  const std::int64_t blocks = end_of_keys<T>(s, h, i);
  for (std::int64_t j = 0; j < blocks; j++) {
    const Tile t = tile_at<T>(h, i, j);
    if (s.drop > 0) draw_keep(s, h, t, w.keep);
    for (std::int64_t r = 0; r < t.rows; r++) {
      T* const row = args.weights + (h.query + t.first + r) * s.keys + t.from;
      const RowStats<T> stats(s, args.stats, h, t.first + r);
      exp_scaled(row, t.cols, stats.shift, stats.inverse);
      for (std::int64_t c = 0; s.drop > 0 && c < t.cols; c++) row[c] *= w.keep[r * block<T> + c];
    }
  }
  const std::int64_t end = smaller(blocks * block<T>, h.keys);
  const std::int64_t last = smaller((i + 1) * block<T>, h.queries);
  for (std::int64_t r = i * block<T>; r < last; r++) {
    clear(args.weights + (h.query + r) * s.keys + end, s.keys - end);
  }
}

// Padded queries of block i: zeros.
template <class T>
static void clear_padding(const AttentionShape& s, const AttentionArgs<T>& args, const Head& h,
                          std::int64_t i) {
  const std::int64_t begin = i * block<T>, all = s.batch * s.heads * s.queries;
  const std::int64_t first = h.queries > begin ? h.queries : begin;
  const std::int64_t rows = smaller(begin + block<T>, s.queries) - first, at = h.query + first;
  if (rows <= 0) return;
  clear(args.out + at * s.value_size, rows * s.value_size);
  clear(args.stats + at, rows);
  clear(args.stats + all + at, rows);
  if (args.weights) clear(args.weights + at * s.keys, rows * s.keys);
}

template <class T>
static void forward_block(const AttentionShape& s, const AttentionArgs<T>& args,
                          const T* turned_keys, const Head& h, std::int64_t i, const Tiles<T>& w) {
  const std::int64_t Dv = s.value_size, all = s.batch * s.heads * s.queries;
  const std::int64_t first = i * block<T>, rows = smaller(block<T>, h.queries - first);
  if (rows <= 0) return;
  T* const out = args.out + (h.query + first) * Dv;
  clear(out, rows * Dv);
  for (std::int64_t r = 0; r < rows; r++) w.largest[r] = T(-__builtin_inf());
  clear(w.sum, rows), clear(w.shift, rows);
  for (std::int64_t j = 0; j < end_of_keys<T>(s, h, i); j++) {
    const Tile t = tile_at<T>(h, i, j);
    scores(s, args.in, turned_keys, h, t, w);
    if (args.weights) keep_scores(s, args, h, t, w);
    online_softmax(t, Dv, out, w);
    if (s.drop > 0) {
      draw_keep(s, h, t, w.keep);
      apply_keep(t, w.p, w.keep, w.p);
    }
    multiply<T>(t.rows, Dv, t.cols, 1, {w.p, block<T>}, {args.in.v + (h.key + t.from) * Dv, Dv}, 1,
                {out, Dv}, w.product);
  }
  for (std::int64_t r = 0; r < rows; r++) {
    const T inverse = w.sum[r] == T(0) ? T(0) : T(1) / w.sum[r];
    args.stats[h.query + first + r] = w.shift[r];
    args.stats[all + h.query + first + r] = inverse;
    scale_row(out + r * Dv, Dv, inverse);
  }
  if (args.weights) finish_weights(s, args, h, i, w);
}

template <class T>
void attention(const AttentionShape& s, const AttentionArgs<T>& args) noexcept {
  const Turned<T> turned(s, args.scratch);
  if (s.score == AttentionScore::dot) turn(s, args.in.k, s.key_size, turned.keys);
  const std::int64_t each = blocks_of<T>(s.queries), count = s.batch * s.heads * each;
  if (count == 0) return;
  for_each_task<T>(s, count, work_of(s) / each, args.scratch,
                   [&](std::int64_t task, const Tiles<T>& w) {
                     const std::int64_t head = task / each;
                     const Head h(s, 0, head / s.heads, head % s.heads);
                     forward_block(s, args, turned.keys, h, task % each, w);
                     clear_padding(s, args, h, task % each);
                   });
}

#define UNROLL_INSTANTIATE(T)                                                \
  template std::size_t attention_scratch<T>(const AttentionShape&) noexcept; \
  template void attention<T>(const AttentionShape&, const AttentionArgs<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
