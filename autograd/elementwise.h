// What the files of elementwise ops share. Private to autograd/*.cpp.
#pragma once

#include "core/tensor.h"
#include "kernels/elementwise.h"

namespace unroll::detail {

/// op(a, b) of shape `out`, to which both broadcast; not recorded.
Tensor run(Binary op, const Tensor& a, const Tensor& b, const Shape& out);

}  // namespace unroll::detail
