// Rows of attention; the reference is the definition, one weight at a time.
#include <algorithm>
#include <cmath>

#include "autograd/attention.h"
#include "autograd/ops.h"
#include "core/random.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

using Ints = std::vector<std::int64_t>;

// The operands of a row in the order q, k, v, [vector,] [bias].
struct Row {
  const char* variant;
  Shape q, k, v;
  Ints keys = {}, queries = {};
  Shape bias = {};
  bool has_bias = false, causal = false, attend = false, weights = true;
  double drop = 0, scale = 0;  // 0: as the op says
};

// Query 1 may attend to nothing, the others to two keys of three.
bool may_attend(std::int64_t i, std::int64_t j) { return i != 1 && (i + j) % 3 != 1; }

AttentionOptions options_of(const Row& r, const Tensor& bias, Device device) {
  AttentionOptions options{.causal = r.causal, .need_weights = r.weights};
  options.mask.bias = bias;
  if (r.attend) {
    Tensor mask = empty({r.q[-2], r.k[-2]}, Dtype::boolean);
    bool* at = mask.mutable_data<bool>();
    for (std::int64_t i = 0; i < r.q[-2]; i++)
      for (std::int64_t j = 0; j < r.k[-2]; j++) *at++ = may_attend(i, j);
    options.mask.attend = to(mask, device);
  }
  if (r.scale != 0) options.scale = r.scale;
  if (!r.keys.empty()) options.key_lengths = Lengths(r.keys);
  if (!r.queries.empty()) options.query_lengths = Lengths(r.queries);
  options.dropout = {.p = r.drop, .seed = 4, .stream = 2, .counter = 9};
  return options;
}

std::int64_t length_of(const Ints& lengths, std::int64_t b, std::int64_t T) {
  return lengths.empty() ? T : lengths[static_cast<std::size_t>(b)];
}

// score(b, h, kv, i, j) without bias; weights of one row, normalised.
using Score =
    std::function<double(std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t)>;

Array attention_of(const Row& r, const Score& score, const Array& v, const Array* bias) {
  const std::int64_t B = r.q[0], H = r.q[1], Tq = r.q[2], Tk = r.k[2], group = H / r.k[1];
  Array context(Shape{B, H, Tq, r.v[3]}), weights(Shape{B, H, Tq, Tk});
  Random random(4, 2);
  random.set_counter(9);
  const std::vector<double> u =
      to_vector<double>(random.uniform(weights.shape, 0, 1, Dtype::float64));
  for_each_index({B, H, Tq}, [&](const std::vector<std::int64_t>& at) {
    const std::int64_t b = at[0], h = at[1], i = at[2];
    if (i >= length_of(r.queries, b, Tq)) return;
    Ints allowed;
    for (std::int64_t j = 0; j < length_of(r.keys, b, Tk); j++)
      if ((!r.causal || j <= i) && (!r.attend || may_attend(i, j))) allowed.push_back(j);
    double largest = -INFINITY, total = 0;
    std::vector<double> s(static_cast<std::size_t>(Tk));
    for (std::int64_t j : allowed) {
      s[static_cast<std::size_t>(j)] = score(b, h, h / group, i, j);
      if (bias) s[static_cast<std::size_t>(j)] += bias->at({b, h, i, j});
      largest = std::max(largest, s[static_cast<std::size_t>(j)]);
    }
    for (std::int64_t j : allowed) total += std::exp(s[static_cast<std::size_t>(j)] - largest);
    for (std::int64_t j : allowed) {
      const bool kept = u[static_cast<std::size_t>(((b * H + h) * Tq + i) * Tk + j)] >= r.drop;
      const double w =
          kept ? std::exp(s[static_cast<std::size_t>(j)] - largest) / total / (1 - r.drop) : 0;
      weights({b, h, i, j}) = w;
      for (std::int64_t d = 0; d < r.v[3]; d++)
        context({b, h, i, d}) += w * v.at({b, h / group, j, d});
    }
  });
  return r.weights ? joined(Arrays{context, weights}) : joined(Arrays{context});
}

Tensor outputs_of(const AttentionOut& out) {
  return out.weights ? joined(Tensors{out.context, out.weights}) : joined(Tensors{out.context});
}

OpCase case_of(const char* op, const Row& r, bool additive) {
  OpCase c{.op = op,
           .variant = r.variant,
           .inputs = {normal(r.q, 0.7), normal(r.k, 0.7), normal(r.v)},
           .f = {},
           .reference = {},
           .float32_tolerance = 1e-5};
  const std::size_t at_bias = additive ? 4 : 3;
  if (additive) c.inputs.push_back(normal({r.q[3]}));
  if (r.has_bias) c.inputs.push_back(normal(r.bias));
  c.f = [=](const Tensors& x) {
    const AttentionOptions options =
        options_of(r, r.has_bias ? x[at_bias] : Tensor(), x[0].device());
    return outputs_of(additive ? additive_attention(x[0], x[1], x[2], x[3], options)
                               : scaled_dot_product_attention(x[0], x[1], x[2], options));
  };
  c.reference = [=](const Arrays& x) {
    const double fallback = additive ? 1 : 1 / std::sqrt(static_cast<double>(r.q[3]));
    const double scale = r.scale != 0 ? r.scale : fallback;
    const Score score = [&](std::int64_t b, std::int64_t h, std::int64_t kv, std::int64_t i,
                            std::int64_t j) {
      double sum = 0;
      for (std::int64_t d = 0; d < r.q[3]; d++) {
        const double q = x[0].at({b, h, i, d}), k = x[1].at({b, kv, j, d});
        sum += additive ? x[3].at({d}) * std::tanh(q + k) : q * k;
      }
      return scale * sum;
    };
    return attention_of(r, score, x[2], r.has_bias ? &x[at_bias] : nullptr);
  };
  if (r.q[3] > 8) {  // wide rows are also those of the test of threads, at twice the length
    Row twice = r;
    twice.q[2] *= 2, twice.k[2] *= 2, twice.v[2] *= 2;
    c.large = {twice.q, twice.k, twice.v};
    if (additive) c.large.push_back({r.q[3]});
    if (r.has_bias) c.large.push_back({1, twice.k[2]});
  }
  return c;
}

void add_dot_rows(std::vector<OpCase>& cases) {
  for (const Row& r : {
           Row{.variant = "", .q = {2, 2, 3, 4}, .k = {2, 2, 5, 4}, .v = {2, 2, 5, 3}},
           Row{.variant = "context",
           .q = {2, 1, 3, 4},
           .k = {2, 1, 4, 4},
           .v = {2, 1, 4, 2},
           .weights = false,
           .scale = 0.7},
           Row{.variant = "single", .q = {1, 1, 1, 1}, .k = {1, 1, 1, 1}, .v = {1, 1, 1, 1}},
           Row{.variant = "grouped",
           .q = {2, 4, 3, 2},
           .k = {2, 2, 4, 2},
           .v = {2, 2, 4, 3},
           .causal = true},
           Row{.variant = "lengths",
           .q = {3, 1, 3, 2},
           .k = {3, 1, 4, 2},
           .v = {3, 1, 4, 2},
           .keys = {4, 1, 0},
           .queries = {2, 3, 1}},
           Row{.variant = "attend",
           .q = {1, 2, 4, 3},
           .k = {1, 1, 5, 3},
           .v = {1, 1, 5, 2},
           .attend = true},
           Row{.variant = "bias",
           .q = {2, 2, 3, 2},
           .k = {2, 2, 4, 2},
           .v = {2, 2, 4, 2},
           .bias = {2, 2, 3, 4},
           .has_bias = true},
           Row{.variant = "bias_of_pairs",
           .q = {2, 2, 3, 2},
           .k = {2, 1, 4, 2},
           .v = {2, 1, 4, 2},
           .bias = {3, 4},
           .has_bias = true,
           .causal = true},
           Row{.variant = "bias_of_keys",
           .q = {2, 2, 3, 2},
           .k = {2, 2, 4, 2},
           .v = {2, 2, 4, 2},
           .bias = {2, 1, 1, 4},
           .has_bias = true,
           .weights = false},
           Row{.variant = "dropout",
           .q = {2, 2, 3, 2},
           .k = {2, 1, 4, 2},
           .v = {2, 1, 4, 2},
           .drop = 0.4},
           Row{.variant = "no_keys", .q = {1, 2, 3, 2}, .k = {1, 2, 0, 2}, .v = {1, 2, 0, 2}},
           Row{.variant = "wide",
           .q = {1, 2, 37, 17},
           .k = {1, 1, 70, 17},
           .v = {1, 1, 70, 9},
           .bias = {1, 70},
           .has_bias = true,
           .causal = true,
           .weights = false,
           .drop = 0.2},
       })
    cases.push_back(case_of("scaled_dot_product_attention", r, false));
}

void add_additive_rows(std::vector<OpCase>& cases) {
  for (const Row& r : {
           Row{.variant = "", .q = {2, 2, 3, 4}, .k = {2, 2, 4, 4}, .v = {2, 2, 4, 3}},
           Row{.variant = "lengths",
           .q = {3, 1, 3, 2},
           .k = {3, 1, 4, 2},
           .v = {3, 1, 4, 2},
           .keys = {4, 1, 0},
           .queries = {2, 3, 1},
           .scale = 0.6},
           Row{.variant = "all",
           .q = {2, 2, 3, 3},
           .k = {2, 1, 4, 3},
           .v = {2, 1, 4, 2},
           .bias = {3, 4},
           .has_bias = true,
           .causal = true,
           .attend = true,
           .drop = 0.2},
           Row{.variant = "wide",
           .q = {1, 2, 34, 9},
           .k = {1, 1, 33, 9},
           .v = {1, 1, 33, 4},
           .weights = false},
       })
    cases.push_back(case_of("additive_attention", r, true));
}

// Time first: the transposed operands of a row with one head.
void add_time_first_rows(std::vector<OpCase>& cases) {
  const Row r{.variant = "lengths",
              .q = {3, 1, 2, 2},
              .k = {3, 1, 4, 2},
              .v = {3, 1, 4, 3},
              .keys = {4, 1, 2},
              .queries = {2, 1, 2},
              .scale = 1};
  const auto swapped = [](const Array& x) {
    return build({x.shape[1], 1, x.shape[0], x.shape[2]}, [&](const auto& i) {
      return x.at({i[2], i[0], i[3]});
    });
  };
  for (const bool additive : {false, true}) {
    const OpCase base = case_of("", r, additive);
    OpCase c = base;
    c.op = additive ? "bahdanau_attention" : "luong_attention";
    c.inputs = {normal({2, 3, 2}, 0.7), normal({4, 3, 2}, 0.7), normal({4, 3, 3})};
    if (additive) c.inputs.push_back(normal({2}));
    c.f = [=](const Tensors& x) {
      const AttentionOptions options = options_of(r, Tensor(), x[0].device());
      const AttentionOut out = additive ? bahdanau_attention(x[0], x[1], x[2], x[3], options)
                                        : luong_attention(x[0], x[1], x[2], options);
      return joined(Tensors{transpose(out.context, 0, 1), out.weights});
    };
    c.reference = [=](const Arrays& x) {
      Arrays turned{swapped(x[0]), swapped(x[1]), swapped(x[2])};
      if (additive) turned.push_back(x[3]);
      return base.reference(turned);
    };
    cases.push_back(c);
  }
}

}  // namespace

void add_attention_cases(std::vector<OpCase>& cases) {
  add_dot_rows(cases);
  add_additive_rows(cases);
  add_time_first_rows(cases);
}

}  // namespace unroll::testing
