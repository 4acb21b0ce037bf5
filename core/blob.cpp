#include "core/blob.h"

#include <memory>

namespace unroll {
namespace {

using detail::Foreign;

// Row-major where none are given. The stride of an axis that is never stepped along means nothing,
// and writers of tensors put anything there.
Shape checked_strides(const Shape& shape, const Shape& given) {
  Shape strides = contiguous_strides(shape);
  if (given.rank() == 0) return strides;
  if (given.rank() != shape.rank())
    fail("from_blob", std::to_string(given.rank()) + " strides for shape " + to_string(shape));
  for (int i = 0; i < shape.rank(); i++)
    if (shape[i] > 1) strides[i] = given[i];
  return strides;
}

void require_fits(const void* data, const Shape& shape, const Shape& strides, Dtype dtype) {
  const auto size = static_cast<std::int64_t>(size_of(dtype));
  if (shape.numel() == 0) return;
  if (!data) fail("from_blob", "no memory for shape " + to_string(shape));
  if (reinterpret_cast<std::uintptr_t>(data) % static_cast<std::uintptr_t>(size) != 0)
    fail("from_blob", std::string("the address of ") + name(dtype) +
                          " must be a multiple of its size; copy the elements first");
  std::int64_t end = 0;
  for (int i = 0; i < shape.rank(); i++) {
    if (shape[i] == 1) continue;
    if (strides[i] < 0)
      fail("from_blob", "strides " + to_string(strides) +
                            " run backwards; copy the elements into ascending order first");
    std::int64_t reach;
    if (__builtin_mul_overflow(shape[i] - 1, strides[i], &reach) ||
        __builtin_add_overflow(end, reach, &end))
      end = INT64_MAX;
    if (end > INT64_MAX / size - 1)
      fail("from_blob", to_string(shape) + " with strides " + to_string(strides) + " is too large");
  }
}

Tensor wrap(void* data, const Shape& shape, const Shape& given, Dtype dtype,
            std::function<void()> release, bool read_only) {
  const Shape strides = checked_strides(shape, given);
  require_fits(data, shape, strides, dtype);
  auto foreign = std::make_unique<Foreign>();
  Tensor x = empty(Shape{0}, dtype);
  // From here on nothing throws: `release` is either untouched or part of the tensor.
  detail::TensorNode* node = x.node();
  node->shape = shape;
  node->strides = strides;
  if (data) node->data = static_cast<std::byte*>(data);
  foreign->release = std::move(release);
  foreign->read_only = read_only;
  node->foreign = foreign.release();
  return x;
}

}  // namespace

Tensor from_blob(void* data, const Shape& shape, const Shape& strides, Dtype dtype,
                 std::function<void()> release) {
  return wrap(data, shape, strides, dtype, std::move(release), false);
}

Tensor from_read_only_blob(const void* data, const Shape& shape, const Shape& strides, Dtype dtype,
                           std::function<void()> release) {
  return wrap(const_cast<void*>(data), shape, strides, dtype, std::move(release), true);
}

}  // namespace unroll
