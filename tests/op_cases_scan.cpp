// Rows of running sums and products and of linear recurrences.
#include "autograd/ops.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

using Index = std::vector<std::int64_t>;

// y[t] = step(a[t], y[t-1], b[t]) along an axis, from `start` before the first place.
Array scanned(const Array& a, const Array& b, int axis, double start, const ScanOptions& options,
              double (*step)(double, double, double)) {
  const std::int64_t size = b.shape[axis];
  return build(b.shape, [&](Index index) {
    std::int64_t& t = index[std::size_t(axis)];
    const std::int64_t end = t;
    double y = start;
    t = options.reverse ? size - 1 : 0;
    for (const int by = options.reverse ? -1 : 1; (options.reverse ? t >= end : t <= end);
         t += by) {
      if (options.exclusive && t == end) break;
      y = step(a.at(index), y, b.at(index));
    }
    return y;
  });
}

double plus(double, double y, double b) { return y + b; }
double times(double a, double y, double) { return a * y; }
double linear(double a, double y, double b) { return a * y + b; }

struct Row {
  const char* variant;
  Shape shape;
  int axis;
  ScanOptions options = {};
  Shape large = {};
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
      {"last", {2, 5}, 1, {}, {301, 257}},
      {"first", {4, 3}, 0, {}, {257, 301}},
      {"middle", {2, 4, 3}, 1, {}, {3, 65, 400}},
      {"reverse", {2, 5}, 1, {.reverse = true}, {301, 257}},
      {"exclusive", {2, 5}, 1, {.exclusive = true}},
      {"exclusive_reverse", {2, 4, 3}, 1, {.exclusive = true, .reverse = true}},
      {"single", {3, 1}, 1, {}},
      {"single_exclusive", {3, 1}, 1, {.exclusive = true}},
      {"of_nothing", {2, 0}, 1, {}},
      {"no_lines", {0, 3}, 1, {.exclusive = true}},
  };
  return all;
}

void add_recurrences(std::vector<OpCase>& cases) {
  for (const Row& row : rows()) {
    if (row.options.exclusive) continue;
    OpCase c{.op = "linear_scan",
             .variant = row.variant,
             .inputs = {normal(row.shape, 0.7), normal(row.shape)},
             .f =
                 [row](const Tensors& x) {
                   return linear_scan(x[0], x[1], row.axis - x[1].rank(), row.options.reverse);
                 },
             .reference =
                 [row](const Arrays& x) {
                   return scanned(x[0], x[1], row.axis, 0, row.options, linear);
                 }};
    if (row.large.rank()) c.large = {row.large, row.large};
    cases.push_back(c);
  }
  cases.push_back(
      {.op = "linear_scan",
       .variant = "broadcast",
       .inputs = {normal({1, 3}), normal({2, 4, 3})},
       .f = [](const Tensors& x) { return linear_scan(x[0], x[1], 1); },
       .reference = [](const Arrays& x) { return scanned(x[0], x[1], 1, 0, {}, linear); }});
}

}  // namespace

void add_scan_cases(std::vector<OpCase>& cases) {
  for (const Row& row : rows()) {
    OpCase c{
        .op = "cumsum",
        .variant = row.variant,
        .inputs = {normal(row.shape)},
        .f = [row](const Tensors& x) { return cumsum(x[0], row.axis, row.options); },
        .reference =
            [row](const Arrays& x) { return scanned(x[0], x[0], row.axis, 0, row.options, plus); }};
    if (row.large.rank()) c.large = {row.large};
    cases.push_back(c);
    c.op = "cumprod";
    c.f = [row](const Tensors& x) { return cumprod(x[0], row.axis - x[0].rank(), row.options); };
    c.reference = [row](const Arrays& x) {
      return scanned(x[0], x[0], row.axis, 1, row.options, times);
    };
    cases.push_back(c);
  }
  cases.push_back(
      {.op = "cumprod",
       .variant = "with_zeros",
       .inputs = {given(from_values<double>({0, 2, 3, 4, 2, 0, 3, 0, -1, 0.5, 3, 0}, {3, 4}))},
       .f = [](const Tensors& x) { return cumprod(x[0], 1); },
       .reference = [](const Arrays& x) { return scanned(x[0], x[0], 1, 1, {}, times); }});
  add_recurrences(cases);
}

}  // namespace unroll::testing
