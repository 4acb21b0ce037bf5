#include "autograd/attention.h"

#include "autograd/operands.h"
#include "kernels/attention.h"

namespace unroll {

using namespace detail;

namespace {

AttentionShape checked_shape(const char* op, const Tensor& q, const Tensor& keys,
                             const Tensor& values, const Lengths& key_lengths,
                             const Lengths& query_lengths, double scale) {
  require_real(op, q);
  require_alike(op, q, keys);
  require_alike(op, q, values);
  const bool ranks = q.rank() == 3 && keys.rank() == 3 && values.rank() == 3;
  if (!ranks || q.shape()[1] != keys.shape()[1] || q.shape()[2] != keys.shape()[2] ||
      keys.shape()[0] != values.shape()[0] || keys.shape()[1] != values.shape()[1])
    fail(op, "q is " + to_string(q.shape()) + ", keys " + to_string(keys.shape()) + ", values " +
                 to_string(values.shape()) + ": they must be [Tq,N,H], [Tk,N,H], [Tk,N,D]");
  const std::int64_t N = q.shape()[1];
  return {.queries = q.shape()[0],
          .keys = keys.shape()[0],
          .batch = N,
          .key_size = q.shape()[2],
          .value_size = values.shape()[2],
          .scale = scale,
          .key_lengths = key_lengths.view(op, keys.shape()[0], N).length,
          .query_lengths = query_lengths.view(op, q.shape()[0], N).length};
}

struct AttentionRule {
  static constexpr const char* name = "attention";
  Tensor q, keys, values, weights;
  Lengths key_lengths, query_lengths;
  double scale;

  auto saved() const { return std::tie(q, keys, values, weights); }

  AttentionShape shape(std::int64_t K) const {
    AttentionShape s = checked_shape(name, q, keys, values, key_lengths, query_lengths, scale);
    s.directions = K;
    return s;
  }
  const Tensor& input(int i) const { return i == 0 ? q : i == 1 ? keys : values; }
  AttentionOut twin(const Tensor (&own)[3]) const {
    return attention_twin(own[0], own[1], own[2], key_lengths, query_lengths, scale);
  }

  void pull(Pullback& s) const {
    if (is_recording()) return pull_twin(s);
    const Tensor &d = s.cotangent(0), &dw = s.cotangent(1);
    const Tensor& any = d ? d : dw;
    const std::int64_t K = any.rank() > 3 ? any.shape()[0] : 1;
    const Tensor dcontext = d ? contiguous_copy(d) : d, dweights = dw ? contiguous_copy(dw) : dw;
    Pullback::Target targets[3];
    for (int i = 0; i < 3; i++)
      if (s.wants(i)) targets[i] = s.target(i, with_lead(any, 3, input(i).shape()), q.dtype());
    // Keys that are also the values share one sum: written once, then added to.
    const bool shared = s.wants(1) && keys.id() == values.id();
    if (shared) targets[2] = {targets[1].tensor, 1};
    with_real(q.dtype(), [&](auto type) {
      using T = decltype(type);
      const auto at = [](Tensor& t) { return t ? t.template mutable_data<T>() : nullptr; };
      const AttentionShape space = shape(K);
      const Scratch scratch(cpu::attention_scratch<T>(space));
      const AttentionPull<T> args{.q = q.data<T>(),
                                  .keys = keys.data<T>(),
                                  .values = values.data<T>(),
                                  .weights = weights.data<T>(),
                                  .dcontext = data_or_null<T>(dcontext),
                                  .dweights = data_or_null<T>(dweights),
                                  .dq = at(targets[0].tensor),
                                  .dkeys = at(targets[1].tensor),
                                  .dvalues = at(targets[2].tensor),
                                  .scratch = scratch.data(),
                                  .beta_q = targets[0].beta,
                                  .beta_keys = targets[1].beta,
                                  .beta_values = targets[2].beta};
      UNROLL_ON_DEVICE(q.device(), attention_pull<T>(space, args));
    });
    for (int i = 0; i < (shared ? 2 : 3); i++)
      if (targets[i].tensor) s.add(i, targets[i].tensor);
  }

  void push(Pushforward& s) const {
    if (is_recording()) return push_twin(s);
    Tensor v[3];
    Tensor any;
    for (int i = 0; i < 3; i++)
      if (s.tangent(i)) any = v[i] = contiguous_copy(s.tangent(i));
    const std::int64_t K = any.rank() > 3 ? any.shape()[0] : 1;
    Shape out = q.shape();
    out[-1] = values.shape()[-1];
    Tensor context = empty(with_lead(any, 3, out), q.dtype());
    Tensor dweights = empty(with_lead(any, 3, weights.shape()), q.dtype());
    with_real(q.dtype(), [&](auto type) {
      using T = decltype(type);
      const AttentionShape space = shape(K);
      const Scratch scratch(cpu::attention_scratch<T>(space));
      const AttentionPush<T> args{.q = q.data<T>(),
                                  .keys = keys.data<T>(),
                                  .values = values.data<T>(),
                                  .weights = weights.data<T>(),
                                  .tq = data_or_null<T>(v[0]),
                                  .tkeys = data_or_null<T>(v[1]),
                                  .tvalues = data_or_null<T>(v[2]),
                                  .tcontext = context.mutable_data<T>(),
                                  .tweights = dweights.mutable_data<T>(),
                                  .scratch = scratch.data()};
      UNROLL_ON_DEVICE(q.device(), attention_push<T>(space, args));
    });
    s.set(0, context);
    s.set(1, dweights);
  }

 private:
  void pull_twin(Pullback& s) const {
    const Tensor own[] = {distinct(q), distinct(keys), distinct(values)};
    Tape tape;
    const AttentionOut out = twin(own);
    Tensors wanted;
    for (int i = 0; i < 3; i++)
      if (s.wants(i)) wanted.push_back(own[i]);
    const Tensors d =
        tape.pull({out.context, out.weights}, {s.cotangent(0), s.cotangent(1)}, wanted);
    for (int i = 0, k = 0; i < 3; i++)
      if (s.wants(i)) s.add(i, d[k++]);
  }
  void push_twin(Pushforward& s) const {
    const Tensor own[] = {distinct(q), distinct(keys), distinct(values)};
    Tape tape;
    const AttentionOut out = twin(own);
    Tensors xs, vs;
    for (int i = 0; i < 3; i++)
      if (s.tangent(i)) xs.push_back(own[i]), vs.push_back(s.tangent(i));
    const Tensors d = tape.push(xs, vs, {out.context, out.weights});
    s.set(0, d[0]);
    s.set(1, d[1]);
  }
};

// x [T,N,*] with its padding replaced by zeros: padding must not even be multiplied by zero.
Tensor without_padding(const Tensor& x, const Lengths& lengths) {
  if (!lengths) return x;
  const Tensor mask = length_mask(lengths, x.shape()[0], x.shape()[1]);
  return where(mask, x, scalar(0, x.dtype()));
}

}  // namespace

AttentionOut attention(const Tensor& q_in, const Tensor& keys_in, const Tensor& values_in,
                       const Lengths& key_lengths, const Lengths& query_lengths, double scale) {
  const AttentionShape shape =
      checked_shape("attention", q_in, keys_in, values_in, key_lengths, query_lengths, scale);
  const Tensor q = contiguous(q_in), keys = contiguous(keys_in);
  const Tensor values = values_in.id() == keys_in.id() ? keys : contiguous(values_in);
  AttentionOut out{empty({shape.queries, shape.batch, shape.value_size}, q.dtype()),
                   empty({shape.batch, shape.queries, shape.keys}, q.dtype())};
  with_real(q.dtype(), [&](auto type) {
    using T = decltype(type);
    const Scratch scratch(cpu::attention_scratch<T>(shape));
    const AttentionArgs<T> args{.q = q.data<T>(),
                                .keys = keys.data<T>(),
                                .values = values.data<T>(),
                                .context = out.context.mutable_data<T>(),
                                .weights = out.weights.mutable_data<T>(),
                                .scratch = scratch.data()};
    UNROLL_ON_DEVICE(q.device(), attention<T>(shape, args));
  });
  if (is_recording())
    record(AttentionRule{q, keys, values, out.weights, key_lengths, query_lengths, scale},
           {&q, &keys, &values}, {&out.context, &out.weights});
  return out;
}

AttentionOut attention_twin(const Tensor& q_in, const Tensor& keys_in, const Tensor& values_in,
                            const Lengths& key_lengths, const Lengths& query_lengths,
                            double scale) {
  const AttentionShape shape =
      checked_shape("attention_twin", q_in, keys_in, values_in, key_lengths, query_lengths, scale);
  const Tensor q = transpose(without_padding(q_in, query_lengths), 0, 1);         // [N,Tq,H]
  const Tensor keys = permute(without_padding(keys_in, key_lengths), {1, 2, 0});  // [N,H,Tk]
  const Tensor values = transpose(without_padding(values_in, key_lengths), 0, 1);
  const Tensor score = mul(matmul(q, keys), scale);  // [N,Tq,Tk]
  // A mask of valid pairs; what is masked gets a finite score far below the others', so that a
  // row without valid keys is no NaN before it is zeroed.
  const Tensor key_mask =
      view::permute(length_mask(key_lengths, shape.keys, shape.batch), {1, 2, 0});
  const Tensor query_mask =
      view::transpose(length_mask(query_lengths, shape.queries, shape.batch), 0, 1);
  const Tensor zero = scalar(0, q.dtype());
  const Tensor low = where(key_mask, score, scalar(-1e30, q.dtype()));
  const Tensor weights = where(query_mask, where(key_mask, softmax(low, -1), zero), zero);
  // The cotangent of padding may hold anything, too.
  return {without_padding(transpose(matmul(weights, values), 0, 1), query_lengths), weights};
}

}  // namespace unroll
