// Sizes of tensors as numbers. Private to inversion/.
#pragma once

#include <cmath>

#include "autograd/ops.h"
#include "core/view.h"

namespace unroll::detail {

/// The largest modulus; 0 of nothing.
inline double largest(const Tensor& x) {
  const Tensor flat = view::reshape(contiguous_copy(x), {x.numel()});
  return flat.numel() ? amax(abs(flat), {0}).item() : 0;
}

inline double root_mean_square(const Tensor& x) { return std::sqrt(mean(square(x)).item()); }

}  // namespace unroll::detail
