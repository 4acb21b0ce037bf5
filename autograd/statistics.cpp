// Reductions composed of sums and extremes: log-sum-exp, variance, norms.
#include <cmath>

#include "autograd/operands.h"

namespace unroll {

using namespace detail;

namespace {

// x^(1/p) of x >= 0, with derivative 0 at 0, where the true one is infinite.
Tensor root(const Tensor& x, double p) {
  const Tensor zero = number_like(x, 0), is_zero = eq(x, zero);
  return where(is_zero, zero, pow(where(is_zero, number_like(x, 1), x), 1 / p));
}

Tensor variance(const char* op, const Tensor& x, const Axes& given, bool unbiased, bool keepdim) {
  require_real(op, x);
  const Axes axes = normal_axes(op, given, x.rank());
  double count = 1;
  for (int axis : axes) count *= static_cast<double>(x.shape()[axis]);
  const Tensor squares = square(sub(x, mean(x, axes, true)));
  return mul(sum(squares, axes, keepdim), 1 / std::fmax(unbiased ? count - 1 : count, 0));
}

}  // namespace

// The shift is a constant, since the result does not depend on it.
Tensor logsumexp(const Tensor& x, const Axes& given, bool keepdim) {
  require_real("logsumexp", x);
  const Axes axes = normal_axes("logsumexp", given, x.rank());
  Tensor shift, in_result;
  {
    const NoTape none;
    const Tensor largest = amax(x, axes, true);
    shift = where(isfinite(largest), largest, number_like(x, 0));
    in_result = keepdim ? shift : sum(shift, axes);
  }
  return add(log(sum(exp(sub(x, shift)), axes, keepdim)), in_result);
}

Tensor var(const Tensor& x, const Axes& axes, bool unbiased, bool keepdim) {
  return variance("var", x, axes, unbiased, keepdim);
}
Tensor std_dev(const Tensor& x, const Axes& axes, bool unbiased, bool keepdim) {
  return root(variance("std_dev", x, axes, unbiased, keepdim), 2);
}

Tensor norm(const Tensor& x, double p, const Axes& given, bool keepdim) {
  require_real("norm", x);
  if (!(p > 0)) fail("norm", "the order must be above 0, not " + std::to_string(p));
  const Axes axes = normal_axes("norm", given, x.rank());
  if (p == 1) return sum(abs(x), axes, keepdim);
  if (p == 2) return root(sum(square(x), axes, keepdim), 2);
  if (std::isinf(p)) return amax(abs(x), axes, keepdim);
  return root(sum(pow(abs(x), p), axes, keepdim), p);
}

}  // namespace unroll
