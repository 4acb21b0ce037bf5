// Tensors as the host reads them, and their sizes. Private to inversion/.
#pragma once

#include <cmath>

#include "autograd/ops.h"
#include "core/view.h"

namespace unroll::detail {

/// The way to the host: x on the CPU, row-major.
inline Tensor on_host(const Tensor& x) { return contiguous_copy(on_device(x, Device::cpu())); }

/// The largest modulus; 0 of nothing.
inline double largest(const Tensor& x) {
  const Tensor flat = view::reshape(contiguous_copy(x), {x.numel()});
  return flat.numel() ? amax(abs(flat), {0}).item() : 0;
}

inline double root_mean_square(const Tensor& x) { return std::sqrt(mean(square(x)).item()); }

}  // namespace unroll::detail
