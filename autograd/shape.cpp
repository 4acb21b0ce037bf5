// Shape ops: views of core/view.h that are recorded, and the copies cat, stack, flip, contiguous.
#include "autograd/operands.h"
#include "kernels/copy.h"

namespace unroll {

using namespace detail;

namespace {

// Records a linear op of one operand. Integers and bools are never differentiated.
template <class Rule>
Tensor recorded(Rule rule, const Tensor& x, Tensor y) {
  if (is_recording() && is_real(x.dtype())) record(std::move(rule), {&x}, {&y});
  return y;
}

// Copies x into y, of one shape and dtype.
void copy_elements(const Tensor& x, Tensor& y) {
  const Strided space = space_of(y, {&x});
  with_dtype(x.dtype(), [&](auto type) {
    using T = decltype(type);
    UNROLL_ON_DEVICE(x.device(), copy<T, T>(space, {x.data<T>(), y.mutable_data<T>()}));
  });
}

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

struct FlipRule {
  static constexpr const char* name = "flip";
  int axis;
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const { s.add(0, flip(s.cotangent(), axis)); }
  void push(Pushforward& s) const { s.set(0, flip(s.tangent(0), axis)); }
};

// Zeros of an input's shape behind the leading axes of `like`, a direction of the result.
Tensor zero_part(const Tensor& like, int rank, const Shape& shape) {
  return zeros(with_lead(like, rank, shape), like.dtype(), like.device());
}

struct CatRule {
  static constexpr const char* name = "cat";
  int axis;
  Shape first;                         // shape of the first part
  memory::Vector<std::int64_t> sizes;  // along the axis
  auto saved() const { return std::tie(); }

  void pull(Pullback& s) const {
    std::int64_t start = 0;
    for (std::size_t i = 0; i < sizes.size(); start += sizes[i++])
      if (s.wants(static_cast<int>(i)))
        s.add(static_cast<int>(i), slice(s.cotangent(), axis, start, start + sizes[i]));
  }
  void push(Pushforward& s) const {
    Tensors parts(sizes.size());
    Tensor known;
    for (std::size_t i = 0; i < sizes.size(); i++) {
      parts[i] = s.tangent(static_cast<int>(i));
      if (parts[i]) known = parts[i];
    }
    Shape shape = first;
    for (std::size_t i = 0; i < sizes.size(); i++) {
      shape[axis] = sizes[i];
      if (!parts[i]) parts[i] = zero_part(known, first.rank(), shape);
    }
    s.set(0, cat(parts, axis));
  }
};

struct UnbindRule {
  static constexpr const char* name = "unbind";
  int axis;
  Shape part;
  std::int64_t count;
  auto saved() const { return std::tie(); }

  void pull(Pullback& s) const {
    Tensors parts(count);
    Tensor known;
    for (int i = 0; i < count; i++) {
      parts[i] = s.cotangent(i);
      if (parts[i]) known = parts[i];
    }
    for (Tensor& d : parts)
      if (!d) d = zero_part(known, part.rank(), part);
    s.add(0, stack(parts, axis));
  }
  void push(Pushforward& s) const {
    const Tensors parts = unbind(s.tangent(0), axis);
    for (int i = 0; i < count; i++) s.set(i, parts[i]);
  }
};

int from_right(const char* op, int axis, int rank) { return normal_axis(op, axis, rank) - rank; }

void require_same_but(const char* op, const Tensors& xs, int axis) {
  for (const Tensor& x : xs) {
    require_alike(op, xs[0], x);
    Shape a = xs[0].shape(), b = x.shape();
    const bool ranks = a.rank() == b.rank();
    if (ranks && axis < 0) a[axis] = b[axis] = 0;
    if (!ranks || !(a == b))
      fail(op, to_string(xs[0].shape()) + " and " + to_string(x.shape()) + " do not fit");
  }
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
  require_defined("to", x);
  if (x.dtype() == dtype) return x;
  Tensor y = cast_copy(x, dtype);
  if (!is_real(dtype)) return y;
  return recorded(ToRule{x.dtype(), dtype}, x, y);
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

Tensor cat(const Tensors& xs, int axis) {
  if (xs.empty()) fail("cat", "needs at least one tensor");
  require_defined("cat", xs[0]);
  axis = from_right("cat", axis, xs[0].rank());
  require_same_but("cat", xs, axis);
  Shape shape = xs[0].shape();
  shape[axis] = 0;
  for (const Tensor& x : xs) shape[axis] += x.shape()[axis];
  Tensor y = empty(shape, xs[0].dtype(), xs[0].device());
  std::int64_t start = 0;
  for (const Tensor& x : xs) {
    const std::int64_t size = x.shape()[axis];
    Tensor part = view::slice(y, axis, start, start + size);
    copy_elements(x, part);
    start += size;
  }
  if (is_recording() && is_real(y.dtype())) {
    CatRule rule{axis, xs[0].shape(), {}};
    memory::Vector<const Tensor*> inputs;
    for (const Tensor& x : xs) {
      rule.sizes.push_back(x.shape()[axis]);
      inputs.push_back(&x);
    }
    Tensor* outputs[] = {&y};
    record(std::move(rule), inputs, outputs);
  }
  return y;
}

Tensor stack(const Tensors& xs, int axis) {
  if (xs.empty()) fail("stack", "needs at least one tensor");
  require_defined("stack", xs[0]);
  axis = from_right("stack", axis, xs[0].rank() + 1);
  require_same_but("stack", xs, 0);
  Tensors wide;
  wide.reserve(xs.size());
  for (const Tensor& x : xs) wide.push_back(unsqueeze(x, axis));
  return cat(wide, axis);
}

Tensors unbind(const Tensor& x, int axis) {
  require_defined("unbind", x);
  axis = from_right("unbind", axis, x.rank());
  const std::int64_t count = x.shape()[axis];
  Tensors parts;
  memory::Vector<Tensor*> outputs;
  parts.reserve(count);
  for (std::int64_t i = 0; i < count; i++) {
    parts.push_back(view::select(x, axis, i));
    outputs.push_back(&parts.back());
  }
  if (is_recording() && is_real(x.dtype()) && count) {
    const Tensor* inputs[] = {&x};
    record(UnbindRule{axis, parts[0].shape(), count}, inputs, outputs);
  }
  return parts;
}

}  // namespace unroll
