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
static T root_of(T x) {
  return sizeof(T) == 4 ? T(__builtin_sqrtf(float(x))) : T(__builtin_sqrt(double(x)));
}

// What a step of Adam or a relative does with the moments:
// p = p shrink - by_m m / d - by_grad g / d, where d = sqrt(v) / root + eps, or 1 if plain.
struct AdamCoefficients {
  double shrink, by_m, by_grad, root, eps;
  bool plain;
};

static AdamCoefficients coefficients_of(const AdamShape& s) {
  const double power2 = __builtin_pow(s.beta2, double(s.step)), correction2 = 1 - power2;
  const double rate = s.lr / (1 - __builtin_pow(s.beta1, double(s.step)));
  AdamCoefficients c{s.decoupled ? 1 - s.lr * s.weight_decay : 1,
                     rate,
                     0,
                     __builtin_sqrt(correction2),
                     s.eps,
                     false};
  if (s.rule == AdamRule::nadam) {
    c.by_m = s.lr * s.mu_next / (1 - s.mu_product_next);
    c.by_grad = s.lr * (1 - s.mu) / (1 - s.mu_product);
  }
  if (s.rule == AdamRule::radam) {
    const double most = 2 / (1 - s.beta2) - 1;  // the length of the average that beta2 tends to
    const double length = most - 2 * double(s.step) * power2 / correction2;
    c.plain = !(length > 5);
    if (!c.plain)
      c.by_m = rate * __builtin_sqrt((length - 4) * (length - 2) * most /
                                     ((most - 4) * (most - 2) * length));
    c.eps = s.eps / c.root;  // there eps is added before the correction
  }
  return c;
}

template <class T>
void adam(const AdamShape& s, const AdamArgs<T>& args) noexcept {
  const AdamCoefficients c = coefficients_of(s);
  const T step = T(c.by_m), by_grad = T(c.by_grad), root = T(c.root), eps = T(c.eps);
  const T beta1 = T(s.beta1), new1 = T(1 - s.beta1), beta2 = T(s.beta2), new2 = T(1 - s.beta2);
  const T decay = s.decoupled ? T(0) : T(s.weight_decay), grad_scale = T(s.grad_scale);
  const T shrink = T(c.shrink);
  for_each_block(s.count, 4, [&](std::int64_t begin, int n) {
    const T* __restrict g = args.grad + begin;
    T* __restrict p = args.param + begin;
    T* __restrict m = args.m + begin;
    T* __restrict v = args.v + begin;
    T* __restrict highest = args.v_max ? args.v_max + begin : nullptr;
    T second[block_size];  // what the step is divided by the root of
    T gradient[block_size];
    for (int i = 0; i < n; i++) {
      gradient[i] = g[i] * grad_scale + decay * p[i];
      m[i] = m[i] * beta1 + gradient[i] * new1;
      v[i] = v[i] * beta2 + gradient[i] * gradient[i] * new2;
      second[i] = v[i];
    }
    if (highest) {
      for (int i = 0; i < n; i++) {
        highest[i] = v[i] > highest[i] || v[i] != v[i] ? v[i] : highest[i];
        second[i] = highest[i];
      }
    }
    if (c.plain) {
      for (int i = 0; i < n; i++) p[i] = p[i] * shrink - step * m[i];
    } else if (s.rule == AdamRule::nadam) {
      for (int i = 0; i < n; i++) {
        const T size = root_of(second[i]) / root + eps;
        p[i] = p[i] * shrink - by_grad * (gradient[i] / size) - step * (m[i] / size);
      }
    } else {
      for (int i = 0; i < n; i++)
        p[i] = p[i] * shrink - step * (m[i] / (root_of(second[i]) / root + eps));
    }
  });
}

template <class T>
void rmsprop(const RmspropShape& s, const RmspropArgs<T>& args) noexcept {
  const T lr = T(s.lr), alpha = T(s.alpha), fresh = T(1 - s.alpha), eps = T(s.eps);
  const T momentum = T(s.momentum), decay = T(s.weight_decay), grad_scale = T(s.grad_scale);
  const bool moving = s.momentum != 0;
  for_each_block(s.count, 4, [&](std::int64_t begin, int n) {
    const T* __restrict g = args.grad + begin;
    T* __restrict p = args.param + begin;
    T* __restrict square = args.square + begin;
    T* __restrict average = args.average ? args.average + begin : nullptr;
    T* __restrict v = moving ? args.velocity + begin : nullptr;
    for (int i = 0; i < n; i++) {
      const T gradient = g[i] * grad_scale + decay * p[i];
      square[i] = square[i] * alpha + gradient * gradient * fresh;
      T variance = square[i];
      if (average) {
        average[i] = average[i] * alpha + gradient * fresh;
        variance -= average[i] * average[i];
        if (variance < T(0)) variance = T(0);  // a rounding below it
      }
      const T step = gradient / (root_of(variance) + eps);
      if (moving) v[i] = v[i] * momentum + step;
      p[i] -= lr * (moving ? v[i] : step);
    }
  });
}

template <class T>
void adagrad(const AdagradShape& s, const AdagradArgs<T>& args) noexcept {
  const T lr = T(s.lr), eps = T(s.eps), decay = T(s.weight_decay), grad_scale = T(s.grad_scale);
  for_each_block(s.count, 3, [&](std::int64_t begin, int n) {
    const T* __restrict g = args.grad + begin;
    T* __restrict p = args.param + begin;
    T* __restrict sum = args.sum + begin;
    for (int i = 0; i < n; i++) {
      const T gradient = g[i] * grad_scale + decay * p[i];
      sum[i] += gradient * gradient;
      p[i] -= lr * (gradient / (root_of(sum[i]) + eps));
    }
  });
}

template <class T>
void adadelta(const AdadeltaShape& s, const AdadeltaArgs<T>& args) noexcept {
  const T lr = T(s.lr), rho = T(s.rho), fresh = T(1 - s.rho), eps = T(s.eps);
  const T decay = T(s.weight_decay), grad_scale = T(s.grad_scale);
  for_each_block(s.count, 4, [&](std::int64_t begin, int n) {
    const T* __restrict g = args.grad + begin;
    T* __restrict p = args.param + begin;
    T* __restrict square = args.square + begin;
    T* __restrict delta = args.delta + begin;
    for (int i = 0; i < n; i++) {
      const T gradient = g[i] * grad_scale + decay * p[i];
      square[i] = square[i] * rho + gradient * gradient * fresh;
      const T step = root_of(delta[i] + eps) / root_of(square[i] + eps) * gradient;
      delta[i] = delta[i] * rho + step * step * fresh;
      p[i] -= lr * step;
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
  template void rmsprop<T>(const RmspropShape&, const RmspropArgs<T>&) noexcept;    \
  template void adagrad<T>(const AdagradShape&, const AdagradArgs<T>&) noexcept;    \
  template void adadelta<T>(const AdadeltaShape&, const AdadeltaArgs<T>&) noexcept; \
  template double sum_of_squares<T>(const FlatShape&, const FlatArgs<T>&) noexcept; \
  template void scale<T>(const FlatShape&, const ScaleArgs<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
