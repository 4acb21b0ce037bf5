// Shape ops: views of core/view.h that are recorded, and the copies flip, contiguous and to.
#include "autograd/linear_op.h"

namespace unroll {

using namespace detail;

namespace {

// A linear op given by what it does to a tensor and what its transpose does; axes from the right.
struct ReshapeRule {
  static constexpr const char* name = "reshape";
  Shape in, out;
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const {
    s.add(0, reshape(s.cotangent(), with_lead(s.cotangent(), out.rank(), in)));
  }
  void push(Pushforward& s) const {
    s.set(0, reshape(s.tangent(0), with_lead(s.tangent(0), in.rank(), out)));
  }
};

struct TransposeRule {
  static constexpr const char* name = "transpose";
  int axis0, axis1;
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const { s.add(0, transpose(s.cotangent(), axis0, axis1)); }
  void push(Pushforward& s) const { s.set(0, transpose(s.tangent(0), axis0, axis1)); }
};

struct PermuteRule {
  static constexpr const char* name = "permute";
  Axes order;  // 0.. rank-1
  auto saved() const { return std::tie(); }

  static Tensor lead_and(const Tensor& d, const Axes& order) {
    Axes full = order;
    const int lead = d.rank() - order.count;
    for (int i = 0; i < order.count; i++) full.axis[i + lead] = order.axis[i] + lead;
    for (int i = 0; i < lead; i++) full.axis[i] = i;
    full.count += lead;
    return permute(d, full);
  }
  void pull(Pullback& s) const {
    Axes inverse = order;
    for (int i = 0; i < order.count; i++) inverse.axis[order.axis[i]] = i;
    s.add(0, lead_and(s.cotangent(), inverse));
  }
  void push(Pushforward& s) const { s.set(0, lead_and(s.tangent(0), order)); }
};

struct ExpandRule {
  static constexpr const char* name = "expand";
  Shape in, out;  // of one rank
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const { s.add(0, fit(s.cotangent(), in, out)); }
  void push(Pushforward& s) const { s.set(0, spread(s.tangent(0), in, out)); }
};

struct UnsqueezeRule {
  static constexpr const char* name = "unsqueeze";
  int axis;
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const { s.add(0, squeeze(s.cotangent(), axis)); }
  void push(Pushforward& s) const { s.set(0, unsqueeze(s.tangent(0), axis)); }
};

struct SqueezeRule {
  static constexpr const char* name = "squeeze";
  int axis;
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const { s.add(0, unsqueeze(s.cotangent(), axis)); }
  void push(Pushforward& s) const { s.set(0, squeeze(s.tangent(0), axis)); }
};

// The transpose of slice: x placed at start, start + step, ... of `size` zeros.
Tensor place(const Tensor& x, int axis, std::int64_t start, std::int64_t step, std::int64_t size);

struct SliceRule {
  static constexpr const char* name = "slice";
  int axis;
  std::int64_t start, end, step, size;
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const { s.add(0, place(s.cotangent(), axis, start, step, size)); }
  void push(Pushforward& s) const { s.set(0, slice(s.tangent(0), axis, start, end, step)); }
};

struct PlaceRule {
  static constexpr const char* name = "place";
  int axis;
  std::int64_t start, end, step, size;
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const { s.add(0, slice(s.cotangent(), axis, start, end, step)); }
  void push(Pushforward& s) const { s.set(0, place(s.tangent(0), axis, start, step, size)); }
};

Tensor place(const Tensor& x, int axis, std::int64_t start, std::int64_t step, std::int64_t size) {
  Shape shape = x.shape();
  const std::int64_t end = start + (shape[axis] ? (shape[axis] - 1) * step + 1 : 0);
  shape[axis] = size;
  Tensor y = zeros(shape, x.dtype(), x.device());
  Tensor part = view::slice(y, axis, start, end, step);
  copy_elements(x, part);
  return recorded(PlaceRule{axis, start, end, step, size}, x, y);
}

struct CopyRule {
  static constexpr const char* name = "contiguous";
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const { s.add(0, s.cotangent()); }
  void push(Pushforward& s) const { s.set(0, s.tangent(0)); }
};

struct ToRule {
  static constexpr const char* name = "to";
  Dtype from, into;
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const { s.add(0, to(s.cotangent(), from)); }
  void push(Pushforward& s) const { s.set(0, to(s.tangent(0), into)); }
};

struct ToDeviceRule {
  static constexpr const char* name = "to";
  Device from, onto;
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const { s.add(0, to(s.cotangent(), from)); }
  void push(Pushforward& s) const { s.set(0, to(s.tangent(0), onto)); }
};

struct FlipRule {
  static constexpr const char* name = "flip";
  int axis;
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const { s.add(0, flip(s.cotangent(), axis)); }
  void push(Pushforward& s) const { s.set(0, flip(s.tangent(0), axis)); }
};

// The places end+1..start the other way round, then every -step of them.
Tensor slice_backwards(const Tensor& x, int axis, std::int64_t start, std::int64_t end,
                       std::int64_t step) {
  if (end < -1 || start < end || start >= x.shape()[axis])
    fail("slice", "from " + std::to_string(start) + " down to " + std::to_string(end) +
                      " does not lie in axis " + std::to_string(axis) + " of shape " +
                      to_string(x.shape()));
  const Tensor reversed = flip(slice(x, axis, end + 1, start + 1), axis);
  return slice(reversed, axis, 0, start - end, -step);
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  require_defined("reshape", x);
  const Shape size = view::infer_shape("reshape", x.numel(), shape);  // before contiguous records
  const Tensor source = x.is_contiguous() ? x : contiguous(x);
  Tensor y = view::reshape(source, size);
  return recorded(ReshapeRule{x.shape(), y.shape()}, source, y);
}

Tensor transpose(const Tensor& x, int axis0, int axis1) {
  require_defined("transpose", x);
  axis0 = from_right("transpose", axis0, x.rank());
  axis1 = from_right("transpose", axis1, x.rank());
  return recorded(TransposeRule{axis0, axis1}, x, view::transpose(x, axis0, axis1));
}

Tensor permute(const Tensor& x, const Axes& order) {
  require_defined("permute", x);
  Tensor y = view::permute(x, order);
  Axes normal = order;
  for (int i = 0; i < order.count; i++)
    normal.axis[i] = normal_axis("permute", order.axis[i], x.rank());
  return recorded(PermuteRule{normal}, x, y);
}

Tensor expand(const Tensor& x, const Shape& shape) {
  require_defined("expand", x);
  const Tensor y = view::expand(x, shape);  // before unsqueeze records
  Tensor source = x;
  if (is_recording())
    while (source.rank() < shape.rank()) source = unsqueeze(source, 0);
  return recorded(ExpandRule{source.shape(), shape}, source, y);
}

Tensor unsqueeze(const Tensor& x, int axis) {
  require_defined("unsqueeze", x);
  axis = from_right("unsqueeze", axis, x.rank() + 1);
  return recorded(UnsqueezeRule{axis}, x, view::unsqueeze(x, axis));
}

Tensor squeeze(const Tensor& x, int axis) {
  require_defined("squeeze", x);
  axis = from_right("squeeze", axis, x.rank());
  return recorded(SqueezeRule{axis}, x, view::squeeze(x, axis));
}

Tensor slice(const Tensor& x, int axis, std::int64_t start, std::int64_t end, std::int64_t step) {
  require_defined("slice", x);
  axis = from_right("slice", axis, x.rank());
  if (step < 0) return slice_backwards(x, axis, start, end, step);
  Tensor y = view::slice(x, axis, start, end, step);
  return recorded(SliceRule{axis, start, end, step, x.shape()[axis]}, x, y);
}

Tensor select(const Tensor& x, int axis, std::int64_t i) {
  require_defined("select", x);
  if (!is_recording()) return view::select(x, axis, i);
  axis = from_right("select", axis, x.rank());
  const std::int64_t size = x.shape()[axis], at = i < 0 ? i + size : i;
  if (at < 0 || at >= size)
    fail("select", "index " + std::to_string(i) + " is out of range for axis " +
                       std::to_string(axis) + " of shape " + to_string(x.shape()));
  return squeeze(slice(x, axis, at, at + 1), axis);
}

Tensor contiguous(const Tensor& x) {
  require_defined("contiguous", x);
  if (x.is_contiguous()) return x;
  Tensor y = empty_like(x);
  copy_elements(x, y);
  return recorded(CopyRule{}, x, y);
}

Tensor to(const Tensor& x, Dtype dtype) {
  if (!x) fail("to", "the tensor is undefined");
  if (x.dtype() == dtype) return x;
  Tensor y = cast_copy(x, dtype);
  if (!is_real(dtype)) return y;
  return recorded(ToRule{x.dtype(), dtype}, x, y);
}

Tensor to(const Tensor& x, Device device) {
  if (!x) fail("to", "the tensor is undefined");
  if (x.device() == device) return x;
  require_available("to", device);
  return recorded(ToDeviceRule{x.device(), device}, x, on_device(x, device));
}

Tensor flip(const Tensor& x, int axis) {
  require_defined("flip", x);
  axis = from_right("flip", axis, x.rank());
  Shape strides = x.strides();
  const std::int64_t size = x.shape()[axis], last = size ? (size - 1) * strides[axis] : 0;
  strides[axis] = -strides[axis];
  Tensor y = empty_like(x);
  copy_elements(view::strided(x, x.shape(), strides, last), y);
  return recorded(FlipRule{axis}, x, y);
}

}  // namespace unroll
