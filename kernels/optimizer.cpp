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

// The gradient that every rule begins with: scaled, and drawn towards small parameters.
template <class T>
struct Gradient {
  using S = Simd<T>;
  T scale, decay;

  inline __attribute__((always_inline)) typename S::Vec at(const T* grad, typename S::Vec param,
                                                           int count) const {
    return load_some(grad, count) * S::set(scale) + S::set(decay) * param;
  }
};

template <class T>
void sgd(const SgdShape& s, const SgdArgs<T>& args) noexcept {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  const T lr = T(s.lr), momentum = T(s.momentum), keep = T(1 - s.dampening);
  const Gradient<T> gradient{T(s.grad_scale), T(s.weight_decay)};
  const bool moving = s.momentum != 0;
  for_each_step<T>(s.count, 2, [&](std::int64_t i, int count) {
    const Vec p = load_some(args.param + i, count);
    const Vec g = gradient.at(args.grad + i, p, count);
    Vec step = g;
    if (moving) {
      T* const at = args.velocity + i;
      const Vec v = s.first ? g : S::set(momentum) * load_some(at, count) + S::set(keep) * g;
      store_some(at, v, count);
      step = s.nesterov ? g + S::set(momentum) * v : v;
    }
    store_some(args.param + i, p - S::set(lr) * step, count);
  });
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
  using S = Simd<T>;
  using Vec = typename S::Vec;
  const AdamCoefficients c = coefficients_of(s);
  const T step = T(c.by_m), by_grad = T(c.by_grad), root = T(c.root), eps = T(c.eps);
  const T beta1 = T(s.beta1), new1 = T(1 - s.beta1), beta2 = T(s.beta2), new2 = T(1 - s.beta2);
  const Gradient<T> gradient{T(s.grad_scale), s.decoupled ? T(0) : T(s.weight_decay)};
  const T shrink = T(c.shrink);
  const bool nadam = s.rule == AdamRule::nadam;
  for_each_step<T>(s.count, 4, [&](std::int64_t i, int count) {
    const Vec p = load_some(args.param + i, count);
    const Vec g = gradient.at(args.grad + i, p, count);
    const Vec m = load_some(args.m + i, count) * S::set(beta1) + g * S::set(new1);
    const Vec v = load_some(args.v + i, count) * S::set(beta2) + g * g * S::set(new2);
    store_some(args.m + i, m, count);
    store_some(args.v + i, v, count);
    Vec second = v;
    if (args.v_max) {
      const Vec before = load_some(args.v_max + i, count);
      second = v > before ? v : v != v ? v : before;
      store_some(args.v_max + i, second, count);
    }
    Vec result = p * S::set(shrink);
    if (c.plain) {
      result = result - S::set(step) * m;
    } else {
      const Vec size = S::sqrt(second) / S::set(root) + S::set(eps);
      if (nadam) result = result - S::set(by_grad) * (g / size);
      result = result - S::set(step) * (m / size);
    }
    store_some(args.param + i, result, count);
  });
}

template <class T>
void rmsprop(const RmspropShape& s, const RmspropArgs<T>& args) noexcept {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  const T lr = T(s.lr), alpha = T(s.alpha), fresh = T(1 - s.alpha), eps = T(s.eps);
  const T momentum = T(s.momentum);
  const Gradient<T> gradient{T(s.grad_scale), T(s.weight_decay)};
  const bool moving = s.momentum != 0;
  for_each_step<T>(s.count, 4, [&](std::int64_t i, int count) {
    const Vec p = load_some(args.param + i, count);
    const Vec g = gradient.at(args.grad + i, p, count);
    const Vec square = load_some(args.square + i, count) * S::set(alpha) + g * g * S::set(fresh);
    store_some(args.square + i, square, count);
    Vec spread = square;
    if (args.average) {
      const Vec mean = load_some(args.average + i, count) * S::set(alpha) + g * S::set(fresh);
      store_some(args.average + i, mean, count);
      spread = S::max(S::zero(), square - mean * mean);  // it may be a rounding below 0
    }
    Vec step = g / (S::sqrt(spread) + S::set(eps));
    if (moving) {
      step = S::set(momentum) * load_some(args.velocity + i, count) + step;
      store_some(args.velocity + i, step, count);
    }
    store_some(args.param + i, p - S::set(lr) * step, count);
  });
}

template <class T>
void adagrad(const AdagradShape& s, const AdagradArgs<T>& args) noexcept {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  const T lr = T(s.lr), eps = T(s.eps);
  const Gradient<T> gradient{T(s.grad_scale), T(s.weight_decay)};
  for_each_step<T>(s.count, 3, [&](std::int64_t i, int count) {
    const Vec p = load_some(args.param + i, count);
    const Vec g = gradient.at(args.grad + i, p, count);
    const Vec sum = load_some(args.sum + i, count) + g * g;
    store_some(args.sum + i, sum, count);
    store_some(args.param + i, p - S::set(lr) * (g / (S::sqrt(sum) + S::set(eps))), count);
  });
}

template <class T>
void adadelta(const AdadeltaShape& s, const AdadeltaArgs<T>& args) noexcept {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  const T lr = T(s.lr), rho = T(s.rho), fresh = T(1 - s.rho), eps = T(s.eps);
  const Gradient<T> gradient{T(s.grad_scale), T(s.weight_decay)};
  for_each_step<T>(s.count, 4, [&](std::int64_t i, int count) {
    const Vec p = load_some(args.param + i, count), before = load_some(args.delta + i, count);
    const Vec g = gradient.at(args.grad + i, p, count);
    const Vec square = load_some(args.square + i, count) * S::set(rho) + g * g * S::set(fresh);
    const Vec step = S::sqrt(before + S::set(eps)) / S::sqrt(square + S::set(eps)) * g;
    store_some(args.square + i, square, count);
    store_some(args.delta + i, before * S::set(rho) + step * step * S::set(fresh), count);
    store_some(args.param + i, p - S::set(lr) * step, count);
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
