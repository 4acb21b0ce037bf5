// Rows of einsum. The reference runs over all values of all labels.
#include <map>

#include "autograd/ops.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

using Index = std::vector<std::int64_t>;

// `terms` and `result` in single letters only, whatever the equation of the row looked like.
Array einsum_of(const std::vector<std::string>& terms, const std::string& result, const Arrays& x) {
  std::map<char, std::int64_t> sizes;
  for (std::size_t k = 0; k < terms.size(); k++)
    for (std::size_t i = 0; i < terms[k].size(); i++) {
      std::int64_t& size = sizes.emplace(terms[k][i], 1).first->second;
      if (x[k].shape[int(i)] != 1) size = x[k].shape[int(i)];
    }
  Shape all, out;
  for (const auto& [label, size] : sizes) all.insert(all.rank(), size);
  for (const char label : result) out.insert(out.rank(), sizes.at(label));
  Array y(out);
  for_each_index(all, [&](const Index& values) {
    std::map<char, std::int64_t> at;
    std::size_t k = 0;
    for (const auto& [label, size] : sizes) at[label] = values[k++];
    const auto index = [&](const std::string& term) {
      Index i;
      for (const char label : term) i.push_back(at.at(label));
      return i;
    };
    double factor = 1;
    for (std::size_t j = 0; j < terms.size(); j++) factor *= x[j].at(index(terms[j]));
    y(index(result)) += factor;
  });
  return y;
}

struct Row {
  const char* variant;
  const char* equation;
  std::vector<std::string> terms;
  const char* result;
  std::vector<Shape> shapes;
  std::vector<Shape> large = {};
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
      {"transpose", "ij->ji", {"ij"}, "ji", {{2, 3}}},
      {"sum", "ij->i", {"ij"}, "i", {{2, 3}}},
      {"sum_all", "ij->", {"ij"}, "", {{2, 3}}},
      {"scalar", "->", {""}, "", {{}}},
      {"implicit_order", "ba", {"ba"}, "ab", {{2, 3}}},
      {"implicit_sum", "i,i", {"i", "i"}, "", {{4}, {4}}},
      {"implicit_trace", "ii", {"ii"}, "", {{3, 3}}},
      {"diagonal", "ii->i", {"ii"}, "i", {{3, 3}}},
      {"diagonal_behind", "ibi->bi", {"ibi"}, "bi", {{3, 2, 3}}},
      {"triple_diagonal", "iii->i", {"iii"}, "i", {{2, 2, 2}}},
      {"two_diagonals", "ijij->ji", {"ijij"}, "ji", {{2, 3, 2, 3}}},
      {"product", "ij,jk->ik", {"ij", "jk"}, "ik", {{2, 3}, {3, 4}}, {{131, 67}, {67, 97}}},
      {"blanks", " b i j , b j k -> b i k ", {"bij", "bjk"}, "bik", {{2, 3, 4}, {2, 4, 2}}},
      {"outer", "i,j->ij", {"i", "j"}, "ij", {{2}, {3}}},
      {"elementwise", "ij,ij->ij", {"ij", "ij"}, "ij", {{2, 3}, {2, 3}}},
      {"elementwise_turned", "ij,ji->ij", {"ij", "ji"}, "ij", {{2, 3}, {3, 2}}},
      {"sum_apart", "ijk,j->i", {"ijk", "j"}, "i", {{2, 3, 2}, {3}}},
      {"sum_of_other", "i,jk->i", {"i", "jk"}, "i", {{2}, {3, 2}}},
      {"attention", "bqhd,bkhd->bhqk", {"bqhd", "bkhd"}, "bhqk", {{2, 3, 2, 2}, {2, 2, 2, 2}}},
      {"bilinear", "bi,oij,bj->bo", {"bi", "oij", "bj"}, "bo", {{2, 3}, {4, 3, 2}, {2, 2}}},
      {"chain", "ij,jk,kl->il", {"ij", "jk", "kl"}, "il", {{2, 3}, {3, 2}, {2, 4}}},
      {"upper_case", "aB,Ba->aB", {"aB", "Ba"}, "aB", {{2, 3}, {3, 2}}},
      {"dots", "...ij,...jk->...ik", {"xij", "xjk"}, "xik", {{2, 3, 2}, {2, 2, 4}}},
      {"dots_of_other_rank", "...ij,...jk->...ik", {"xij", "jk"}, "xik", {{2, 3, 2}, {2, 4}}},
      {"dots_broadcast", "...i,...i->...", {"xyi", "xyi"}, "xy", {{2, 1, 3}, {1, 4, 3}}},
      {"dots_implicit", "...ij", {"xij"}, "xij", {{2, 3, 2}}},
      {"dots_behind", "i...->...i", {"ixy"}, "xyi", {{2, 3, 4}}},
      {"dots_summed", "i...->i", {"ixy"}, "i", {{2, 3, 4}}},
      {"dots_diagonal", "...ii->...i", {"xii"}, "xi", {{2, 3, 3}}},
      {"dots_of_nothing", "...i,i->...", {"i", "i"}, "", {{3}, {3}}},
      {"size_one_broadcasts", "ij,jk->ik", {"ij", "jk"}, "ik", {{2, 1}, {3, 4}}},
      {"nothing_to_sum", "ij,jk->ik", {"ij", "jk"}, "ik", {{2, 0}, {0, 3}}},
      {"no_rows", "ij,jk->ik", {"ij", "jk"}, "ik", {{0, 2}, {2, 3}}},
      {"diagonal_of_nothing", "ii->i", {"ii"}, "i", {{0, 0}}},
  };
  return all;
}

}  // namespace

void add_einsum_cases(std::vector<OpCase>& cases) {
  for (const Row& row : rows()) {
    OpCase c{.op = "einsum",
             .variant = row.variant,
             .inputs = {},
             .f = [e = row.equation](const Tensors& x) { return einsum(e, x); },
             .reference = [row](const Arrays& x) { return einsum_of(row.terms, row.result, x); },
             .large = row.large};
    for (const Shape& shape : row.shapes) c.inputs.push_back(normal(shape));
    cases.push_back(c);
  }
}

}  // namespace unroll::testing
