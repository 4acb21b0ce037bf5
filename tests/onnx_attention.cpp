// ONNX's node tests: attention.
#include "autograd/attention.h"
#include "tests/onnx_node.h"

namespace unroll::testing::onnx {
namespace {

// [B,T,heads D] as [B,heads,T,D]; what has four axes stays.
Tensor with_heads(const Tensor& x, std::int64_t heads) {
  if (x.rank() == 4) return x;
  const Shape& s = x.shape();
  return transpose(reshape(x, {s[0], s[1], heads, s[2] / heads}), 1, 2);
}

void require_in_scope(const Node& n) {
  if (n.has("softcap")) unsupported("Attention with softcap: out of scope");
  if (n.input(4) || n.input(5)) unsupported("Attention with past and present: out of scope");
  if (n.input(6)) unsupported("Attention with nonpad lengths: out of scope");
  if (n.outputs > 1) unsupported("Attention with score output (qk_matmul): out of scope");
}

Tensors attention(const Node& n) {
  require_in_scope(n);
  AttentionOptions options{.causal = n.get("is_causal", 0) != 0};
  if (n.has("scale")) options.scale = n.get("scale", 1.0);
  if (const Tensor mask = n.input(3))
    (mask.dtype() == Dtype::boolean ? options.mask.attend : options.mask.bias) = mask;
  const std::int64_t heads = n.get("q_num_heads", 0), key_heads = n.get("kv_num_heads", 0);
  const Tensor context =
      scaled_dot_product_attention(with_heads(n.in[0], heads), with_heads(n.in[1], key_heads),
                                   with_heads(n.in[2], key_heads), options)
          .context;
  if (n.in[0].rank() == 4) return {context};
  const Shape& s = context.shape();
  return {reshape(transpose(context, 1, 2), {s[0], s[2], s[1] * s[3]})};
}

}  // namespace

const Ops& attention_ops() {
  static const Ops all = {{"Attention", attention}};
  return all;
}

}  // namespace unroll::testing::onnx
