// Rows of the losses.
#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "core/random.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

// The losses of the elements, reduced.
Array reduce(const Array& loss, Reduction reduction) {
  if (reduction == Reduction::none) return loss;
  Array y{Shape{}};
  for (const double v : loss.v) y.v[0] += v;
  if (reduction == Reduction::mean) y.v[0] /= static_cast<double>(loss.v.size());
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

// A loss of two operands of one shape, in all three reductions.
struct LossRow {
  const char* op;
  const char* variant;
  Input x, target;
  Tensor (*f)(const Tensor&, const Tensor&, Reduction);
  double (*value)(double x, double t);
};

double huber_of(double d, double delta) {
  return std::abs(d) <= delta ? d * d / 2 : delta * (std::abs(d) - delta / 2);
}
double softplus_of(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

Input within(const Shape& shape, double low, double high) {
  return {shape, [=](const Shape& s, std::uint64_t seed) {
            return Random(seed, 9).uniform(s, low, high, Dtype::float64);
          }};
}

std::vector<LossRow> loss_rows() {
  const Shape shape{3, 4, 2};
  const Input any = normal(shape), left = apart(shape), right = apart(shape, -1.25);
  const Input probability = within(shape, 0.1, 0.9);
  return {
      {"mse_loss", "", any, any,
       [](const Tensor& x, const Tensor& t, Reduction r) { return mse_loss(x, t, r); },
       [](double x, double t) { return (x - t) * (x - t); }},
      {"l1_loss", "", left, right,
       [](const Tensor& x, const Tensor& t, Reduction r) { return l1_loss(x, t, r); },
       [](double x, double t) { return std::abs(x - t); }},
      {"huber_loss", "", left, right,
       [](const Tensor& x, const Tensor& t, Reduction r) { return huber_loss(x, t, 0.7, r); },
       [](double x, double t) { return huber_of(x - t, 0.7); }},
      {"smooth_l1_loss", "", left, right,
       [](const Tensor& x, const Tensor& t, Reduction r) { return smooth_l1_loss(x, t, 0.5, r); },
       [](double x, double t) { return huber_of(x - t, 0.5) / 0.5; }},
      {"smooth_l1_loss", "beta_0", left, right,
       [](const Tensor& x, const Tensor& t, Reduction r) { return smooth_l1_loss(x, t, 0, r); },
       [](double x, double t) { return std::abs(x - t); }},
      {"binary_cross_entropy", "", probability, probability,
       [](const Tensor& x, const Tensor& t, Reduction r) { return binary_cross_entropy(x, t, r); },
       [](double x, double t) { return -t * std::log(x) - (1 - t) * std::log(1 - x); }},
      {"binary_cross_entropy_with_logits", "", any, probability,
       [](const Tensor& x, const Tensor& t, Reduction r) {
         return binary_cross_entropy_with_logits(x, t, {}, r);
       },
       [](double x, double t) { return t * softplus_of(-x) + (1 - t) * softplus_of(x); }},
      {"kl_div", "", any, positive(shape),
       [](const Tensor& x, const Tensor& t, Reduction r) { return kl_div(x, t, false, r); },
       [](double x, double t) { return t * (std::log(t) - x); }},
      {"kl_div", "log_target", any, any,
       [](const Tensor& x, const Tensor& t, Reduction r) { return kl_div(x, t, true, r); },
       [](double x, double t) { return std::exp(t) * (t - x); }},
  };
}

void add_elementwise_losses(std::vector<OpCase>& cases) {
  struct Named {
    const char* name;
    Reduction reduction;
  };
  for (const LossRow& row : loss_rows())
    for (const Named& r : {Named{"mean", Reduction::mean}, Named{"sum", Reduction::sum},
                           Named{"none", Reduction::none}}) {
      OpCase c{
          .op = row.op,
          .variant = std::string(row.variant) + (*row.variant ? "_" : "") + r.name,
          .inputs = {row.x, row.target},
          .f = [=](const Tensors& x) { return row.f(x[0], x[1], r.reduction); },
          .reference =
              [=](const Arrays& x) { return reduce(zip(x[0], x[1], row.value), r.reduction); }};
      if (c.op == "mse_loss") c.large = {{131, 67, 5}, {131, 67, 5}};
      cases.push_back(c);
    }
  const Shape shape{3, 4};
  cases.push_back(
      {.op = "binary_cross_entropy_with_logits",
       .variant = "pos_weight",
       .inputs = {normal(shape), within(shape, 0, 1), positive({4})},
       .f = [](const Tensors& x) { return binary_cross_entropy_with_logits(x[0], x[1], x[2]); },
       .reference =
           [](const Arrays& x) {
             return reduce(build({3, 4},
                                 [&](const auto& i) {
                                   const double v = x[0].at(i), t = x[1].at(i);
                                   return x[2].at(i) * t * softplus_of(-v) +
                                          (1 - t) * softplus_of(v);
                                 }),
                           Reduction::mean);
           }});
}

double cosine_of(const Array& a, const Array& b, std::int64_t row) {
  double dot = 0, aa = 0, bb = 0;
  for (std::int64_t k = 0; k < a.shape[-1]; k++) {
    const double u = a.at({row, k}), v = b.at({row, k});
    dot += u * v, aa += u * u, bb += v * v;
  }
  return dot / std::sqrt(aa) / std::sqrt(bb);
}

void add_cosines(std::vector<OpCase>& cases) {
  const Shape shape{4, 5};
  cases.push_back({.op = "cosine_similarity",
                   .inputs = {normal(shape), normal(shape)},
                   .f = [](const Tensors& x) { return cosine_similarity(x[0], x[1]); },
                   .reference =
                       [](const Arrays& x) {
                         return build({4},
                                      [&](const auto& i) { return cosine_of(x[0], x[1], i[0]); });
                       }});
  const Tensor y = from_values<std::int64_t>({1, -1, -1, 1}, {4});
  cases.push_back({.op = "cosine_embedding_loss",
                   .inputs = {normal(shape), normal(shape)},
                   .f =
                       [y](const Tensors& x) {
                         return cosine_embedding_loss(x[0], x[1], y, -0.9, Reduction::none);
                       },
                   .reference =
                       [](const Arrays& x) {
                         return build({4}, [&](const auto& i) {
                           const double c = cosine_of(x[0], x[1], i[0]);
                           return i[0] == 0 || i[0] == 3 ? 1 - c : std::max(0.0, c + 0.9);
                         });
                       }});
}

// Classes along axis 1 of [N,C,...]; rows by everything else.
struct ClassRow {
  const char* variant;
  Shape x;
  std::vector<std::int64_t> target;
  Shape target_shape;
  bool weighted = false;
  double smoothing = 0;
  Reduction reduction = Reduction::mean;
};

std::vector<ClassRow> class_rows() {
  return {
      {"", {4, 5}, {0, 4, 2, 2}, {4}},
      {"ignored", {4, 5}, {0, -100, 4, -100}, {4}},
      {"weighted", {4, 5}, {3, -100, 4, 0}, {4}, true},
      {"smoothed", {4, 5}, {0, -100, 4, 1}, {4}, false, 0.1},
      {"smoothed_weighted", {4, 19}, {0, -100, 18, 1}, {4}, true, 0.3},
      {"all_smoothing", {2, 3}, {0, 1}, {2}, false, 1},
      {"sum", {4, 5}, {0, 4, -100, 2}, {4}, true, 0.1, Reduction::sum},
      {"none", {4, 5}, {0, 4, -100, 2}, {4}, true, 0.1, Reduction::none},
      {"pixels", {2, 3, 2, 2}, {0, 1, 2, -100, 2, 1, 0, 2}, {2, 2, 2}, true, 0.2, Reduction::none},
      {"pixels_mean", {2, 3, 2}, {0, 1, 2, -100}, {2, 2}},
      {"vector", {7}, {3}, {}, true, 0.1},
      {"one_class", {2, 1}, {0, 0}, {2}},
      {"no_rows", {0, 3}, {}, {0}, false, 0, Reduction::sum},
  };
}

// The weight of class c is 0.5 + 0.25 c.
double class_weight(const ClassRow& row, std::int64_t c) {
  return row.weighted ? 0.5 + 0.25 * static_cast<double>(c) : 1;
}

// The loss of the row at `index` (x's without the classes) from log-probabilities logp(c).
template <class F>
double class_loss(const ClassRow& row, std::int64_t C, std::int64_t t, F logp) {
  if (t == -100) return 0;
  double loss = -(1 - row.smoothing) * class_weight(row, t) * logp(t);
  for (std::int64_t c = 0; c < C; c++)
    loss -= row.smoothing / static_cast<double>(C) * class_weight(row, c) * logp(c);
  return loss;
}

// log_softmax along axis 1 first, or not.
Array class_reference(const ClassRow& row, const Array& x, bool logits) {
  const bool vector = row.x.rank() == 1;
  const std::int64_t C = row.x[vector ? 0 : 1];
  Array loss(row.target_shape);
  double weights = 0;
  std::size_t at = 0;
  for_each_index(row.target_shape, [&](const std::vector<std::int64_t>& index) {
    const auto value = [&](std::int64_t c) {
      std::vector<std::int64_t> full = index;
      full.insert(full.begin() + (vector ? 0 : 1), c);
      return x.v[static_cast<std::size_t>([&] {
        std::int64_t place = 0;
        for (int i = 0; i < row.x.rank(); i++)
          place = place * row.x[i] + full[static_cast<std::size_t>(i)];
        return place;
      }())];
    };
    double log_sum = 0;
    if (logits) {
      for (std::int64_t c = 0; c < C; c++) log_sum += std::exp(value(c));
      log_sum = std::log(log_sum);
    }
    const std::int64_t t = row.target[at];
    loss.v[at++] = class_loss(row, C, t, [&](std::int64_t c) { return value(c) - log_sum; });
    if (t != -100) weights += class_weight(row, t);
  });
  if (row.reduction != Reduction::mean) return reduce(loss, row.reduction);
  Array mean = reduce(loss, Reduction::sum);
  mean.v[0] /= weights;
  return mean;
}

void add_class_losses(std::vector<OpCase>& cases) {
  using Loss = Tensor (*)(const Tensor&, const Tensor&, const ClassOptions&);
  struct Op {
    const char* name;
    Loss f;
  };
  for (const Op& op : {Op{"cross_entropy", cross_entropy},
                       Op{"cross_entropy_twin", cross_entropy_twin}, Op{"nll_loss", nll_loss}})
    for (const ClassRow& row : class_rows()) {
      const bool logits = op.f != nll_loss;
      if (!logits && row.smoothing != 0) continue;
      const Tensor target = from_values<std::int64_t>(row.target, row.target_shape);
      const std::int64_t C = row.x[row.x.rank() == 1 ? 0 : 1];
      const auto f = [=](const Tensors& x) {
        ClassOptions options{.label_smoothing = row.smoothing, .reduction = row.reduction};
        if (row.weighted) options.weight = arange(C, x[0].dtype(), 0.5, 0.25, x[0].device());
        return op.f(x[0], to(target, x[0].device()), options);
      };
      cases.push_back(
          {.op = op.name,
           .variant = row.variant,
           .inputs = {normal(row.x)},
           .f = f,
           .reference = [=](const Arrays& x) { return class_reference(row, x[0], logits); }});
    }
  cases.push_back({.op = "cross_entropy",
                   .variant = "threads",
                   .inputs = {normal({4, 3})},
                   .f =
                       [](const Tensors& x) {
                         const std::int64_t R = x[0].shape()[0], C = x[0].shape()[1];
                         const Tensor t = Random(3, 8).integers({R}, 0, C, x[0].device());
                         return cross_entropy(
                             x[0], t, {.label_smoothing = 0.1, .reduction = Reduction::none});
                       },
                   .reference =
                       [](const Arrays& x) {
                         const Tensor t = Random(3, 8).integers({4}, 0, 3);
                         const ClassRow row{.variant = "",
                                            .x = {4, 3},
                                            .target = to_vector<std::int64_t>(t),
                                            .target_shape = {4},
                                            .smoothing = 0.1,
                                            .reduction = Reduction::none};
                         return class_reference(row, x[0], true);
                       },
                   .large = {{1031, 67}}});
  cases.push_back(
      {.op = "cross_entropy",
       .variant = "probabilities",
       .inputs = {normal({3, 4, 2}), positive({3, 4, 2})},
       .f = [](const Tensors& x) { return cross_entropy(x[0], x[1], {.label_smoothing = 0.1}); },
       .reference =
           [](const Arrays& x) {
             const Array loss = build({3, 2}, [&](const auto& i) {
               double log_sum = 0, total = 0;
               for (std::int64_t c = 0; c < 4; c++) log_sum += std::exp(x[0].at({i[0], c, i[1]}));
               for (std::int64_t c = 0; c < 4; c++)
                 total -= (0.9 * x[1].at({i[0], c, i[1]}) + 0.1 / 4) *
                          (x[0].at({i[0], c, i[1]}) - std::log(log_sum));
               return total;
             });
             return reduce(loss, Reduction::mean);
           }});
}

}  // namespace

void add_loss_cases(std::vector<OpCase>& cases) {
  add_elementwise_losses(cases);
  add_cosines(cases);
  add_class_losses(cases);
  const Shape shape{3, 4, 2};
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
                       [](const Tensors& x) {
                         return length_mask(Lengths{2, 0, 3}, 3, 3, x[0].device());
                       },
                   .reference =
                       [](const Arrays&) {
                         return Array({3, 3, 1}, {1, 0, 1, 1, 0, 1, 0, 0, 1});
                       },
                   .differentiable = false});
}

}  // namespace unroll::testing
