// The attention layers: names as PyTorch's, masks, layouts, dropout and errors. Their values
// against PyTorch's are conformance cases.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "models/attention.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

constexpr std::int64_t kL = 4, kS = 5, kN = 3, kE = 8, kHeads = 2;

struct Fixture {
  Parameters parameters{Dtype::float64};
  MultiheadAttention layer;
  Tensor q = random_normal({kL, kN, kE}, 1), k = random_normal({kS, kN, kE}, 2),
         v = random_normal({kS, kN, kE}, 3);

  explicit Fixture(const MultiheadOptions& options = {})
      : layer(parameters, "attend", kE, kHeads, options) {
    copy_into(parameters.mutable_flat(), random_normal({parameters.size()}, 9, 0.4));
  }
  AttentionOut operator()(const MultiheadCall& call = {}) const { return layer(q, k, v, call); }
};

TEST(MultiheadAttention, NamesAndShapesArePyTorchs) {
  const auto names = [](const MultiheadOptions& options) {
    Parameters p;
    MultiheadAttention layer(p, "a", 8, 2, options);
    std::string all;
    for (std::size_t i = 0; i < p.names().size(); i++)
      all += p.names()[i] + to_string(p.tensors()[i].shape()) + " ";
    return all;
  };
  EXPECT_EQ(names({}),
            "a.in_proj_weight[24,8] a.in_proj_bias[24] a.out_proj.weight[8,8] a.out_proj.bias[8] ");
  EXPECT_EQ(names({.bias = false}), "a.in_proj_weight[24,8] a.out_proj.weight[8,8] ");
  EXPECT_EQ(names({.add_bias_kv = true, .kdim = 5, .vdim = 7}),
            "a.q_proj_weight[8,8] a.k_proj_weight[8,5] a.v_proj_weight[8,7] a.in_proj_bias[24] "
            "a.bias_k[1,1,8] a.bias_v[1,1,8] a.out_proj.weight[8,8] a.out_proj.bias[8] ");
}

TEST(MultiheadAttention, ResetDrawsAsPyTorch) {
  Parameters p;
  MultiheadAttention layer(p, "a", 64, 2, {.add_bias_kv = true});
  fill(p.mutable_flat(), 9);
  Random random(3);
  layer.reset(random);
  const auto largest = [&](const char* name) {
    return max(reshape(abs(p.get(name)), {-1}), 0).item();
  };
  EXPECT_NEAR(largest("a.in_proj_weight"), std::sqrt(6.0 / (4 * 64)), 1e-3);
  EXPECT_NEAR(largest("a.out_proj.weight"), 1.0 / 8, 1e-3);
  EXPECT_EQ(largest("a.in_proj_bias"), 0);
  EXPECT_EQ(largest("a.out_proj.bias"), 0);
  for (const char* name : {"a.bias_k", "a.bias_v"}) {
    EXPECT_GT(largest(name), 1.0 / 8);
    EXPECT_LT(largest(name), 6.0 / 8);
  }
}

TEST(MultiheadAttention, BatchFirstAndUnbatchedAreTheSameFunction) {
  const Fixture f;
  const Fixture first({.batch_first = true});
  const MultiheadCall call{.causal = true, .need_weights = true};
  const AttentionOut expected = f(call);
  const AttentionOut turned =
      first.layer(transpose(f.q, 0, 1), transpose(f.k, 0, 1), transpose(f.v, 0, 1), call);
  EXPECT_LE(difference(transpose(turned.context, 0, 1), expected.context), 1e-14);
  EXPECT_LE(difference(turned.weights, expected.weights), 1e-14);
  const auto one = [](const Tensor& x) { return select(x, 1, 2); };
  const AttentionOut single = f.layer(one(f.q), one(f.k), one(f.v), call);
  EXPECT_LE(difference(single.context, one(expected.context)), 1e-14);
  EXPECT_LE(difference(single.weights, select(expected.weights, 0, 2)), 1e-14);
}

// A mask as bool, as numbers, as an option, and for each head: all the same.
TEST(MultiheadAttention, FormsOfMasksAgree) {
  for (const bool extra : {false, true}) {
    const Fixture f({.add_bias_kv = extra, .add_zero_attn = extra});
    const Tensor masked = lt(reshape(arange(kL), {kL, 1}), reshape(arange(kS), {1, kS}));
    const Tensor added = where(masked, number(-std::numeric_limits<double>::infinity()), number(0));
    const Tensor expected = f({.attn_mask = added}).context;
    EXPECT_LE(difference(f({.attn_mask = masked}).context, expected), 1e-14);
    EXPECT_LE(difference(f({.attn_mask = expand(added, {kN * kHeads, kL, kS})}).context, expected),
              1e-14);
    if (!extra) {
      EXPECT_LE(difference(f({.causal = true}).context, expected), 1e-14);
    }

    Tensor padding = zeros({kN, kS}, Dtype::boolean);
    for (const std::int64_t j : {3, 4}) padding.mutable_data<bool>()[kS + j] = true;
    const Tensor both = f({.key_padding_mask = padding, .attn_mask = added}).context;
    EXPECT_GT(difference(both, expected), 1e-3);
    EXPECT_LE(difference(f({.key_padding_mask = padding, .attn_mask = masked}).context, both),
              1e-14);
    if (!extra) {
      EXPECT_LE(difference(f({.attn_mask = masked, .key_lengths = Lengths{5, 3, 5}}).context, both),
                1e-14);
    }
  }
}

TEST(MultiheadAttention, WeightsAreOptionalAndAveraged) {
  const Fixture f({.add_zero_attn = true});
  EXPECT_FALSE(f({}).weights);
  const Tensor heads = f({.need_weights = true, .average_attn_weights = false}).weights;
  EXPECT_EQ(heads.shape(), (Shape{kN, kHeads, kL, kS + 1}));
  EXPECT_LE(difference(f({.need_weights = true}).weights, mean(heads, 1)), 1e-15);
}

// A query whose keys are all masked: no NaN, forwards or backwards.
TEST(MultiheadAttention, FullyMaskedQueriesGiveTheBias) {
  Fixture f;
  const Tensor padding = full({kN, kS}, 1, Dtype::boolean);
  Tape tape;
  const Tensor y = f({.key_padding_mask = padding}).context;
  EXPECT_EQ(difference(y, expand(f.parameters.get("attend.out_proj.bias"), y.shape())), 0);
  EXPECT_EQ(norm(tape.pull(y, ones(y.shape(), Dtype::float64), {f.q})[0]), 0);
}

TEST(MultiheadAttention, DropoutNeedsRandomNumbersAndUsesThemUp) {
  const Fixture f({.dropout = 0.5});
  const Tensor plain = f({}).context;
  EXPECT_TRUE(same_bits(plain, Fixture()({}).context)) << "evaluation drops nothing";
  Random random(1), same(1);
  const Tensor first = f({.dropout = &random}).context;
  EXPECT_GT(difference(first, plain), 1e-3);
  EXPECT_EQ(random.counter(), std::uint64_t(kN * kHeads * kL * kS));
  EXPECT_TRUE(same_bits(f({.dropout = &same}).context, first));
  EXPECT_FALSE(same_bits(f({.dropout = &random}).context, first));
}

TEST(MultiheadAttention, Errors) {
  Parameters p;
  EXPECT_ERROR(MultiheadAttention(p, "a", 8, 3), "8 features are no multiple of 3 heads");
  const Fixture f({.add_zero_attn = true});
  EXPECT_ERROR(f({.key_padding_mask = zeros({kN, kS})}), "key_padding_mask is float32");
  EXPECT_ERROR(f({.key_padding_mask = zeros({kS, kN}, Dtype::boolean)}), "it must be bool [3,5]");
  EXPECT_ERROR(f({.attn_mask = random_normal({kL, kL})}), "attn_mask is [4,4]");
  EXPECT_ERROR(f({.key_lengths = Lengths{5, 3, 5}}), "use key_padding_mask");
  EXPECT_ERROR(f.layer(f.q, select(f.k, 0, 0), f.v), "they must have three axes");
  EXPECT_ERROR(f.layer(f.q, Tensor(), f.v), "undefined");
  EXPECT_ERROR(multihead_attention(f.q, f.k, f.v, {.out_proj_weight = random_normal({8, 8})}, 2),
               "neither in_proj_weight nor");
}

// ---- Bahdanau's and Luong's scores, by their definitions

Tensor at(const Parameters& p, const char* name) { return p.get(std::string("s.") + name); }

// softmax over the keys of score [N,Tq,Tk], times values [Tk,N,*].
Tensor context_of(const Tensor& score, const Tensor& values) {
  return transpose(matmul(softmax(score, -1), transpose(values, 0, 1)), 0, 1);
}

struct Scores {
  Parameters parameters{Dtype::float64};
  Tensor q = random_normal({3, 2, 4}, 1), k = random_normal({5, 2, 6}, 2),
         v = random_normal({5, 2, 3}, 3);

  template <class Layer>
  void expect(Layer& layer, const std::function<Tensor(const Tensor& q, const Tensor& k)>& score) {
    Random random(2);
    layer.reset(random);
    // Every pair of a query and a key, side by side: [N,Tq,Tk,*].
    const Tensor qs = expand(unsqueeze(transpose(q, 0, 1), 2), {2, 3, 5, q.shape()[2]});
    const Tensor ks = expand(unsqueeze(transpose(k, 0, 1), 1), {2, 3, 5, k.shape()[2]});
    EXPECT_LE(difference(layer(q, k, v).context, context_of(score(qs, ks), v)), 1e-13);
    EXPECT_GT(norm(parameters.flat()), 0.1);
  }
};

TEST(AdditiveAttentionLayer, IsBahdanausScore) {
  Scores s;
  AdditiveAttention layer(s.parameters, "s", 4, 6, 7);
  s.expect(layer, [&](const Tensor& q, const Tensor& k) {
    const Tensor inner =
        linear(q, at(s.parameters, "query_weight")) + linear(k, at(s.parameters, "key_weight"));
    return sum(tanh(inner) * at(s.parameters, "vector"), -1);
  });
}

TEST(LuongAttentionLayer, GeneralAndConcatAreTheirDefinitions) {
  Scores general;
  LuongAttention bilinear(general.parameters, "s", LuongScore::general, 4, 6);
  general.expect(bilinear, [&](const Tensor& q, const Tensor& k) {
    return sum(q * linear(k, at(general.parameters, "weight")), -1);
  });
  Scores concat;
  LuongAttention joined(concat.parameters, "s", LuongScore::concat, 4, 6, 7);
  concat.expect(joined, [&](const Tensor& q, const Tensor& k) {
    return sum(tanh(linear(cat({q, k}, -1), at(concat.parameters, "weight"))) *
                   at(concat.parameters, "vector"),
               -1);
  });
}

TEST(LuongAttentionLayer, DotHasNoParameters) {
  Scores s;
  LuongAttention layer(s.parameters, "s", LuongScore::dot, 6, 6);
  EXPECT_EQ(s.parameters.size(), 0);
  const Tensor q = random_normal({3, 2, 6}, 4);
  const Tensor score = matmul(transpose(q, 0, 1), permute(s.k, {1, 2, 0}));
  EXPECT_LE(difference(layer(q, s.k, s.v).context, context_of(score, s.v)), 1e-13);
  EXPECT_ERROR(LuongAttention(s.parameters, "s", LuongScore::dot, 4, 6), "use general");
  LuongAttention concat(s.parameters, "c", LuongScore::concat, 4, 6, 7);
  EXPECT_ERROR(concat(q, s.k, s.v), "together they must have 10 features");
}

}  // namespace
}  // namespace unroll::testing
