// Rows of the ops of one operand.
#include <cmath>
#include <numbers>

#include "autograd/ops.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }
double zero_of(double) { return 0; }
double sign_of(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

// float32 results of functions that cancel or grow are compared with their largest value anyway.
OpCase unary_case(const UnaryRow& row) {
  const Shape small{3, 7}, large{307, 409};
  const Input input = row.domain == UnaryRow::above_zero  ? positive(small)
                      : row.domain == UnaryRow::off_kinks ? apart(small)
                                                          : normal(small);
  return {.op = row.op,
          .inputs = {input},
          .f = [f = row.f](const Tensors& x) { return f(x[0]); },
          .reference = [value = row.value](const Arrays& x) { return map(x[0], value); },
          .large = {large},
          .flat = row.flat};
}

struct PowRow {
  const char* variant;
  double exponent;
};

void add_attribute_cases(std::vector<OpCase>& cases) {
  for (const auto& [variant, p] :
       {PowRow{"to_cube", 3}, PowRow{"to_square", 2}, PowRow{"to_one", 1}, PowRow{"to_zero", 0},
        PowRow{"to_half", 0.5}, PowRow{"to_inverse", -1}, PowRow{"to_odd", -1.7}})
    cases.push_back({.op = "pow",
                     .variant = variant,
                     .inputs = {positive({3, 5})},
                     .f = [p = p](const Tensors& x) { return pow(x[0], p); },
                     .reference =
                         [p = p](const Arrays& x) {
                           return map(x[0], [p](double v) { return std::pow(v, p); });
                         },
                     .large = {{307, 409}},
                     .flat = p == 0});
  cases.push_back(
      {.op = "pow",
       .variant = "to_cube_of_any",
       .inputs = {normal({9})},
       .f = [](const Tensors& x) { return pow(x[0], 3.0); },
       .reference = [](const Arrays& x) { return map(x[0], [](double v) { return v * v * v; }); }});
  cases.push_back(
      {.op = "clamp",
       .inputs = {apart({4, 6})},
       .f = [](const Tensors& x) { return clamp(x[0], -0.6, 0.5); },
       .reference =
           [](const Arrays& x) {
             return map(x[0], [](double v) { return v < -0.6 ? -0.6 : v > 0.5 ? 0.5 : v; });
           },
       .large = {{307, 409}}});
  cases.push_back(
      {.op = "add",
       .variant = "scalar",
       .inputs = {normal({3, 5})},
       .f = [](const Tensors& x) { return 2.0 - (x[0] + 1.5 - 0.25); },
       .reference = [](const Arrays& x) { return map(x[0], [](double v) { return 0.75 - v; }); }});
  cases.push_back(
      {.op = "mul",
       .variant = "scalar",
       .inputs = {positive({3, 5})},
       .f = [](const Tensors& x) { return 3.0 / (x[0] * 2.0 / 5.0) - -x[0]; },
       .reference =
           [](const Arrays& x) { return map(x[0], [](double v) { return 7.5 / v + v; }); }});
}

void add_odd_shapes(std::vector<OpCase>& cases) {
  const auto tanh_row = [](const char* variant, const Shape& shape) {
    return OpCase{
        .op = "tanh",
        .variant = variant,
        .inputs = {normal(shape)},
        .f = [](const Tensors& x) { return tanh(x[0]); },
        .reference =
            [](const Arrays& x) { return map(x[0], [](double v) { return std::tanh(v); }); }};
  };
  cases.push_back(tanh_row("rank0", {}));
  cases.push_back(tanh_row("single", {1, 1}));
  cases.push_back(tanh_row("empty", {3, 0}));
  cases.push_back(tanh_row("rank7", {1, 2, 1, 2, 1, 3, 1}));
}

}  // namespace

const std::vector<UnaryRow>& unary_rows() {
  static const std::vector<UnaryRow> rows = {
      {"neg", neg, [](double x) { return -x; }, [](double) { return -1.0; }},
      {"abs", abs, [](double x) { return std::abs(x); }, sign_of, UnaryRow::off_kinks},
      {"sign", sign, sign_of, zero_of, UnaryRow::off_kinks, true},
      {"square", square, [](double x) { return x * x; }, [](double x) { return 2 * x; }},
      {"reciprocal", reciprocal, [](double x) { return 1 / x; },
       [](double x) { return -1 / (x * x); }, UnaryRow::above_zero},
      {"sqrt", sqrt, [](double x) { return std::sqrt(x); },
       [](double x) { return 0.5 / std::sqrt(x); }, UnaryRow::above_zero},
      {"rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); },
       [](double x) { return -0.5 * std::pow(1 / std::sqrt(x), 3); }, UnaryRow::above_zero},
      {"exp", exp, [](double x) { return std::exp(x); }, [](double x) { return std::exp(x); }},
      {"expm1", expm1, [](double x) { return std::expm1(x); },
       [](double x) { return std::exp(x); }},
      {"log", log, [](double x) { return std::log(x); }, [](double x) { return 1 / x; },
       UnaryRow::above_zero},
      {"log1p", log1p, [](double x) { return std::log1p(x); }, [](double x) { return 1 / (1 + x); },
       UnaryRow::above_zero},
      {"sin", sin, [](double x) { return std::sin(x); }, [](double x) { return std::cos(x); }},
      {"cos", cos, [](double x) { return std::cos(x); }, [](double x) { return -std::sin(x); }},
      {"tanh", tanh, [](double x) { return std::tanh(x); },
       [](double x) { return 1 - std::tanh(x) * std::tanh(x); }},
      {"sigmoid", sigmoid, sigmoid_of,
       [](double x) { return sigmoid_of(x) * (1 - sigmoid_of(x)); }},
      {"relu", relu, [](double x) { return x < 0 ? 0.0 : x; },
       [](double x) { return x > 0 ? 1.0 : 0.0; }, UnaryRow::off_kinks},
      {"softplus", softplus,
       [](double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); },
       sigmoid_of},
      {"erf", erf, [](double x) { return std::erf(x); },
       [](double x) { return 2 / std::sqrt(std::numbers::pi) * std::exp(-x * x); }},
      {"floor", floor, [](double x) { return std::floor(x); }, zero_of, UnaryRow::off_kinks, true},
      {"ceil", ceil, [](double x) { return std::ceil(x); }, zero_of, UnaryRow::off_kinks, true},
      {"round", round, [](double x) { return std::nearbyint(x); }, zero_of, UnaryRow::off_kinks,
       true},
  };
  return rows;
}

void add_unary_cases(std::vector<OpCase>& cases) {
  for (const UnaryRow& row : unary_rows()) cases.push_back(unary_case(row));
  add_attribute_cases(cases);
  add_odd_shapes(cases);
}

}  // namespace unroll::testing
