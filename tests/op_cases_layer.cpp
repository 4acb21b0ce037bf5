// Rows of layer normalisation and embedding.
#include <cmath>

#include "autograd/ops.h"
#include "core/random.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

struct NormRow {
  const char* variant;
  Shape x, shape;
  bool weight = true, bias = true;
  double eps = 1e-5;
  std::vector<Shape> large = {};
};

std::vector<NormRow> norm_rows() {
  return {
      {"", {3, 7}, {7}},
      {"two_axes", {2, 3, 6}, {3, 6}},
      {"all_axes", {2, 3}, {2, 3}, true, true, 0.1},
      {"sequence", {2, 3, 19}, {19}, true, true, 1e-2},
      {"plain", {3, 5}, {5}, false, false},
      {"no_bias", {3, 5}, {5}, true, false},
      {"no_weight", {3, 5}, {5}, false, true},
      {"vector", {6}, {6}},
      {"no_rows", {0, 3}, {3}},
      {"one_number", {3, 1}, {1}, true, true, 1},
  };
}

struct Normalised {
  Array y, mean, inv_sd;
};

// x as rows of n elements.
Normalised normalise(const NormRow& row, const Arrays& x) {
  const std::size_t n = static_cast<std::size_t>(row.shape.numel());
  Shape one_each = row.x;
  for (int i = 1; i <= row.shape.rank(); i++) one_each[-i] = 1;
  Normalised out{Array(row.x), Array(one_each), Array(one_each)};
  for (std::size_t r = 0; r < out.mean.v.size(); r++) {
    const double* at = x[0].v.data() + r * n;
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < n; i++) mean += at[i] / static_cast<double>(n);
    for (std::size_t i = 0; i < n; i++)
      variance += (at[i] - mean) * (at[i] - mean) / static_cast<double>(n);
    out.mean.v[r] = mean;
    out.inv_sd.v[r] = 1 / std::sqrt(variance + row.eps);
    for (std::size_t i = 0; i < n; i++) {
      const double weight = row.weight ? x[1].v[i] : 1;
      const double bias = row.bias ? x[row.weight ? 2 : 1].v[i] : 0;
      out.y.v[r * n + i] = (at[i] - mean) * out.inv_sd.v[r] * weight + bias;
    }
  }
  return out;
}

Array joined(const Normalised& n) {
  Array all;
  for (const Array* a : {&n.y, &n.mean, &n.inv_sd})
    all.v.insert(all.v.end(), a->v.begin(), a->v.end());
  all.shape = Shape{static_cast<std::int64_t>(all.v.size())};
  return all;
}
Tensor joined(const LayerNormOut& out) {
  return cat({reshape(out.y, {-1}), reshape(out.mean, {-1}), reshape(out.inv_sd, {-1})}, 0);
}

void add_norms(std::vector<OpCase>& cases) {
  for (const NormRow& row : norm_rows()) {
    const auto operand = [=](const Tensors& x, bool weight) {
      if (weight) return row.weight ? x[1] : Tensor();
      return row.bias ? x[row.weight ? 2 : 1] : Tensor();
    };
    OpCase c{.op = "layer_norm",
             .variant = row.variant,
             .inputs = {normal(row.x)},
             .f =
                 [=](const Tensors& x) {
                   return layer_norm(x[0], row.shape, operand(x, true), operand(x, false), row.eps);
                 },
             .reference = [=](const Arrays& x) { return normalise(row, x).y; }};
    if (row.weight) c.inputs.push_back(positive(row.shape));
    if (row.bias) c.inputs.push_back(normal(row.shape));
    cases.push_back(c);
    for (const bool twin : {false, true}) {
      OpCase stats = c;
      stats.op = twin ? "layer_norm_twin" : "layer_norm_stats";
      stats.f = [=](const Tensors& x) {
        return joined((twin ? layer_norm_twin : layer_norm_stats)(x[0], row.shape, operand(x, true),
                                                                  operand(x, false), row.eps));
      };
      stats.reference = [=](const Arrays& x) { return joined(normalise(row, x)); };
      cases.push_back(stats);
    }
  }
  const NormRow row{"", {3, 4}, {4}};
  cases.push_back(
      {.op = "layer_norm",
       .variant = "threads",
       .inputs = {normal(row.x), positive({4}), normal({4})},
       .f = [](const Tensors& x) { return layer_norm(x[0], {x[0].shape()[-1]}, x[1], x[2]); },
       .reference = [row](const Arrays& x) { return normalise(row, x).y; },
       .large = {{517, 267}, {267}, {267}}});
}

void add_embeddings(std::vector<OpCase>& cases) {
  struct Row {
    const char* variant;
    Shape index;
    std::int64_t E = 3;
    std::vector<Shape> large = {};
  };
  for (const Row& row : {Row{"", {2, 3}, 3, {{97, 65}, {197, 29}}}, Row{"vector", {4}},
                         Row{"one", {}}, Row{"no_indices", {0, 2}}, Row{"narrow", {5}, 1}}) {
    Shape out = row.index;
    out.insert(out.rank(), row.E);
    cases.push_back({.op = "embedding",
                     .variant = row.variant,
                     .inputs = {normal({6, row.E}), indices(row.index, 6)},
                     .f = [](const Tensors& x) { return embedding(x[0], x[1]); },
                     .reference =
                         [out](const Arrays& x) {
                           Array y(out);
                           const auto E = static_cast<std::size_t>(out[-1]);
                           for (std::size_t i = 0; i < y.v.size(); i++)
                             y.v[i] = x[0].v[static_cast<std::size_t>(x[1].v[i / E]) * E + i % E];
                           return y;
                         },
                     .large = row.large});
  }
}

}  // namespace

void add_layer_cases(std::vector<OpCase>& cases) {
  add_norms(cases);
  add_embeddings(cases);
}

}  // namespace unroll::testing
