#include "kernels/attention.h"

#include "kernels/parallel_loop.h"
#include "kernels/product.h"
#include "kernels/softmax_row_simd.h"

namespace unroll::UNROLL_ISA_NS {

// A matrix inside a tensor: where it starts and its two strides.
template <class T>
struct Matrix {
  T* data;
  std::int64_t row, column = 1;

  Matrix transposed() const { return {data, column, row}; }
};

static MatmulShape product_shape(std::int64_t M, std::int64_t N, std::int64_t K) {
  return MatmulShape::dense(M, N, K);
}

// C [M,N] = alpha A B + beta C
template <class T>
static void multiply(std::int64_t M, std::int64_t N, std::int64_t K, double alpha,
                     Matrix<const T> a, Matrix<const T> b, double beta, Matrix<T> c,
                     void* scratch) {
  MatmulShape s = product_shape(M, N, K);
  s.a_row = a.row, s.a_col = a.column, s.b_row = b.row, s.b_col = b.column, s.c_row = c.row;
  s.alpha = alpha, s.beta = beta;
  matmul<T>(s, {.a = a.data, .b = b.data, .c = c.data, .scratch = scratch});
}

// Rows first .. last-1 of a padded output: zero, or what they held when the pass adds.
template <class T>
static void clear_rows(Matrix<T> c, std::int64_t first, std::int64_t last, std::int64_t width,
                       double beta) {
  if (beta != 0) return;
  for (std::int64_t i = first; i < last; i++) {
    for (std::int64_t j = 0; j < width; j++) c.data[i * c.row + j] = T(0);
  }
}

// One sequence in one direction: its lengths, and views into each tensor.
template <class T>
struct Item {
  const AttentionShape& s;
  std::int64_t n, k;    // which sequence, which direction
  std::int64_t tq, tk;  // its valid queries and keys

  Item(const AttentionShape& shape, std::int64_t i)
      : s(shape),
        n(i % shape.batch),
        k(i / shape.batch),
        tq(shape.query_lengths ? shape.query_lengths[n] : shape.queries),
        tk(shape.key_lengths ? shape.key_lengths[n] : shape.keys) {}

  // Row t is the vector of this sequence at time t of a tensor [K,times,N,size]; k is 0 where there
  // is no K.
  template <class U>
  Matrix<U> series(U* x, std::int64_t direction, std::int64_t times, std::int64_t size) const {
    return {x + (direction * times * s.batch + n) * size, s.batch * size};
  }
  template <class U>
  Matrix<U> queries(U* x, std::int64_t direction = 0) const {
    return series(x, direction, s.queries, s.key_size);
  }
  template <class U>
  Matrix<U> keys(U* x, std::int64_t direction = 0) const {
    return series(x, direction, s.keys, s.key_size);
  }
  template <class U>
  Matrix<U> values(U* x, std::int64_t direction = 0) const {
    return series(x, direction, s.keys, s.value_size);
  }
  template <class U>
  Matrix<U> context(U* x, std::int64_t direction = 0) const {
    return series(x, direction, s.queries, s.value_size);
  }
  template <class U>
  Matrix<U> weights(U* x, std::int64_t direction = 0) const {
    return {x + (direction * s.batch + n) * s.queries * s.keys, s.keys};
  }
};

// ---- scratch: per thread a block of scores, then per thread what a product needs

static std::size_t score_bytes(const AttentionShape& s, std::size_t size) {
  return (std::size_t(s.queries * s.keys) * size + 63) / 64 * 64;
}

// The most that any product of the three passes needs.
template <class T>
static std::size_t product_bytes(const AttentionShape& s) {
  const std::int64_t Tq = s.queries, Tk = s.keys, H = s.key_size, D = s.value_size;
  std::size_t most = 0;
  const auto consider = [&](std::int64_t M, std::int64_t N, std::int64_t K) {
    MatmulShape shape = product_shape(M, N, K);
    shape.a_row = 1, shape.a_col = 2, shape.b_row = 1, shape.b_col = 2;  // whatever the layout
    const std::size_t bytes = matmul_slot_bytes<T>(shape);
    most = bytes > most ? bytes : most;
  };
  consider(Tq, Tk, H), consider(Tq, Tk, D);
  consider(Tq, D, Tk), consider(Tq, H, Tk);
  consider(Tk, H, Tq), consider(Tk, D, Tq);
  return most;
}

static std::int64_t work_of(const AttentionShape& s, std::int64_t directions) {
  return directions * s.batch * s.queries * s.keys * (s.key_size + s.value_size + 16) / 4;
}

// What for_each_item may use at most: enough for any of the three passes.
static int slots_of(const AttentionShape& s) {
  const int inner =
      threads_for(1 << 30, parallel_work);  // a single item leaves the threads to the product
  const int outer = threads_for(s.directions * s.batch, work_of(s, s.directions));
  return inner > outer ? inner : outer;
}

template <class T>
std::size_t attention_scratch(const AttentionShape& s) noexcept {
  return std::size_t(slots_of(s)) * (score_bytes(s, sizeof(T)) + product_bytes<T>(s));
}

// Calls body(item, scores, product scratch) for every sequence in every direction.
template <class T, class Body>
static void for_each_item(const AttentionShape& s, std::int64_t directions, void* scratch,
                          Body body) {
  char* const base = static_cast<char*>(scratch);
  const std::size_t scores = score_bytes(s, sizeof(T)), product = product_bytes<T>(s);
  char* const products = base + std::size_t(slots_of(s)) * scores;
  for_each_index_in_slot(
      directions * s.batch, work_of(s, directions), [&](std::int64_t i, int slot) {
        void* const mine = base + std::size_t(slot) * scores;
        body(Item<T>(s, i), static_cast<T*>(mine), products + std::size_t(slot) * product);
      });
}

// ---- passes

template <class T>
void attention(const AttentionShape& s, const AttentionArgs<T>& args) noexcept {
  for_each_item<T>(s, 1, args.scratch, [&](const Item<T>& item, T*, void* product) {
    const std::int64_t tq = item.tq, tk = item.tk;
    const Matrix<T> weights = item.weights(args.weights), context = item.context(args.context);
    multiply<T>(tq, tk, s.key_size, s.scale, item.queries(args.q),
                item.keys(args.keys).transposed(), 0, weights, product);
    for (std::int64_t i = 0; i < tq; i++) {
      T* const row = weights.data + i * weights.row;
      softmax_row(row, row, tk);
      for (std::int64_t j = tk; j < s.keys; j++) row[j] = T(0);
    }
    clear_rows(weights, tq, s.queries, s.keys, 0);
    multiply<T>(tq, s.value_size, tk, 1, {weights.data, weights.row}, item.values(args.values), 0,
                context, product);
    clear_rows(context, tq, s.queries, s.value_size, 0);
  });
}

// Cotangent of the scores before scaling: the weights' own, and what the context sends through the
// values.
template <class T>
static void pull_scores(const Item<T>& item, const AttentionPull<T>& args, T* scores,
                        void* product) {
  const std::int64_t tq = item.tq, tk = item.tk;
  const Matrix<T> d{scores, item.s.keys};
  const bool direct = args.dweights != nullptr;
  if (direct) {
    const Matrix<const T> from = item.weights(args.dweights, item.k);
    for (std::int64_t i = 0; i < tq; i++) {
      for (std::int64_t j = 0; j < tk; j++) d.data[i * d.row + j] = from.data[i * from.row + j];
    }
  } else {
    clear_rows(d, 0, tq, tk, 0);
  }
  if (args.dcontext) {
    multiply<T>(tq, tk, item.s.value_size, 1, item.context(args.dcontext, item.k),
                item.values(args.values).transposed(), direct ? 1 : 0, d, product);
  }
  const Matrix<const T> weights = item.weights(args.weights);
  for (std::int64_t i = 0; i < tq; i++) {
    T* const row = d.data + i * d.row;
    softmax_linear_row<SoftmaxMap::both>(weights.data + i * weights.row, row, row, tk, T(0));
  }
}

template <class T>
void attention_pull(const AttentionShape& s, const AttentionPull<T>& args) noexcept {
  for_each_item<T>(
      s, s.directions, args.scratch, [&](const Item<T>& item, T* scores, void* product) {
        const std::int64_t tq = item.tq, tk = item.tk, H = s.key_size, D = s.value_size;
        const Matrix<const T> d{scores, s.keys};
        if (args.dq || args.dkeys) pull_scores(item, args, scores, product);
        if (args.dq) {
          const Matrix<T> dq = item.queries(args.dq, item.k);
          multiply<T>(tq, H, tk, s.scale, d, item.keys(args.keys), args.beta_q, dq, product);
          clear_rows(dq, tq, s.queries, H, args.beta_q);
        }
        if (args.dkeys) {
          const Matrix<T> dkeys = item.keys(args.dkeys, item.k);
          multiply<T>(tk, H, tq, s.scale, d.transposed(), item.queries(args.q), args.beta_keys,
                      dkeys, product);
          clear_rows(dkeys, tk, s.keys, H, args.beta_keys);
        }
        if (args.dvalues) {
          const Matrix<T> dvalues = item.values(args.dvalues, item.k);
          const Matrix<const T> from =
              args.dcontext ? item.context(args.dcontext, item.k) : Matrix<const T>{nullptr, 0};
          multiply<T>(tk, D, args.dcontext ? tq : 0, 1, item.weights(args.weights).transposed(),
                      from, args.beta_values, dvalues, product);
          clear_rows(dvalues, tk, s.keys, D, args.beta_values);
        }
      });
}

// Tangent of the weights, in the scores' scratch.
template <class T>
static void push_weights(const Item<T>& item, const AttentionPush<T>& args, T* scores,
                         void* product) {
  const AttentionShape& s = item.s;
  const std::int64_t tq = item.tq, tk = item.tk;
  const Matrix<T> t{scores, s.keys};
  clear_rows(t, 0, tq, s.keys, 0);
  if (args.tq) {
    multiply<T>(tq, tk, s.key_size, s.scale, item.queries(args.tq, item.k),
                item.keys(args.keys).transposed(), 1, t, product);
  }
  if (args.tkeys) {
    multiply<T>(tq, tk, s.key_size, s.scale, item.queries(args.q),
                item.keys(args.tkeys, item.k).transposed(), 1, t, product);
  }
  const Matrix<const T> weights = item.weights(args.weights);
  for (std::int64_t i = 0; i < tq; i++) {
    T* const row = t.data + i * t.row;
    softmax_linear_row<SoftmaxMap::both>(weights.data + i * weights.row, row, row, tk, T(0));
  }
}

template <class T>
void attention_push(const AttentionShape& s, const AttentionPush<T>& args) noexcept {
  for_each_item<
      T>(s, s.directions, args.scratch, [&](const Item<T>& item, T* scores, void* product) {
    const std::int64_t tq = item.tq, tk = item.tk, D = s.value_size;
    push_weights(item, args, scores, product);
    if (args.tcontext) {
      const Matrix<T> tcontext = item.context(args.tcontext, item.k);
      multiply<T>(tq, D, tk, 1, {scores, s.keys}, item.values(args.values), 0, tcontext, product);
      if (args.tvalues) {
        multiply<T>(tq, D, tk, 1, item.weights(args.weights), item.values(args.tvalues, item.k), 1,
                    tcontext, product);
      }
      clear_rows(tcontext, tq, s.queries, D, 0);
    }
    if (args.tweights) {
      const Matrix<T> tweights = item.weights(args.tweights, item.k);
      for (std::int64_t i = 0; i < tq * s.keys; i++) tweights.data[i] = scores[i];
      clear_rows(tweights, tq, s.queries, s.keys, 0);
    }
  });
}

#define UNROLL_INSTANTIATE(T)                                                               \
  template std::size_t attention_scratch<T>(const AttentionShape&) noexcept;                \
  template void attention<T>(const AttentionShape&, const AttentionArgs<T>&) noexcept;      \
  template void attention_pull<T>(const AttentionShape&, const AttentionPull<T>&) noexcept; \
  template void attention_push<T>(const AttentionShape&, const AttentionPush<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
