#include "kernels/optimizer.h"

#include "kernels/strided_loop.h"

namespace unroll::UNROLL_ISA_NS {

template <class T>
void sgd(const SgdShape& s, const SgdArgs<T>& args) noexcept {
  const T lr = T(s.lr), momentum = T(s.momentum), keep = T(1 - s.dampening);
  const T decay = T(s.weight_decay), grad_scale = T(s.grad_scale);
  const bool moving = s.momentum != 0;
  for_each_block(s.count, 2, [&](std::int64_t begin, int n) {
    const T* __restrict g = args.grad + begin;
    T* __restrict p = args.param + begin;
    T* __restrict v = moving ? args.velocity + begin : nullptr;
    for (int i = 0; i < n; i++) {
      const T gradient = g[i] * grad_scale + decay * p[i];
      T step = gradient;
      if (moving) {
        v[i] = s.first ? gradient : momentum * v[i] + keep * gradient;
        step = s.nesterov ? gradient + momentum * v[i] : v[i];
      }
      p[i] -= lr * step;
    }
  });
}

template <class T>
void adam(const AdamShape& s, const AdamArgs<T>& args) noexcept {
  const double correction1 = 1 - __builtin_pow(s.beta1, double(s.step));
  const double correction2 = 1 - __builtin_pow(s.beta2, double(s.step));
  const T step = T(s.lr / correction1), root = T(__builtin_sqrt(correction2)), eps = T(s.eps);
  const T beta1 = T(s.beta1), new1 = T(1 - s.beta1), beta2 = T(s.beta2), new2 = T(1 - s.beta2);
  const T decay = s.decoupled ? T(0) : T(s.weight_decay), grad_scale = T(s.grad_scale);
  const T shrink = s.decoupled ? T(1 - s.lr * s.weight_decay) : T(1);
  for_each_block(s.count, 4, [&](std::int64_t begin, int n) {
    const T* __restrict g = args.grad + begin;
    T* __restrict p = args.param + begin;
    T* __restrict m = args.m + begin;
    T* __restrict v = args.v + begin;
    T* __restrict highest = args.v_max ? args.v_max + begin : nullptr;
    T second[block_size];  // what the step is divided by the root of
    for (int i = 0; i < n; i++) {
      const T gradient = g[i] * grad_scale + decay * p[i];
      m[i] = m[i] * beta1 + gradient * new1;
      v[i] = v[i] * beta2 + gradient * gradient * new2;
      second[i] = v[i];
    }
    if (highest) {
      for (int i = 0; i < n; i++) {
        highest[i] = v[i] > highest[i] || v[i] != v[i] ? v[i] : highest[i];
        second[i] = highest[i];
      }
    }
    for (int i = 0; i < n; i++) {
      const T size = sizeof(T) == 4 ? T(__builtin_sqrtf(float(second[i])))
                                    : T(__builtin_sqrt(double(second[i])));
      p[i] = p[i] * shrink - step * (m[i] / (size / root + eps));
    }
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
  template double sum_of_squares<T>(const FlatShape&, const FlatArgs<T>&) noexcept; \
  template void scale<T>(const FlatShape&, const ScaleArgs<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
