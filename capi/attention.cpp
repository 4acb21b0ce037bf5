#include "models/attention.h"

#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "capi/handles.h"

using namespace unroll;
using namespace unroll::capi;

namespace {

// Where no scale is given: that of the function.
constexpr double kOwnScale = std::numeric_limits<double>::quiet_NaN();

struct Call {
  const Tensor &q, &k, &v;
  Tensor mask, key_padding_mask;
  Lengths key_lengths;
  bool causal = false, average_weights = true, need_weights = false;
  double scale = kOwnScale;
  Random* random = nullptr;
};

// A mask is boolean or added to the scores; `flag` is what marks a key that counts.
AttentionOptions options_of(const Call& call, bool flag) {
  AttentionOptions options{
      .causal = call.causal, .key_lengths = call.key_lengths, .need_weights = call.need_weights};
  if (!std::isnan(call.scale)) options.scale = call.scale;
  if (!call.mask) return options;
  if (call.mask.dtype() != Dtype::boolean)
    options.mask.bias = call.mask;
  else
    options.mask.attend = flag ? call.mask : eq(call.mask, scalar(0, Dtype::boolean));
  return options;
}

AttentionOut attend(const MultiheadAttention& layer, const Call& call) {
  return layer(call.q, call.k, call.v,
               {.key_padding_mask = call.key_padding_mask,
                .attn_mask = call.mask,
                .causal = call.causal,
                .key_lengths = call.key_lengths,
                .need_weights = call.need_weights,
                .average_attn_weights = call.average_weights,
                .dropout = call.random});
}

// Bahdanau's and Luong's.
template <class Scored>
requires std::is_same_v<Scored, AdditiveAttention> || std::is_same_v<Scored, LuongAttention>
    AttentionOut attend(const Scored& layer, const Call& call) {
  if (call.key_padding_mask)
    fail("layer_attend",
         "a key_padding_mask is for multihead; use key_lengths, or a mask of [N,1,1,S]");
  return layer(call.q, call.k, call.v, options_of(call, false));
}

template <class Other>
AttentionOut attend(const Other&, const Call&) {
  fail("layer_attend", "the layer is no attention; call unroll_layer_forward");
}

void hand_out_both(const AttentionOut& out, unroll_tensor** context, unroll_tensor** weights) {
  hand_out({{out.context, context}, {out.weights, weights}});
}

}  // namespace

unroll_status unroll_layer_attend(const unroll_layer* layer, const unroll_tensor* q,
                                  const unroll_tensor* k, const unroll_tensor* v,
                                  const unroll_tensor* mask, const unroll_tensor* key_padding_mask,
                                  const int64_t* key_lengths, int64_t key_lengths_count,
                                  const unroll_option* options, int count, unroll_tensor** context,
                                  unroll_tensor** weights) {
  return guarded([&] {
    constexpr const char* op = "layer_attend";
    Call call{.q = the(op, q),
              .k = the(op, k),
              .v = the(op, v),
              .mask = optional(mask),
              .key_padding_mask = optional(key_padding_mask),
              .key_lengths = lengths_from(op, key_lengths, key_lengths_count),
              .need_weights = weights != nullptr,
              .random = the(op, layer).random.get()};
    const bool heads = std::holds_alternative<MultiheadAttention>(layer->layer);
    std::vector<Setting> settings{{"causal", &call.causal}};
    settings.push_back(heads ? Setting{"average_weights", &call.average_weights}
                             : Setting{"scale", &call.scale});
    set_options(op, options, count, settings);
    hand_out_both(std::visit([&](const auto& each) { return attend(each, call); }, layer->layer),
                  context, weights);
  });
}

unroll_status unroll_scaled_dot_product_attention(
    const unroll_tensor* q, const unroll_tensor* k, const unroll_tensor* v,
    const unroll_tensor* mask, const int64_t* key_lengths, int64_t key_lengths_count,
    const unroll_option* options, int count, unroll_tensor** context, unroll_tensor** weights) {
  return guarded([&] {
    constexpr const char* op = "scaled_dot_product_attention";
    Call call{.q = the(op, q),
              .k = the(op, k),
              .v = the(op, v),
              .mask = optional(mask),
              .key_padding_mask = {},
              .key_lengths = lengths_from(op, key_lengths, key_lengths_count),
              .need_weights = weights != nullptr};
    set_options(op, options, count, {{"causal", &call.causal}, {"scale", &call.scale}});
    hand_out_both(scaled_dot_product_attention(call.q, call.k, call.v, options_of(call, true)),
                  context, weights);
  });
}
