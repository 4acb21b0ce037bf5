// Tensors over memory of somebody else: a NumPy array, a mapped file, a buffer of the caller.
//
//   Tensor x = from_blob(pointer, {2, 3}, {}, Dtype::float32, [owner] {});    // no copy
//
// The elements are read and written where they lie. `release` runs once, in whichever thread drops
// the last handle or view, and must not throw; what it captures lives until then. Such a tensor is
// never the sole owner of its elements, so that no op reuses their memory for its result.
#pragma once

#include <functional>

#include "core/export.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {

/// `data` is the first element and lies on a multiple of the element's size; `strides`, in
/// elements, are not negative (undefined: row-major). Bools are bytes that hold 0 or 1. Throws
/// Error, without calling `release`, for a null pointer to elements, an address or strides that do
/// not fit, or a shape that is negative or too large.
Tensor from_blob(void* data, const Shape& shape, const Shape& strides, Dtype dtype,
                 std::function<void()> release = {});

/// The same for memory that must not change: mutable_data() of the tensor and its views throws.
Tensor from_read_only_blob(const void* data, const Shape& shape, const Shape& strides, Dtype dtype,
                           std::function<void()> release = {});

}  // namespace unroll
