// What every op does with its operands before it calls a kernel. Private to autograd/*.cpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

#include "autograd/ops.h"
#include "autograd/record.h"
#include "core/device_memory.h"
#include "core/memory.h"
#include "core/view.h"
#include "kernels/strided.h"

// One switch on the device: calls the kernel of the tensors' backend. Throws Error, naming it,
// where it could not be launched.
#define UNROLL_ON_DEVICE(device, ...)                      \
  switch ((device).kind) {                                 \
    case DeviceKind::cpu:                                  \
      cpu::__VA_ARGS__;                                    \
      break;                                               \
      UNROLL_GPU_CASES(device, __VA_ARGS__)                \
    default: require_available("kernel", (device)); break; \
  }                                                        \
  if (!(device).is_cpu()) device_memory::require_launched(#__VA_ARGS__, (device))

// The same of a function with a value.
#define UNROLL_VALUE_ON_DEVICE(device, ...)   \
  [&] {                                       \
    switch ((device).kind) {                  \
      UNROLL_GPU_RETURNS(device, __VA_ARGS__) \
      default: return cpu::__VA_ARGS__;       \
    }                                         \
  }()

namespace unroll::detail {

/// Defined, and of a type that ops take: half types only pass through to().
inline void require_defined(const char* op, const Tensor& x) {
  if (!x) fail(op, "an operand is an undefined tensor");
  if (is_half(x.dtype()))
    fail(op, std::string("does not take ") + name(x.dtype()) +
                 ", which is only stored; convert with to(x, Dtype::float32)");
}

inline void require_real(const char* op, const Tensor& x) {
  require_defined(op, x);
  if (!is_real(x.dtype()))
    fail(op, std::string("needs float32 or float64 but got ") + name(x.dtype()) +
                 "; convert with to()");
}

/// Same dtype and device.
inline void require_alike(const char* op, const Tensor& a, const Tensor& b) {
  require_defined(op, a);
  require_defined(op, b);
  if (a.dtype() != b.dtype())
    fail(op, std::string("operands are ") + name(a.dtype()) + " and " + name(b.dtype()) +
                 "; convert with to()");
  if (!(a.device() == b.device()))
    fail(op, "operands are on " + name(a.device()) + " and " + name(b.device()));
}

/// The iteration space of `out` and inputs that broadcast to it.
inline Strided space_of(const Tensor& out, std::initializer_list<const Tensor*> inputs) {
  Strided s;
  s.rank = out.rank();
  for (int i = 0; i < s.rank; i++) {
    s.size[i] = out.shape()[i];
    s.stride[0][i] = out.strides()[i];
  }
  int operand = 1;
  for (const Tensor* x : inputs) {
    const int lead = s.rank - x->rank();
    for (int i = 0; i < lead; i++) s.stride[operand][i] = 0;
    for (int i = lead; i < s.rank; i++)
      s.stride[operand][i] = x->shape()[i - lead] == 1 ? 0 : x->strides()[i - lead];
    operand++;
  }
  return s;
}

/// Views, recorded, that give both the same rank: a leading axis of directions would otherwise
/// fall on an axis of the other.
struct Aligned {
  Tensor a, b;
};
inline Aligned aligned(const Tensor& a, const Tensor& b) {
  Aligned both{a, b};
  while (both.a.rank() < both.b.rank()) both.a = unsqueeze(both.a, 0);
  while (both.b.rank() < both.a.rank()) both.b = unsqueeze(both.b, 0);
  return both;
}

/// Sums d [..., out] over the axes that broadcasting stretched from `in` to `out` (same ranks).
inline Tensor fit(Tensor d, const Shape& in, const Shape& out) {
  for (int i = 1; i <= in.rank(); i++)
    if (in[-i] == 1 && out[-i] != 1) d = sum(d, -i, true);
  return d;
}

/// `shape` behind the leading axes that d has beyond `rank`.
inline Shape with_lead(const Tensor& d, int rank, const Shape& shape) {
  Shape full = shape;
  for (int i = d.rank() - rank; i-- > 0;) full.insert(0, d.shape()[i]);
  return full;
}

/// Stretches a tangent of an input of shape `in` to `out` (same ranks).
inline Tensor spread(const Tensor& d, const Shape& in, const Shape& out) {
  return in == out ? d : expand(d, with_lead(d, in.rank(), out));
}

/// The axes counted from the right, from the left-most on: removing one leaves the next ones valid.
inline Axes normal_axes(const char* op, const Axes& axes, int rank) {
  Axes normal = axes;
  for (int& axis : normal.axis) axis = 0;
  for (int i = 0; i < axes.count; i++) normal.axis[i] = normal_axis(op, axes.axis[i], rank) - rank;
  std::sort(normal.axis, normal.axis + normal.count);
  for (int i = 1; i < normal.count; i++)
    if (normal.axis[i] == normal.axis[i - 1]) fail(op, "an axis is named twice");
  return normal;
}

/// Zero (undefined) plus something is that something.
inline Tensor either(const Tensor& a, const Tensor& b) { return !a ? b : !b ? a : add(a, b); }

/// The same elements as a tensor of its own, recorded: operands of a twin that may be one and the
/// same tensor get derivatives of their own.
inline Tensor distinct(const Tensor& x) { return x ? reshape(x, x.shape()) : x; }

/// A loss per element, reduced.
Tensor reduced(const Tensor& loss, Reduction reduction);

/// Throws Error unless index is int64 with 0 <= index < size, naming the first that is not.
void require_indices(const char* op, const Tensor& index, std::int64_t size);

/// Scratch memory of a kernel, given back at the end of the scope.
class Scratch {
 public:
  Scratch(Device device, std::size_t bytes) : device_(device), bytes_(bytes) {
    if (bytes)
      data_ = device.is_cpu() ? memory::allocate(bytes) : device_memory::allocate(device, bytes);
  }
  ~Scratch() {
    if (device_.is_cpu())
      memory::deallocate(data_, bytes_);
    else
      device_memory::deallocate(device_, data_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void* data() const noexcept { return data_; }

 private:
  Device device_;
  std::size_t bytes_;
  void* data_ = nullptr;
};

/// A number that meets the elements of x in an op: of its type, on its device.
inline Tensor number_like(const Tensor& x, double value) {
  return scalar(value, x.dtype(), x.device());
}

/// Element pointer of an optional tensor.
template <class Real>
const Real* data_or_null(const Tensor& x) {
  return x ? x.data<Real>() : nullptr;
}

}  // namespace unroll::detail
