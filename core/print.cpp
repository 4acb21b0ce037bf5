#include <cmath>
#include <ostream>
#include <sstream>

#include "core/tensor.h"
#include "core/view.h"

namespace unroll {
namespace {

constexpr std::int64_t kEdge = 3;           // shown at each end of an abbreviated axis
constexpr std::int64_t kAbbreviate = 1000;  // elements from which long axes are abbreviated

void print_value(std::ostream& out, const Tensor& x) {
  if (x.dtype() == Dtype::boolean)
    out << (x.item() != 0 ? "true" : "false");
  else if (x.dtype() == Dtype::int64)
    out << *x.data<std::int64_t>();
  else
    out << x.item();
}

void print_axes(std::ostream& out, const Tensor& x, bool abbreviate, int indent) {
  if (x.rank() == 0) return print_value(out, x);
  const std::int64_t size = x.shape()[0];
  out << '[';
  for (std::int64_t i = 0; i < size; i++) {
    if (i) out << (x.rank() == 1 ? ", " : ",\n" + std::string(indent, ' '));
    if (abbreviate && size > 2 * kEdge && i == kEdge) {
      out << "...";
      i = size - kEdge - 1;
      continue;
    }
    print_axes(out, view::select(x, 0, i), abbreviate, indent + 1);
  }
  out << ']';
}

}  // namespace

std::string to_string(const Tensor& x) {
  std::ostringstream out;
  out << x;
  return out.str();
}

std::ostream& operator<<(std::ostream& out, const Tensor& any) {
  if (!any) return out << "tensor(undefined)";
  const Tensor x = on_device(any, Device::cpu());
  const auto precision = out.precision(6);
  out << "tensor(";
  print_axes(out, x, x.numel() > kAbbreviate, 8);
  out.precision(precision);
  return out << ", " << name(x.dtype()) << to_string(x.shape()) << ')';
}

}  // namespace unroll
