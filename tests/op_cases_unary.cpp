// Rows of the ops of one operand.
#include <cmath>
#include <numbers>

#include "autograd/ops.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }
double zero_of(double) { return 0; }
double gelu_of(double x) { return 0.5 * x * std::erfc(-x / std::numbers::sqrt2); }
double gelu_slope_of(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2) +
         x * std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
}
// The logistic function of this is the gate of gelu_tanh.
double gelu_tanh_argument(double x) {
  return std::sqrt(8 / std::numbers::pi) * x * (1 + 0.044715 * x * x);
}
double gelu_tanh_slope_of(double x) {
  const double s = sigmoid_of(gelu_tanh_argument(x)), s_other = sigmoid_of(-gelu_tanh_argument(x));
  return s + x * s * s_other * std::sqrt(8 / std::numbers::pi) * (1 + 3 * 0.044715 * x * x);
}
// tanh(log(1 + e^x)) = 1 - 2 / ((1 + e^x)^2 + 1), without cancellation for negative x.
double mish_gate_of(double x) {
  const double w = std::exp(x);
  return x > 30 ? 1 : w * (w + 2) / (w * (w + 2) + 2);
}
double mish_slope_of(double x) {
  const double t = mish_gate_of(x);
  return t + x * sigmoid_of(x) * (1 - t * t);
}
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

std::vector<UnaryRow> activation_rows() {
  return {
      {"gelu", gelu, gelu_of, gelu_slope_of},
      {"gelu_tanh", gelu_tanh, [](double x) { return x / (1 + std::exp(-gelu_tanh_argument(x))); },
       gelu_tanh_slope_of},
      {"silu", silu, [](double x) { return x / (1 + std::exp(-x)); },
       [](double x) { return sigmoid_of(x) * (1 + x * sigmoid_of(-x)); }},
      {"mish", mish, [](double x) { return x * mish_gate_of(x); }, mish_slope_of},
      {"softsign", softsign, [](double x) { return x / (1 + std::abs(x)); },
       [](double x) { return std::pow(1 + std::abs(x), -2); }, UnaryRow::off_kinks},
      {"logsigmoid", logsigmoid,
       [](double x) { return x < 0 ? x - std::log1p(std::exp(x)) : -std::log1p(std::exp(-x)); },
       [](double x) { return sigmoid_of(-x); }},
      {"elu", [](const Tensor& x) { return elu(x, 0.7); },
       [](double x) { return x > 0 ? x : 0.7 * std::expm1(x); },
       [](double x) { return x > 0 ? 1 : 0.7 * std::exp(x); }, UnaryRow::off_kinks},
      {"celu", [](const Tensor& x) { return celu(x, 0.5); },
       [](double x) { return x > 0 ? x : 0.5 * std::expm1(2 * x); },
       [](double x) { return x > 0 ? 1 : std::exp(2 * x); }, UnaryRow::off_kinks},
      {"selu", selu,
       [](double x) {
         return 1.0507009873554804 * (x > 0 ? x : 1.6732632423543772 * std::expm1(x));
       },
       [](double x) { return 1.0507009873554804 * (x > 0 ? 1 : 1.6732632423543772 * std::exp(x)); },
       UnaryRow::off_kinks},
      {"leaky_relu", [](const Tensor& x) { return leaky_relu(x); },
       [](double x) { return x > 0 ? x : 0.01 * x; }, [](double x) { return x > 0 ? 1 : 0.01; },
       UnaryRow::off_kinks},
      {"hardtanh", [](const Tensor& x) { return hardtanh(x); },
       [](double x) { return x < -1  ? -1
                             : x > 1 ? 1
                                     : x; },
       [](double x) { return x > -1 && x < 1 ? 1.0 : 0.0; }, UnaryRow::off_kinks},
      {"relu6", relu6, [](double x) { return x < 0   ? 0
                                             : x > 6 ? 6
                                                     : x; },
       [](double x) { return x > 0 && x < 6 ? 1.0 : 0.0; }, UnaryRow::off_kinks},
      {"hardsigmoid", hardsigmoid,
       [](double x) { return x < -3  ? 0
                             : x > 3 ? 1
                                     : (x + 3) * (1.0 / 6); },
       [](double x) { return x > -3 && x < 3 ? 1.0 / 6 : 0.0; }, UnaryRow::off_kinks},
  };
}

std::vector<UnaryRow> function_rows() {
  return {
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
      {"erfc", erfc, [](double x) { return std::erfc(x); },
       [](double x) { return -2 / std::sqrt(std::numbers::pi) * std::exp(-x * x); }},
      {"floor", floor, [](double x) { return std::floor(x); }, zero_of, UnaryRow::off_kinks, true},
      {"ceil", ceil, [](double x) { return std::ceil(x); }, zero_of, UnaryRow::off_kinks, true},
      {"round", round, [](double x) { return std::nearbyint(x); }, zero_of, UnaryRow::off_kinks,
       true},
  };
}

}  // namespace

const std::vector<UnaryRow>& unary_rows() {
  static const std::vector<UnaryRow> rows = [] {
    std::vector<UnaryRow> all = function_rows();
    for (const UnaryRow& row : activation_rows()) all.push_back(row);
    return all;
  }();
  return rows;
}

void add_unary_cases(std::vector<OpCase>& cases) {
  for (const UnaryRow& row : unary_rows()) cases.push_back(unary_case(row));
  add_attribute_cases(cases);
  add_odd_shapes(cases);
}

}  // namespace unroll::testing
