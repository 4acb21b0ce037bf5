#include "kernels/optimizer.h"

#include "kernels/strided_loop.h"
#include "kernels/vector_loop_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Calls f(i, count) for every vector of 0 .. count-1, with the work of one element in additions.
template <class T, class F>
static void for_each_step(std::int64_t count, int cost, F f) {
  for_each_block(count, cost, [&](std::int64_t begin, int n) {
    for_each_vector<T>(n, [&](std::int64_t i, int lanes) { f(begin + i, lanes); });
  });
}

template <class T>
void sgd(const SgdShape& s, const SgdArgs<T>& args) noexcept {
  using S = Simd<T>;
  const SgdStep<T> rule(s);
  for_each_step<T>(s.count, 2, [&](std::int64_t i, int count) {
    typename S::Vec p = load_some(args.param + i, count), velocity = S::zero();
    if (rule.moving && !rule.first) velocity = load_some(args.velocity + i, count);
    rule.template apply<S>(load_some(args.grad + i, count), p, velocity);
    if (rule.moving) store_some(args.velocity + i, velocity, count);
    store_some(args.param + i, p, count);
  });
}

template <class T>
void adam(const AdamShape& s, const AdamArgs<T>& args) noexcept {
  using S = Simd<T>;
  const AdamStep<T> rule(s);
  const bool amsgrad = args.v_max;
  for_each_step<T>(s.count, 4, [&](std::int64_t i, int count) {
    typename S::Vec p = load_some(args.param + i, count), m = load_some(args.m + i, count);
    typename S::Vec v = load_some(args.v + i, count), v_max = S::zero();
    if (amsgrad) v_max = load_some(args.v_max + i, count);
    rule.template apply<S>(load_some(args.grad + i, count), p, m, v, v_max, amsgrad);
    store_some(args.m + i, m, count);
    store_some(args.v + i, v, count);
    if (amsgrad) store_some(args.v_max + i, v_max, count);
    store_some(args.param + i, p, count);
  });
}

template <class T>
void rmsprop(const RmspropShape& s, const RmspropArgs<T>& args) noexcept {
  using S = Simd<T>;
  const RmspropStep<T> rule(s);
  const bool centred = args.average;
  for_each_step<T>(s.count, 4, [&](std::int64_t i, int count) {
    typename S::Vec p = load_some(args.param + i, count);
    typename S::Vec square = load_some(args.square + i, count);
    typename S::Vec average = S::zero(), velocity = S::zero();
    if (centred) average = load_some(args.average + i, count);
    if (rule.moving) velocity = load_some(args.velocity + i, count);
    rule.template apply<S>(load_some(args.grad + i, count), p, square, average, velocity, centred);
    store_some(args.square + i, square, count);
    if (centred) store_some(args.average + i, average, count);
    if (rule.moving) store_some(args.velocity + i, velocity, count);
    store_some(args.param + i, p, count);
  });
}

template <class T>
void adagrad(const AdagradShape& s, const AdagradArgs<T>& args) noexcept {
  using S = Simd<T>;
  const AdagradStep<T> rule(s);
  for_each_step<T>(s.count, 3, [&](std::int64_t i, int count) {
    typename S::Vec p = load_some(args.param + i, count), sum = load_some(args.sum + i, count);
    rule.template apply<S>(load_some(args.grad + i, count), p, sum);
    store_some(args.sum + i, sum, count);
    store_some(args.param + i, p, count);
  });
}

template <class T>
void adadelta(const AdadeltaShape& s, const AdadeltaArgs<T>& args) noexcept {
  using S = Simd<T>;
  const AdadeltaStep<T> rule(s);
  for_each_step<T>(s.count, 4, [&](std::int64_t i, int count) {
    typename S::Vec p = load_some(args.param + i, count);
    typename S::Vec square = load_some(args.square + i, count);
    typename S::Vec delta = load_some(args.delta + i, count);
    rule.template apply<S>(load_some(args.grad + i, count), p, square, delta);
    store_some(args.square + i, square, count);
    store_some(args.delta + i, delta, count);
    store_some(args.param + i, p, count);
  });
}

// A fixed number of parts, so that neither their bounds nor the order of their sums depends on the
// threads.
template <class T>
double sum_of_squares(const FlatShape& s, const FlatArgs<T>& args) noexcept {
  constexpr int parts = 64, lanes = 8;
  double partial[parts];
  for_each_index(parts, s.count, [&](std::int64_t part) {
    const std::int64_t begin = s.count * part / parts, end = s.count * (part + 1) / parts;
    double sum[lanes] = {};
    std::int64_t i = begin;
    for (; i + lanes <= end; i += lanes) {
      for (int j = 0; j < lanes; j++) sum[j] += double(args.x[i + j]) * double(args.x[i + j]);
    }
    for (; i < end; i++) sum[0] += double(args.x[i]) * double(args.x[i]);
    for (int j = 1; j < lanes; j++) sum[0] += sum[j];
    partial[part] = sum[0];
  });
  double total = 0;
  for (const double p : partial) total += p;
  return total;
}

template <class T>
void scale(const FlatShape& s, const ScaleArgs<T>& args) noexcept {
  const T factor = T(s.factor);
  for_each_block(s.count, 1, [&](std::int64_t begin, int n) {
    for (int i = 0; i < n; i++) args.x[begin + i] *= factor;
  });
}

#define UNROLL_INSTANTIATE(T)                                                       \
  template void sgd<T>(const SgdShape&, const SgdArgs<T>&) noexcept;                \
  template void adam<T>(const AdamShape&, const AdamArgs<T>&) noexcept;             \
  template void rmsprop<T>(const RmspropShape&, const RmspropArgs<T>&) noexcept;    \
  template void adagrad<T>(const AdagradShape&, const AdagradArgs<T>&) noexcept;    \
  template void adadelta<T>(const AdadeltaShape&, const AdadeltaArgs<T>&) noexcept; \
  template double sum_of_squares<T>(const FlatShape&, const FlatArgs<T>&) noexcept; \
  template void scale<T>(const FlatShape&, const ScaleArgs<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
