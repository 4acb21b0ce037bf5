// Joining and taking apart: cat, stack and unbind.
#include "autograd/linear_op.h"

namespace unroll {

using namespace detail;

namespace {

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
