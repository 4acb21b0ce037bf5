#include "autograd/attention.h"

#include <cmath>
#include <limits>
#include <string>

#include "autograd/operands.h"
#include "core/random.h"
#include "kernels/attention.h"

namespace unroll {

using namespace detail;

namespace {

/// What a record differentiates; `vector` and `bias` may be undefined.
struct Operands {
  static constexpr int count = 5;
  Tensor q, k, v, vector, bias;

  const Tensor& operator[](int i) const { return const_cast<Operands&>(*this)[i]; }
  Tensor& operator[](int i) {
    Tensor* const all[count] = {&q, &k, &v, &vector, &bias};
    return *all[i];
  }
};

// ---- checks

void check_operands(const char* op, const Operands& x) {
  require_real(op, x.q);
  require_alike(op, x.q, x.k);
  require_alike(op, x.q, x.v);
  const bool ranks = x.q.rank() == 4 && x.k.rank() == 4 && x.v.rank() == 4;
  const auto same = [&](const Tensor& a, const Tensor& b, int axis) {
    return a.shape()[axis] == b.shape()[axis];
  };
  if (!ranks || !same(x.q, x.k, 0) || !same(x.k, x.v, 0) || !same(x.k, x.v, 1) ||
      !same(x.k, x.v, 2) || !same(x.q, x.k, 3))
    fail(op, "q is " + to_string(x.q.shape()) + ", k " + to_string(x.k.shape()) + ", v " +
                 to_string(x.v.shape()) + ": they must be [B,Hq,Tq,D], [B,Hk,Tk,D], [B,Hk,Tk,Dv]");
  const std::int64_t heads = x.q.shape()[1], key_heads = x.k.shape()[1];
  if (key_heads == 0 || heads % key_heads != 0)
    fail(op, "q has " + std::to_string(heads) + " heads, which is no multiple of the " +
                 std::to_string(key_heads) + " of k");
  if (!x.vector) return;
  require_alike(op, x.q, x.vector);
  if (!(x.vector.shape() == Shape{x.q.shape()[3]}))
    fail(op, "vector is " + to_string(x.vector.shape()) + " but q is " + to_string(x.q.shape()) +
                 ": it must be [D]");
}

Shape scores_of(const Operands& x) {
  return {x.q.shape()[0], x.q.shape()[1], x.q.shape()[2], x.k.shape()[2]};
}

// Strides of a mask along the axes of the scores, 0 where it is broadcast.
void set_strides(const char* op, const Tensor& mask, const Shape& scores,
                 std::int64_t (&stride)[4]) {
  const int lead = 4 - mask.rank();
  bool fits = lead >= 0;
  for (int i = 0; fits && i < mask.rank(); i++) {
    const std::int64_t size = mask.shape()[i];
    fits = size == 1 || size == scores[lead + i];
    stride[lead + i] = size == 1 ? 0 : mask.strides()[i];
  }
  if (!fits)
    fail(op, "a mask is " + to_string(mask.shape()) + ": it does not broadcast to " +
                 to_string(scores));
}

// Of a dense tensor of the bias's shape.
void set_dense_strides(const Tensor& bias, AttentionShape& s) {
  s.bias_size = 1;
  for (int i = 4; i-- > 0;) {
    const std::int64_t size = bias.shape()[i];
    s.dbias_stride[i] = size == 1 ? 0 : s.bias_size;
    s.bias_size *= size;
  }
}

void check_options(const char* op, const Operands& x, const AttentionOptions& options) {
  if (!(options.dropout.p >= 0 && options.dropout.p <= 1))
    fail(op, "dropout of " + std::to_string(options.dropout.p) + ": it must be in 0..1");
  if (x.bias) require_alike(op, x.q, x.bias);
  if (const Tensor& attend = options.mask.attend; attend && attend.dtype() != Dtype::boolean)
    fail(op, std::string("mask.attend is ") + name(attend.dtype()) +
                 ": it must be bool; numbers to be added go into mask.bias");
}

double scale_of(const Operands& x, const AttentionOptions& options) {
  if (options.scale) return *options.scale;
  const std::int64_t D = x.q.shape()[3];
  return x.vector || D == 0 ? 1 : 1 / std::sqrt(static_cast<double>(D));
}

// Where the kernels of x's device read the lengths; null where all are full.
const std::int64_t* lengths_at(const char* op, const Lengths& lengths, std::int64_t T,
                               const Operands& x) {
  const LengthsView view = lengths.view(op, T, x.q.shape()[0], x.q.device());
  return view.on_device ? view.on_device : view.length;
}

AttentionShape checked_shape(const char* op, const Operands& x, const AttentionOptions& options) {
  check_operands(op, x);
  check_options(op, x, options);
  const Shape scores = scores_of(x);
  AttentionShape s{
      .batch = scores[0],
      .heads = scores[1],
      .key_heads = x.k.shape()[1],
      .queries = scores[2],
      .keys = scores[3],
      .key_size = x.q.shape()[3],
      .value_size = x.v.shape()[3],
      .score = x.vector ? AttentionScore::additive : AttentionScore::dot,
      .scale = scale_of(x, options),
      .causal = options.causal,
      .key_lengths = lengths_at(op, options.key_lengths, scores[3], x),
      .query_lengths = lengths_at(op, options.query_lengths, scores[2], x),
      .drop = options.dropout.p,
      .seed = options.dropout.seed,
      .stream = options.dropout.stream,
      .counter = options.dropout.counter,
  };
  if (options.mask.attend) set_strides(op, options.mask.attend, scores, s.attend_stride);
  if (x.bias) set_strides(op, x.bias, scores, s.bias_stride);
  return s;
}

// ---- the rule

template <class T>
AttentionInputs<T> inputs_of(const Operands& x, const Tensor& attend) {
  return {.q = x.q.data<T>(),
          .k = x.k.data<T>(),
          .v = x.v.data<T>(),
          .vector = data_or_null<T>(x.vector),
          .attend = data_or_null<bool>(attend),
          .bias = data_or_null<T>(x.bias)};
}

struct AttentionRule {
  static constexpr const char* name = "attention";
  Operands in;
  AttentionOptions options;
  Tensor out, stats, weights;

  auto saved() const {
    return std::tie(in.q, in.k, in.v, in.vector, in.bias, options.mask.attend, out, stats, weights);
  }

  AttentionShape shape(std::int64_t K) const {
    AttentionShape s = checked_shape(name, in, options);
    if (in.bias) set_dense_strides(in.bias, s);
    s.directions = K;
    return s;
  }

  void pull(Pullback& s) const {
    if (is_recording()) return pull_twin(s);
    with_real(in.q.dtype(), [&](auto type) { pull_fused<decltype(type)>(s); });
  }
  void push(Pushforward& s) const {
    if (is_recording()) return push_twin(s);
    with_real(in.q.dtype(), [&](auto type) { push_fused<decltype(type)>(s); });
  }

 private:
  template <class T>
  void pull_fused(Pullback& s) const {
    const Tensor &d = s.cotangent(0), &dw = weights ? s.cotangent(1) : Tensor();
    const Tensor& any = d ? d : dw;
    const Tensor dout = d ? contiguous_copy(d) : d, dweights = dw ? contiguous_copy(dw) : dw;
    AttentionPull<T> args{.in = inputs_of<T>(in, options.mask.attend),
                          .out = out.data<T>(),
                          .stats = stats.data<T>(),
                          .weights = data_or_null<T>(weights),
                          .dout = data_or_null<T>(dout),
                          .dweights = data_or_null<T>(dweights),
                          .scratch = nullptr};
    Tensor results[Operands::count];
    const auto place = [&](int i, T*& pointer, double& beta) {
      if (!s.wants(i)) return;
      const Pullback::Target target = s.target(i, with_lead(any, 4, in[i].shape()), any.dtype());
      results[i] = target.tensor;
      pointer = results[i].template mutable_data<T>();
      beta = target.beta;
    };
    place(0, args.dq, args.beta_q);
    place(1, args.dk, args.beta_k);
    place(2, args.dv, args.beta_v);
    place(3, args.dvector, args.beta_vector);
    place(4, args.dbias, args.beta_bias);
    const AttentionShape space = shape(any.rank() > 4 ? any.shape()[0] : 1);
    const Device device = in.q.device();
    const Scratch scratch(device, UNROLL_VALUE_ON_DEVICE(device, attention_scratch<T>(space)));
    args.scratch = scratch.data();
    UNROLL_ON_DEVICE(device, attention_pull<T>(space, args));
    for (int i = 0; i < Operands::count; i++)
      if (results[i]) s.add(i, results[i]);
  }

  template <class T>
  void push_fused(Pushforward& s) const {
    Tensor v[Operands::count];
    std::int64_t K = 1;
    bool lead = false;
    for (int i = 0; i < Operands::count; i++) {
      if (!s.tangent(i)) continue;
      v[i] = contiguous_copy(s.tangent(i));
      if (v[i].rank() > in[i].rank()) K = v[i].shape()[0], lead = true;
    }
    const auto directed = [&](const Tensor& like) {
      Shape full = like.shape();
      if (lead) full.insert(0, K);
      return empty(full, like.dtype(), like.device());
    };
    Tensor tout = directed(out), tweights = weights ? directed(weights) : Tensor();
    const AttentionShape space = shape(K);
    const Device device = in.q.device();
    const Scratch scratch(device, UNROLL_VALUE_ON_DEVICE(device, attention_scratch<T>(space)));
    const AttentionPush<T> args{.in = inputs_of<T>(in, options.mask.attend),
                                .out = out.data<T>(),
                                .stats = stats.data<T>(),
                                .weights = data_or_null<T>(weights),
                                .tq = data_or_null<T>(v[0]),
                                .tk = data_or_null<T>(v[1]),
                                .tv = data_or_null<T>(v[2]),
                                .tvector = data_or_null<T>(v[3]),
                                .tbias = data_or_null<T>(v[4]),
                                .tout = tout.mutable_data<T>(),
                                .tweights = tweights ? tweights.mutable_data<T>() : nullptr,
                                .scratch = scratch.data()};
    UNROLL_ON_DEVICE(device, attention_push<T>(space, args));
    s.set(0, tout);
    if (weights) s.set(1, tweights);
  }

  Operands distinct_operands() const {
    Operands own;
    for (int i = 0; i < Operands::count; i++) own[i] = distinct(in[i]);
    return own;
  }
  Tensors twin(const Operands& own) const {
    AttentionOptions with_bias = options;
    with_bias.mask.bias = own.bias;
    const AttentionOut made = attention_twin(own.q, own.k, own.v, own.vector, with_bias);
    return weights ? Tensors{made.context, made.weights} : Tensors{made.context};
  }

  void pull_twin(Pullback& s) const {
    const Operands own = distinct_operands();
    Tape tape;
    const Tensors ys = twin(own);
    Tensors us{s.cotangent(0)}, wanted;
    if (weights) us.push_back(s.cotangent(1));
    for (int i = 0; i < Operands::count; i++)
      if (s.wants(i)) wanted.push_back(own[i]);
    const Tensors d = tape.pull(ys, us, wanted);
    for (int i = 0, k = 0; i < Operands::count; i++)
      if (s.wants(i)) s.add(i, d[std::size_t(k++)]);
  }

  void push_twin(Pushforward& s) const {
    const Operands own = distinct_operands();
    Tape tape;
    const Tensors ys = twin(own);
    Tensors xs, vs;
    for (int i = 0; i < Operands::count; i++)
      if (s.tangent(i)) xs.push_back(own[i]), vs.push_back(s.tangent(i));
    const Tensors d = tape.push(xs, vs, ys);
    for (std::size_t i = 0; i < d.size(); i++) s.set(static_cast<int>(i), d[i]);
  }
};

AttentionOut attend(const char* op, Operands x, const AttentionOptions& options) {
  x.bias = options.mask.bias;
  const AttentionShape shape = checked_shape(op, x, options);
  for (int i = 0; i < 4; i++)
    if (x[i]) x[i] = contiguous(x[i]);
  while (x.bias && x.bias.rank() < 4) x.bias = unsqueeze(x.bias, 0);
  const Dtype dtype = x.q.dtype();
  const Device device = x.q.device();
  AttentionOut out;
  out.context = empty({shape.batch, shape.heads, shape.queries, shape.value_size}, dtype, device);
  if (options.need_weights) out.weights = empty(scores_of(x), dtype, device);
  Tensor stats = empty({2, shape.batch, shape.heads, shape.queries}, dtype, device);
  with_real(dtype, [&](auto type) {
    using T = decltype(type);
    const Scratch scratch(device, UNROLL_VALUE_ON_DEVICE(device, attention_scratch<T>(shape)));
    const AttentionArgs<T> args{.in = inputs_of<T>(x, options.mask.attend),
                                .out = out.context.mutable_data<T>(),
                                .stats = stats.mutable_data<T>(),
                                .weights = out.weights ? out.weights.mutable_data<T>() : nullptr,
                                .scratch = scratch.data()};
    UNROLL_ON_DEVICE(device, attention<T>(shape, args));
  });
  if (!is_recording()) return out;
  AttentionOptions kept = options;
  kept.mask.bias = {};
  const Tensor* inputs[Operands::count];
  for (int i = 0; i < Operands::count; i++) inputs[i] = &x[i];
  Tensor* outputs[] = {&out.context, &out.weights};
  record(AttentionRule{x, kept, out.context, stats, out.weights}, inputs,
         std::span<Tensor* const>(outputs, out.weights ? 2 : 1));
  return out;
}

// ---- the twin

// bool [N,1,T,1]: true at the valid steps.
Tensor steps_mask(const Lengths& lengths, std::int64_t T, const Tensor& x) {
  const Tensor mask = length_mask(lengths, T, x.shape()[0], x.device());
  return view::unsqueeze(view::permute(mask, {1, 2, 0}), -1);
}

// x [B,H,T,*] with its padding replaced by zeros: padding must not even be multiplied by zero.
Tensor without_padding(const Tensor& x, const Lengths& lengths) {
  if (!lengths) return x;
  const Tensor mask = steps_mask(lengths, x.shape()[2], x);
  return where(mask, x, number_like(x, 0));
}

// Each key head once for every query head that reads it.
Tensor repeated(const Tensor& x, std::int64_t heads) {
  const Shape& s = x.shape();
  if (s[1] == heads) return x;
  return reshape(expand(unsqueeze(x, 2), {s[0], s[1], heads / s[1], s[2], s[3]}),
                 {s[0], heads, s[2], s[3]});
}

Tensor places(std::int64_t count, const Tensor& x) {
  return arange(count, Dtype::int64, 0, 1, x.device());
}

// All masks of keys, each of which broadcasts to the scores.
Tensors masks_of(const Operands& x, const AttentionOptions& options) {
  const Shape scores = scores_of(x);
  Tensors masks;
  if (options.key_lengths)
    masks.push_back(view::transpose(steps_mask(options.key_lengths, scores[3], x.q), -1, -2));
  if (options.mask.attend) masks.push_back(options.mask.attend);
  if (options.causal)
    masks.push_back(ge(view::unsqueeze(places(scores[2], x.q), -1),
                       view::unsqueeze(places(scores[3], x.q), 0)));
  if (x.bias)
    masks.push_back(ne(x.bias, number_like(x.bias, -std::numeric_limits<double>::infinity())));
  return masks;
}

Tensor raw_scores(const Operands& x, double scale) {
  if (!x.vector) return mul(matmul(x.q, transpose(x.k, -1, -2)), scale);
  const Tensor inner = tanh(add(unsqueeze(x.q, 3), unsqueeze(x.k, 2)));  // [B,H,Tq,Tk,D]
  return mul(sum(mul(inner, x.vector), -1), scale);
}

// 0 or 1 / (1 - p) for each weight.
Tensor keep_of(const AttentionDropout& dropout, const Shape& scores, const Tensor& like) {
  Random random(dropout.seed, dropout.stream);
  random.set_counter(dropout.counter);
  const Tensor u = random.uniform(scores, 0, 1, Dtype::float64, like.device());
  const double kept = dropout.p < 1 ? 1 / (1 - dropout.p) : 0;
  return where(ge(u, number_like(u, dropout.p)), number_like(like, kept), number_like(like, 0));
}

// Time first with one head: [T,N,D] as [N,1,T,D], and back.
Tensor with_head(const char* op, const Tensor& x) {
  require_real(op, x);
  if (x.rank() != 3) fail(op, "an operand is " + to_string(x.shape()) + ": it must be [T,N,*]");
  return unsqueeze(transpose(x, 0, 1), 1);
}
AttentionOut without_head(const AttentionOut& out) {
  return {transpose(squeeze(out.context, 1), 0, 1),
          out.weights ? squeeze(out.weights, 1) : out.weights};
}

AttentionOut attend_time_first(const char* op, const Tensor& q, const Tensor& keys,
                               const Tensor& values, const Tensor& vector,
                               AttentionOptions options) {
  if (!options.scale) options.scale = 1;
  const Tensor k = with_head(op, keys);
  const Tensor v = values && values.id() == keys.id() ? k : with_head(op, values);
  return without_head(attend(op, {with_head(op, q), k, v, vector, {}}, options));
}

}  // namespace

AttentionOut scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                          const AttentionOptions& options) {
  return attend("scaled_dot_product_attention", {q, k, v, {}, {}}, options);
}

AttentionOut additive_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                const Tensor& vector, const AttentionOptions& options) {
  require_defined("additive_attention", vector);
  return attend("additive_attention", {q, k, v, vector, {}}, options);
}

AttentionOut luong_attention(const Tensor& q, const Tensor& keys, const Tensor& values,
                             const AttentionOptions& options) {
  return attend_time_first("luong_attention", q, keys, values, {}, options);
}

AttentionOut bahdanau_attention(const Tensor& q, const Tensor& keys, const Tensor& values,
                                const Tensor& vector, const AttentionOptions& options) {
  require_defined("bahdanau_attention", vector);
  return attend_time_first("bahdanau_attention", q, keys, values, vector, options);
}

AttentionOut attention_twin(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& vector,
                            const AttentionOptions& options) {
  Operands x{q, k, v, vector, options.mask.bias};
  checked_shape("attention_twin", x, options);
  const Shape scores = scores_of(x);
  const Tensor zero = number_like(q, 0), low = number_like(q, -1e30);
  x.q = without_padding(q, options.query_lengths);
  x.k = repeated(without_padding(k, options.key_lengths), scores[1]);
  x.v = repeated(without_padding(v, options.key_lengths), scores[1]);
  Tensor score = raw_scores(x, scale_of(x, options));
  if (x.bias) score = add(score, x.bias);
  // What is masked gets a finite score far below the others', so that a row without keys is no NaN
  // before it is zeroed.
  const Tensors masks = masks_of(x, options);
  for (const Tensor& mask : masks) score = where(mask, score, low);
  Tensor weights = softmax(score, -1);
  for (const Tensor& mask : masks) weights = where(mask, weights, zero);
  if (options.dropout.p > 0) weights = mul(weights, keep_of(options.dropout, scores, q));
  weights = without_padding(weights, options.query_lengths);
  // The cotangent of padding may hold anything, too.
  return {without_padding(matmul(weights, x.v), options.query_lengths), weights};
}

}  // namespace unroll
