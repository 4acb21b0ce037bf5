// Attention against its twin, with lengths, masks, NaN padding and higher derivatives; and its
// memory.
#include "autograd/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>

#include "autograd/ops.h"
#include "autograd/parameters.h"
#include "autograd/tape.h"
#include "core/memory.h"
#include "core/view.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

struct Operands {
  Tensor q = random_normal({3, 4, 4, 5}, 1), k = random_normal({3, 2, 6, 5}, 2),
         v = random_normal({3, 2, 6, 2}, 3), vector;
  Tensors all() const { return vector ? Tensors{q, k, v, vector} : Tensors{q, k, v}; }
  AttentionOut fused(const AttentionOptions& options) const {
    return vector ? additive_attention(q, k, v, vector, options)
                  : scaled_dot_product_attention(q, k, v, options);
  }
};

// NaN in the padding of [..., B,H,T,*].
void poison(const Tensor& x, const Lengths& lengths) {
  if (!lengths) return;
  for (std::int64_t b = 0; b < x.shape()[-4]; b++) {
    Tensor rest =
        view::slice(view::select(x, -4, b), -2, lengths.values()[std::size_t(b)], x.shape()[-2]);
    fill(rest, nan);
  }
}

Tensors sweeps(const Operands& x, const AttentionOptions& options, bool fused, std::int64_t K) {
  const auto directed = [K](const Shape& shape, std::uint64_t seed) {
    Shape full = shape;
    if (K) full.insert(0, K);
    return random_normal(full, seed);
  };
  Tape tape;
  const AttentionOut out =
      fused ? x.fused(options) : attention_twin(x.q, x.k, x.v, x.vector, options);
  Tensors result{out.context, out.weights};
  const Tensors u{directed(out.context.shape(), 4), directed(out.weights.shape(), 5)};
  Tensors v, xs = x.all();
  if (options.mask.bias) xs.push_back(options.mask.bias);
  for (std::size_t i = 0; i < xs.size(); i++) v.push_back(directed(xs[i].shape(), 6 + i));
  for (const Tensor& t : {u[0], u[1], v[0]}) poison(t, options.query_lengths);
  for (const Tensor& t : {v[1], v[2]}) poison(t, options.key_lengths);
  for (const Tensor& d : tape.pull(Tensors{out.context, out.weights}, u, xs)) result.push_back(d);
  for (const Tensor& d : tape.push(xs, v, Tensors{out.context, out.weights})) result.push_back(d);
  return result;
}

void expect_twin(const Operands& x, AttentionOptions options) {
  options.need_weights = true;
  for (const std::int64_t K : {0, 3}) {
    const Tensors fused = sweeps(x, options, true, K), twin = sweeps(x, options, false, K);
    ASSERT_EQ(fused.size(), twin.size());
    for (std::size_t i = 0; i < fused.size(); i++) {
      EXPECT_LE(difference(fused[i], twin[i]), 1e-12) << "result " << i;
      EXPECT_TRUE(std::isfinite(norm(fused[i]))) << "result " << i;
    }
  }
}

TEST(AttentionOp, FusedEqualsTwin) {
  for (const bool additive : {false, true})
    for (const Lengths& keys : {Lengths(), Lengths{6, 2, 0}, Lengths{1, 6, 3}})
      for (const Lengths& queries : {Lengths(), Lengths{4, 0, 2}})
        for (const bool causal : {false, true}) {
          Operands x;
          if (additive) x.vector = random_normal({5}, 9);
          poison(x.q, queries), poison(x.k, keys), poison(x.v, keys);
          expect_twin(x, {.scale = 0.7,
                          .causal = causal,
                          .key_lengths = keys,
                          .query_lengths = queries,
                          .dropout = {.p = causal ? 0.3 : 0.0, .seed = 7}});
        }
}

// Rows of a bias that are all -infinity, as masks of other frameworks have them, and masks that are
// views.
TEST(AttentionOp, MasksOfAllKindsTogether) {
  Tensor bias = random_normal({4, 1, 6, 4}, 8);  // transposed below: [1,4,4,6]
  Tensor row = view::select(bias, -1, 1), one = view::slice(view::select(bias, -2, 2), -1, 3, 4);
  fill(row, -infinity), fill(one, -infinity);
  const Tensor attend =
      view::transpose(gt(random_normal({6, 4}, 4), scalar(-0.3, Dtype::float64)), 0, 1);
  AttentionOptions options;
  options.mask = {.attend = attend,
                  .bias = view::transpose(view::permute(bias, {1, 0, 2, 3}), 2, 3)};
  expect_twin({}, options);
  options.key_lengths = Lengths{6, 2, 0};
  options.causal = true;
  expect_twin({}, options);
}

TEST(AttentionOp, BoolAndInfiniteMasksAgree) {
  const Operands x;
  const Tensor attend = gt(random_normal({3, 1, 4, 6}, 4), scalar(0, Dtype::float64));
  AttentionOptions by_bool, by_bias;
  by_bool.mask.attend = attend;
  by_bias.mask.bias = where(attend, number(0), number(-infinity));
  EXPECT_TRUE(same_bits(x.fused(by_bool).context, x.fused(by_bias).context));
}

// One tensor in all three roles, in plain, recorded and flat gradients.
TEST(AttentionOp, OneTensorInAllRoles) {
  Parameters parameters(Dtype::float64);
  const Tensor x = parameters.add("x", {1, 3, 4, 5});
  copy_into(parameters.mutable_flat(), random_normal({60}));
  const Tensor u = random_normal({1, 3, 4, 5}, 2);
  const auto context = [&](bool fused) {
    return fused ? scaled_dot_product_attention(x, x, x).context
                 : attention_twin(x, x, x, Tensor()).context;
  };
  const auto swept = [&](bool fused, bool recorded) {
    std::optional<Tape> outer;
    if (recorded) outer.emplace();
    Tape tape;
    const Tensor y = context(fused);
    return Tensors{tape.pull(y, u, {x})[0], tape.push({x}, {u}, y)};
  };
  const Tensors expected = swept(false, false);
  EXPECT_LE(difference(swept(true, false), expected), 1e-12);
  EXPECT_LE(difference(swept(true, true), expected), 1e-12);
  for (const double times : {1.0, 2.0}) {
    Tape tape;
    tape.backward(sum(context(true) * u), parameters);
    EXPECT_LE(difference(parameters.gradient("x"), expected[0] * times), 1e-12);
  }
}

// As torch.nn.functional.scaled_dot_product_attention: query i sees keys 0..i, also where Tq < Tk.
TEST(AttentionOp, CausalIsAlignedAtTheFirstKey) {
  const Operands x;
  const Tensor w = x.fused({.causal = true, .need_weights = true}).weights;
  for (std::int64_t i = 0; i < 4; i++)
    for (std::int64_t j = 0; j < 6; j++) EXPECT_EQ(w.item({1, 2, i, j}) > 0, j <= i);
}

TEST(AttentionOp, WeightsSumToOneOverTheValidKeys) {
  const Operands x;
  const AttentionOut out = x.fused({.key_lengths = Lengths{6, 2, 0}, .need_weights = true});
  const Tensor total = sum(out.weights, -1);
  for (std::int64_t i = 0; i < 4; i++) {
    EXPECT_NEAR(total.item({0, 3, i}), 1, 1e-15);
    EXPECT_NEAR(total.item({1, 0, i}), 1, 1e-15);
    EXPECT_EQ(total.item({2, 1, i}), 0);
    EXPECT_EQ(out.weights.item({1, 1, i, 2}), 0);
    EXPECT_EQ(out.context.item({2, 0, i, 0}), 0);
  }
  EXPECT_FALSE(x.fused({}).weights);
}

TEST(AttentionOp, DropoutIsAFunctionOfSeedStreamAndCounter) {
  const Operands x;
  const auto context = [&](AttentionDropout dropout) {
    return x.fused({.dropout = dropout}).context;
  };
  const Tensor first = context({.p = 0.5, .seed = 1});
  EXPECT_TRUE(same_bits(first, context({.p = 0.5, .seed = 1})));
  for (const AttentionDropout& other :
       {AttentionDropout{.p = 0.5, .seed = 2}, AttentionDropout{.p = 0.5, .seed = 1, .stream = 1},
        AttentionDropout{.p = 0.5, .seed = 1, .counter = 1}})
    EXPECT_GT(difference(first, context(other)), 0.01);
  EXPECT_EQ(norm(context({.p = 1, .seed = 1})), 0);
  const Tensor w = scaled_dot_product_attention(
                       zeros({1, 1, 100, 1}), zeros({1, 1, 100, 1}), zeros({1, 1, 100, 1}),
                       {.dropout = {.p = 0.25, .seed = 3}, .need_weights = true})
                       .weights;
  EXPECT_NEAR(sum(w).item() / 100, 1, 0.02) << "what is kept makes up for what is dropped";
}

TEST(AttentionOp, ScoresOfThreeHundredStayFinite) {
  for (const bool additive : {false, true}) {
    Operands x;
    x.q = x.q * 300.0, x.k = x.k * 300.0;
    if (additive) x.vector = random_normal({5}, 9) * 300.0;
    Tape tape;
    const AttentionOut out = x.fused({});
    EXPECT_TRUE(std::isfinite(norm(out.context)));
    for (const Tensor& g :
         tape.pull(out.context, ones(out.context.shape(), Dtype::float64), x.all()))
      EXPECT_TRUE(std::isfinite(norm(g)));
  }
}

// The most bytes that a forward and a backward pass of 8 heads of 64 have at once.
double peak_bytes(std::int64_t T, bool additive) {
  const Shape shape{1, 8, T, additive ? 8 : 64};
  Operands x;
  x.q = random_normal(shape, 1, 1, Dtype::float32);
  x.k = random_normal(shape, 2, 1, Dtype::float32);
  x.v = random_normal({1, 8, T, 64}, 3, 1, Dtype::float32);
  if (additive) x.vector = random_normal({8}, 4, 1, Dtype::float32);
  const Tensor u = random_normal({1, 8, T, 64}, 4, 1, Dtype::float32);
  memory::reset_peak();
  const std::int64_t before = memory::stats().live;
  Tape tape;
  const Tensor y = x.fused({.causal = additive}).context;
  tape.pull(y, u, x.all());
  tape.push(x.all(), x.all(), y);
  return double(memory::stats().peak - before);
}

// UNROLL_ATTENTION_STEPS=4096 runs the size of the bar.
TEST(AttentionOp, MemoryGrowsAsTheSequence) {
  const char* const asked = std::getenv("UNROLL_ATTENTION_STEPS");
  const std::int64_t T = asked ? std::atoll(asked) : 512;
  for (const bool additive : {false, true}) {
    if (additive && asked) continue;
    const double one = peak_bytes(T, additive), two = peak_bytes(2 * T, additive);
    std::printf("[   peak   ] T %lld: %.1f MB, T %lld: %.1f MB\n", (long long)T, one / 1e6,
                (long long)(2 * T), two / 1e6);
    EXPECT_LE(two, 2.1 * one);
  }
}

TEST(AttentionOp, Errors) {
  const Operands x;
  const auto sdpa = scaled_dot_product_attention;
  EXPECT_ERROR(sdpa(x.q, random_normal({3, 2, 6, 4}), x.v, {}),
               "scaled_dot_product_attention: q is [3,4,4,5], k [3,2,6,4]");
  EXPECT_ERROR(sdpa(x.q, x.k, random_normal({3, 2, 5, 2}), {}), "[3,2,5,2]");
  EXPECT_ERROR(sdpa(random_normal({3, 3, 4, 5}), x.k, x.v, {}), "q has 3 heads");
  EXPECT_ERROR(sdpa(x.q, x.k, zeros({3, 2, 6, 2}), {}), "float32");
  EXPECT_ERROR(sdpa(x.q, x.k, x.v, {.key_lengths = Lengths{6, 7, 1}}), "7");
  EXPECT_ERROR(sdpa(x.q, x.k, x.v, {.key_lengths = Lengths{6, 1}}), "attention");
  EXPECT_ERROR(sdpa(Tensor(), x.k, x.v, {}), "undefined");
  EXPECT_ERROR(sdpa(x.q, x.k, x.v, {.dropout = {.p = 1.5}}), "dropout of 1.5");
  AttentionOptions options;
  options.mask.attend = random_normal({4, 6});
  EXPECT_ERROR(sdpa(x.q, x.k, x.v, options), "mask.attend is float64");
  options.mask = {.bias = random_normal({4, 5})};
  EXPECT_ERROR(sdpa(x.q, x.k, x.v, options), "a mask is [4,5]");
  options.mask = {.bias = random_normal({1, 3, 4, 4, 6})};
  EXPECT_ERROR(sdpa(x.q, x.k, x.v, options), "[3,4,4,6]");
  EXPECT_ERROR(additive_attention(x.q, x.k, x.v, random_normal({4})), "vector is [4]");
  EXPECT_ERROR(additive_attention(x.q, x.k, x.v, Tensor()), "undefined");
  EXPECT_ERROR(luong_attention(x.q, x.k, x.v), "luong_attention: an operand is [3,2,6,5]");
}

}  // namespace
}  // namespace unroll::testing
