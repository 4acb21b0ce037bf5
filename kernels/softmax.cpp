#include "kernels/softmax.h"

#include "kernels/strided_loop.h"
#include "kernels/vector_loop.h"

namespace unroll::UNROLL_ISA_NS {

static std::int64_t valid(const SoftmaxShape& s, std::int64_t row) {
  return s.lengths ? s.lengths[row] : s.n;
}

template <class T>
static T row_max(const T* x, std::int64_t n) {
  T best = x[0];
  for (std::int64_t i = 1; i < n; i++) best = x[i] > best || x[i] != x[i] ? x[i] : best;
  return best;
}

// The sum of exp(x[i] - shift); the terms are stored in y unless it is null.
template <class T>
static T exp_row(const T* x, T shift, T* y, std::int64_t n) {
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

template <class T>
void softmax(const SoftmaxShape& s, const SoftmaxArgs<T>& args) noexcept {
  for_each_index(s.rows, s.rows * s.n * 4, [&](std::int64_t row) {
    const T* x = args.x + row * s.n;
    T* y = args.y + row * s.n;
    const std::int64_t n = valid(s, row);
    for (std::int64_t i = n; i < s.n; i++) y[i] = T(0);
    if (n == 0) return;
    const T shift = row_max(x, n);
    if (s.log) {
      const T log_sum = T(__builtin_log(double(exp_row<T>(x, shift, nullptr, n))));
      for (std::int64_t i = 0; i < n; i++) y[i] = (x[i] - shift) - log_sum;
    } else {
      const T sum = exp_row(x, shift, y, n);
      for (std::int64_t i = 0; i < n; i++) y[i] /= sum;
    }
  });
}

// Which product of a row is summed up in a linear map, and what becomes of it.
enum class Linear {
  both,      // softmax:             v = y (u - sum(u y))
  log_pull,  // log-softmax, back:   v = u - exp(y) sum(u)
  log_push,  // log-softmax, onward: v = u - sum(exp(y) u)
};

template <Linear kind, class T>
static void linear_row(const T* y, const T* u, T* v, std::int64_t n, T beta) {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  const auto weight = [&](std::int64_t i, int count) -> Vec {
    const Vec value = load_some(y + i, count);
    return kind == Linear::both ? value : S::exp(value);
  };
  Vec sum = S::zero();
  for_each_vector<T>(n, [&](std::int64_t i, int count) {  // padded lanes of u are 0
    const Vec cotangent = load_some(u + i, count);
    sum = kind == Linear::log_pull ? sum + cotangent : S::fma(weight(i, count), cotangent, sum);
  });
  const Vec total = S::set(sum_of_lanes<T>(sum));
  for_each_vector<T>(n, [&](std::int64_t i, int count) {
    const Vec cotangent = load_some(u + i, count);
    Vec result = cotangent - total;
    if constexpr (kind == Linear::both) result = weight(i, count) * result;
    if constexpr (kind == Linear::log_pull) result = S::fnma(weight(i, count), total, cotangent);
    if (beta != T(0)) result = S::fma(S::set(beta), load_some(v + i, count), result);
    store_some(v + i, result, count);
  });
}

template <Linear kind, class T>
static void linear(const SoftmaxShape& s, const SoftmaxLinear<T>& args) {
  const std::int64_t rows = s.directions * s.rows;
  const T beta = T(args.beta);
  for_each_index(rows, rows * s.n * 4, [&](std::int64_t i) {
    const std::int64_t row = i % s.rows, n = valid(s, row);
    T* v = args.v + i * s.n;
    linear_row<kind>(args.y + row * s.n, args.u + i * s.n, v, n, beta);
    for (std::int64_t j = n; j < s.n; j++) v[j] = beta == T(0) ? T(0) : beta * v[j];
  });
}

template <class T>
void softmax_pull(const SoftmaxShape& s, const SoftmaxLinear<T>& args) noexcept {
  if (s.log) return linear<Linear::log_pull>(s, args);
  linear<Linear::both>(s, args);
}

template <class T>
void softmax_push(const SoftmaxShape& s, const SoftmaxLinear<T>& args) noexcept {
  if (s.log) return linear<Linear::log_push>(s, args);
  linear<Linear::both>(s, args);
}

#define UNROLL_INSTANTIATE(T)                                                           \
  template void softmax<T>(const SoftmaxShape&, const SoftmaxArgs<T>&) noexcept;        \
  template void softmax_pull<T>(const SoftmaxShape&, const SoftmaxLinear<T>&) noexcept; \
  template void softmax_push<T>(const SoftmaxShape&, const SoftmaxLinear<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
