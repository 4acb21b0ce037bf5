// Rows of the indexing ops.
#include "autograd/ops.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

using Index = std::vector<std::int64_t>;

std::int64_t whole(double v) { return static_cast<std::int64_t>(v); }

void add_selects(std::vector<OpCase>& cases) {
  for (const int axis : {0, 1, 2}) {
    const std::size_t a = static_cast<std::size_t>(axis);
    Shape in{4, 5, 6};
    const Tensor repeated = from_values<std::int64_t>({3, 0, 3, 1, 2}, {5});
    cases.push_back({.op = "index_select",
                     .variant = "axis" + std::to_string(axis),
                     .inputs = {normal(in), given(repeated)},
                     .f = [axis](const Tensors& x) { return index_select(x[0], axis - 3, x[1]); },
                     .reference =
                         [in, axis, a](const Arrays& x) {
                           Shape out = in;
                           out[axis] = 5;
                           return build(out, [&](Index i) {
                             i[a] = whole(x[1].at({i[a]}));
                             return x[0].at(i);
                           });
                         },
                     .large = {{41, 43, 47}, {5}}});
    Shape part = in;
    part[axis] = 5;
    cases.push_back({.op = "index_add",
                     .variant = "axis" + std::to_string(axis),
                     .inputs = {normal(part), given(repeated)},
                     .f = [axis](const Tensors& x) { return index_add(x[0], axis, x[1], 7); },
                     .reference =
                         [part, axis, a](const Arrays& x) {
                           Shape out = part;
                           out[axis] = 7;
                           Array y(out);
                           for_each_index(part, [&](Index i) {
                             const double v = x[0].at(i);
                             i[a] = whole(x[1].at({i[a]}));
                             y(i) += v;
                           });
                           return y;
                         }});
  }
  cases.push_back({.op = "index_select",
                   .variant = "nothing",
                   .inputs = {normal({4, 3}), indices({0}, 4)},
                   .f = [](const Tensors& x) { return index_select(x[0], 0, x[1]); },
                   .reference =
                       [](const Arrays&) {
                         return Array(Shape{0, 3});
                       }});
}

void add_gathers(std::vector<OpCase>& cases) {
  for (const int axis : {0, 1}) {
    const std::size_t a = static_cast<std::size_t>(axis);
    Shape shape{4, 5};
    shape[axis] = 7;
    Shape large{401, 307};
    cases.push_back({.op = "gather",
                     .variant = "axis" + std::to_string(axis),
                     .inputs = {normal({4, 5}), indices(shape, 4)},
                     .f = [axis](const Tensors& x) { return gather(x[0], axis, x[1]); },
                     .reference =
                         [shape, a](const Arrays& x) {
                           return build(shape, [&](Index i) {
                             i[a] = whole(x[1].at(i));
                             return x[0].at(i);
                           });
                         },
                     .large = {large, large}});
    cases.push_back({.op = "scatter_add",
                     .variant = "axis" + std::to_string(axis),
                     .inputs = {normal(shape), indices(shape, 4)},
                     .f = [axis](const Tensors& x) { return scatter_add(x[0], axis - 2, x[1], 6); },
                     .reference =
                         [shape, axis, a](const Arrays& x) {
                           Shape out = shape;
                           out[axis] = 6;
                           Array y(out);
                           for_each_index(shape, [&](Index i) {
                             const double v = x[0].at(i);
                             i[a] = whole(x[1].at(i));
                             y(i) += v;
                           });
                           return y;
                         },
                     .large = {large, large}});
  }
}

}  // namespace

void add_index_cases(std::vector<OpCase>& cases) {
  add_selects(cases);
  add_gathers(cases);
}

}  // namespace unroll::testing
