// Optimiser steps over flat buffers: one pass, PyTorch's update rules.
//
//   const double norm = std::sqrt(cpu::sum_of_squares<float>({.count = n}, {.x = grads}));
//   cpu::adam<float>({.count = n, .step = ++step, .lr = 1e-3, .grad_scale = clip},
//                    {.grad = grads, .param = params, .m = m, .v = v});
//
// All buffers are dense, of `count` elements. All functions are noexcept, allocate nothing, and
// give the same bits for any number of threads. Attributes are used in double to derive one
// coefficient each, then rounded to T. A negative grad_scale maximises.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"
#include "kernels/backends.h"

namespace unroll {

struct SgdShape {
  std::int64_t count;
  bool first =
      false;  // the first step: the momentum buffer holds nothing yet and is set to the gradient
  double lr;
  double momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
  double grad_scale =
      1;  // multiplies every gradient before anything else: clipping by norm at no extra pass
};
template <class T>
struct SgdArgs {
  const T* grad;
  T* param;
  T* velocity;  // the momentum buffer; may be null when momentum is 0
};

// What Adam's moments are used for; all three keep them alike.
enum class AdamRule : std::uint8_t {
  adam,   // Kingma, Ba 2015, algorithm 1; decoupled: Loshchilov, Hutter 2019, algorithm 2
  nadam,  // Dozat 2016: the step looks one momentum ahead
  radam,  // Liu et al. 2020: rectified, and plain momentum while the variance is not yet tractable
};

struct AdamShape {
  std::int64_t count;
  std::int64_t step;  // 1 on the first step
  double lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled =
      false;  // true: AdamW, weight decay acts on the parameter; false: it is added to the gradient
  double grad_scale = 1;  // as in SgdShape
  AdamRule rule = AdamRule::adam;
  // nadam: the momenta of this step and of the next, and the products of all up to each.
  double mu = 0, mu_next = 0, mu_product = 0, mu_product_next = 0;
};
template <class T>
struct AdamArgs {
  const T* grad;
  T *param, *m, *v;    // m, v: first and second moment, 0 before the first step
  T* v_max = nullptr;  // running maximum of v (AMSGrad), 0 before the first step; null: without
};

struct RmspropShape {
  std::int64_t count;
  double lr, alpha = 0.99, eps = 1e-8, momentum = 0, weight_decay = 0;
  double grad_scale = 1;  // as in SgdShape
};
template <class T>
struct RmspropArgs {
  const T* grad;
  T *param, *square;      // square: running mean of g^2; all buffers 0 before the first step
  T* average = nullptr;   // running mean of g: centred; null: not
  T* velocity = nullptr;  // used unless momentum is 0
};

struct AdagradShape {
  std::int64_t count;
  double lr, eps = 1e-10, weight_decay = 0;  // lr: already decayed
  double grad_scale = 1;                     // as in SgdShape
};
template <class T>
struct AdagradArgs {
  const T* grad;
  T *param, *sum;  // sum of g^2, on top of what it starts with
};

struct AdadeltaShape {
  std::int64_t count;
  double lr = 1, rho = 0.9, eps = 1e-6, weight_decay = 0;
  double grad_scale = 1;  // as in SgdShape
};
template <class T>
struct AdadeltaArgs {
  const T* grad;
  T *param, *square, *delta;  // running means of g^2 and of the squared steps, 0 at first
};

struct FlatShape {
  std::int64_t count;
  double factor = 1;  // of scale
};
template <class T>
struct FlatArgs {
  const T* x;
};
template <class T>
struct ScaleArgs {
  T* x;
};

// ---- The rules, once for every machine: what becomes of an element's parameter and state.
//
// V is what one lane group is: float, double, a vector of them. `Math` has set(T), sqrt(V) and
// max(V, V): ScalarStep below, or Simd.

template <class T>
struct ScalarStep {
  UNROLL_HOST_DEVICE static T set(T x) { return x; }
  UNROLL_HOST_DEVICE static T sqrt(T x) { return std::sqrt(x); }
  UNROLL_HOST_DEVICE static T max(T a, T b) { return a > b ? a : b; }
};

// The gradient that every rule begins with: scaled, and drawn towards small parameters.
template <class T>
struct StepGradient {
  T scale, decay;

  template <class Math, class V>
  UNROLL_HOST_DEVICE V of(V grad, V param) const {
    return grad * Math::set(scale) + Math::set(decay) * param;
  }
};

template <class T>
struct SgdStep {
  StepGradient<T> gradient;
  T lr, momentum, keep;
  bool moving, first, nesterov;  // velocity is used if moving, and not read in the first step

  UNROLL_HOST_DEVICE explicit SgdStep(const SgdShape& s)
      : gradient{T(s.grad_scale), T(s.weight_decay)},
        lr(T(s.lr)),
        momentum(T(s.momentum)),
        keep(T(1 - s.dampening)),
        moving(s.momentum != 0),
        first(s.first),
        nesterov(s.nesterov) {}

  template <class Math, class V>
  UNROLL_HOST_DEVICE void apply(V grad, V& param, V& velocity) const {
    const V g = gradient.template of<Math>(grad, param);
    V step = g;
    if (moving) {
      velocity = first ? g : Math::set(momentum) * velocity + Math::set(keep) * g;
      step = nesterov ? g + Math::set(momentum) * velocity : velocity;
    }
    param = param - Math::set(lr) * step;
  }
};

// p = p shrink - by_m m / d - by_grad g / d, where d = sqrt(v) / root + eps, or 1 if plain.
template <class T>
struct AdamStep {
  StepGradient<T> gradient;
  T beta1, new1, beta2, new2;  // of the moments
  T shrink, by_m, by_grad, root, eps;
  bool plain, nadam;

  UNROLL_HOST_DEVICE explicit AdamStep(const AdamShape& s)
      : gradient{T(s.grad_scale), s.decoupled ? T(0) : T(s.weight_decay)},
        beta1(T(s.beta1)),
        new1(T(1 - s.beta1)),
        beta2(T(s.beta2)),
        new2(T(1 - s.beta2)),
        shrink(T(s.decoupled ? 1 - s.lr * s.weight_decay : 1)),
        plain(false),
        nadam(s.rule == AdamRule::nadam) {
    const double power2 = __builtin_pow(s.beta2, double(s.step)), correction2 = 1 - power2;
    const double rate = s.lr / (1 - __builtin_pow(s.beta1, double(s.step)));
    const double root_of_correction = __builtin_sqrt(correction2);
    double of_m = rate, of_grad = 0, added = s.eps;
    if (s.rule == AdamRule::nadam) {
      of_m = s.lr * s.mu_next / (1 - s.mu_product_next);
      of_grad = s.lr * (1 - s.mu) / (1 - s.mu_product);
    }
    if (s.rule == AdamRule::radam) {
      const double most = 2 / (1 - s.beta2) - 1;  // the length of the average that beta2 tends to
      const double length = most - 2 * double(s.step) * power2 / correction2;
      plain = !(length > 5);
      if (!plain)
        of_m = rate * __builtin_sqrt((length - 4) * (length - 2) * most /
                                     ((most - 4) * (most - 2) * length));
      added = s.eps / root_of_correction;  // there eps is added before the correction
    }
    by_m = T(of_m), by_grad = T(of_grad), root = T(root_of_correction), eps = T(added);
  }

  // v_max is used if `amsgrad`.
  template <class Math, class V>
  UNROLL_HOST_DEVICE void apply(V grad, V& param, V& m, V& v, V& v_max, bool amsgrad) const {
    const V g = gradient.template of<Math>(grad, param);
    m = m * Math::set(beta1) + g * Math::set(new1);
    v = v * Math::set(beta2) + g * g * Math::set(new2);
    V second = v;
    if (amsgrad) second = v_max = v > v_max ? v : v != v ? v : v_max;
    V result = param * Math::set(shrink);
    if (plain) {
      result = result - Math::set(by_m) * m;
    } else {
      const V size = Math::sqrt(second) / Math::set(root) + Math::set(eps);
      if (nadam) result = result - Math::set(by_grad) * (g / size);
      result = result - Math::set(by_m) * (m / size);
    }
    param = result;
  }
};

template <class T>
struct RmspropStep {
  StepGradient<T> gradient;
  T lr, alpha, fresh, eps, momentum;
  bool moving;  // velocity is used

  UNROLL_HOST_DEVICE explicit RmspropStep(const RmspropShape& s)
      : gradient{T(s.grad_scale), T(s.weight_decay)},
        lr(T(s.lr)),
        alpha(T(s.alpha)),
        fresh(T(1 - s.alpha)),
        eps(T(s.eps)),
        momentum(T(s.momentum)),
        moving(s.momentum != 0) {}

  // average is used if `centred`.
  template <class Math, class V>
  UNROLL_HOST_DEVICE void apply(V grad, V& param, V& square, V& average, V& velocity,
                                bool centred) const {
    const V g = gradient.template of<Math>(grad, param);
    square = square * Math::set(alpha) + g * g * Math::set(fresh);
    V spread = square;
    if (centred) {
      average = average * Math::set(alpha) + g * Math::set(fresh);
      // it may be a rounding below 0
      spread = Math::max(Math::set(T(0)), square - average * average);
    }
    V step = g / (Math::sqrt(spread) + Math::set(eps));
    if (moving) step = velocity = Math::set(momentum) * velocity + step;
    param = param - Math::set(lr) * step;
  }
};

template <class T>
struct AdagradStep {
  StepGradient<T> gradient;
  T lr, eps;

  UNROLL_HOST_DEVICE explicit AdagradStep(const AdagradShape& s)
      : gradient{T(s.grad_scale), T(s.weight_decay)}, lr(T(s.lr)), eps(T(s.eps)) {}

  template <class Math, class V>
  UNROLL_HOST_DEVICE void apply(V grad, V& param, V& sum) const {
    const V g = gradient.template of<Math>(grad, param);
    sum = sum + g * g;
    param = param - Math::set(lr) * (g / (Math::sqrt(sum) + Math::set(eps)));
  }
};

template <class T>
struct AdadeltaStep {
  StepGradient<T> gradient;
  T lr, rho, fresh, eps;

  UNROLL_HOST_DEVICE explicit AdadeltaStep(const AdadeltaShape& s)
      : gradient{T(s.grad_scale), T(s.weight_decay)},
        lr(T(s.lr)),
        rho(T(s.rho)),
        fresh(T(1 - s.rho)),
        eps(T(s.eps)) {}

  template <class Math, class V>
  UNROLL_HOST_DEVICE void apply(V grad, V& param, V& square, V& delta) const {
    const V g = gradient.template of<Math>(grad, param);
    square = square * Math::set(rho) + g * g * Math::set(fresh);
    const V step = Math::sqrt(delta + Math::set(eps)) / Math::sqrt(square + Math::set(eps)) * g;
    delta = delta * Math::set(rho) + step * step * Math::set(fresh);
    param = param - Math::set(lr) * step;
  }
};

namespace cpu {

// param -= lr * (gradient with momentum): torch.optim.SGD. T: float, double.
template <class T>
void sgd(const SgdShape&, const SgdArgs<T>&) noexcept;

// param -= lr m^ / (sqrt(v^) + eps) and its relatives: torch.optim.Adam, AdamW, NAdam and RAdam. T:
// float, double.
template <class T>
void adam(const AdamShape&, const AdamArgs<T>&) noexcept;

// param -= lr g / (sqrt(mean g^2) + eps), with momentum of that step: torch.optim.RMSprop (Hinton
// 2012, lecture 6e; centred: Graves 2013, equations 38 to 45). T: float, double.
template <class T>
void rmsprop(const RmspropShape&, const RmspropArgs<T>&) noexcept;

// param -= lr g / (sqrt(sum g^2) + eps): torch.optim.Adagrad (Duchi, Hazan, Singer 2011). T: float,
// double.
template <class T>
void adagrad(const AdagradShape&, const AdagradArgs<T>&) noexcept;

// param -= lr g sqrt(mean steps^2 + eps) / sqrt(mean g^2 + eps): torch.optim.Adadelta (Zeiler 2012,
// algorithm 1). T: float, double.
template <class T>
void adadelta(const AdadeltaShape&, const AdadeltaArgs<T>&) noexcept;

// Sum of x^2, accumulated in double in a fixed order. NaN and infinities come through. T: float,
// double.
template <class T>
double sum_of_squares(const FlatShape&, const FlatArgs<T>&) noexcept;

// x *= factor. T: float, double.
template <class T>
void scale(const FlatShape&, const ScaleArgs<T>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU(sgd, void, SgdShape, SgdArgs)
UNROLL_ON_GPU(adam, void, AdamShape, AdamArgs)
UNROLL_ON_GPU(rmsprop, void, RmspropShape, RmspropArgs)
UNROLL_ON_GPU(adagrad, void, AdagradShape, AdagradArgs)
UNROLL_ON_GPU(adadelta, void, AdadeltaShape, AdadeltaArgs)
UNROLL_ON_GPU(sum_of_squares, double, FlatShape, FlatArgs)
UNROLL_ON_GPU(scale, void, FlatShape, ScaleArgs)
}  // namespace unroll
