// Views: new shapes and strides over the same elements, without a copy and never recorded.
//
//   Tensor column = view::slice(x, -1, 2, 3);     // x[..., 2:3]
//   Tensor t = view::transpose(x, 0, 1);
//
// The differentiable functions of the same names in autograd/ops.h are these plus a record. A view
// keeps the storage alive. All throw Error, naming the function, for axes or sizes that do not fit.
#pragma once

#include "core/export.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {
namespace view {

/// Any shape and strides (elements) from an offset relative to x's first element. The caller
/// answers for the bounds.
Tensor strided(const Tensor& x, const Shape& shape, const Shape& strides, std::int64_t offset);

/// x[..., start:end:step, ...] along `axis`; 0 <= start <= end <= size, step >= 1.
Tensor slice(const Tensor& x, int axis, std::int64_t start, std::int64_t end,
             std::int64_t step = 1);
/// Index `i` along `axis`, which is removed; -size <= i < size.
Tensor select(const Tensor& x, int axis, std::int64_t i);
Tensor transpose(const Tensor& x, int axis0, int axis1);
/// Axis i of the result is axis order[i] of x.
Tensor permute(const Tensor& x, const Axes& order);
/// Repeats axes of size 1 (and new ones at the left) without a copy.
Tensor expand(const Tensor& x, const Shape& shape);
/// Inserts an axis of size 1 that becomes `axis`; -rank-1 <= axis <= rank.
Tensor unsqueeze(const Tensor& x, int axis);
/// Removes an axis of size 1.
Tensor squeeze(const Tensor& x, int axis);

/// The shape with a -1 replaced by what fits `numel`; Error where nothing does.
Shape infer_shape(const char* op, std::int64_t numel, const Shape& shape);
/// The same elements in another shape; one size may be -1. A view where the strides allow it,
/// else a copy.
Tensor reshape(const Tensor& x, const Shape& shape);

}  // namespace view
}  // namespace unroll
