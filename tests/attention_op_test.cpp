// Attention against its twin, with lengths, NaN padding and higher derivatives.
#include "autograd/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>

#include "autograd/ops.h"
#include "autograd/parameters.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

struct Operands {
  Tensor q = random_normal({4, 3, 5}, 1), k = random_normal({6, 3, 5}, 2),
         v = random_normal({6, 3, 2}, 3);
  Tensors all() const { return {q, k, v}; }
};

void poison(const Tensor& x, const Lengths& lengths) {
  if (!lengths) return;
  for (std::int64_t n = 0; n < x.shape()[-2]; n++) {
    Tensor rest =
        view::slice(view::select(x, -2, n), -2, lengths.values()[std::size_t(n)], x.shape()[-3]);
    fill(rest, nan);
  }
}

template <class F>
Tensors sweeps(F f, const Operands& x, const Lengths& keys, const Lengths& queries,
               std::int64_t K) {
  const auto directed = [K](const Shape& shape, std::uint64_t seed) {
    Shape full = shape;
    if (K) full.insert(0, K);
    return random_normal(full, seed);
  };
  Tape tape;
  const AttentionOut out = f(x.q, x.k, x.v, keys, queries, 0.7);
  Tensors result{out.context, out.weights};
  const Tensors u{directed(out.context.shape(), 4), directed(out.weights.shape(), 5)};
  const Tensors v{directed(x.q.shape(), 6), directed(x.k.shape(), 7), directed(x.v.shape(), 8)};
  poison(u[0], queries), poison(v[0], queries), poison(v[1], keys), poison(v[2], keys);
  for (const Tensor& d : tape.pull(Tensors{out.context, out.weights}, u, x.all()))
    result.push_back(d);
  for (const Tensor& d : tape.push(x.all(), v, Tensors{out.context, out.weights}))
    result.push_back(d);
  return result;
}

TEST(AttentionOp, FusedEqualsTwin) {
  for (const Lengths& keys : {Lengths(), Lengths{6, 2, 0}, Lengths{1, 6, 3}})
    for (const Lengths& queries : {Lengths(), Lengths{4, 0, 2}})
      for (const std::int64_t K : {0, 3}) {
        const Operands x;
        poison(x.q, queries), poison(x.k, keys), poison(x.v, keys);
        const Tensors fused = sweeps(attention, x, keys, queries, K);
        const Tensors twin = sweeps(attention_twin, x, keys, queries, K);
        for (std::size_t i = 0; i < fused.size(); i++) {
          EXPECT_LE(difference(fused[i], twin[i]), 1e-12) << "result " << i;
          EXPECT_TRUE(std::isfinite(norm(fused[i]))) << "result " << i;
        }
      }
}

TEST(AttentionOp, PushAndPullAgree) {
  const Operands x;
  Tape tape;
  const AttentionOut out = attention(x.q, x.k, x.v, Lengths{6, 2, 3});
  const Tensor u = random_normal(out.context.shape(), 4);
  const Tensors v{random_normal({4, 3, 5}, 5), random_normal({6, 3, 5}, 6),
                  random_normal({6, 3, 2}, 7)};
  const Tensors g = tape.pull(out.context, u, x.all());
  const Tensor jv = tape.push(x.all(), v, out.context);
  double backward = 0;
  for (int i = 0; i < 3; i++) backward += dot(g[std::size_t(i)], v[std::size_t(i)]);
  EXPECT_LE(std::abs(dot(u, jv) - backward), 1e-12 * norm(u) * norm(jv));
}

// Self-attention: one tensor in all three roles, in plain, recorded and flat gradients.
TEST(AttentionOp, OneTensorInAllRoles) {
  Parameters parameters(Dtype::float64);
  const Tensor x = parameters.add("x", {4, 3, 5});
  copy_into(parameters.mutable_flat(), random_normal({60}));
  const Tensor u = random_normal({4, 3, 5}, 2);
  const auto swept = [&](bool fused, bool recorded) {
    std::optional<Tape> outer;
    if (recorded) outer.emplace();
    Tape tape;
    const Tensor y = fused ? attention(x, x, x).context : attention_twin(x, x, x).context;
    return Tensors{tape.pull(y, u, {x})[0], tape.push({x}, {u}, y)};
  };
  const Tensors expected = swept(false, false);
  EXPECT_LE(difference(swept(true, false), expected), 1e-12);
  EXPECT_LE(difference(swept(true, true), expected), 1e-12);
  for (const double times : {1.0, 2.0}) {
    Tape tape;
    tape.backward(sum(attention(x, x, x).context * u), parameters);
    EXPECT_LE(difference(parameters.gradient("x"), expected[0] * times), 1e-12);
  }
}

TEST(AttentionOp, WeightsSumToOneOverTheValidKeys) {
  const Operands x;
  const AttentionOut out = attention(x.q, x.k, x.v, Lengths{6, 2, 0});
  const Tensor total = sum(out.weights, -1);
  for (std::int64_t i = 0; i < 4; i++) {
    EXPECT_NEAR(total.item({0, i}), 1, 1e-15);
    EXPECT_NEAR(total.item({1, i}), 1, 1e-15);
    EXPECT_EQ(total.item({2, i}), 0);
    EXPECT_EQ(out.weights.item({1, i, 2}), 0);
    EXPECT_EQ(out.context.item({i, 2, 0}), 0);
  }
}

TEST(AttentionOp, ScoresOfThreeHundredStayFinite) {
  Operands x;
  x.q = x.q * 300.0, x.k = x.k * 300.0;
  Tape tape;
  const AttentionOut out = attention(x.q, x.k, x.v);
  EXPECT_TRUE(std::isfinite(norm(out.context)));
  for (const Tensor& g : tape.pull(out.context, ones(out.context.shape(), Dtype::float64), x.all()))
    EXPECT_TRUE(std::isfinite(norm(g)));
}

TEST(AttentionOp, Errors) {
  const Operands x;
  EXPECT_ERROR(attention(x.q, random_normal({6, 3, 4}), x.v), "attention: ");
  EXPECT_ERROR(attention(x.q, x.k, random_normal({5, 3, 2})), "[5,3,2]");
  EXPECT_ERROR(attention(random_normal({4, 2, 5}), x.k, x.v), "[4,2,5]");
  EXPECT_ERROR(attention(x.q, x.k, zeros({6, 3, 2})), "float32");
  EXPECT_ERROR(attention(x.q, x.k, x.v, Lengths{6, 7, 1}), "7");
  EXPECT_ERROR(attention(x.q, x.k, x.v, Lengths{6, 1}), "attention");
  EXPECT_ERROR(attention(Tensor(), x.k, x.v), "undefined");
}

}  // namespace
}  // namespace unroll::testing
