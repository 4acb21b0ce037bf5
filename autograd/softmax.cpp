// Softmax and log-softmax along an axis.
#include "kernels/softmax.h"

#include "autograd/operands.h"

namespace unroll {

using namespace detail;

namespace {

SoftmaxShape shape_of(const Tensor& y, bool log, std::int64_t directions = 1) {
  const std::int64_t n = y.shape()[-1];
  return {.rows = n ? y.numel() / n : 0, .n = n, .log = log, .directions = directions};
}

struct SoftmaxRule {
  static constexpr const char* name = "softmax";
  Tensor y;
  bool log;
  auto saved() const { return std::tie(y); }

  // One pass of a kernel over all directions; `pull` or else `push`.
  Tensor fused(const Tensor& d, bool pull) const {
    const Tensor u = contiguous_copy(d);
    Tensor v = empty_like(u);
    const SoftmaxShape shape = shape_of(y, log, d.rank() > y.rank() ? d.shape()[0] : 1);
    with_real(y.dtype(), [&](auto type) {
      using T = decltype(type);
      const SoftmaxLinear<T> args{y.data<T>(), u.data<T>(), v.mutable_data<T>()};
      if (pull) {
        UNROLL_ON_DEVICE(y.device(), softmax_pull<T>(shape, args));
      } else {
        UNROLL_ON_DEVICE(y.device(), softmax_push<T>(shape, args));
      }
    });
    return v;
  }
  void pull(Pullback& s) const {
    const Tensor& d = s.cotangent();
    if (!is_recording()) return s.add(0, fused(d, true));
    if (log)
      s.add(0, d - exp(y) * sum(d, -1, true));
    else
      s.add(0, y * (d - sum(d * y, -1, true)));
  }
  void push(Pushforward& s) const {
    const Tensor& d = s.tangent(0);
    if (!is_recording()) return s.set(0, fused(d, false));
    const Tensor p = log ? exp(y) : y;
    const Tensor centred = d - sum(d * p, -1, true);
    s.set(0, log ? centred : y * centred);
  }
};

Tensor run(const char* op, const Tensor& x, int axis, bool log) {
  require_real(op, x);
  axis = normal_axis(op, axis, x.rank());
  if (axis != x.rank() - 1) return transpose(run(op, transpose(x, axis, -1), -1, log), axis, -1);
  const Tensor source = contiguous(x);
  Tensor y = empty_like(source);
  const SoftmaxShape shape = shape_of(y, log);
  with_real(x.dtype(), [&](auto type) {
    using T = decltype(type);
    UNROLL_ON_DEVICE(x.device(), softmax<T>(shape, {source.data<T>(), y.mutable_data<T>()}));
  });
  if (is_recording()) record(SoftmaxRule{y, log}, {&source}, {&y});
  return y;
}

}  // namespace

Tensor softmax(const Tensor& x, int axis) { return run("softmax", x, axis, false); }
Tensor log_softmax(const Tensor& x, int axis) { return run("log_softmax", x, axis, true); }

}  // namespace unroll
