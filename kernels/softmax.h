// Softmax and log-softmax along the last axis of a dense matrix, with their linear maps.
//
//   SoftmaxShape shape{.rows = N, .n = C};
//   cpu::softmax<float>(shape, {.x = x, .y = y});
//   cpu::softmax_pull<float>(shape, {.y = y, .u = dy, .v = dx});
//
// The softmax is shifted by the row's maximum, so it never overflows. All functions are noexcept,
// allocate nothing and are safe to call from several threads on distinct outputs.
#pragma once

#include <cstdint>

#include "kernels/backends.h"

namespace unroll {

struct SoftmaxShape {
  std::int64_t rows, n;
  bool log = false;             // log-softmax instead
  std::int64_t directions = 1;  // K: u and v are [K, rows, n], y stays [rows, n]
};

template <class T>
struct SoftmaxArgs {
  const T* x;  // [rows, n]
  T* y;        // [rows, n]; may be x
};

// One linear map: u goes in, v comes out.
template <class T>
struct SoftmaxLinear {
  const T* y;       // [rows, n]: what the forward pass gave
  const T* u;       // [K, rows, n]: pull: cotangent of y; push: tangent of x
  T* v;             // [K, rows, n]: pull: cotangent of x; push: tangent of y. May be u.
  double beta = 0;  // 0 writes v, 1 adds to it
};

namespace cpu {

// y = exp(x - max) / sum exp(x - max), or x - max - log sum exp(x - max). T: float, double.
template <class T>
void softmax(const SoftmaxShape&, const SoftmaxArgs<T>&) noexcept;

// Cotangents of y to cotangents of x: y (u - sum(u y)), or u - exp(y) sum(u). T: float, double.
template <class T>
void softmax_pull(const SoftmaxShape&, const SoftmaxLinear<T>&) noexcept;

// Tangents of x to tangents of y: y (u - sum(u y)), or u - sum(exp(y) u). T: float, double.
template <class T>
void softmax_push(const SoftmaxShape&, const SoftmaxLinear<T>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU(softmax, void, SoftmaxShape, SoftmaxArgs)
UNROLL_ON_GPU(softmax_pull, void, SoftmaxShape, SoftmaxLinear)
UNROLL_ON_GPU(softmax_push, void, SoftmaxShape, SoftmaxLinear)
}  // namespace unroll
