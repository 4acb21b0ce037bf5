// Losses of classes: the fused softmax cross-entropy, its twin, and nll_loss.
#include "kernels/cross_entropy.h"

#include "autograd/losses.h"
#include "autograd/operands.h"

namespace unroll {

using namespace detail;

namespace {

// The targets of all rows.
struct Targets {
  Tensor index;      // int64 [R]: as given
  Tensor inside;     // int64 [R]: 0 where ignored
  Tensor valid;      // bool [R]: not ignored
  Tensor weight;     // [R]: of the target's class; 0 where ignored
  double total = 0;  // sum of `weight`
};

// Axis 1, or the only one, holds the classes.
std::int64_t class_count(const char* op, const Tensor& x, const ClassOptions& o) {
  require_real(op, x);
  if (x.rank() == 0) fail(op, "x is of rank 0; it must be [N,C,...] or [C]");
  const std::int64_t C = x.shape()[x.rank() == 1 ? 0 : 1];
  if (C == 0) fail(op, "x is " + to_string(x.shape()) + ": there are no classes");
  if (o.weight) {
    require_alike(op, x, o.weight);
    if (!(o.weight.shape() == Shape{C}))
      fail(op, "weight is " + to_string(o.weight.shape()) + " for " + std::to_string(C) +
                   " classes of x " + to_string(x.shape()));
  }
  return C;
}

// x's shape without the classes.
Shape rows_shape(const Tensor& x) {
  Shape rows;
  for (int i = 0; i < x.rank(); i++)
    if (i != (x.rank() == 1 ? 0 : 1)) rows.insert(rows.rank(), x.shape()[i]);
  return rows;
}

// Checked on the host, wherever x is.
Targets checked_targets(const char* op, const Tensor& x, const Tensor& target,
                        const ClassOptions& o) {
  const std::int64_t C = class_count(op, x, o);
  require_defined(op, target);
  if (!(target.shape() == rows_shape(x)))
    fail(op, "x is " + to_string(x.shape()) + " but target is " + to_string(target.shape()) +
                 ", not " + to_string(rows_shape(x)));
  if (target.dtype() != Dtype::int64)
    fail(op, std::string("target is ") + name(target.dtype()) + ", not int64");
  if (!(target.device() == x.device()))
    fail(op, "x is on " + name(x.device()) + " and target on " + name(target.device()));
  const std::int64_t R = target.numel();
  const auto on_host = [](const Tensor& any) {
    return contiguous_copy(on_device(any, Device::cpu()));
  };
  Targets t{cast_copy(view::reshape(on_host(target), {R}), Dtype::int64), empty({R}, Dtype::int64),
            empty({R}, Dtype::boolean), empty({R}, x.dtype())};
  const std::int64_t* given = t.index.data<std::int64_t>();
  std::int64_t* inside = t.inside.mutable_data<std::int64_t>();
  bool* valid = t.valid.mutable_data<bool>();
  for (std::int64_t i = 0; i < R; i++) {
    valid[i] = given[i] != o.ignore_index;
    inside[i] = valid[i] ? given[i] : 0;
    if (inside[i] < 0 || inside[i] >= C)
      fail(op, "target " + std::to_string(given[i]) + " is out of range 0.." +
                   std::to_string(C - 1) + " and not the ignore_index");
  }
  with_real(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const Tensor dense = o.weight ? on_host(o.weight) : Tensor();
    const T* weights = data_or_null<T>(dense);
    T* weight = t.weight.mutable_data<T>();
    for (std::int64_t i = 0; i < R; i++) {
      weight[i] = !valid[i] ? T(0) : weights ? weights[inside[i]] : T(1);
      t.total += weight[i];
    }
  });
  for (Tensor* each : {&t.index, &t.inside, &t.valid, &t.weight})
    *each = on_device(*each, x.device());
  return t;
}

// x as [R,C], recorded.
Tensor rows_of(const Tensor& x) {
  if (x.rank() == 1) return unsqueeze(x, 0);
  if (x.rank() == 2) return x;
  Axes order;
  order.count = x.rank();
  for (int i = 0; i < x.rank(); i++) order.axis[i] = i == 0 ? 0 : i + 1 < x.rank() ? i + 1 : 1;
  return reshape(permute(x, order), {-1, x.shape()[1]});
}

// The rows' losses [R], in the shape and reduction asked for.
Tensor finish(const Tensor& loss, const Tensor& target, const Targets& t, Reduction reduction) {
  if (reduction == Reduction::none) return reshape(loss, target.shape());
  if (reduction == Reduction::sum) return sum(loss);
  return mul(sum(loss), 1 / t.total);
}

// -w_t x_t of each row of log-probabilities.
Tensor picked(const Tensor& logp, const Targets& t) {
  const Tensor x_t = squeeze(gather(logp, -1, view::unsqueeze(t.inside, -1)), -1);
  return where(t.valid, neg(x_t * t.weight), number_like(logp, 0));
}

// The twin for rows x [R,C].
Tensor rows_twin(const Tensor& x, const Targets& t, const Tensor& weight, double smoothing) {
  const Tensor logp = log_softmax(x, -1);
  const Tensor sharp = picked(logp, t);
  if (smoothing == 0) return sharp;
  const double C = static_cast<double>(x.shape()[-1]);
  const Tensor spread = neg(sum(weight ? logp * weight : logp, -1));
  const Tensor flat = where(t.valid, spread, number_like(x, 0));
  return mul(sharp, 1 - smoothing) + mul(flat, smoothing / C);
}

struct CrossEntropyRule {
  static constexpr const char* name = "cross_entropy";
  Tensor x, weight, shift, log_sum;
  Targets t;
  std::int64_t ignored;
  double smoothing;

  auto saved() const { return std::tie(x, weight); }

  // One pass of a kernel over all directions: pull or else push.
  template <class T>
  void run(bool pull, const Tensor& u, Tensor& v, double beta, std::int64_t K) const {
    const CrossEntropyShape shape{.rows = x.shape()[0],
                                  .n = x.shape()[1],
                                  .ignored = ignored,
                                  .smoothing = smoothing,
                                  .directions = K};
    const CrossEntropyLinear<T> args{.x = x.data<T>(),
                                     .target = t.index.data<std::int64_t>(),
                                     .weight = data_or_null<T>(weight),
                                     .shift = shift.data<T>(),
                                     .log_sum = log_sum.data<T>(),
                                     .u = u.data<T>(),
                                     .v = v.mutable_data<T>(),
                                     .beta = beta};
    if (pull) {
      UNROLL_ON_DEVICE(x.device(), cross_entropy_pull<T>(shape, args));
    } else {
      UNROLL_ON_DEVICE(x.device(), cross_entropy_push<T>(shape, args));
    }
  }

  void pull(Pullback& s) const {
    if (is_recording()) {
      const Tensor own = distinct(x);
      Tape tape;
      const Tensor loss = rows_twin(own, t, weight, smoothing);
      return s.add(0, tape.pull(loss, s.cotangent(), {own})[0]);
    }
    const Tensor u = contiguous_copy(s.cotangent());
    Pullback::Target to = s.target(0, with_lead(u, 1, x.shape()), x.dtype());
    with_real(x.dtype(), [&](auto type) {
      run<decltype(type)>(true, u, to.tensor, to.beta, u.rank() > 1 ? u.shape()[0] : 1);
    });
    s.add(0, to.tensor);
  }

  void push(Pushforward& s) const {
    if (is_recording()) {
      const Tensor own = distinct(x);
      Tape tape;
      const Tensor loss = rows_twin(own, t, weight, smoothing);
      return s.set(0, tape.push({own}, {s.tangent(0)}, loss));
    }
    const Tensor u = contiguous_copy(s.tangent(0));
    Tensor v = empty(with_lead(u, 2, {x.shape()[0]}), x.dtype(), x.device());
    with_real(x.dtype(), [&](auto type) {
      run<decltype(type)>(false, u, v, 0, u.rank() > 2 ? u.shape()[0] : 1);
    });
    s.set(0, v);
  }
};

Tensor fused_rows(const Tensor& x, const Targets& t, const ClassOptions& o) {
  const std::int64_t R = x.shape()[0];
  const Tensor weight = o.weight ? contiguous_copy(o.weight) : o.weight;
  Tensor loss = empty({R}, x.dtype(), x.device()), shift = empty_like(loss),
         log_sum = empty_like(loss);
  const CrossEntropyShape shape{
      .rows = R, .n = x.shape()[1], .ignored = o.ignore_index, .smoothing = o.label_smoothing};
  with_real(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const CrossEntropyArgs<T> args{.x = x.data<T>(),
                                   .target = t.index.data<std::int64_t>(),
                                   .weight = data_or_null<T>(weight),
                                   .loss = loss.mutable_data<T>(),
                                   .shift = shift.mutable_data<T>(),
                                   .log_sum = log_sum.mutable_data<T>()};
    UNROLL_ON_DEVICE(x.device(), cross_entropy<T>(shape, args));
  });
  if (is_recording())
    record(CrossEntropyRule{x, weight, shift, log_sum, t, o.ignore_index, o.label_smoothing}, {&x},
           {&loss});
  return loss;
}

// Targets that are probabilities themselves, smoothed.
Tensor of_probabilities(const Tensor& x, const Tensor& target, const ClassOptions& o) {
  constexpr const char* op = "cross_entropy";
  const std::int64_t C = class_count(op, x, o);
  require_alike(op, x, target);
  if (!(x.shape() == target.shape()))
    fail(op, "x is " + to_string(x.shape()) + " but target is " + to_string(target.shape()) +
                 "; probabilities need x's shape");
  const Tensor logp = log_softmax(rows_of(x), -1);
  Tensor q =
      add(mul(rows_of(target), 1 - o.label_smoothing), o.label_smoothing / static_cast<double>(C));
  if (o.weight) q = q * o.weight;
  const Tensor loss = neg(sum(q * logp, -1));
  return o.reduction == Reduction::none ? reshape(loss, rows_shape(x)) : reduced(loss, o.reduction);
}

void require_smoothing(const char* op, const ClassOptions& o) {
  if (!(o.label_smoothing >= 0 && o.label_smoothing <= 1))
    fail(op, "label_smoothing must lie in 0..1, but is " + std::to_string(o.label_smoothing));
}

}  // namespace

Tensor nll_loss(const Tensor& x, const Tensor& target, const ClassOptions& options) {
  const Targets t = checked_targets("nll_loss", x, target, options);
  if (options.label_smoothing != 0)
    fail("nll_loss", "label_smoothing is an option of cross_entropy");
  return finish(picked(rows_of(x), t), target, t, options.reduction);
}

Tensor cross_entropy(const Tensor& x, const Tensor& target, const ClassOptions& options) {
  require_smoothing("cross_entropy", options);
  require_defined("cross_entropy", target);
  if (is_real(target.dtype())) return of_probabilities(x, target, options);
  const Targets t = checked_targets("cross_entropy", x, target, options);
  return finish(fused_rows(contiguous(rows_of(x)), t, options), target, t, options.reduction);
}

Tensor cross_entropy_twin(const Tensor& x, const Tensor& target, const ClassOptions& options) {
  require_smoothing("cross_entropy_twin", options);
  const Targets t = checked_targets("cross_entropy_twin", x, target, options);
  const Tensor loss = rows_twin(rows_of(x), t, options.weight, options.label_smoothing);
  return finish(loss, target, t, options.reduction);
}

}  // namespace unroll
