// PyTorch's cases: MultiheadAttention.
#include "models/attention.h"
#include "tests/pytorch_case.h"

namespace unroll::testing::pytorch {
namespace {

Named multihead_case(const File& f, const Json& spec) {
  const MultiheadWeights weights{.in_proj_weight = f.param("in_proj_weight"),
                                 .q_proj_weight = f.param("q_proj_weight"),
                                 .k_proj_weight = f.param("k_proj_weight"),
                                 .v_proj_weight = f.param("v_proj_weight"),
                                 .in_proj_bias = f.param("in_proj_bias"),
                                 .bias_k = f.param("bias_k"),
                                 .bias_v = f.param("bias_v"),
                                 .out_proj_weight = f.param("out_proj.weight"),
                                 .out_proj_bias = f.param("out_proj.bias")};
  const MultiheadOptions options{.add_zero_attn = spec.value("add_zero_attn", false),
                                 .batch_first = spec.value("batch_first", false)};
  const MultiheadCall call{.key_padding_mask = f.input("key_padding_mask"),
                           .attn_mask = f.input("attn_mask"),
                           .need_weights = true,
                           .average_attn_weights = spec.value("avg", true)};
  const AttentionOut out = multihead_attention(f.input("q"), f.input("k"), f.input("v"), weights,
                                               spec.at("num_heads"), options, call);
  return {{"y", out.context}, {"w", out.weights}};
}

}  // namespace

const Judges& attention_judges() {
  static const Judges all = {
      {"MultiheadAttention", judge_of(multihead_case)},
  };
  return all;
}

}  // namespace unroll::testing::pytorch
