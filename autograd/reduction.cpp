// Reductions along axes; several axes are one after the other, from the right.
#include "kernels/reduction.h"

#include <algorithm>

#include "autograd/operands.h"

namespace unroll {

using namespace detail;

namespace {

struct Extreme {
  Tensor value, index;
};

// Reduces one axis of x (from the right), which stays with size 1.
Extreme reduce_axis(Reduce op, const Tensor& strided, int axis, bool want_index) {
  const Tensor x = contiguous_copy(strided);
  Shape shape = x.shape();
  std::int64_t outer = 1, inner = 1;
  for (int i = 0; i < x.rank() + axis; i++) outer *= shape[i];
  for (int i = axis + 1; i < 0; i++) inner *= shape[i];
  const auto space = ReduceShape::dense(op, outer, shape[axis], inner);
  shape[axis] = 1;
  Extreme out{empty(shape, x.dtype(), x.device()), {}};
  if (want_index) out.index = empty(shape, Dtype::int64, x.device());
  with_real(x.dtype(), [&](auto type) {
    using T = decltype(type);
    std::int64_t* index = want_index ? out.index.mutable_data<std::int64_t>() : nullptr;
    UNROLL_ON_DEVICE(x.device(),
                     reduce<T>(space, {x.data<T>(), out.value.mutable_data<T>(), index}));
  });
  return out;
}

struct SumRule {
  static constexpr const char* name = "sum";
  int axis;
  std::int64_t size;
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const {
    Shape shape = s.cotangent().shape();
    shape[axis] = size;
    s.add(0, expand(s.cotangent(), shape));
  }
  void push(Pushforward& s) const { s.set(0, sum(s.tangent(0), axis, true)); }
};

Tensor sum_axis(const Tensor& x, int axis) {
  Tensor y = reduce_axis(Reduce::sum, x, axis, false).value;
  if (is_recording()) record(SumRule{axis, x.shape()[axis]}, {&x}, {&y});
  return y;
}

// The axes counted from the right, from the left-most on: removing one leaves the next ones valid.
Axes sorted(const char* op, const Axes& axes, int rank) {
  Axes normal = axes;
  for (int& axis : normal.axis) axis = 0;
  for (int i = 0; i < axes.count; i++) normal.axis[i] = normal_axis(op, axes.axis[i], rank) - rank;
  std::sort(normal.axis, normal.axis + normal.count);
  for (int i = 1; i < normal.count; i++)
    if (normal.axis[i] == normal.axis[i - 1]) fail(op, "an axis is named twice");
  return normal;
}

Tensor extreme(const char* op, Reduce kind, const Tensor& x, int axis, bool keepdim) {
  require_real(op, x);
  axis = normal_axis(op, axis, x.rank()) - x.rank();
  if (x.shape()[axis] == 0)
    fail(op, "axis " + std::to_string(axis) + " of shape " + to_string(x.shape()) + " is empty");
  const Tensor y = gather(x, axis, reduce_axis(kind, x, axis, true).index);
  return keepdim ? y : squeeze(y, axis);
}

Tensor extreme_index(const char* op, Reduce kind, const Tensor& x, int axis, bool keepdim) {
  require_real(op, x);
  axis = normal_axis(op, axis, x.rank()) - x.rank();
  if (x.shape()[axis] == 0)
    fail(op, "axis " + std::to_string(axis) + " of shape " + to_string(x.shape()) + " is empty");
  const Tensor index = reduce_axis(kind, x, axis, true).index;
  return keepdim ? index : view::squeeze(index, axis);
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, bool keepdim) {
  require_real("sum", x);
  const Axes normal = sorted("sum", axes, x.rank());
  Tensor y = x;
  for (int axis : normal) y = sum_axis(y, axis);
  if (!keepdim)
    for (int axis : normal) y = squeeze(y, axis);
  return y;
}

Tensor sum(const Tensor& x) {
  require_real("sum", x);
  return squeeze(sum_axis(reshape(x, {-1}), -1), -1);
}

Tensor mean(const Tensor& x) {
  require_real("mean", x);
  return mul(sum(x), 1.0 / static_cast<double>(x.numel()));
}

Tensor mean(const Tensor& x, const Axes& axes, bool keepdim) {
  require_real("mean", x);
  std::int64_t count = 1;
  for (int axis : sorted("mean", axes, x.rank())) count *= x.shape()[axis];
  return mul(sum(x, axes, keepdim), 1.0 / static_cast<double>(count));
}

Tensor max(const Tensor& x, int axis, bool keepdim) {
  return extreme("max", Reduce::max, x, axis, keepdim);
}
Tensor min(const Tensor& x, int axis, bool keepdim) {
  return extreme("min", Reduce::min, x, axis, keepdim);
}
Tensor argmax(const Tensor& x, int axis, bool keepdim) {
  return extreme_index("argmax", Reduce::max, x, axis, keepdim);
}
Tensor argmin(const Tensor& x, int axis, bool keepdim) {
  return extreme_index("argmin", Reduce::min, x, axis, keepdim);
}

}  // namespace unroll
