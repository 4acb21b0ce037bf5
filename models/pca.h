// Principal components of windows: the best linear reconstruction from k numbers, which every
// model with a bottleneck of k numbers is compared with.
//
//   Pca pca(windows, 16);                          // windows [count,T,C]
//   Tensor y = pca.reconstruct(held_out);          // [n,T,C]
//
// Immutable, in float64; safe to share between threads.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace UNROLL_API unroll {

/// Principal components: the best linear code of a size.
class Pca {
 public:
  /// Fits mean and the k directions of largest variance of the windows [count,T,C], each taken as
  /// one vector of T*C numbers. With fewer windows than that, and k at least their number, the
  /// rest of the directions carries nothing. Throws Error unless there is a window and
  /// 1 <= k <= T*C, and where a value is not finite.
  Pca(const Tensor& windows, std::int64_t k);

  /// windows [n,T,C], float32 or float64 -> their projections, float64. Throws Error for another
  /// T or C.
  Tensor reconstruct(const Tensor& windows) const;

  /// How many directions there are.
  std::int64_t components() const noexcept { return directions_.shape()[0]; }
  const Tensor& mean() const noexcept { return mean_; }              // [T*C]
  const Tensor& directions() const noexcept { return directions_; }  // [<=k,T*C], orthonormal rows
  const Tensor& variances() const noexcept { return variances_; }    // [<=k], descending

 private:
  std::int64_t T_, C_;
  Tensor mean_, directions_, variances_;
};

}  // namespace unroll
