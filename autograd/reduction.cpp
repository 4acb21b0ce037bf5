// Reductions along axes; several axes are one after the other, from the right.
#include "kernels/reduction.h"

#include "autograd/operands.h"

namespace unroll {

using namespace detail;

namespace {

struct Extreme {
  Tensor value, index;
};

// Reduces one axis of x (from the right), which stays with size 1.
Extreme reduce_axis(Reduce op, const Tensor& strided, int axis, bool want_index,
                    Tie tie = Tie::first) {
  const Tensor x = contiguous_copy(strided);
  Shape shape = x.shape();
  std::int64_t outer = 1, inner = 1;
  for (int i = 0; i < x.rank() + axis; i++) outer *= shape[i];
  for (int i = axis + 1; i < 0; i++) inner *= shape[i];
  auto space = ReduceShape::dense(op, outer, shape[axis], inner);
  space.last = tie == Tie::last;
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

// Products of all factors but each itself, without a division: what is before times what is after.
Tensor all_but_one(const Tensor& x, int axis) {
  return mul(cumprod(x, axis, {.exclusive = true}),
             cumprod(x, axis, {.exclusive = true, .reverse = true}));
}

struct ProdRule {
  static constexpr const char* name = "prod";
  Tensor x;
  int axis;
  auto saved() const { return std::tie(x); }
  void pull(Pullback& s) const { s.add(0, mul(s.cotangent(), all_but_one(x, axis))); }
  void push(Pushforward& s) const {
    s.set(0, sum(mul(s.tangent(0), all_but_one(x, axis)), axis, true));
  }
};

Tensor prod_axis(const Tensor& x, int axis) {
  Tensor y = reduce_axis(Reduce::prod, x, axis, false).value;
  if (is_recording()) record(ProdRule{x, axis}, {&x}, {&y});
  return y;
}

// y is the extreme of x over axes that stay with size 1.
struct SharedExtremeRule {
  static constexpr const char* name = "amax";
  Tensor x, y;
  Axes axes;  // from the right
  auto saved() const { return std::tie(x, y); }
  // 1 / number of equals where x is the extreme, else 0: a constant almost everywhere.
  Tensor share() const {
    const NoTape none;
    const Tensor chosen = to(eq(x, y), x.dtype());
    return div(chosen, sum(chosen, axes, true));
  }
  void pull(Pullback& s) const { s.add(0, mul(s.cotangent(), share())); }
  void push(Pushforward& s) const { s.set(0, sum(mul(s.tangent(0), share()), axes, true)); }
};

Tensor without(Tensor y, const Axes& axes, bool keepdim) {
  if (!keepdim)
    for (int axis : axes) y = squeeze(y, axis);
  return y;
}

Tensor shared_extreme(const char* op, Reduce kind, const Tensor& x, const Axes& axes,
                      bool keepdim) {
  require_real(op, x);
  const Axes normal = normal_axes(op, axes, x.rank());
  Tensor y = x;
  for (int axis : normal) y = reduce_axis(kind, y, axis, false).value;
  if (is_recording() && normal.count) record(SharedExtremeRule{x, y, normal}, {&x}, {&y});
  return without(y, normal, keepdim);
}

Tensor extreme(const char* op, Reduce kind, const Tensor& x, int axis, bool keepdim) {
  require_real(op, x);
  axis = normal_axis(op, axis, x.rank()) - x.rank();
  if (x.shape()[axis] == 0)
    fail(op, "axis " + std::to_string(axis) + " of shape " + to_string(x.shape()) + " is empty");
  const Tensor y = gather(x, axis, reduce_axis(kind, x, axis, true).index);
  return keepdim ? y : squeeze(y, axis);
}

Tensor extreme_index(const char* op, Reduce kind, const Tensor& x, int axis, bool keepdim,
                     Tie tie) {
  require_real(op, x);
  axis = normal_axis(op, axis, x.rank()) - x.rank();
  if (x.shape()[axis] == 0)
    fail(op, "axis " + std::to_string(axis) + " of shape " + to_string(x.shape()) + " is empty");
  const Tensor index = reduce_axis(kind, x, axis, true, tie).index;
  return keepdim ? index : view::squeeze(index, axis);
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, bool keepdim) {
  require_real("sum", x);
  const Axes normal = normal_axes("sum", axes, x.rank());
  Tensor y = x;
  for (int axis : normal) y = sum_axis(y, axis);
  return without(y, normal, keepdim);
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
  for (int axis : normal_axes("mean", axes, x.rank())) count *= x.shape()[axis];
  return mul(sum(x, axes, keepdim), 1.0 / static_cast<double>(count));
}

Tensor prod(const Tensor& x) {
  require_real("prod", x);
  return squeeze(prod_axis(reshape(x, {-1}), -1), -1);
}

Tensor prod(const Tensor& x, const Axes& axes, bool keepdim) {
  require_real("prod", x);
  const Axes normal = normal_axes("prod", axes, x.rank());
  Tensor y = x;
  for (int axis : normal) y = prod_axis(y, axis);
  return without(y, normal, keepdim);
}

Tensor amax(const Tensor& x, const Axes& axes, bool keepdim) {
  return shared_extreme("amax", Reduce::max, x, axes, keepdim);
}
Tensor amin(const Tensor& x, const Axes& axes, bool keepdim) {
  return shared_extreme("amin", Reduce::min, x, axes, keepdim);
}

Tensor max(const Tensor& x, int axis, bool keepdim) {
  return extreme("max", Reduce::max, x, axis, keepdim);
}
Tensor min(const Tensor& x, int axis, bool keepdim) {
  return extreme("min", Reduce::min, x, axis, keepdim);
}
Tensor argmax(const Tensor& x, int axis, bool keepdim, Tie tie) {
  return extreme_index("argmax", Reduce::max, x, axis, keepdim, tie);
}
Tensor argmin(const Tensor& x, int axis, bool keepdim, Tie tie) {
  return extreme_index("argmin", Reduce::min, x, axis, keepdim, tie);
}

}  // namespace unroll
