// Losses, made of ops.
#include "autograd/operands.h"

namespace unroll {

using namespace detail;

namespace {

void require_same_shape(const char* op, const Tensor& x, const Tensor& target) {
  require_alike(op, x, target);
  if (!(x.shape() == target.shape()))
    fail(op, "x is " + to_string(x.shape()) + " but target is " + to_string(target.shape()));
}

}  // namespace

Tensor mse_loss(const Tensor& x, const Tensor& target) {
  require_same_shape("mse_loss", x, target);
  return mean(square(x - target));
}

Tensor l1_loss(const Tensor& x, const Tensor& target) {
  require_same_shape("l1_loss", x, target);
  return mean(abs(x - target));
}

Tensor length_mask(const Lengths& lengths, std::int64_t T, std::int64_t N) {
  Tensor mask = ones({T, N, 1}, Dtype::boolean);
  if (!lengths) return mask;
  const LengthsView view = lengths.view("length_mask", T, N);
  bool* at = mask.mutable_data<bool>();
  for (std::int64_t t = 0; t < T; t++)
    for (std::int64_t n = 0; n < N; n++) *at++ = t < view.length[n];
  return mask;
}

Tensor masked_mse(const Tensor& x, const Tensor& target, const Lengths& lengths) {
  require_same_shape("masked_mse", x, target);
  if (x.rank() != 3) fail("masked_mse", "x is " + to_string(x.shape()) + ", not [T,N,C]");
  if (!lengths) return mse_loss(x, target);
  const std::int64_t count = lengths.total() * x.shape()[2];
  const Tensor mask = length_mask(lengths, x.shape()[0], x.shape()[1]);
  if (count == 0) fail("masked_mse", "no step is valid");
  const Tensor error = where(mask, x - target, scalar(0, x.dtype()));
  return mul(sum(square(error)), 1.0 / static_cast<double>(count));
}

}  // namespace unroll
