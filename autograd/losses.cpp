// Losses, made of ops; those with classes: cross_entropy.cpp.
#include "autograd/losses.h"

#include <cmath>
#include <limits>

#include "autograd/operands.h"

namespace unroll {

using namespace detail;

namespace {

void require_same_shape(const char* op, const Tensor& x, const Tensor& target) {
  require_alike(op, x, target);
  if (!(x.shape() == target.shape()))
    fail(op, "x is " + to_string(x.shape()) + " but target is " + to_string(target.shape()));
}

// m (|d| - m / 2) with m = min(|d|, delta): no branch that could be infinite is computed and
// dropped.
Tensor huber(const Tensor& d, double delta) {
  const Tensor size = abs(d), inner = clamp(size, 0, delta);
  return inner * (size - mul(inner, 0.5));
}

// max(log x, -100), with derivative 0 instead of an infinite one where it is cut.
Tensor bounded_log(const Tensor& x) {
  const Tensor one = number_like(x, 1), low = number_like(x, -100);
  const Tensor inside = gt(x, number_like(x, std::exp(-100.0)));
  return where(inside, log(where(inside, x, one)), low);
}

void require_probabilities(const char* op, const Tensor& x) {
  require_real(op, x);
  const Tensor dense = contiguous_copy(on_device(x, Device::cpu()));
  with_real(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* at = dense.data<T>();
    for (std::int64_t i = 0; i < dense.numel(); i++)
      if (at[i] < T(0) || at[i] > T(1))
        fail(op, "x holds " + std::to_string(at[i]) +
                     ", which is no probability; for logits use "
                     "binary_cross_entropy_with_logits");
  });
}

}  // namespace

Tensor detail::reduced(const Tensor& loss, Reduction reduction) {
  if (reduction == Reduction::none) return loss;
  return reduction == Reduction::sum ? sum(loss) : mean(loss);
}

Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  require_same_shape("mse_loss", x, target);
  return reduced(square(x - target), reduction);
}

Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  require_same_shape("l1_loss", x, target);
  return reduced(abs(x - target), reduction);
}

Tensor huber_loss(const Tensor& x, const Tensor& target, double delta, Reduction reduction) {
  require_same_shape("huber_loss", x, target);
  if (!(delta > 0)) fail("huber_loss", "delta must be positive, not " + std::to_string(delta));
  return reduced(huber(x - target, delta), reduction);
}

Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, double beta, Reduction reduction) {
  require_same_shape("smooth_l1_loss", x, target);
  if (!(beta >= 0))
    fail("smooth_l1_loss", "beta must not be negative, but is " + std::to_string(beta));
  if (beta == 0) return l1_loss(x, target, reduction);
  return reduced(mul(huber(x - target, beta), 1 / beta), reduction);
}

Tensor binary_cross_entropy(const Tensor& x, const Tensor& target, Reduction reduction) {
  require_same_shape("binary_cross_entropy", x, target);
  require_probabilities("binary_cross_entropy", x);
  const Tensor loss = target * bounded_log(x) + (1 - target) * bounded_log(1 - x);
  return reduced(neg(loss), reduction);
}

// With log sigmoid(x) = -softplus(-x) and log(1 - sigmoid(x)) = -softplus(x) nothing cancels.
Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& target,
                                        const Tensor& pos_weight, Reduction reduction) {
  constexpr const char* op = "binary_cross_entropy_with_logits";
  require_same_shape(op, x, target);
  Tensor positive = target * softplus(neg(x));
  if (pos_weight) {
    require_alike(op, x, pos_weight);
    if (!(broadcast_shapes(op, x.shape(), pos_weight.shape()) == x.shape()))
      fail(op,
           "pos_weight is " + to_string(pos_weight.shape()) + " but x is " + to_string(x.shape()));
    positive = positive * pos_weight;
  }
  return reduced(positive + (1 - target) * softplus(x), reduction);
}

Tensor kl_div(const Tensor& x, const Tensor& target, bool log_target, Reduction reduction) {
  require_same_shape("kl_div", x, target);
  if (log_target) return reduced(exp(target) * (target - x), reduction);
  const Tensor zero = number_like(x, 0), one = number_like(x, 1);
  const Tensor logarithm = log(where(gt(target, zero), target, one));
  return reduced(target * (logarithm - x), reduction);
}

Tensor cosine_similarity(const Tensor& a, const Tensor& b, int axis, double eps) {
  require_same_shape("cosine_similarity", a, b);
  require_real("cosine_similarity", a);
  constexpr double inf = std::numeric_limits<double>::infinity();
  axis = normal_axis("cosine_similarity", axis, a.rank());
  const auto inverse_norm = [&](const Tensor& x) {
    return rsqrt(clamp(sum(square(x), axis), eps * eps, inf));
  };
  return sum(a * b, axis) * inverse_norm(a) * inverse_norm(b);
}

Tensor cosine_embedding_loss(const Tensor& a, const Tensor& b, const Tensor& y, double margin,
                             Reduction reduction) {
  constexpr const char* op = "cosine_embedding_loss";
  require_same_shape(op, a, b);
  require_defined(op, y);
  if (a.rank() < 1 || a.rank() > 2 || y.rank() != a.rank() - 1 ||
      (y.rank() == 1 && y.shape()[0] != a.shape()[0]))
    fail(op, "a is " + to_string(a.shape()) + " and y is " + to_string(y.shape()) +
                 ": they must be [N,D] and [N], or [D] and []");
  const Tensor similar = eq(y, number_like(y, 1));
  const Tensor cosine = cosine_similarity(a, b);
  return reduced(where(similar, 1 - cosine, relu(cosine - margin)), reduction);
}

Tensor length_mask(const Lengths& lengths, std::int64_t T, std::int64_t N, Device device) {
  Tensor mask = ones({T, N, 1}, Dtype::boolean);
  if (!lengths) return on_device(mask, device);
  const LengthsView view = lengths.view("length_mask", T, N);
  bool* at = mask.mutable_data<bool>();
  for (std::int64_t t = 0; t < T; t++)
    for (std::int64_t n = 0; n < N; n++) *at++ = t < view.length[n];
  return on_device(mask, device);
}

Tensor masked_mse(const Tensor& x, const Tensor& target, const Lengths& lengths) {
  require_same_shape("masked_mse", x, target);
  if (x.rank() != 3) fail("masked_mse", "x is " + to_string(x.shape()) + ", not [T,N,C]");
  if (!lengths) return mse_loss(x, target);
  const std::int64_t count = lengths.total() * x.shape()[2];
  const Tensor mask = length_mask(lengths, x.shape()[0], x.shape()[1], x.device());
  if (count == 0) fail("masked_mse", "no step is valid");
  const Tensor error = where(mask, x - target, number_like(x, 0));
  return mul(sum(square(error)), 1.0 / static_cast<double>(count));
}

}  // namespace unroll
