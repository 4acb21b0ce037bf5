#include "core/view.h"

namespace unroll::view {
namespace {

// Strides that show x's elements in `shape` without a copy, or false. Works through runs of axes
// that lie densely behind each other.
bool strides_for(const Tensor& x, const Shape& shape, Shape& strides) {
  strides = contiguous_strides(shape);
  if (x.is_contiguous()) return true;
  int to = shape.rank() - 1;
  for (int from = x.rank() - 1; from >= 0;) {
    std::int64_t run = x.shape()[from], last = run;  // last: size of the run's first axis
    std::int64_t step = x.strides()[from], inner = step;
    // An axis of size 1 is stepped over: its stride means nothing.
    while (--from >= 0) {
      const std::int64_t size = x.shape()[from], stride = x.strides()[from];
      if (size == 1) continue;
      if (run == 1)
        inner = stride;
      else if (stride != step * last)
        break;
      run *= size;
      step = stride;
      last = size;
    }
    std::int64_t filled = 1;
    while (to >= 0 && (filled < run || shape[to] == 1)) {
      strides[to] = inner * filled;
      filled *= shape[to--];
    }
    if (filled != run) return false;
  }
  return true;
}

}  // namespace

Tensor strided(const Tensor& x, const Shape& shape, const Shape& strides, std::int64_t offset) {
  using detail::TensorNode;
  TensorNode* const parent = x.node();
  // The birth number comes with an empty allocation of the right size.
  Tensor fresh = empty(Shape{0}, x.dtype(), x.device());
  TensorNode* const node = fresh.node();
  node->shape = shape;
  node->strides = strides;
  node->data = parent->data + offset * static_cast<std::int64_t>(size_of(x.dtype()));
  node->storage = parent->storage;
  node->storage->refs.fetch_add(1, std::memory_order_relaxed);
  return fresh;
}

Tensor slice(const Tensor& x, int axis, std::int64_t start, std::int64_t end, std::int64_t step) {
  axis = normal_axis("slice", axis, x.rank());
  const std::int64_t size = x.shape()[axis];
  if (start < 0 || end < start || end > size || step < 1)
    fail("slice", std::to_string(start) + ":" + std::to_string(end) + ":" + std::to_string(step) +
                      " does not fit axis " + std::to_string(axis) + " of shape " +
                      to_string(x.shape()));
  Shape shape = x.shape(), strides = x.strides();
  shape[axis] = (end - start) / step + ((end - start) % step != 0);
  if (shape[axis] > 1) strides[axis] *= step;  // a step beyond the end may be of any size
  return strided(x, shape, strides, shape[axis] ? start * x.strides()[axis] : 0);
}

Tensor select(const Tensor& x, int axis, std::int64_t i) {
  axis = normal_axis("select", axis, x.rank());
  const std::int64_t size = x.shape()[axis], at = i < 0 ? i + size : i;
  if (at < 0 || at >= size)
    fail("select", "index " + std::to_string(i) + " is out of range for axis " +
                       std::to_string(axis) + " of shape " + to_string(x.shape()));
  Shape shape = x.shape(), strides = x.strides();
  shape.erase(axis);
  strides.erase(axis);
  return strided(x, shape, strides, at * x.strides()[axis]);
}

Tensor transpose(const Tensor& x, int axis0, int axis1) {
  axis0 = normal_axis("transpose", axis0, x.rank());
  axis1 = normal_axis("transpose", axis1, x.rank());
  Shape shape = x.shape(), strides = x.strides();
  std::swap(shape[axis0], shape[axis1]);
  std::swap(strides[axis0], strides[axis1]);
  return strided(x, shape, strides, 0);
}

Tensor permute(const Tensor& x, const Axes& order) {
  if (order.count != x.rank())
    fail("permute", std::to_string(order.count) + " axes for shape " + to_string(x.shape()));
  Shape shape = x.shape(), strides = x.strides();
  unsigned seen = 0;
  for (int i = 0; i < x.rank(); i++) {
    const int from = normal_axis("permute", order.axis[i], x.rank());
    if (seen >> from & 1) fail("permute", "axis " + std::to_string(from) + " is named twice");
    seen |= 1u << from;
    shape[i] = x.shape()[from];
    strides[i] = x.strides()[from];
  }
  return strided(x, shape, strides, 0);
}

Tensor expand(const Tensor& x, const Shape& shape) {
  const int lead = shape.rank() - x.rank();
  Shape strides = shape;
  bool fits = lead >= 0;
  for (int i = 0; fits && i < shape.rank(); i++) {
    const std::int64_t size = i < lead ? 1 : x.shape()[i - lead];
    strides[i] = i < lead || (size == 1 && shape[i] != 1) ? 0 : x.strides()[i - lead];
    fits = size == shape[i] || size == 1;
  }
  if (!fits) fail("expand", to_string(x.shape()) + " does not broadcast to " + to_string(shape));
  shape.numel();  // throws where the product overflows or a size is negative
  return strided(x, shape, strides, 0);
}

Tensor unsqueeze(const Tensor& x, int axis) {
  axis = normal_axis("unsqueeze", axis, x.rank() + 1);
  Shape shape = x.shape(), strides = x.strides();
  const std::int64_t step = axis < x.rank() ? strides[axis] * shape[axis] : 1;
  shape.insert(axis, 1);
  strides.insert(axis, step);
  return strided(x, shape, strides, 0);
}

Tensor squeeze(const Tensor& x, int axis) {
  axis = normal_axis("squeeze", axis, x.rank());
  if (x.shape()[axis] != 1)
    fail("squeeze", "axis " + std::to_string(axis) + " of shape " + to_string(x.shape()) +
                        " is not of size 1");
  Shape shape = x.shape(), strides = x.strides();
  shape.erase(axis);
  strides.erase(axis);
  return strided(x, shape, strides, 0);
}

Shape infer_shape(const char* op, std::int64_t numel, const Shape& shape) {
  Shape full = shape;
  int open = -1;
  for (int i = 0; i < shape.rank(); i++) {
    if (shape[i] != -1) continue;
    if (open >= 0) fail(op, to_string(shape) + " has more than one -1");
    open = i;
    full[i] = 1;
  }
  const std::int64_t known = full.numel();
  if (open >= 0) full[open] = known ? numel / known : 0;
  if (full.numel() != numel || (open >= 0 && known == 0))
    fail(op, std::to_string(numel) + " elements do not fit shape " + to_string(shape));
  return full;
}

Tensor reshape(const Tensor& x, const Shape& wanted) {
  const Shape shape = infer_shape("reshape", x.numel(), wanted);
  Shape strides;
  if (strides_for(x, shape, strides)) return strided(x, shape, strides, 0);
  return strided(contiguous_copy(x), shape, contiguous_strides(shape), 0);
}

}  // namespace unroll::view
