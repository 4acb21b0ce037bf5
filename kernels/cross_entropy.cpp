#include "kernels/cross_entropy.h"

#include "kernels/parallel_loop.h"
#include "kernels/softmax_row_simd.h"

namespace unroll::UNROLL_ISA_NS {

// The sum of the weights of all classes.
template <class T>
static T weight_sum(const CrossEntropyShape& s, const T* weight) {
  T sum = T(s.n);
  if (weight) {
    sum = T(0);
    for (std::int64_t c = 0; c < s.n; c++) sum += weight[c];
  }
  return sum;
}

template <class T>
void cross_entropy(const CrossEntropyShape& s, const CrossEntropyArgs<T>& args) noexcept {
  const T total = weight_sum(s, args.weight);
  for_each_index(s.rows, s.rows * s.n * 4, [&](std::int64_t row) {
    const T* x = args.x + row * s.n;
    const std::int64_t target = args.target[row];
    const T shift = row_max(x, s.n);
    const T log_sum = T(__builtin_log(double(exp_row<T>(x, shift, nullptr, s.n))));
    args.shift[row] = shift;
    args.log_sum[row] = log_sum;
    const RowWeights<T> q = row_weights(s, args.weight, total, target);
    T loss = T(0);
    if (q.at_target != T(0)) loss = q.at_target * (log_sum - (x[target] - shift));
    if (q.spread != T(0)) {
      T sum = T(0);
      for (std::int64_t c = 0; c < s.n; c++) {
        const T w = args.weight ? args.weight[c] : T(1);
        if (w != T(0)) sum += w * (log_sum - (x[c] - shift));
      }
      loss += q.spread * sum;
    }
    args.loss[row] = loss;
  });
}

// p_c for the classes from c on, then zeros.
template <class T>
static inline typename Simd<T>::Vec probabilities(const T* x, T shift, T log_sum, std::int64_t c,
                                                  int count) {
  using S = Simd<T>;
  typename S::Vec p = S::exp((load_some(x + c, count) - S::set(shift)) - S::set(log_sum));
  for (int j = count; j < S::lanes; j++) p[j] = T(0);
  return p;
}

// spread * w_c for the classes from c on.
template <class T>
static inline typename Simd<T>::Vec spread_weights(const T* weight, T spread, std::int64_t c,
                                                   int count) {
  using S = Simd<T>;
  return weight ? S::set(spread) * load_some(weight + c, count) : S::set(spread);
}

template <class T>
void cross_entropy_pull(const CrossEntropyShape& s, const CrossEntropyLinear<T>& args) noexcept {
  using S = Simd<T>;
  const T total = weight_sum(s, args.weight), beta = T(args.beta);
  const std::int64_t rows = s.directions * s.rows;
  for_each_index(rows, rows * s.n * 4, [&](std::int64_t i) {
    const std::int64_t row = i % s.rows, target = args.target[row];
    const RowWeights<T> q = row_weights(s, args.weight, total, target);
    const T* x = args.x + row * s.n;
    T* v = args.v + i * s.n;
    const T u = args.u[i];
    if (target == s.ignored) {  // not even NaN logits reach the gradient
      for (std::int64_t c = 0; c < s.n; c++) v[c] = beta == T(0) ? T(0) : beta * v[c];
      return;
    }
    const T shift = args.shift[row], log_sum = args.log_sum[row];
    for_each_vector<T>(s.n, [&](std::int64_t c, int count) {
      typename S::Vec d = S::fma(S::set(q.sum), probabilities(x, shift, log_sum, c, count),
                                 -spread_weights(args.weight, q.spread, c, count)) *
                          S::set(u);
      if (beta != T(0)) d = S::fma(S::set(beta), load_some(v + c, count), d);
      store_some(v + c, d, count);
    });
    v[target] -= q.at_target * u;
  });
}

template <class T>
void cross_entropy_push(const CrossEntropyShape& s, const CrossEntropyLinear<T>& args) noexcept {
  using S = Simd<T>;
  const T total = weight_sum(s, args.weight);
  const std::int64_t rows = s.directions * s.rows;
  for_each_index(rows, rows * s.n * 4, [&](std::int64_t i) {
    const std::int64_t row = i % s.rows, target = args.target[row];
    const RowWeights<T> q = row_weights(s, args.weight, total, target);
    const T *x = args.x + row * s.n, *u = args.u + i * s.n;
    if (target == s.ignored) {
      args.v[i] = T(0);
      return;
    }
    const T shift = args.shift[row], log_sum = args.log_sum[row];
    typename S::Vec sum = S::zero();
    for_each_vector<T>(s.n, [&](std::int64_t c, int count) {  // padded lanes of u are 0
      const typename S::Vec slope =
          S::fma(S::set(q.sum), probabilities(x, shift, log_sum, c, count),
                 -spread_weights(args.weight, q.spread, c, count));
      sum = S::fma(slope, load_some(u + c, count), sum);
    });
    args.v[i] = sum_of_lanes<T>(sum) - q.at_target * u[target];
  });
}

#define UNROLL_INSTANTIATE(T)                                                                    \
  template void cross_entropy<T>(const CrossEntropyShape&, const CrossEntropyArgs<T>&) noexcept; \
  template void cross_entropy_pull<T>(const CrossEntropyShape&,                                  \
                                      const CrossEntropyLinear<T>&) noexcept;                    \
  template void cross_entropy_push<T>(const CrossEntropyShape&,                                  \
                                      const CrossEntropyLinear<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
