// Layer normalisation: the fused op on rows [R,n], and its twin of small ops.
#include "kernels/layer_norm.h"

#include "autograd/operands.h"

namespace unroll {

using namespace detail;

namespace {

// x [R,n]; weight and bias [n] or undefined.
LayerNormOut rows_twin(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  const Tensor mean = unroll::mean(x, -1, true), about = x - mean;
  const Tensor d = about - unroll::mean(about, -1, true);  // of a large mean only its roundings
  const Tensor inv_sd = rsqrt(add(unroll::mean(square(d), -1, true), eps));
  Tensor y = d * inv_sd;
  if (weight) y = y * weight;
  if (bias) y = y + bias;
  return {y, mean, inv_sd};
}

struct LayerNormRule {
  static constexpr const char* name = "layer_norm";
  Tensor x, weight, bias, mean, mean_low, inv_sd;
  double eps;
  bool stats;  // mean and inv_sd are outputs, too

  auto saved() const { return std::tie(x, weight, bias, mean, inv_sd); }

  LayerNormShape shape(std::int64_t K) const {
    return {.rows = x.shape()[0], .n = x.shape()[1], .eps = eps, .directions = K};
  }
  const Tensor& input(int i) const { return i == 0 ? x : i == 1 ? weight : bias; }

  void pull(Pullback& s) const {
    if (is_recording() || stats) return pull_twin(s);
    const Tensor u = contiguous_copy(s.cotangent());
    Pullback::Target to[3];
    for (int i = 0; i < 3; i++)
      if (s.wants(i)) to[i] = s.target(i, with_lead(u, 2, input(i).shape()), x.dtype());
    with_real(x.dtype(), [&](auto type) {
      using T = decltype(type);
      const auto at = [](Tensor& t) { return t ? t.template mutable_data<T>() : nullptr; };
      const LayerNormPull<T> args{.x = x.data<T>(),
                                  .weight = data_or_null<T>(weight),
                                  .mean = mean.data<T>(),
                                  .mean_low = mean_low.data<T>(),
                                  .inv_sd = inv_sd.data<T>(),
                                  .u = u.data<T>(),
                                  .dx = at(to[0].tensor),
                                  .dweight = at(to[1].tensor),
                                  .dbias = at(to[2].tensor),
                                  .beta_x = to[0].beta,
                                  .beta_weight = to[1].beta,
                                  .beta_bias = to[2].beta};
      UNROLL_ON_DEVICE(x.device(),
                       layer_norm_pull<T>(shape(u.rank() > 2 ? u.shape()[0] : 1), args));
    });
    for (int i = 0; i < 3; i++)
      if (to[i].tensor) s.add(i, to[i].tensor);
  }

  void push(Pushforward& s) const {
    if (is_recording() || stats) return push_twin(s);
    Tensor v[3];
    std::int64_t K = 0;  // no leading axis
    for (int i = 0; i < 3; i++) {
      if (!s.tangent(i)) continue;
      v[i] = contiguous_copy(s.tangent(i));
      if (v[i].rank() > input(i).rank()) K = v[i].shape()[0];
    }
    Shape out = x.shape();
    if (K) out.insert(0, K);
    Tensor ty = empty(out, x.dtype(), x.device());
    with_real(x.dtype(), [&](auto type) {
      using T = decltype(type);
      const LayerNormPush<T> args{.x = x.data<T>(),
                                  .weight = data_or_null<T>(weight),
                                  .mean = mean.data<T>(),
                                  .mean_low = mean_low.data<T>(),
                                  .inv_sd = inv_sd.data<T>(),
                                  .tx = data_or_null<T>(v[0]),
                                  .tweight = data_or_null<T>(v[1]),
                                  .tbias = data_or_null<T>(v[2]),
                                  .ty = ty.mutable_data<T>()};
      UNROLL_ON_DEVICE(x.device(), layer_norm_push<T>(shape(K ? K : 1), args));
    });
    s.set(0, ty);
  }

 private:
  // The twin on operands of its own, and those that a sweep goes to or comes from.
  LayerNormOut twin(Tensor (&own)[3]) const {
    for (int i = 0; i < 3; i++) own[i] = distinct(input(i));
    return rows_twin(own[0], own[1], own[2], eps);
  }
  void pull_twin(Pullback& s) const {
    Tape tape;
    Tensor own[3];
    const LayerNormOut out = twin(own);
    Tensors wanted;
    for (int i = 0; i < 3; i++)
      if (s.wants(i)) wanted.push_back(own[i]);
    Tensors ys{out.y}, us{s.cotangent(0)};
    if (stats)
      for (int i = 1; i < 3; i++)
        ys.push_back(i == 1 ? out.mean : out.inv_sd), us.push_back(s.cotangent(i));
    const Tensors d = tape.pull(ys, us, wanted);
    for (int i = 0, k = 0; i < 3; i++)
      if (s.wants(i)) s.add(i, d[static_cast<std::size_t>(k++)]);
  }
  void push_twin(Pushforward& s) const {
    Tape tape;
    Tensor own[3];
    const LayerNormOut out = twin(own);
    Tensors xs, vs;
    for (int i = 0; i < 3; i++)
      if (s.tangent(i)) xs.push_back(own[i]), vs.push_back(s.tangent(i));
    const Tensors d = tape.push(xs, vs, {out.y, out.mean, out.inv_sd});
    for (int i = 0; i < (stats ? 3 : 1); i++) s.set(i, d[static_cast<std::size_t>(i)]);
  }
};

// How many elements are normalised together.
std::int64_t checked_size(const char* op, const Tensor& x, const Shape& shape, const Tensor& weight,
                          const Tensor& bias, double eps) {
  require_real(op, x);
  bool fits = shape.rank() > 0 && shape.rank() <= x.rank() && shape.numel() > 0;
  for (int i = 1; fits && i <= shape.rank(); i++) fits = x.shape()[-i] == shape[-i];
  if (!fits)
    fail(op, "x is " + to_string(x.shape()) + " but its last axes should be " + to_string(shape) +
                 ", at least one of them and none of size 0");
  if (!(eps >= 0)) fail(op, "eps must not be negative, but is " + std::to_string(eps));
  for (const Tensor* t : {&weight, &bias}) {
    if (!*t) continue;
    require_alike(op, x, *t);
    if (!(t->shape() == shape))
      fail(op, std::string(t == &weight ? "weight" : "bias") + " is " + to_string(t->shape()) +
                   ", not " + to_string(shape));
  }
  return shape.numel();
}

// Operands as rows.
struct Rows {
  Tensor x, weight, bias;
};

Rows rows_of(const Tensor& x, const Tensor& weight, const Tensor& bias, std::int64_t n) {
  const auto flat = [&](const Tensor& t) { return t ? reshape(t, {n}) : t; };
  return {reshape(x, {x.numel() / n, n}), flat(weight), flat(bias)};
}

LayerNormOut as_given(const LayerNormOut& out, const Tensor& x, const Shape& shape) {
  Shape one_each = x.shape();
  for (int i = 1; i <= shape.rank(); i++) one_each[-i] = 1;
  return {reshape(out.y, x.shape()), reshape(out.mean, one_each), reshape(out.inv_sd, one_each)};
}

LayerNormOut fused_rows(const Rows& in, double eps, bool stats) {
  const std::int64_t R = in.x.shape()[0];
  LayerNormOut out{empty_like(in.x), empty({R, 1}, in.x.dtype(), in.x.device()),
                   empty({R, 1}, in.x.dtype(), in.x.device())};
  Tensor mean_low = empty_like(out.mean);
  const LayerNormShape shape{.rows = R, .n = in.x.shape()[1], .eps = eps};
  with_real(in.x.dtype(), [&](auto type) {
    using T = decltype(type);
    const LayerNormArgs<T> args{.x = in.x.data<T>(),
                                .weight = data_or_null<T>(in.weight),
                                .bias = data_or_null<T>(in.bias),
                                .y = out.y.mutable_data<T>(),
                                .mean = out.mean.mutable_data<T>(),
                                .mean_low = mean_low.mutable_data<T>(),
                                .inv_sd = out.inv_sd.mutable_data<T>()};
    UNROLL_ON_DEVICE(in.x.device(), layer_norm<T>(shape, args));
  });
  if (is_recording()) {
    LayerNormRule rule{in.x, in.weight, in.bias, out.mean, mean_low, out.inv_sd, eps, stats};
    if (stats)
      record(std::move(rule), {&in.x, &in.weight, &in.bias}, {&out.y, &out.mean, &out.inv_sd});
    else
      record(std::move(rule), {&in.x, &in.weight, &in.bias}, {&out.y});
  }
  return out;
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Shape& shape, const Tensor& weight, const Tensor& bias,
                  double eps) {
  const std::int64_t n = checked_size("layer_norm", x, shape, weight, bias, eps);
  return reshape(fused_rows(rows_of(x, weight, bias, n), eps, false).y, x.shape());
}

LayerNormOut layer_norm_stats(const Tensor& x, const Shape& shape, const Tensor& weight,
                              const Tensor& bias, double eps) {
  const std::int64_t n = checked_size("layer_norm_stats", x, shape, weight, bias, eps);
  return as_given(fused_rows(rows_of(x, weight, bias, n), eps, true), x, shape);
}

LayerNormOut layer_norm_twin(const Tensor& x, const Shape& shape, const Tensor& weight,
                             const Tensor& bias, double eps) {
  const std::int64_t n = checked_size("layer_norm_twin", x, shape, weight, bias, eps);
  const Rows in = rows_of(x, weight, bias, n);
  return as_given(rows_twin(in.x, in.weight, in.bias, eps), x, shape);
}

}  // namespace unroll
