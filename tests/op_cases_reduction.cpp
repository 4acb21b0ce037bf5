// Rows of reductions and softmax.
#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

// Folds the axes named by `reduced` (one flag per axis); they stay with size 1.
Array fold(const Array& x, const std::vector<bool>& reduced, double start,
           const std::function<double(double, double)>& f) {
  Shape shape = x.shape;
  for (int i = 0; i < shape.rank(); i++)
    if (reduced[static_cast<std::size_t>(i)]) shape[i] = 1;
  Array y(shape);
  for (double& v : y.v) v = start;
  for_each_index(x.shape, [&](std::vector<std::int64_t> index) {
    const double v = x.at(index);
    for (std::size_t i = 0; i < index.size(); i++)
      if (reduced[i]) index[i] = 0;
    y(index) = f(y(index), v);
  });
  return y;
}

Array without(Array x, const std::vector<bool>& axes) {
  for (int i = x.shape.rank(); i-- > 0;)
    if (axes[static_cast<std::size_t>(i)]) x.shape.erase(i);
  return x;
}

double plus(double a, double b) { return a + b; }
double larger(double a, double b) { return a > b ? a : b; }
double smaller(double a, double b) { return a < b ? a : b; }

struct SumRow {
  const char* variant;
  Shape shape;
  Axes axes;
  std::vector<bool> reduced;
  bool keepdim = false;
  Shape large = {};
};

void add_sums(std::vector<OpCase>& cases) {
  const std::vector<SumRow> rows = {
      {"last", {2, 3, 4}, -1, {false, false, true}, false, {5, 11, 3001}},
      {"first", {2, 3, 4}, 0, {true, false, false}, false, {3001, 11, 5}},
      {"middle_kept", {2, 3, 4}, 1, {false, true, false}, true, {7, 901, 13}},
      {"two", {2, 3, 4}, {0, -1}, {true, false, true}},
      {"two_kept", {2, 3, 4}, {-2, 0}, {true, true, false}, true},
      {"all_axes", {2, 3}, {0, 1}, {true, true}},
      {"no_axis", {2, 3}, Axes(), {false, false}},
      {"size_one", {3, 1}, 1, {false, true}},
      {"of_nothing", {2, 0}, 1, {false, true}},
      {"empty_result", {0, 3}, 1, {false, true}},
  };
  for (const bool averaged : {false, true})
    for (const SumRow& row : rows) {
      if (averaged && row.shape.numel() == 0) continue;  // NaN: see the test of extremes
      const auto f = [=](const Tensors& x) {
        return averaged ? mean(x[0], row.axes, row.keepdim) : sum(x[0], row.axes, row.keepdim);
      };
      const auto reference = [=](const Arrays& x) {
        Array y = fold(x[0], row.reduced, 0, plus);
        const double each = averaged ? double(y.v.size()) / double(x[0].v.size()) : 1;
        y = map(y, [each](double v) { return v * each; });
        return row.keepdim ? y : without(y, row.reduced);
      };
      OpCase c{.op = averaged ? "mean" : "sum",
               .variant = row.variant,
               .inputs = {normal(row.shape)},
               .f = f,
               .reference = reference};
      if (row.large.rank()) c.large = {row.large};
      cases.push_back(c);
    }
  for (const Shape& shape : {Shape{2, 3}, Shape{}, Shape{0, 4}}) {
    const std::string variant = "all_rank" + std::to_string(shape.rank());
    OpCase c{.op = "sum",
             .variant = shape.numel() ? variant : variant + "_empty",
             .inputs = {normal(shape)},
             .f = [](const Tensors& x) { return sum(x[0]); },
             .reference =
                 [](const Arrays& x) {
                   Array y{Shape{}};
                   for (double v : x[0].v) y.v[0] += v;
                   return y;
                 }};
    if (shape.rank()) c.large = {{401, 307}};
    cases.push_back(c);
    if (!shape.numel()) continue;
    c.op = "mean";
    c.f = [](const Tensors& x) { return mean(x[0]); };
    c.reference = [of = c.reference](const Arrays& x) {
      Array y = of(x);
      y.v[0] /= static_cast<double>(x[0].v.size());
      return y;
    };
    cases.push_back(c);
  }
}

using ExtremeOp = Tensor (*)(const Tensor&, int, bool);

// The first place along `axis` where the folded value stands.
Array place_of(const Array& x, const Array& best, int axis) {
  Array y(best.shape);
  for (double& v : y.v) v = -1;
  for_each_index(x.shape, [&](std::vector<std::int64_t> index) {
    const double v = x.at(index), at = double(index[static_cast<std::size_t>(axis)]);
    index[static_cast<std::size_t>(axis)] = 0;
    if (v == best.at(index) && y(index) < 0) y(index) = at;
  });
  return y;
}

void add_extremes(std::vector<OpCase>& cases) {
  struct Row {
    const char* op;
    ExtremeOp f;
    double (*choose)(double, double);
    bool index;
  };
  const ExtremeOp first_max = [](const Tensor& x, int a, bool k) { return argmax(x, a, k); };
  const ExtremeOp first_min = [](const Tensor& x, int a, bool k) { return argmin(x, a, k); };
  for (const Row& row :
       {Row{"max", max, larger, false}, Row{"min", min, smaller, false},
        Row{"argmax", first_max, larger, true}, Row{"argmin", first_min, smaller, true}})
    for (const int axis : {0, 1, 2})
      for (const bool keepdim : {false, true}) {
        std::vector<bool> axes(3, false);
        axes[static_cast<std::size_t>(axis)] = true;
        const double start = row.choose(-1, 1) * -std::numeric_limits<double>::infinity();
        OpCase c{.op = row.op,
                 .variant = "axis" + std::to_string(axis) + (keepdim ? "_kept" : ""),
                 .inputs = {apart({2, 4, 3})},
                 .f = [=](const Tensors& x) { return row.f(x[0], axis - 3, keepdim); },
                 .reference =
                     [=](const Arrays& x) {
                       Array y = fold(x[0], axes, start, row.choose);
                       if (row.index) y = place_of(x[0], y, axis);
                       return keepdim ? y : without(y, axes);
                     },
                 .large = {{17, 65, 133}},
                 .differentiable = !row.index};
        cases.push_back(c);
      }
}

// Whole numbers 0..2: many equals.
void add_ties(std::vector<OpCase>& cases) {
  for (const bool largest : {true, false})
    for (const Tie tie : {Tie::first, Tie::last})
      cases.push_back(
          {.op = largest ? "argmax" : "argmin",
           .variant = tie == Tie::first ? "first_of_equals" : "last_of_equals",
           .inputs = {given(cast_copy(indices({4, 9}, 3).make({4, 9}, 3), Dtype::float64))},
           .f =
               [=](const Tensors& x) {
                 return largest ? argmax(x[0], 1, false, tie) : argmin(x[0], 1, false, tie);
               },
           .reference =
               [=](const Arrays& x) {
                 return build({4}, [&](const std::vector<std::int64_t>& row) {
                   std::int64_t best = tie == Tie::first ? 0 : 8;
                   for (std::int64_t k = 0; k < 9; k++) {
                     const std::int64_t j = tie == Tie::first ? k : 8 - k;
                     const double value = x[0].at({row[0], j}), top = x[0].at({row[0], best});
                     if (largest ? value > top : value < top) best = j;
                   }
                   return double(best);
                 });
               },
           .differentiable = false});
}

Array softmax_of(const Array& x, int axis, bool log) {
  std::vector<bool> axes(static_cast<std::size_t>(x.shape.rank()), false);
  axes[static_cast<std::size_t>(axis)] = true;
  const Array shifted =
      zip(x, fold(x, axes, -INFINITY, larger), [](double v, double m) { return v - m; });
  const Array total = fold(map(shifted, [](double v) { return std::exp(v); }), axes, 0, plus);
  return zip(shifted, total,
             [log](double v, double t) { return log ? v - std::log(t) : std::exp(v) / t; });
}

void add_softmax(std::vector<OpCase>& cases) {
  struct Row {
    const char* variant;
    Shape shape;
    int axis;
    Shape large;
  };
  for (const bool log : {false, true})
    for (const Row& row :
         {Row{"last", {2, 3, 5}, 2, {7, 33, 513}}, Row{"middle", {2, 3, 5}, 1, {7, 513, 33}},
          Row{"first", {4, 3}, 0, {513, 33}}, Row{"single", {3, 1}, 1, {}},
          Row{"vector", {6}, 0, {}}, Row{"long", {2, 19}, 1, {}}, Row{"empty", {0, 3}, 1, {}}}) {
      const int axis = row.axis;
      OpCase c{.op = log ? "log_softmax" : "softmax",
               .variant = row.variant,
               .inputs = {normal(row.shape, 2)},
               .f =
                   [=](const Tensors& x) {
                     const int from_right = axis - x[0].rank();
                     return log ? log_softmax(x[0], axis) : softmax(x[0], from_right);
                   },
               .reference = [=](const Arrays& x) { return softmax_of(x[0], axis, log); }};
      if (row.large.rank()) c.large = {row.large};
      cases.push_back(c);
    }
}

}  // namespace

void add_reduction_cases(std::vector<OpCase>& cases) {
  add_sums(cases);
  add_extremes(cases);
  add_ties(cases);
  add_softmax(cases);
}

}  // namespace unroll::testing
