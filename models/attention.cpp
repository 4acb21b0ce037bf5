#include "models/attention.h"

#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "core/view.h"
#include "models/init.h"
#include "models/layers.h"

namespace unroll {
namespace {

constexpr const char* kOp = "multihead_attention";

// ---- projections

// Rows of part 0, 1 or 2 (of q, k, v) of a packed parameter.
Tensor part(const Tensor& packed, int which) {
  if (!packed) return packed;
  const std::int64_t E = packed.shape()[0] / 3;
  return slice(packed, 0, which * E, (which + 1) * E);
}

Tensor project(const Tensor& x, const MultiheadWeights& w, int which) {
  const Tensor& own = which == 0 ? w.q_proj_weight : which == 1 ? w.k_proj_weight : w.v_proj_weight;
  const Tensor weight = w.in_proj_weight ? part(w.in_proj_weight, which) : own;
  return linear(x, weight, part(w.in_proj_bias, which));
}

// ---- layouts

struct Layout {
  bool batch_first;
  std::int64_t heads;

  int time() const { return batch_first ? 1 : 0; }
  int batch() const { return batch_first ? 0 : 1; }

  /// [T,N,E] or [N,T,E] as [N,heads,T,E/heads], and back.
  Tensor split(const Tensor& x) const {
    const Shape& s = x.shape();
    const Tensor y = reshape(x, {s[0], s[1], heads, s[2] / heads});
    return batch_first ? transpose(y, 1, 2) : permute(y, {1, 2, 0, 3});
  }
  Tensor joined(const Tensor& x) const {
    const Tensor y = batch_first ? transpose(x, 1, 2) : permute(x, {2, 0, 1, 3});
    const Shape& s = y.shape();
    return reshape(y, {s[0], s[1], s[2] * s[3]});
  }
  /// One more step, equal in all sequences.
  Tensor with_step(const Tensor& x, const Tensor& step) const {
    Shape one = x.shape();
    one[time()] = 1;
    return cat({x, expand(step, one)}, time());
  }
};

// ---- masks

// One of PyTorch's masks (true: masked), with `more` columns that mask nothing, as ours (true:
// attend).
Tensor attend_of(const Tensor& mask, std::int64_t more) {
  Shape shape = mask.shape();
  const std::int64_t columns = shape[-1];
  shape[-1] += more;
  Tensor attend = full(shape, 1, Dtype::boolean, mask.device());
  Tensor own = view::slice(attend, -1, 0, columns);
  copy_into(own, eq(mask, scalar(0, Dtype::boolean, mask.device())));
  return attend;
}

// The same of an added mask.
Tensor bias_of(const Tensor& mask, std::int64_t more) {
  if (more == 0) return mask;
  Shape shape = mask.shape();
  shape[-1] = more;
  return cat({mask, zeros(shape, mask.dtype(), mask.device())}, -1);
}

struct Sizes {
  std::int64_t N, heads, L, S;
};

void check_masks(const MultiheadCall& call, const Sizes& s) {
  const Tensor &padding = call.key_padding_mask, &mask = call.attn_mask;
  if (padding && (padding.dtype() != Dtype::boolean || !(padding.shape() == Shape{s.N, s.S})))
    fail(kOp, std::string("key_padding_mask is ") + name(padding.dtype()) + " " +
                  to_string(padding.shape()) + ": it must be bool " + to_string(Shape{s.N, s.S}));
  if (mask && !(mask.shape() == Shape{s.L, s.S}) &&
      !(mask.shape() == Shape{s.N * s.heads, s.L, s.S}))
    fail(kOp, "attn_mask is " + to_string(mask.shape()) + ": it must be " +
                  to_string(Shape{s.L, s.S}) + " or " + to_string(Shape{s.N * s.heads, s.L, s.S}));
}

AttentionMask mask_of(const MultiheadCall& call, const Sizes& s, Dtype dtype, std::int64_t more) {
  AttentionMask result;
  if (call.key_padding_mask)
    result.attend = view::reshape(attend_of(call.key_padding_mask, more), {s.N, 1, 1, s.S + more});
  if (!call.attn_mask) return result;
  Tensor mask = call.attn_mask;
  const Shape split{s.N, s.heads, s.L, s.S};
  if (mask.dtype() != Dtype::boolean) {
    if (mask.rank() == 3) mask = reshape(mask, split);
    result.bias = bias_of(mask, more);
    return result;
  }
  if (mask.rank() == 3) mask = view::reshape(mask, split);
  const Tensor attend = attend_of(mask, more);
  const auto number = [&](double value) { return scalar(value, dtype, mask.device()); };
  // Two boolean masks: the second as numbers, since both together would have the size of all
  // scores.
  if (result.attend)
    result.bias = where(attend, number(0), number(-std::numeric_limits<double>::infinity()));
  else
    result.attend = attend;
  return result;
}

// ---- checks

void check(const Tensor& q, const Tensor& k, const Tensor& v, const MultiheadWeights& w,
           std::int64_t heads) {
  for (const Tensor* x : {&q, &k, &v, &w.out_proj_weight})
    if (!*x) fail(kOp, "an operand is an undefined tensor");
  const std::int64_t E = w.out_proj_weight.shape()[0];
  if (heads < 1 || E % heads != 0)
    fail(kOp,
         std::to_string(E) + " features are no multiple of " + std::to_string(heads) + " heads");
  if (!w.in_proj_weight && !(w.q_proj_weight && w.k_proj_weight && w.v_proj_weight))
    fail(kOp, "there is neither in_proj_weight nor q_proj_weight, k_proj_weight, v_proj_weight");
  if (q.rank() != 3 || k.rank() != 3 || v.rank() != 3)
    fail(kOp, "q is " + to_string(q.shape()) + ", k " + to_string(k.shape()) + ", v " +
                  to_string(v.shape()) + ": they must have three axes, or all of them two");
}

AttentionDropout drawn(double p, Random* random, std::int64_t count) {
  if (!random || p == 0) return {};
  const AttentionDropout dropout{p, random->seed(), random->stream(), random->counter()};
  random->set_counter(random->counter() + static_cast<std::uint64_t>(count));
  return dropout;
}

// Without N: as a batch of one.
AttentionOut unbatched(const Tensor& q, const Tensor& k, const Tensor& v,
                       const MultiheadWeights& weights, std::int64_t heads,
                       const MultiheadOptions& options, const MultiheadCall& call) {
  const int axis = options.batch_first ? 0 : 1;
  MultiheadCall batched = call;
  if (call.key_padding_mask && call.key_padding_mask.rank() == 1)
    batched.key_padding_mask = view::unsqueeze(call.key_padding_mask, 0);
  const AttentionOut out = multihead_attention(
      unsqueeze(q, axis), unsqueeze(k, axis), unsqueeze(v, axis), weights, heads, options, batched);
  return {squeeze(out.context, axis), out.weights ? squeeze(out.weights, 0) : out.weights};
}

}  // namespace

AttentionOut multihead_attention(const Tensor& q_in, const Tensor& k_in, const Tensor& v_in,
                                 const MultiheadWeights& w, std::int64_t heads,
                                 const MultiheadOptions& options, const MultiheadCall& call) {
  if (q_in && k_in && v_in && q_in.rank() == 2 && k_in.rank() == 2 && v_in.rank() == 2)
    return unbatched(q_in, k_in, v_in, w, heads, options, call);
  check(q_in, k_in, v_in, w, heads);
  const Layout layout{options.batch_first, heads};
  const Sizes sizes{q_in.size(layout.batch()), heads, q_in.size(layout.time()),
                    k_in.size(layout.time())};
  check_masks(call, sizes);
  const std::int64_t more = (w.bias_k ? 1 : 0) + (options.add_zero_attn ? 1 : 0);
  if (call.key_lengths && more > 0)
    fail(kOp, "key_lengths do not go with add_bias_kv or add_zero_attn: use key_padding_mask");
  Tensor k = project(k_in, w, 1), v = project(v_in, w, 2);
  if (w.bias_k) k = layout.with_step(k, w.bias_k), v = layout.with_step(v, w.bias_v);
  k = layout.split(k), v = layout.split(v);
  if (options.add_zero_attn) {
    const Tensor zero = zeros({sizes.N, heads, 1, k.shape()[3]}, k.dtype(), k.device());
    k = cat({k, zero}, 2), v = cat({v, zero}, 2);
  }
  const std::int64_t count = sizes.N * heads * sizes.L * (sizes.S + more);
  const AttentionOut out =
      scaled_dot_product_attention(layout.split(project(q_in, w, 0)), k, v,
                                   {.mask = mask_of(call, sizes, q_in.dtype(), more),
                                    .causal = call.causal,
                                    .key_lengths = call.key_lengths,
                                    .dropout = drawn(options.dropout, call.dropout, count),
                                    .need_weights = call.need_weights});
  Tensor weights = out.weights;
  if (weights && call.average_attn_weights) weights = mean(weights, 1);
  return {linear(layout.joined(out.context), w.out_proj_weight, w.out_proj_bias), weights};
}

MultiheadAttention::MultiheadAttention(Parameters& parameters, const std::string& prefix,
                                       std::int64_t embed, std::int64_t heads,
                                       MultiheadOptions options)
    : heads_(heads), options_(options) {
  if (heads < 1 || embed % heads != 0)
    fail("MultiheadAttention", std::to_string(embed) + " features are no multiple of " +
                                   std::to_string(heads) + " heads");
  const std::int64_t kdim = options.kdim ? options.kdim : embed;
  const std::int64_t vdim = options.vdim ? options.vdim : embed;
  const auto add = [&](const char* name, const Shape& shape) {
    return parameters.add(name_under(prefix, name), shape);
  };
  if (kdim == embed && vdim == embed) {
    weights_.in_proj_weight = add("in_proj_weight", {3 * embed, embed});
  } else {
    weights_.q_proj_weight = add("q_proj_weight", {embed, embed});
    weights_.k_proj_weight = add("k_proj_weight", {embed, kdim});
    weights_.v_proj_weight = add("v_proj_weight", {embed, vdim});
  }
  if (options.bias) weights_.in_proj_bias = add("in_proj_bias", {3 * embed});
  if (options.add_bias_kv) {
    weights_.bias_k = add("bias_k", {1, 1, embed});
    weights_.bias_v = add("bias_v", {1, 1, embed});
  }
  weights_.out_proj_weight = add("out_proj.weight", {embed, embed});
  if (options.bias) weights_.out_proj_bias = add("out_proj.bias", {embed});
}

void MultiheadAttention::reset(Random& random) {
  MultiheadWeights& w = weights_;
  for (Tensor* x : {&w.in_proj_weight, &w.q_proj_weight, &w.k_proj_weight, &w.v_proj_weight})
    if (*x) init::uniform(*x, std::sqrt(6.0 / double(x->shape()[0] + x->shape()[1])), random);
  const double scale = 1 / std::sqrt(static_cast<double>(w.out_proj_weight.shape()[1]));
  init::uniform(w.out_proj_weight, scale, random);
  for (Tensor* x : {&w.in_proj_bias, &w.out_proj_bias})
    if (*x) fill(*x, 0);
  for (Tensor* x : {&w.bias_k, &w.bias_v})
    if (*x) copy_into(*x, random.normal(x->shape(), 0, scale, x->dtype()));
}

// ---- additive, and Luong's

namespace {

// U(-1/sqrt(in), 1/sqrt(in)) over the last axis, as a linear layer.
void reset_linear(Tensor& x, Random& random) {
  if (x) init::uniform(x, 1 / std::sqrt(static_cast<double>(x.shape()[-1])), random);
}

}  // namespace

AdditiveAttention::AdditiveAttention(Parameters& parameters, const std::string& prefix,
                                     std::int64_t query_size, std::int64_t key_size,
                                     std::int64_t size)
    : query_weight_(parameters.add(name_under(prefix, "query_weight"), {size, query_size})),
      key_weight_(parameters.add(name_under(prefix, "key_weight"), {size, key_size})),
      vector_(parameters.add(name_under(prefix, "vector"), {size})) {}

void AdditiveAttention::reset(Random& random) {
  for (Tensor* x : {&query_weight_, &key_weight_, &vector_}) reset_linear(*x, random);
}

AttentionOut AdditiveAttention::operator()(const Tensor& q, const Tensor& keys,
                                           const Tensor& values,
                                           const AttentionOptions& options) const {
  return bahdanau_attention(linear(q, query_weight_), linear(keys, key_weight_), values, vector_,
                            options);
}

LuongAttention::LuongAttention(Parameters& parameters, const std::string& prefix, LuongScore score,
                               std::int64_t query_size, std::int64_t key_size, std::int64_t size)
    : score_(score) {
  if (score == LuongScore::dot && query_size != key_size)
    fail("LuongAttention", "a dot score of " + std::to_string(query_size) + " and " +
                               std::to_string(key_size) + " features: use general");
  if (score == LuongScore::general)
    weight_ = parameters.add(name_under(prefix, "weight"), {query_size, key_size});
  if (score == LuongScore::concat) {
    weight_ = parameters.add(name_under(prefix, "weight"), {size, query_size + key_size});
    vector_ = parameters.add(name_under(prefix, "vector"), {size});
  }
}

void LuongAttention::reset(Random& random) {
  for (Tensor* x : {&weight_, &vector_}) reset_linear(*x, random);
}

AttentionOut LuongAttention::operator()(const Tensor& q, const Tensor& keys, const Tensor& values,
                                        const AttentionOptions& options) const {
  if (score_ == LuongScore::dot) return luong_attention(q, keys, values, options);
  // q . W k = (W^T q) . k
  if (score_ == LuongScore::general)
    return luong_attention(linear(q, transpose(weight_, 0, 1)), keys, values, options);
  const std::int64_t Q = q.shape()[-1], all = weight_.shape()[1];
  if (Q > all || all - Q != keys.shape()[-1])
    fail("LuongAttention", "q is " + to_string(q.shape()) + ", keys " + to_string(keys.shape()) +
                               ": together they must have " + std::to_string(all) + " features");
  return bahdanau_attention(linear(q, slice(weight_, 1, 0, Q)),
                            linear(keys, slice(weight_, 1, Q, all)), values, vector_, options);
}

}  // namespace unroll
