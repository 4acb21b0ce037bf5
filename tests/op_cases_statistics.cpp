// Rows of the reductions over several axes whose reference is a function of a list of numbers.
#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

using Numbers = std::vector<double>;

// y = f of the numbers along the reduced axes, one flag per axis.
Array reduce(const Array& x, const std::vector<bool>& reduced, bool keepdim,
             const std::function<double(const Numbers&)>& f) {
  Shape kept = x.shape;
  for (int i = 0; i < kept.rank(); i++)
    if (reduced[std::size_t(i)]) kept[i] = 1;
  std::vector<Numbers> lists(std::size_t(kept.numel()));
  Array place(kept);
  for (std::size_t i = 0; i < place.v.size(); i++) place.v[i] = double(i);
  for_each_index(x.shape, [&](const auto& index) {
    lists[std::size_t(place.at(index))].push_back(x.at(index));
  });
  Array y(kept);
  for (std::size_t i = 0; i < lists.size(); i++) y.v[i] = f(lists[i]);
  for (int i = kept.rank(); !keepdim && i-- > 0;)
    if (reduced[std::size_t(i)]) y.shape.erase(i);
  return y;
}

double product(const Numbers& x) {
  double y = 1;
  for (double v : x) y *= v;
  return y;
}
double largest(const Numbers& x) {
  double y = -std::numeric_limits<double>::infinity();
  for (double v : x) y = std::max(y, v);
  return y;
}
double smallest(const Numbers& x) {
  double y = std::numeric_limits<double>::infinity();
  for (double v : x) y = std::min(y, v);
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
  double (*reference)(const Numbers&);
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

struct Places {
  const char* variant;
  Shape shape;
  Axes axes;
  std::vector<bool> reduced;
  bool keepdim = false;
  Shape large = {};
};

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
    cases.push_back(
        {.op = "prod",
         .variant = "all_rank" + std::to_string(shape.rank()) + (shape.numel() ? "" : "_empty"),
         .inputs = {normal(shape)},
         .f = [](const Tensors& in) { return prod(in[0]); },
         .reference =
             [](const Arrays& in) {
               Array y{Shape{}};
               y.v[0] = product(in[0].v);
               return y;
             }});
}

}  // namespace

void add_statistics_cases(std::vector<OpCase>& cases) {
  const std::vector<Places> places = {
      {"last", {2, 3, 4}, -1, {false, false, true}, false, {5, 11, 301}},
      {"first", {3, 2, 2}, 0, {true, false, false}, false, {301, 11, 5}},
      {"middle_kept", {2, 3, 4}, 1, {false, true, false}, true},
      {"two", {2, 3, 2}, {0, -1}, {true, false, true}},
      {"two_kept", {2, 2, 3}, {-2, 0}, {true, true, false}, true},
      {"all_axes", {2, 3}, {0, 1}, {true, true}},
      {"empty_result", {0, 3}, 1, {false, true}},
  };
  for (const Row& row : rows())
    for (const Places& at : places) {
      OpCase c{
          .op = row.op,
          .variant = row.variant + at.variant,
          .inputs = {row.input(at.shape)},
          .f = [=](const Tensors& x) { return row.f(x[0], at.axes, at.keepdim); },
          .reference =
              [=](const Arrays& x) { return reduce(x[0], at.reduced, at.keepdim, row.reference); }};
      if (at.large.rank() && std::string(row.op) != "prod") c.large = {at.large};
      cases.push_back(c);
    }
  add_products_of_zeros(cases);
}

}  // namespace unroll::testing
