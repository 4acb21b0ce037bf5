// Rows of the ops of two operands with broadcasting, where, and the comparisons.
#include <cmath>

#include "autograd/ops.h"
#include "core/random.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

struct BinaryRow {
  const char* op;
  Tensor (*f)(const Tensor&, const Tensor&);
  double (*value)(double, double);
  Input (*make)(const Shape&);
};

Input normal_input(const Shape& shape) { return normal(shape); }
Input positive_input(const Shape& shape) { return positive(shape); }
// Two of these never meet: multiples of 0.1, and those shifted by 0.05.
Input left_input(const Shape& shape) { return apart(shape, -1.2); }

const std::vector<BinaryRow>& binary_rows() {
  static const std::vector<BinaryRow> rows = {
      {"add", add, [](double a, double b) { return a + b; }, normal_input},
      {"sub", sub, [](double a, double b) { return a - b; }, normal_input},
      {"mul", mul, [](double a, double b) { return a * b; }, normal_input},
      {"div", div, [](double a, double b) { return a / b; }, positive_input},
      {"pow", pow, [](double a, double b) { return std::pow(a, b); }, positive_input},
      {"maximum", maximum, [](double a, double b) { return a > b ? a : b; }, left_input},
      {"minimum", minimum, [](double a, double b) { return a < b ? a : b; }, left_input},
  };
  return rows;
}

struct Shapes {
  const char* variant;
  Shape a, b;
};

const std::vector<Shapes>& broadcasts() {
  static const std::vector<Shapes> all = {
      {"", {3, 5}, {3, 5}},         {"row", {4, 5}, {5}},        {"left_row", {5}, {4, 5}},
      {"column", {4, 1}, {4, 5}},   {"crossed", {3, 1}, {1, 4}}, {"ranks", {2, 1, 3}, {4, 1}},
      {"number", {2, 3}, {}},       {"left_number", {}, {2, 3}}, {"numbers", {}, {}},
      {"one_element", {1}, {2, 3}}, {"empty", {0, 3}, {1, 3}},
  };
  return all;
}

OpCase binary_case(const BinaryRow& row, const Shapes& shapes) {
  Input a = row.make(shapes.a), b = row.make(shapes.b);
  if (row.make == left_input) b = apart(shapes.b, -1.25);
  OpCase c{.op = row.op,
           .variant = shapes.variant,
           .inputs = {a, b},
           .f = [f = row.f](const Tensors& x) { return f(x[0], x[1]); },
           .reference = [value = row.value](const Arrays& x) { return zip(x[0], x[1], value); }};
  if (c.variant.empty()) c.large = {{307, 409}, {307, 409}};
  if (c.variant == "column") c.large = {{307, 1}, {307, 409}};
  return c;
}

void add_where_cases(std::vector<OpCase>& cases) {
  struct Row {
    const char* variant;
    Shape condition, a, b;
  };
  for (const Row& row :
       {Row{"", {3, 4}, {3, 4}, {3, 4}}, Row{"mask_column", {3, 1}, {3, 4}, {3, 4}},
        Row{"number", {3, 4}, {3, 4}, {}}, Row{"ranks", {4}, {2, 1, 1}, {3, 1}},
        Row{"numbers", {2, 3}, {}, {}}}) {
    const Tensor mask = gt(Random(3).uniform(row.condition), full({}, 0.5));
    cases.push_back({.op = "where",
                     .variant = row.variant,
                     .inputs = {given(mask), normal(row.a), normal(row.b)},
                     .f = [](const Tensors& x) { return where(x[0], x[1], x[2]); },
                     .reference =
                         [](const Arrays& x) {
                           const Array both = zip(x[1], x[2], [](double a, double) { return a; });
                           const Array shape = zip(x[0], both, [](double, double) { return 0.0; });
                           return build(shape.shape, [&](const auto& i) {
                             return x[0].at(i) != 0 ? x[1].at(i) : x[2].at(i);
                           });
                         }});
  }
}

// Values only.
void add_test_cases(std::vector<OpCase>& cases) {
  struct Row {
    const char* op;
    Tensor (*f)(const Tensor&, const Tensor&);
    double (*value)(double, double);
  };
  const std::vector<Row> rows = {
      {"eq", eq, [](double a, double b) { return double(a == b); }},
      {"ne", ne, [](double a, double b) { return double(a != b); }},
      {"lt", lt, [](double a, double b) { return double(a < b); }},
      {"le", le, [](double a, double b) { return double(a <= b); }},
      {"gt", gt, [](double a, double b) { return double(a > b); }},
      {"ge", ge, [](double a, double b) { return double(a >= b); }},
  };
  for (const Row& row : rows)
    for (const bool whole : {false, true})
      cases.push_back({.op = row.op,
                       .variant = whole ? "int64" : "",
                       .inputs = {whole ? indices({4, 1}, 4) : apart({4, 1}),
                                  whole ? indices({7}, 4) : apart({7}, -0.9)},
                       .f = [f = row.f](const Tensors& x) { return f(x[0], x[1]); },
                       .reference = [v = row.value](const Arrays& x) { return zip(x[0], x[1], v); },
                       .differentiable = false});
  const Tensor odd = from_values<double>({1, NAN, -INFINITY, 0, INFINITY, -3}, {2, 3});
  cases.push_back({.op = "isnan",
                   .inputs = {given(odd)},
                   .f = [](const Tensors& x) { return isnan(x[0]); },
                   .reference =
                       [](const Arrays& x) {
                         return map(x[0], [](double v) { return double(std::isnan(v)); });
                       },
                   .differentiable = false});
  cases.push_back({.op = "isfinite",
                   .inputs = {given(odd)},
                   .f = [](const Tensors& x) { return isfinite(x[0]); },
                   .reference =
                       [](const Arrays& x) {
                         return map(x[0], [](double v) { return double(std::isfinite(v)); });
                       },
                   .differentiable = false});
}

}  // namespace

void add_binary_cases(std::vector<OpCase>& cases) {
  for (const BinaryRow& row : binary_rows())
    for (const Shapes& shapes : broadcasts()) cases.push_back(binary_case(row, shapes));
  // One tensor as both operands: its cotangents may be one and the same tensor.
  cases.push_back(
      {.op = "add",
       .variant = "self",
       .inputs = {normal({7})},
       .f = [](const Tensors& x) { return (x[0] + x[0]) + x[0]; },
       .reference = [](const Arrays& x) { return map(x[0], [](double v) { return 3 * v; }); }});
  cases.push_back({.op = "mul",
                   .variant = "self",
                   .inputs = {normal({7})},
                   .f = [](const Tensors& x) { return mul(x[0], x[0]) - div(x[0], x[0] + 9.0); },
                   .reference =
                       [](const Arrays& x) {
                         return map(x[0], [](double v) { return v * v - v / (v + 9); });
                       }});
  add_where_cases(cases);
  add_test_cases(cases);
}

}  // namespace unroll::testing
