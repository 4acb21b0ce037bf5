// Layer normalisation of the rows of a dense matrix, with its linear maps.
//
//   LayerNormShape shape{.rows = N, .n = C};
//   cpu::layer_norm<float>(shape, {.x = x, .y = y, .mean = m, .mean_low = l, .inv_sd = r});
//   cpu::layer_norm_pull<float>(shape, {.x = x, ..., .u = dy, .dx = dx, .dweight = dw});
//
// y = z weight + bias with z = (x - mean) inv_sd, inv_sd = 1 / sqrt(variance + eps). The mean is
// corrected by that of the differences from it and kept in two parts, and the variance is the mean
// of the squares of what remains: a mean a million times as large as the deviations leaves their
// digits as they are. All functions are noexcept, allocate nothing, are safe to call from several
// threads on distinct outputs and give the same bits for any number of threads: rows, and for the
// sums over rows columns, are split, never a sum.
#pragma once

#include <cstdint>

#include "kernels/backends.h"

namespace unroll {

struct LayerNormShape {
  std::int64_t rows, n;  // n > 0
  double eps = 1e-5;
  std::int64_t directions = 1;  // K
};

template <class T>
struct LayerNormArgs {
  const T* x;                                  // [rows, n]
  const T *weight = nullptr, *bias = nullptr;  // [n]; null: 1, 0
  T* y;                                        // [rows, n]
  T *mean, *mean_low, *inv_sd;                 // [rows]: the mean is the sum of the first two
};

// Cotangents of y to cotangents of x, weight and bias; null: not wanted.
template <class T>
struct LayerNormPull {
  const T* x;                                         // [rows, n]
  const T* weight = nullptr;                          // [n] or null
  const T *mean, *mean_low, *inv_sd;                  // [rows]: what the forward pass gave
  const T* u;                                         // [K, rows, n]
  T* dx = nullptr;                                    // [K, rows, n]
  T *dweight = nullptr, *dbias = nullptr;             // [K, n]
  double beta_x = 0, beta_weight = 0, beta_bias = 0;  // 0 writes, 1 adds
};

// Tangents of x, weight and bias (null: zero) to tangents of y.
template <class T>
struct LayerNormPush {
  const T* x;                                    // [rows, n]
  const T* weight = nullptr;                     // [n] or null
  const T *mean, *mean_low, *inv_sd;             // [rows]
  const T* tx = nullptr;                         // [K, rows, n]
  const T *tweight = nullptr, *tbias = nullptr;  // [K, n]
  T* ty;                                         // [K, rows, n]
};

namespace cpu {

// T: float, double.
template <class T>
void layer_norm(const LayerNormShape&, const LayerNormArgs<T>&) noexcept;

// dx = inv_sd (g - mean(g) - z mean(g z)) with g = u weight; dweight = sum over rows of u z, dbias
// of u. T: float, double.
template <class T>
void layer_norm_pull(const LayerNormShape&, const LayerNormPull<T>&) noexcept;

// ty = inv_sd (tx - mean(tx) - z mean(tx z)) weight + z tweight + tbias. T: float, double.
template <class T>
void layer_norm_push(const LayerNormShape&, const LayerNormPush<T>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU(layer_norm, void, LayerNormShape, LayerNormArgs)
UNROLL_ON_GPU(layer_norm_pull, void, LayerNormShape, LayerNormPull)
UNROLL_ON_GPU(layer_norm_push, void, LayerNormShape, LayerNormPush)
}  // namespace unroll
