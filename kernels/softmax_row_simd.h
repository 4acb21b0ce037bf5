// Softmax of one row and its linear maps. Only for hot kernel files.
//
//   softmax_row(x, y, n);
//   softmax_linear_row<SoftmaxMap::both>(y, u, v, n, beta);
#pragma once

#include "kernels/vector_loop_simd.h"

namespace unroll::UNROLL_ISA_NS {

// The largest number that is not NaN, or -infinity. A NaN needs no shift: it makes the whole row
// NaN anyway.
template <class T>
static inline T row_max(const T* x, std::int64_t n) {
  using S = Simd<T>;
  typename S::Vec best = S::set(T(-__builtin_inf()));
  std::int64_t i = 0;
  for (; i + S::lanes <= n; i += S::lanes) best = S::max(S::load(x + i), best);
  T largest = max_of_lanes<T>(best);
  for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

// The sum of exp(x[i] - shift); the terms are stored in y unless it is null.
template <class T>
static inline T exp_row(const T* x, T shift, T* y, std::int64_t n) {
  using S = Simd<T>;
  typename S::Vec sum = S::zero();
  for_each_vector<T>(n, [&](std::int64_t i, int count) {
    typename S::Vec e = S::exp(load_some(x + i, count) - S::set(shift));
    for (int j = count; j < S::lanes; j++) e[j] = T(0);
    if (y) store_some(y + i, e, count);
    sum += e;
  });
  return sum_of_lanes<T>(sum);
}

// y = softmax(x), shifted by the largest x; y may be x. Nothing happens when n is 0.
template <class T>
static inline void softmax_row(const T* x, T* y, std::int64_t n) {
  if (n == 0) return;
  const T sum = exp_row(x, row_max(x, n), y, n);
  const typename Simd<T>::Vec all = Simd<T>::set(sum);
  for_each_vector<T>(n, [&](std::int64_t i, int count) {
    store_some(y + i, load_some(y + i, count) / all, count);
  });
}

template <class T>
static inline void log_softmax_row(const T* x, T* y, std::int64_t n) {
  if (n == 0) return;
  const T shift = row_max(x, n);
  const T log_sum = T(__builtin_log(double(exp_row<T>(x, shift, nullptr, n))));
  for (std::int64_t i = 0; i < n; i++) y[i] = (x[i] - shift) - log_sum;
}

// The linear maps of a row: which product is summed up, and what becomes of the sum.
enum class SoftmaxMap {
  both,      // softmax:             v = y (u - sum(u y))
  log_pull,  // log-softmax, back:   v = u - exp(y) sum(u)
  log_push,  // log-softmax, onward: v = u - sum(exp(y) u)
};

template <SoftmaxMap kind, class T>
static inline void softmax_linear_row(const T* y, const T* u, T* v, std::int64_t n, T beta) {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  const auto weight = [&](std::int64_t i, int count) -> Vec {
    const Vec value = load_some(y + i, count);
    return kind == SoftmaxMap::both ? value : S::exp(value);
  };
  Vec sum = S::zero();
  for_each_vector<T>(n, [&](std::int64_t i, int count) {  // padded lanes of u are 0
    const Vec cotangent = load_some(u + i, count);
    sum = kind == SoftmaxMap::log_pull ? sum + cotangent : S::fma(weight(i, count), cotangent, sum);
  });
  const Vec total = S::set(sum_of_lanes<T>(sum));
  for_each_vector<T>(n, [&](std::int64_t i, int count) {
    const Vec cotangent = load_some(u + i, count);
    Vec result = cotangent - total;
    if constexpr (kind == SoftmaxMap::both) result = weight(i, count) * result;
    if constexpr (kind == SoftmaxMap::log_pull)
      result = S::fnma(weight(i, count), total, cotangent);
    if (beta != T(0)) result = S::fma(S::set(beta), load_some(v + i, count), result);
    store_some(v + i, result, count);
  });
}

}  // namespace unroll::UNROLL_ISA_NS
