// Optimiser steps over flat buffers: one pass, PyTorch's update rules.
//
//   const double norm = std::sqrt(cpu::sum_of_squares<float>({.count = n}, {.x = grads}));
//   cpu::adam<float>({.count = n, .step = ++step, .lr = 1e-3, .grad_scale = clip},
//                    {.grad = grads, .param = params, .m = m, .v = v});
//
// All buffers are dense, of `count` elements. All functions are noexcept, allocate nothing, and
// give the same bits for any number of threads. Attributes are used in double to derive one
// coefficient each, then rounded to T.
#pragma once

#include <cstdint>

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

struct AdamShape {
  std::int64_t count;
  std::int64_t step;  // 1 on the first step
  double lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled =
      false;  // true: AdamW, weight decay acts on the parameter; false: it is added to the gradient
  double grad_scale = 1;  // as in SgdShape
};
template <class T>
struct AdamArgs {
  const T* grad;
  T *param, *m, *v;    // m, v: first and second moment, 0 before the first step
  T* v_max = nullptr;  // running maximum of v (AMSGrad), 0 before the first step; null: plain Adam
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

// param -= lr m^ / (sqrt(v^) + eps): torch.optim.Adam and AdamW (Kingma, Ba 2015, algorithm 1;
// Loshchilov, Hutter 2019, algorithm 2). T: float, double.
template <class T>
void adam(const AdamShape&, const AdamArgs<T>&) noexcept;

// Sum of x^2, accumulated in double in a fixed order. NaN and infinities come through. T: float,
// double.
template <class T>
double sum_of_squares(const FlatShape&, const FlatArgs<T>&) noexcept;

// x *= factor. T: float, double.
template <class T>
void scale(const FlatShape&, const ScaleArgs<T>&) noexcept;

}  // namespace cpu
}  // namespace unroll
