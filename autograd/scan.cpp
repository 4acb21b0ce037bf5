// Running sums and products along an axis: first-order linear recurrences, whose derivatives are
// such recurrences again.
#include "kernels/scan.h"

#include "autograd/operands.h"

namespace unroll {

using namespace detail;

namespace {

// y[t] = a[t] y[t-1] + b[t]; without a: the running sum. Axis from the right, b contiguous.
Tensor run(const Tensor& a, const Tensor& b, int axis, bool reverse) {
  Tensor y = empty_like(b);
  ScanShape shape{.outer = 1, .count = b.shape()[axis], .inner = 1, .reverse = reverse};
  for (int i = 0; i < b.rank() + axis; i++) shape.outer *= b.shape()[i];
  for (int i = axis + 1; i < 0; i++) shape.inner *= b.shape()[i];
  with_real(b.dtype(), [&](auto type) {
    using T = decltype(type);
    UNROLL_ON_DEVICE(
        b.device(),
        scan<T>(shape, {.a = data_or_null<T>(a), .b = b.data<T>(), .y = y.mutable_data<T>()}));
  });
  return y;
}

struct CumsumRule {
  static constexpr const char* name = "cumsum";
  int axis;
  bool reverse;
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const { s.add(0, running(s.cotangent(), !reverse)); }
  void push(Pushforward& s) const { s.set(0, running(s.tangent(0), reverse)); }
  Tensor running(const Tensor& d, bool backwards) const {
    return cumsum(d, axis, {.reverse = backwards});
  }
};

// x moved by one place towards the end of the scan, with `start` where nothing moves in.
Tensor shifted(const Tensor& x, int axis, bool reverse, double start = 0) {
  const std::int64_t size = x.shape()[axis];
  if (size == 0) return x;
  Shape one = x.shape();
  one[axis] = 1;
  const Tensor first = full(one, start, x.dtype(), x.device());
  return reverse ? cat({slice(x, axis, 1, size), first}, axis)
                 : cat({first, slice(x, axis, 0, size - 1)}, axis);
}

// With g the cotangents of all that y[t] flows into, g[t] = u[t] + a[t+1] g[t+1]: db = g and
// da[t] = g[t] y[t-1].
struct LinearScanRule {
  static constexpr const char* name = "linear_scan";
  Tensor a, y;
  int axis;
  bool reverse;
  auto saved() const { return std::tie(a, y); }
  void pull(Pullback& s) const {
    const Tensor g = linear_scan(shifted(a, axis, !reverse), s.cotangent(), axis, !reverse);
    if (s.wants(0)) s.add(0, mul(g, shifted(y, axis, reverse)));
    if (s.wants(1)) s.add(1, g);
  }
  void push(Pushforward& s) const {
    const Tensor& da = s.tangent(0);
    const Tensor d = either(da ? mul(da, shifted(y, axis, reverse)) : da, s.tangent(1));
    s.set(0, linear_scan(a, d, axis, reverse));
  }
};

}  // namespace

Tensor linear_scan(const Tensor& a, const Tensor& b, int axis, bool reverse) {
  require_alike("linear_scan", a, b);
  require_real("linear_scan", b);
  axis = normal_axis("linear_scan", axis, b.rank()) - b.rank();
  if (!(broadcast_shapes("linear_scan", a.shape(), b.shape()) == b.shape()))
    fail("linear_scan", "a is " + to_string(a.shape()) + ", which does not broadcast to b, " +
                            to_string(b.shape()));
  const Tensor factor = contiguous(a.shape() == b.shape() ? a : expand(a, b.shape()));
  const Tensor added = contiguous(b);
  Tensor y = run(factor, added, axis, reverse);
  if (is_recording()) record(LinearScanRule{factor, y, axis, reverse}, {&factor, &added}, {&y});
  return y;
}

Tensor cumsum(const Tensor& x, int axis, const ScanOptions& options) {
  require_real("cumsum", x);
  axis = normal_axis("cumsum", axis, x.rank()) - x.rank();
  const Tensor source = contiguous(x);
  Tensor y = run({}, source, axis, options.reverse);
  if (is_recording()) record(CumsumRule{axis, options.reverse}, {&source}, {&y});
  return options.exclusive ? shifted(y, axis, options.reverse) : y;
}

Tensor cumprod(const Tensor& x, int axis, const ScanOptions& options) {
  require_real("cumprod", x);
  axis = normal_axis("cumprod", axis, x.rank()) - x.rank();
  const std::int64_t size = x.shape()[axis];
  if (size == 0) return x;
  // y[t] = x[t] y[t-1], which starts from x itself.
  const std::int64_t first = options.reverse ? size - 1 : 0;
  Shape others = x.shape();
  others[axis] = size - 1;
  const Tensor start = slice(x, axis, first, first + 1);
  const Tensor nothing = zeros(others, x.dtype(), x.device());
  const Tensor b = options.reverse ? cat({nothing, start}, axis) : cat({start, nothing}, axis);
  const Tensor y = linear_scan(x, b, axis, options.reverse);
  return options.exclusive ? shifted(y, axis, options.reverse, 1) : y;
}

}  // namespace unroll
