// Rows of products, extremes, log-sum-exp, variances and norms over several axes.
#include <algorithm>
#include <cmath>

#include "tests/op_cases_axes.h"

namespace unroll::testing {
namespace {

double product(const Numbers& x) {
  double y = 1;
  for (double v : x) y *= v;
  return y;
}
double log_sum_exp(const Numbers& x) {
  long double total = 0;
  for (double v : x) total += std::exp((long double)(v));
  return double(std::log(total));
}
double variance(const Numbers& x, double divisor) {
  long double mean = 0, total = 0;
  for (double v : x) mean += v / (long double)(x.size());
  for (double v : x) total += (v - mean) * (v - mean);
  return double(total / divisor);
}
double norm_of(const Numbers& x, double p) {
  long double total = 0, top = 0;
  for (double v : x) total += std::pow(std::abs((long double)(v)), p);
  for (double v : x) top = std::max<long double>(top, std::abs(v));
  return double(std::isinf(p) ? top : std::pow(total, 1 / (long double)(p)));
}

struct Row {
  const char* op;
  std::string variant;
  Tensor (*f)(const Tensor&, const Axes&, bool);
  OfNumbers reference;
  Input (*input)(const Shape&);
};

Input any(const Shape& shape) { return normal(shape); }
Input distinct(const Shape& shape) { return apart(shape); }
Input above_zero(const Shape& shape) { return apart(shape, 0.2); }

std::vector<Row> rows() {
  return {
      {"prod", "", prod, product, any},
      {"amax", "", amax, largest, distinct},
      {"amin", "", amin, smallest, distinct},
      {"logsumexp", "", logsumexp, log_sum_exp, any},
      {"var", "unbiased_",
       [](const Tensor& x, const Axes& a, bool k) { return var(x, a, true, k); },
       [](const Numbers& x) { return variance(x, double(x.size()) - 1); }, any},
      {"var", "biased_", [](const Tensor& x, const Axes& a, bool k) { return var(x, a, false, k); },
       [](const Numbers& x) { return variance(x, double(x.size())); }, any},
      {"std_dev", "", [](const Tensor& x, const Axes& a, bool k) { return std_dev(x, a, true, k); },
       [](const Numbers& x) { return std::sqrt(variance(x, double(x.size()) - 1)); }, any},
      {"norm", "1_", [](const Tensor& x, const Axes& a, bool k) { return norm(x, 1, a, k); },
       [](const Numbers& x) { return norm_of(x, 1); }, distinct},
      {"norm", "2_", [](const Tensor& x, const Axes& a, bool k) { return norm(x, 2, a, k); },
       [](const Numbers& x) { return norm_of(x, 2); }, any},
      {"norm", "3_", [](const Tensor& x, const Axes& a, bool k) { return norm(x, 3, a, k); },
       [](const Numbers& x) { return norm_of(x, 3); }, above_zero},
      {"norm", "inf_",
       [](const Tensor& x, const Axes& a, bool k) { return norm(x, INFINITY, a, k); },
       [](const Numbers& x) { return norm_of(x, INFINITY); }, above_zero},
  };
}

// All zeros but one, and two zeros in a product: a division by the factor would be 0 / 0.
void add_products_of_zeros(std::vector<OpCase>& cases) {
  const Tensor x = from_values<double>({0, 2, 3, 0, 0, 4, -1, 2, 0.5, 0, 0, 0}, {4, 3});
  cases.push_back({.op = "prod",
                   .variant = "with_zeros",
                   .inputs = {given(x)},
                   .f = [](const Tensors& in) { return prod(in[0], -1); },
                   .reference =
                       [](const Arrays& in) {
                         return reduce(in[0], {false, true}, false, product);
                       }});
  for (const Shape& shape : {Shape{2, 3}, Shape{}, Shape{0, 4}})
    cases.push_back(whole_case("prod", shape, prod, product));
}

}  // namespace

void add_statistics_cases(std::vector<OpCase>& cases) {
  for (const Row& row : rows())
    for (Places at : common_places()) {
      if (std::string(row.op) == "prod") at.large = {};
      cases.push_back(axes_case(row.op, row.variant, at, row.f, row.reference, row.input));
    }
  add_products_of_zeros(cases);
}

}  // namespace unroll::testing
