// Softmax cross-entropy of the rows of a dense matrix, one pass per row, with its linear maps.
//
//   CrossEntropyShape shape{.rows = N, .n = C, .smoothing = 0.1};
//   cpu::cross_entropy<float>(shape, {.x = x, .target = t, .loss = loss, .shift = s, .log_sum =
//   l}); cpu::cross_entropy_pull<float>(shape, {.x = x, ..., .u = dloss, .v = dx});
//
// The loss of a row with logits x and target t is sum_c q_c (-log softmax(x)_c) with the weights
// q_c = w_c ((1 - e) [c = t] + e / n), e the smoothing; 0 where t is the ignored index. A class
// with q_c = 0 does not count even where its logit is -infinity. Nothing overflows: the row's
// largest logit is the shift. Targets lie in 0..n-1 or are the ignored index: check them before.
// All functions are noexcept, allocate nothing and are safe to call from several threads on
// distinct outputs.
#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "kernels/backends.h"

namespace unroll {

struct CrossEntropyShape {
  std::int64_t rows, n;
  std::int64_t ignored = -100;
  double smoothing = 0;         // in 0..1
  std::int64_t directions = 1;  // K
};

template <class T>
struct CrossEntropyArgs {
  const T* x;                  // [rows, n]: logits
  const std::int64_t* target;  // [rows]
  const T* weight = nullptr;   // [n], or null for 1 everywhere
  T* loss;                     // [rows]
  T *shift, *log_sum;          // [rows]: largest logit; log of the sum of exp(x - shift)
};

// One linear map: u goes in, v comes out.
template <class T>
struct CrossEntropyLinear {
  const T* x;                  // [rows, n]
  const std::int64_t* target;  // [rows]
  const T* weight = nullptr;   // [n] or null
  const T *shift, *log_sum;    // [rows]: what the forward pass gave
  const T* u;       // pull: [K, rows], cotangent of loss; push: [K, rows, n], tangent of x
  T* v;             // pull: [K, rows, n], cotangent of x; push: [K, rows]
  double beta = 0;  // pull: 0 writes v, 1 adds to it
};

// The weights q of one row: `at_target` there, in addition to spread * w_c at every class.
template <class T>
struct RowWeights {
  T at_target, spread, sum;
};

// `total` is the sum of all classes' weights.
template <class T>
UNROLL_HOST_DEVICE RowWeights<T> row_weights(const CrossEntropyShape& s, const T* weight, T total,
                                             std::int64_t target) {
  if (target == s.ignored) return {T(0), T(0), T(0)};
  RowWeights<T> q;
  q.at_target = T(1 - s.smoothing) * (weight ? weight[target] : T(1));
  q.spread = T(s.smoothing / double(s.n));
  q.sum = q.at_target + q.spread * total;
  return q;
}

namespace cpu {

// The losses of all rows. T: float, double.
template <class T>
void cross_entropy(const CrossEntropyShape&, const CrossEntropyArgs<T>&) noexcept;

// v_c = u (p_c sum(q) - q_c), p = softmax(x). T: float, double.
template <class T>
void cross_entropy_pull(const CrossEntropyShape&, const CrossEntropyLinear<T>&) noexcept;

// v = sum_c u_c (p_c sum(q) - q_c). T: float, double.
template <class T>
void cross_entropy_push(const CrossEntropyShape&, const CrossEntropyLinear<T>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU(cross_entropy, void, CrossEntropyShape, CrossEntropyArgs)
UNROLL_ON_GPU(cross_entropy_pull, void, CrossEntropyShape, CrossEntropyLinear)
UNROLL_ON_GPU(cross_entropy_push, void, CrossEntropyShape, CrossEntropyLinear)
}  // namespace unroll
