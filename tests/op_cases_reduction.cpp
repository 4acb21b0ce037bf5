// Rows of reductions and softmax.
#include <cmath>

#include "tests/op_cases_axes.h"

namespace unroll::testing {
namespace {

Input any(const Shape& shape) { return normal(shape); }

void add_sums(std::vector<OpCase>& cases) {
  std::vector<Places> places = common_places();
  places.push_back({"no_axis", {2, 3}, Axes(), {false, false}});
  places.push_back({"size_one", {3, 1}, 1, {false, true}});
  places.push_back({"of_nothing", {2, 0}, 1, {false, true}});
  for (const Places& at : places) {
    cases.push_back(axes_case("sum", "", at, sum, sum_of, any));
    if (at.shape.numel() == 0) continue;  // a mean of nothing is NaN: see the test of extremes
    cases.push_back(axes_case("mean", "", at, mean, mean_of, any));
  }
  for (const Shape& shape : {Shape{2, 3}, Shape{}, Shape{0, 4}}) {
    OpCase c = whole_case("sum", shape, sum, sum_of);
    if (shape.rank()) c.large = {{401, 307}};
    cases.push_back(c);
    if (!shape.numel()) continue;
    c = whole_case("mean", shape, mean, mean_of);
    if (shape.rank()) c.large = {{401, 307}};
    cases.push_back(c);
  }
}

std::vector<bool> only(int axis, int rank) {
  std::vector<bool> axes(std::size_t(rank), false);
  axes[std::size_t(axis)] = true;
  return axes;
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
    OfNumbers choose;
    bool index;
  };
  const ExtremeOp first_max = [](const Tensor& x, int a, bool k) { return argmax(x, a, k); };
  const ExtremeOp first_min = [](const Tensor& x, int a, bool k) { return argmin(x, a, k); };
  for (const Row& row :
       {Row{"max", max, largest, false}, Row{"min", min, smallest, false},
        Row{"argmax", first_max, largest, true}, Row{"argmin", first_min, smallest, true}})
    for (const int axis : {0, 1, 2})
      for (const bool keepdim : {false, true}) {
        const std::vector<bool> axes = only(axis, 3);
        OpCase c{.op = row.op,
                 .variant = "axis" + std::to_string(axis) + (keepdim ? "_kept" : ""),
                 .inputs = {apart({2, 4, 3})},
                 .f = [=](const Tensors& x) { return row.f(x[0], axis - 3, keepdim); },
                 .reference =
                     [=](const Arrays& x) {
                       Array y = reduce(x[0], axes, true, row.choose);
                       if (row.index) y = place_of(x[0], y, axis);
                       if (!keepdim) y.shape.erase(axis);
                       return y;
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
  const std::vector<bool> axes = only(axis, x.shape.rank());
  const Array shifted =
      zip(x, reduce(x, axes, true, largest), [](double v, double m) { return v - m; });
  const Array total =
      reduce(map(shifted, [](double v) { return std::exp(v); }), axes, true, sum_of);
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
