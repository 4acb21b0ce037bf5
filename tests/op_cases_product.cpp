// Rows of matmul and linear.
#include "autograd/ops.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

Array matmul_of(const Array& a, const Array& b) {
  const auto lead = [](const Array& x) {
    Shape shape = x.shape;
    shape[-1] = shape[-2] = 1;
    return Array(shape);
  };
  Shape out = zip(lead(a), lead(b), [](double, double) { return 0.0; }).shape;
  out[-2] = a.shape[-2];
  out[-1] = b.shape[-1];
  return build(out, [&](std::vector<std::int64_t> index) {
    const std::size_t m = index.size() - 2, n = index.size() - 1;
    const std::int64_t row = index[m], column = index[n];
    double total = 0;
    for (std::int64_t k = 0; k < a.shape[-1]; k++) {
      index[m] = row, index[n] = k;
      const double left = a.shape[-2] ? a.at(index) : 0;
      index[m] = k, index[n] = column;
      total += left * b.at(index);
    }
    return total;
  });
}

// Array::at broadcasts along axes of size 1, so the matrix axes of references need size > 1 or
// index 0 there: both hold, since row < M and k < K.
void add_matmuls(std::vector<OpCase>& cases) {
  struct Row {
    const char* variant;
    Shape a, b;
    std::vector<Shape> large = {};
  };
  const std::vector<Row> rows = {
      {"", {3, 4}, {4, 5}, {{131, 67}, {67, 97}}},
      {"row", {1, 4}, {4, 5}, {{1, 301}, {301, 513}}},
      {"column", {3, 4}, {4, 1}, {{513, 301}, {301, 1}}},
      {"outer", {3, 1}, {1, 5}},
      {"inner", {1, 4}, {4, 1}},
      {"odd_sizes", {7, 9}, {9, 17}},
      {"batch", {2, 3, 4}, {2, 4, 5}, {{5, 82, 66}, {5, 66, 58}}},
      {"shared_right", {2, 3, 4}, {4, 5}, {{5, 82, 66}, {66, 58}}},
      {"shared_left", {3, 4}, {2, 4, 5}},
      {"batch_of_one", {1, 3, 4}, {6, 4, 2}},
      {"crossed", {2, 1, 3, 4}, {5, 4, 2}},
      {"crossed_both", {2, 1, 3, 4}, {1, 3, 4, 2}},
      {"nothing_to_sum", {3, 0}, {0, 2}},
      {"no_rows", {0, 3}, {3, 2}},
      {"no_batch", {0, 2, 3}, {3, 2}},
  };
  for (const Row& row : rows)
    cases.push_back({.op = "matmul",
                     .variant = row.variant,
                     .inputs = {normal(row.a), normal(row.b)},
                     .f = [](const Tensors& x) { return matmul(x[0], x[1]); },
                     .reference = [](const Arrays& x) { return matmul_of(x[0], x[1]); },
                     .large = row.large});
  const auto with_axis = [](const Array& x, int axis) {
    Array y = x;
    y.shape.insert(axis, 1);
    return y;
  };
  struct VectorRow {
    const char* variant;
    Shape a, b, out;
  };
  for (const VectorRow& row : {VectorRow{"vectors", {4}, {4}, {}},
                               {"matrix_vector", {3, 4}, {4}, {3}},
                               {"vector_matrix", {4}, {4, 5}, {5}},
                               {"batch_vector", {2, 3, 4}, {4}, {2, 3}},
                               {"vector_batch", {4}, {2, 4, 3}, {2, 3}},
                               {"empty_vectors", {0}, {0}, {}}})
    cases.push_back({.op = "matmul",
                     .variant = row.variant,
                     .inputs = {normal(row.a), normal(row.b)},
                     .f = [](const Tensors& x) { return matmul(x[0], x[1]); },
                     .reference =
                         [=](const Arrays& x) {
                           const Array a = x[0].shape.rank() == 1 ? with_axis(x[0], 0) : x[0];
                           const Array b = x[1].shape.rank() == 1 ? with_axis(x[1], 1) : x[1];
                           return Array(row.out, matmul_of(a, b).v);
                         }});
  cases.push_back(
      {.op = "matmul",
       .variant = "of_transposes",
       .inputs = {normal({4, 3}), normal({5, 4})},
       .f = [](const Tensors& x) { return matmul(transpose(x[0], 0, 1), transpose(x[1], 0, 1)); },
       .reference =
           [](const Arrays& x) {
             return build({3, 5}, [&](const auto& i) {
               double total = 0;
               for (std::int64_t k = 0; k < 4; k++)
                 total += x[0].at({k, i[0]}) * x[1].at({i[1], k});
               return total;
             });
           },
       .large = {{67, 131}, {97, 67}}});
  cases.push_back({.op = "matmul",
                   .variant = "self",
                   .inputs = {normal({4, 4})},
                   .f = [](const Tensors& x) { return matmul(x[0], x[0]); },
                   .reference = [](const Arrays& x) { return matmul_of(x[0], x[0]); }});
}

Array linear_of(const Arrays& x) {
  Shape out = x[0].shape;
  out[-1] = x[1].shape[0];
  return build(out, [&](std::vector<std::int64_t> index) {
    const std::int64_t o = index.back();
    double total = x.size() > 2 ? x[2].v[static_cast<std::size_t>(o)] : 0;
    for (std::int64_t i = 0; i < x[1].shape[1]; i++) {
      index.back() = i;
      total += x[0].at(index) * x[1].at({o, i});
    }
    return total;
  });
}

void add_linears(std::vector<OpCase>& cases) {
  struct Row {
    const char* variant;
    Shape x, w;
    std::vector<Shape> large = {};
  };
  for (const bool bias : {true, false})
    for (const Row& row : {Row{"", {3, 4}, {5, 4}, {{131, 67}, {97, 67}}},
                           Row{"sequence", {2, 3, 4}, {5, 4}, {{17, 13, 67}, {97, 67}}},
                           Row{"vector", {4}, {5, 4}}, Row{"single", {1, 1}, {1, 1}},
                           Row{"no_rows", {0, 4}, {5, 4}}, Row{"no_inputs", {3, 0}, {2, 0}}}) {
      OpCase c{
          .op = "linear",
          .variant = std::string(row.variant),
          .inputs = {normal(row.x), normal(row.w)},
          .f = [](const Tensors& x) { return linear(x[0], x[1], x.size() > 2 ? x[2] : Tensor()); },
          .reference = linear_of,
          .large = row.large};
      if (bias) {
        c.inputs.push_back(normal({row.w[0]}));
        if (!c.large.empty()) c.large.push_back({97});
      } else {
        c.variant += c.variant.empty() ? "plain" : "_plain";
      }
      cases.push_back(c);
    }
}

}  // namespace

void add_product_cases(std::vector<OpCase>& cases) {
  add_matmuls(cases);
  add_linears(cases);
}

}  // namespace unroll::testing
