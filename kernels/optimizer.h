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

#include <cstdint>

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
