// Rows of roll, repeat, tril, triu, pad and slices that run backwards.
#include <algorithm>

#include "autograd/ops.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

using Index = std::vector<std::int64_t>;

// result[i] = x[from(i)], or `otherwise` where `from` gives an index outside x.
OpCase picks(const char* op, const std::string& variant, const Shape& in, const Shape& out,
             const std::function<Tensor(const Tensor&)>& f, const std::function<Index(Index)>& from,
             double otherwise = 0) {
  return {.op = op,
          .variant = variant,
          .inputs = {normal(in)},
          .f = [f](const Tensors& x) { return f(x[0]); },
          .reference =
              [=](const Arrays& x) {
                return build(out, [&](const Index& i) {
                  const Index at = from(i);
                  for (std::size_t a = 0; a < at.size(); a++)
                    if (at[a] < 0 || at[a] >= in[int(a)]) return otherwise;
                  return x[0].at(at);
                });
              }};
}

void add_rolls(std::vector<OpCase>& cases) {
  for (const std::int64_t shift : {0, 1, -2, 7}) {
    const std::int64_t by = ((shift % 4) + 4) % 4;
    cases.push_back(picks(
        "roll", (shift < 0 ? "back" : "by") + std::to_string(std::abs(shift)), {3, 4}, {3, 4},
        [=](const Tensor& x) { return roll(x, shift, -1); },
        [=](const Index& i) {
          return Index{i[0], (i[1] + 4 - by) % 4};
        }));
  }
  cases.push_back(picks(
      "roll", "empty", {0, 2}, {0, 2}, [](const Tensor& x) { return roll(x, 3, 0); },
      [](const Index& i) { return i; }));
}

void add_repeats(std::vector<OpCase>& cases) {
  cases.push_back(picks(
      "repeat", "", {2, 3}, {4, 9},
      [](const Tensor& x) {
        return repeat(x, {2, 3});
      },
      [](const Index& i) {
        return Index{i[0] % 2, i[1] % 3};
      }));
  cases.push_back(picks(
      "repeat", "more_axes", {2, 1, 3}, {2, 2, 3, 3},
      [](const Tensor& x) {
        return repeat(x, {2, 1, 3, 1});
      },
      [](const Index& i) {
        return Index{i[1], 0, i[3]};
      }));
  cases.push_back(picks(
      "repeat", "rank_7", {1, 2, 1, 2, 1, 1, 2}, {2, 4, 1, 2, 1, 2, 2},
      [](const Tensor& x) {
        return repeat(x, {2, 2, 1, 1, 1, 2, 1});
      },
      [](const Index& i) { return Index{0, i[1] % 2, 0, i[3], 0, 0, i[6]}; }));
  cases.push_back(picks(
      "repeat", "no_times", {2, 3}, {2, 0},
      [](const Tensor& x) {
        return repeat(x, {1, 0});
      },
      [](const Index& i) { return i; }));
}

void add_triangles(std::vector<OpCase>& cases) {
  for (const Shape& shape : {Shape{4, 5}, Shape{2, 3, 3}, Shape{3, 1, 5}, Shape{0, 5}})
    for (const std::int64_t diagonal : {0, 1, -2, 9, -9})
      for (const bool upper : {false, true}) {
        const std::string variant = to_string(shape) + "_" + std::to_string(diagonal);
        cases.push_back(picks(
            upper ? "triu" : "tril", variant, shape, shape,
            [=](const Tensor& x) { return upper ? triu(x, diagonal) : tril(x, diagonal); },
            [=](Index i) {
              const std::int64_t right = i[i.size() - 1] - i[i.size() - 2] - diagonal;
              if (upper ? right < 0 : right > 0) i[0] = -1;
              return i;
            }));
      }
}

std::int64_t reflected(std::int64_t i, std::int64_t n) {
  while (n > 1 && (i < 0 || i >= n)) i = i < 0 ? -i : 2 * (n - 1) - i;
  return n > 1 ? i : 0;
}

void add_pads(std::vector<OpCase>& cases) {
  struct Row {
    const char* variant;
    std::int64_t before, after;
  };
  for (const Row& row : {Row{"", 2, 1}, Row{"before", 1, 0}, Row{"after", 0, 2}, Row{"none", 0, 0},
                         Row{"far", 9, 8}, Row{"cut", -1, -2}, Row{"cut_and_more", -2, 3},
                         Row{"moved_out", -5, 2}, Row{"cut_all", -3, -1}}) {
    const Shape out{3, 4 + row.before + row.after};
    const auto add = [&](const char* name, Pad mode, double value,
                         const std::function<std::int64_t(std::int64_t)>& from) {
      cases.push_back(picks(
          "pad", std::string(name) + (*row.variant ? "_" : "") + row.variant, {3, 4}, out,
          [=](const Tensor& x) {
            return pad(x, {{-1, row.before, row.after}}, mode, value);
          },
          [=](const Index& i) {
            return Index{i[0], from(i[1] - row.before)};
          },
          value));
    };
    add("constant", Pad::constant, 1.5, [](std::int64_t i) { return i; });
    add("reflect", Pad::reflect, 0, [](std::int64_t i) { return reflected(i, 4); });
    add("replicate", Pad::replicate, 0,
        [](std::int64_t i) { return std::clamp<std::int64_t>(i, 0, 3); });
    add("circular", Pad::circular, 0, [](std::int64_t i) { return (i + 400) % 4; });
  }
  cases.push_back(picks(
      "pad", "two_axes", {3, 1, 2}, {6, 1, 3},
      [](const Tensor& x) {
        return pad(x, {{0, 1, 2}, {2, 0, 1}}, Pad::reflect);
      },
      [](const Index& i) {
        return Index{reflected(i[0] - 1, 3), 0, reflected(i[2], 2)};
      }));
  cases.push_back(picks(
      "pad", "of_nothing", {0, 2}, {3, 2},
      [](const Tensor& x) {
        return pad(x, {{0, 1, 2}});
      },
      [](const Index&) {
        return Index{-1, 0};
      }));
}

void add_backward_slices(std::vector<OpCase>& cases) {
  struct Row {
    const char* variant;
    std::int64_t start, end, step, size;
  };
  for (const Row& row :
       {Row{"backwards", 4, -1, -1, 5}, Row{"backwards_by_two", 4, 0, -2, 2},
        Row{"backwards_by_two_to_the_first", 4, -1, -2, 3}, Row{"backwards_none", 2, 2, -1, 0}})
    cases.push_back(picks(
        "slice", row.variant, {2, 5}, {2, row.size},
        [=](const Tensor& x) { return slice(x, -1, row.start, row.end, row.step); },
        [=](const Index& i) {
          return Index{i[0], row.start + row.step * i[1]};
        }));
}

}  // namespace

void add_pad_cases(std::vector<OpCase>& cases) {
  add_rolls(cases);
  add_repeats(cases);
  add_triangles(cases);
  add_pads(cases);
  add_backward_slices(cases);
}

}  // namespace unroll::testing
