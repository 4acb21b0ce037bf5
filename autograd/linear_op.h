// What the files of shape ops share: linear ops of one operand. Private to autograd/*.cpp.
#pragma once

#include <utility>

#include "autograd/operands.h"
#include "kernels/copy.h"

namespace unroll::detail {

/// Records a linear op of one operand. Integers and bools are never differentiated.
template <class Rule>
Tensor recorded(Rule rule, const Tensor& x, Tensor y) {
  if (is_recording() && is_real(x.dtype())) record(std::move(rule), {&x}, {&y});
  return y;
}

/// Copies x into y, of one shape and dtype.
inline void copy_elements(const Tensor& x, Tensor& y) {
  const Strided space = space_of(y, {&x});
  with_dtype(x.dtype(), [&](auto type) {
    using T = decltype(type);
    UNROLL_ON_DEVICE(x.device(), copy<T>(space, {x.data<T>(), y.mutable_data<T>()}));
  });
}

/// An axis, checked and counted from the right.
inline int from_right(const char* op, int axis, int rank) {
  return normal_axis(op, axis, rank) - rank;
}

}  // namespace unroll::detail
