// Rows of the shape ops: views, copies, joining and splitting.
#include "autograd/ops.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

using Index = std::vector<std::int64_t>;

// A row whose result picks elements: result[i] = x[0][from(i)].
OpCase picks(const char* op, const char* variant, const Shape& in, const Shape& out,
             const std::function<Tensor(const Tensor&)>& f,
             const std::function<Index(const Index&)>& from) {
  return {.op = op,
          .variant = variant,
          .inputs = {normal(in)},
          .f = [f](const Tensors& x) { return f(x[0]); },
          .reference =
              [out, from](const Arrays& x) {
                return build(out, [&](const Index& i) { return x[0].at(from(i)); });
              }};
}

// The same elements in row-major order.
OpCase refills(const char* op, const char* variant, const Shape& in, const Shape& out,
               const std::function<Tensor(const Tensor&)>& f) {
  return {.op = op,
          .variant = variant,
          .inputs = {normal(in)},
          .f = [f](const Tensors& x) { return f(x[0]); },
          .reference = [out](const Arrays& x) { return Array(out, x[0].v); }};
}

void add_reshapes(std::vector<OpCase>& cases) {
  const auto reshaped = [&](const char* variant, const Shape& in, const Shape& asked,
                            const Shape& out) {
    cases.push_back(refills("reshape", variant, in, out,
                            [asked](const Tensor& x) { return reshape(x, asked); }));
  };
  reshaped("", {2, 6}, {3, 4}, {3, 4});
  reshaped("inferred", {2, 6}, {-1, 3}, {4, 3});
  reshaped("flat", {2, 3, 2}, {-1}, {12});
  reshaped("to_number", {1, 1}, {}, {});
  reshaped("of_number", {}, {1, 1}, {1, 1});
  reshaped("empty", {0, 3}, {3, 0}, {3, 0});
  cases.push_back(refills("unsqueeze", "front", {2, 3}, {1, 2, 3},
                          [](const Tensor& x) { return unsqueeze(x, 0); }));
  cases.push_back(refills("unsqueeze", "back", {2, 3}, {2, 3, 1},
                          [](const Tensor& x) { return unsqueeze(x, -1); }));
  cases.push_back(
      refills("squeeze", "", {2, 1, 3}, {2, 3}, [](const Tensor& x) { return squeeze(x, 1); }));
  cases.push_back(refills("squeeze", "negative", {1, 3, 1}, {1, 3},
                          [](const Tensor& x) { return squeeze(x, -1); }));
  cases.push_back(refills("contiguous", "", {2, 3}, {2, 3},
                          [](const Tensor& x) { return contiguous(x) * 1.0; }));
}

void add_permutations(std::vector<OpCase>& cases) {
  cases.push_back(picks(
      "transpose", "", {2, 3}, {3, 2}, [](const Tensor& x) { return transpose(x, 0, 1); },
      [](const Index& i) {
        return Index{i[1], i[0]};
      }));
  cases.push_back(picks(
      "transpose", "negative", {2, 3, 4}, {4, 3, 2},
      [](const Tensor& x) { return transpose(x, -1, 0); },
      [](const Index& i) {
        return Index{i[2], i[1], i[0]};
      }));
  cases.push_back(picks(
      "transpose", "same", {2, 3}, {2, 3}, [](const Tensor& x) { return transpose(x, 1, -1); },
      [](const Index& i) { return i; }));
  cases.push_back(picks(
      "permute", "", {2, 3, 4}, {4, 2, 3},
      [](const Tensor& x) {
        return permute(x, {2, 0, 1});
      },
      [](const Index& i) {
        return Index{i[1], i[2], i[0]};
      }));
  cases.push_back(picks(
      "permute", "negative", {2, 3, 4}, {3, 4, 2},
      [](const Tensor& x) {
        return permute(x, {-2, -1, 0});
      },
      [](const Index& i) {
        return Index{i[2], i[0], i[1]};
      }));
  cases.push_back(picks(
      "contiguous", "of_transpose", {2, 3}, {3, 2},
      [](const Tensor& x) { return contiguous(transpose(x, 0, 1)); },
      [](const Index& i) {
        return Index{i[1], i[0]};
      }));
  cases.push_back(picks(
      "reshape", "of_transpose", {2, 3}, {6},
      [](const Tensor& x) { return reshape(transpose(x, 0, 1), {6}); },
      [](const Index& i) {
        return Index{i[0] % 2, i[0] / 2};
      }));
}

void add_expansions(std::vector<OpCase>& cases) {
  const auto last = [](const Index& i) { return Index{i.back()}; };
  cases.push_back(picks(
      "expand", "", {1, 3}, {4, 3},
      [](const Tensor& x) {
        return expand(x, {4, 3});
      },
      [](const Index& i) {
        return Index{0, i[1]};
      }));
  cases.push_back(picks(
      "expand", "new_axes", {3}, {2, 4, 3},
      [](const Tensor& x) {
        return expand(x, {2, 4, 3});
      },
      last));
  cases.push_back(picks(
      "expand", "number", {}, {2, 3},
      [](const Tensor& x) {
        return expand(x, {2, 3});
      },
      [](const Index&) { return Index{}; }));
  cases.push_back(picks(
      "expand", "to_nothing", {1, 3}, {0, 3},
      [](const Tensor& x) {
        return expand(x, {0, 3});
      },
      [](const Index& i) { return i; }));
  cases.push_back(picks(
      "expand", "same", {2, 3}, {2, 3},
      [](const Tensor& x) {
        return expand(x, {2, 3});
      },
      [](const Index& i) { return i; }));
}

void add_slices(std::vector<OpCase>& cases) {
  cases.push_back(picks(
      "slice", "", {2, 6}, {2, 3}, [](const Tensor& x) { return slice(x, 1, 2, 5); },
      [](const Index& i) {
        return Index{i[0], i[1] + 2};
      }));
  cases.push_back(picks(
      "slice", "step", {7, 2}, {3, 2}, [](const Tensor& x) { return slice(x, -2, 1, 7, 2); },
      [](const Index& i) {
        return Index{1 + 2 * i[0], i[1]};
      }));
  cases.push_back(picks(
      "slice", "uneven_step", {8}, {3}, [](const Tensor& x) { return slice(x, 0, 0, 8, 3); },
      [](const Index& i) { return Index{3 * i[0]}; }));
  cases.push_back(picks(
      "slice", "nothing", {4}, {0}, [](const Tensor& x) { return slice(x, 0, 2, 2); },
      [](const Index& i) { return i; }));
  cases.push_back(picks(
      "slice", "all", {4}, {4}, [](const Tensor& x) { return slice(x, 0, 0, 4); },
      [](const Index& i) { return i; }));
  cases.push_back(picks(
      "select", "", {2, 3, 4}, {2, 4}, [](const Tensor& x) { return select(x, 1, 2); },
      [](const Index& i) {
        return Index{i[0], 2, i[1]};
      }));
  cases.push_back(picks(
      "select", "negative", {2, 3, 4}, {2, 3}, [](const Tensor& x) { return select(x, -1, -4); },
      [](const Index& i) {
        return Index{i[0], i[1], 0};
      }));
  cases.push_back(picks(
      "flip", "", {2, 3}, {2, 3}, [](const Tensor& x) { return flip(x, 1); },
      [](const Index& i) {
        return Index{i[0], 2 - i[1]};
      }));
  cases.push_back(picks(
      "flip", "negative", {4, 3}, {4, 3}, [](const Tensor& x) { return flip(x, -2); },
      [](const Index& i) {
        return Index{3 - i[0], i[1]};
      }));
  cases.push_back(picks(
      "flip", "empty", {0, 3}, {0, 3}, [](const Tensor& x) { return flip(x, 0); },
      [](const Index& i) { return i; }));
}

// Overlapping slices of one tensor: cotangents meet.
void add_overlaps(std::vector<OpCase>& cases) {
  cases.push_back(
      {.op = "slice",
       .variant = "overlapping",
       .inputs = {normal({6})},
       .f = [](const Tensors& x) { return slice(x[0], 0, 0, 4) * slice(x[0], 0, 2, 6); },
       .reference =
           [](const Arrays& x) {
             return build({4}, [&](const Index& i) { return x[0].at(i) * x[0].at({i[0] + 2}); });
           }});
  cases.push_back({.op = "unbind",
                   .inputs = {normal({2, 3, 4})},
                   .f =
                       [](const Tensors& x) {
                         const Tensors parts = unbind(x[0], 1);
                         return parts[0] * 2.0 - parts[1] * parts[2];
                       },
                   .reference =
                       [](const Arrays& x) {
                         return build({2, 4}, [&](const Index& i) {
                           return 2 * x[0].at({i[0], 0, i[1]}) -
                                  x[0].at({i[0], 1, i[1]}) * x[0].at({i[0], 2, i[1]});
                         });
                       }});
  cases.push_back(picks(
      "unbind", "one_part", {4, 3}, {4}, [](const Tensor& x) { return unbind(x, -1)[1]; },
      [](const Index& i) {
        return Index{i[0], 1};
      }));
}

void add_joins(std::vector<OpCase>& cases) {
  cases.push_back({.op = "cat",
                   .inputs = {normal({2, 3}), normal({2, 1}), normal({2, 2})},
                   .f = [](const Tensors& x) { return cat(x, -1); },
                   .reference =
                       [](const Arrays& x) {
                         return build({2, 6}, [&](const Index& i) {
                           if (i[1] < 3) return x[0].at(i);
                           return i[1] < 4 ? x[1].at({i[0], 0}) : x[2].at({i[0], i[1] - 4});
                         });
                       }});
  cases.push_back({.op = "cat",
                   .variant = "first_axis_with_nothing",
                   .inputs = {normal({2, 3}), normal({0, 3}), normal({1, 3})},
                   .f = [](const Tensors& x) { return cat(x, 0); },
                   .reference =
                       [](const Arrays& x) {
                         return build({3, 3}, [&](const Index& i) {
                           return i[0] < 2 ? x[0].at(i) : x[2].at({0, i[1]});
                         });
                       }});
  cases.push_back({.op = "cat",
                   .variant = "of_one_twice",
                   .inputs = {normal({3})},
                   .f =
                       [](const Tensors& x) {
                         return cat({x[0], x[0] * 2.0, x[0]}, 0);
                       },
                   .reference =
                       [](const Arrays& x) {
                         return build({9}, [&](const Index& i) {
                           return x[0].at({i[0] % 3}) * (i[0] / 3 == 1 ? 2 : 1);
                         });
                       }});
  for (const int axis : {0, 1, 2})
    cases.push_back({.op = "stack",
                     .variant = "axis" + std::to_string(axis),
                     .inputs = {normal({2, 3}), normal({2, 3})},
                     .f = [axis](const Tensors& x) { return stack(x, axis - 3); },
                     .reference =
                         [axis](const Arrays& x) {
                           Shape out{2, 3};
                           out.insert(axis, 2);
                           return build(out, [&](Index i) {
                             const std::size_t which =
                                 static_cast<std::size_t>(i[std::size_t(axis)]);
                             i.erase(i.begin() + axis);
                             return x[which].at(i);
                           });
                         }});
  cases.push_back({.op = "to",
                   .inputs = {normal({2, 3})},
                   .f = [](const Tensors& x) { return to(x[0], x[0].dtype()) * 1.0; },
                   .reference = [](const Arrays& x) { return x[0]; }});
}

}  // namespace

void add_shape_cases(std::vector<OpCase>& cases) {
  add_reshapes(cases);
  add_permutations(cases);
  add_expansions(cases);
  add_slices(cases);
  add_overlaps(cases);
  add_joins(cases);
}

}  // namespace unroll::testing
