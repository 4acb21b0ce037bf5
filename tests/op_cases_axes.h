// Rows of reductions over several axes, whose reference is a function of a list of numbers.
#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "tests/op_cases.h"

namespace unroll::testing {

using Numbers = std::vector<double>;
using OfNumbers = double (*)(const Numbers&);

/// y = f of the numbers along the reduced axes, one flag per axis.
inline Array reduce(const Array& x, const std::vector<bool>& reduced, bool keepdim, OfNumbers f) {
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

inline double sum_of(const Numbers& x) {
  double y = 0;
  for (double v : x) y += v;
  return y;
}
inline double mean_of(const Numbers& x) { return sum_of(x) / double(x.size()); }
inline double largest(const Numbers& x) {
  double y = -std::numeric_limits<double>::infinity();
  for (double v : x) y = std::max(y, v);
  return y;
}
inline double smallest(const Numbers& x) {
  double y = std::numeric_limits<double>::infinity();
  for (double v : x) y = std::min(y, v);
  return y;
}

/// Axes of a shape that are reduced.
struct Places {
  const char* variant;
  Shape shape;
  Axes axes;
  std::vector<bool> reduced;
  bool keepdim = false;
  Shape large = {};
};

/// Those that every such op has rows for.
inline std::vector<Places> common_places() {
  return {
      {"last", {2, 3, 4}, -1, {false, false, true}, false, {5, 11, 3001}},
      {"first", {3, 2, 2}, 0, {true, false, false}, false, {3001, 11, 5}},
      {"middle_kept", {2, 3, 4}, 1, {false, true, false}, true, {7, 901, 13}},
      {"two", {2, 3, 2}, {0, -1}, {true, false, true}},
      {"two_kept", {2, 2, 3}, {-2, 0}, {true, true, false}, true},
      {"all_axes", {2, 3}, {0, 1}, {true, true}},
      {"empty_result", {0, 3}, 1, {false, true}},
  };
}

/// The row of an op at these places.
inline OpCase axes_case(const char* op, const std::string& variant, const Places& at,
                        Tensor (*f)(const Tensor&, const Axes&, bool), OfNumbers reference,
                        Input (*input)(const Shape&)) {
  OpCase c{.op = op,
           .variant = variant + at.variant,
           .inputs = {input(at.shape)},
           .f = [=](const Tensors& x) { return f(x[0], at.axes, at.keepdim); },
           .reference =
               [=](const Arrays& x) { return reduce(x[0], at.reduced, at.keepdim, reference); }};
  if (at.large.rank()) c.large = {at.large};
  return c;
}

/// The row of an op over all of x, without axes.
inline OpCase whole_case(const char* op, const Shape& shape, Tensor (*f)(const Tensor&),
                         OfNumbers reference) {
  return {.op = op,
          .variant = "all_rank" + std::to_string(shape.rank()) + (shape.numel() ? "" : "_empty"),
          .inputs = {normal(shape)},
          .f = [=](const Tensors& x) { return f(x[0]); },
          .reference = [=](const Arrays& x) { return Array(Shape{}, {reference(x[0].v)}); }};
}

}  // namespace unroll::testing
