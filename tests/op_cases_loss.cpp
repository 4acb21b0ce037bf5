// Rows of the losses.
#include <cmath>

#include "autograd/ops.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

Array mean_of(const Array& a, const Array& b, double (*f)(double)) {
  Array y{Shape{}};
  for (std::size_t i = 0; i < a.v.size(); i++) y.v[0] += f(a.v[i] - b.v[i]);
  y.v[0] /= static_cast<double>(a.v.size());
  return y;
}

Array masked_mse_of(const Arrays& x, const std::vector<std::int64_t>& lengths) {
  Array y{Shape{}};
  double count = 0;
  for_each_index(x[0].shape, [&](const std::vector<std::int64_t>& i) {
    if (i[0] >= lengths[static_cast<std::size_t>(i[1])]) return;
    const double d = x[0].at(i) - x[1].at(i);
    y.v[0] += d * d;
    count++;
  });
  y.v[0] /= count;
  return y;
}

}  // namespace

void add_loss_cases(std::vector<OpCase>& cases) {
  const Shape shape{3, 4, 2};
  cases.push_back(
      {.op = "mse_loss",
       .inputs = {normal(shape), normal(shape)},
       .f = [](const Tensors& x) { return mse_loss(x[0], x[1]); },
       .reference =
           [](const Arrays& x) { return mean_of(x[0], x[1], [](double d) { return d * d; }); },
       .large = {{131, 67, 5}, {131, 67, 5}}});
  cases.push_back({.op = "l1_loss",
                   .inputs = {apart(shape), apart(shape, -1.25)},
                   .f = [](const Tensors& x) { return l1_loss(x[0], x[1]); },
                   .reference =
                       [](const Arrays& x) {
                         return mean_of(x[0], x[1], [](double d) { return std::abs(d); });
                       }});
  for (const std::vector<std::int64_t>& lengths :
       {std::vector<std::int64_t>{3, 1, 0, 2}, std::vector<std::int64_t>{3, 3, 3, 3}}) {
    cases.push_back(
        {.op = "masked_mse",
         .variant = lengths[1] == 3 ? "full" : "",
         .inputs = {normal(shape), normal(shape)},
         .f = [lengths](const Tensors& x) { return masked_mse(x[0], x[1], Lengths(lengths)); },
         .reference = [lengths](const Arrays& x) { return masked_mse_of(x, lengths); }});
  }
  cases.push_back({.op = "masked_mse",
                   .variant = "no_lengths",
                   .inputs = {normal(shape), normal(shape)},
                   .f = [](const Tensors& x) { return masked_mse(x[0], x[1], {}); },
                   .reference =
                       [](const Arrays& x) {
                         return masked_mse_of(x, {3, 3, 3, 3});
                       }});
  cases.push_back({.op = "length_mask",
                   .inputs = {normal({1})},
                   .f =
                       [](const Tensors&) {
                         return length_mask(Lengths{2, 0, 3}, 3, 3);
                       },
                   .reference =
                       [](const Arrays&) {
                         return Array({3, 3, 1}, {1, 0, 1, 1, 0, 1, 0, 0, 1});
                       },
                   .differentiable = false});
}

}  // namespace unroll::testing
