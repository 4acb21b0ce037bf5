// Einsum: labels are lined up by views, then each operand is multiplied into the product so far, as
// one matrix product where labels are summed over.
#include <algorithm>
#include <cctype>
#include <map>

#include "autograd/operands.h"

namespace unroll {

using namespace detail;

namespace {

// A label: a letter, or -1, -2, .. for the axes of an ellipsis from the right.
using Labels = std::vector<int>;

struct Labelled {
  Tensor tensor;
  Labels labels;  // one per axis
};

bool has(const Labels& labels, int label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

struct Equation {
  std::vector<std::string> terms;  // "ab", "...a": no blanks
  std::string result;
  bool has_result = false;
};

Equation parse(const std::string& text) {
  Equation e;
  e.terms.emplace_back();
  for (std::size_t i = 0; i < text.size(); i++) {
    std::string& into = e.has_result ? e.result : e.terms.back();
    if (text[i] == ' ') continue;
    if (std::isalpha(static_cast<unsigned char>(text[i])))
      into += text[i];
    else if (text.compare(i, 3, "...") == 0 && into.find('.') == std::string::npos)
      into += "...", i += 2;
    else if (text.compare(i, 2, "->") == 0 && !e.has_result)
      e.has_result = true, i++;
    else if (text[i] == ',' && !e.has_result)
      e.terms.emplace_back();
    else
      fail("einsum", "cannot read '" + text.substr(i) + "' in \"" + text + "\"");
  }
  return e;
}

// The labels of a term whose ellipsis stands for `hidden` axes.
Labels labels_of(const std::string& term, int hidden) {
  Labels labels;
  for (char c : term) {
    if (c != '.')
      labels.push_back(c);
    else if (!has(labels, '.'))
      labels.push_back('.');
  }
  const auto at = std::find(labels.begin(), labels.end(), '.');
  if (at == labels.end()) return labels;
  Labels full(labels.begin(), at);
  for (int i = hidden; i > 0; i--) full.push_back(-i);
  full.insert(full.end(), at + 1, labels.end());
  return full;
}

// The diagonal of two axes, as every (n+1)-th element of both in one; it becomes the last axis.
Labelled diagonal(const Labelled& x, std::size_t first, std::size_t second) {
  const int rank = x.tensor.rank();
  Axes order;
  Shape shape;
  Labels labels;
  for (std::size_t i = 0; i < x.labels.size(); i++) {
    if (i == first || i == second) continue;
    order.axis[order.count++] = int(i);
    shape.insert(shape.rank(), x.tensor.shape()[int(i)]);
    labels.push_back(x.labels[i]);
  }
  order.axis[rank - 2] = int(first), order.axis[rank - 1] = int(second), order.count = rank;
  labels.push_back(x.labels[first]);
  const std::int64_t n = x.tensor.shape()[int(first)];
  shape.insert(rank - 2, n * n);
  return {slice(reshape(permute(x.tensor, order), shape), -1, 0, n * n, n + 1), labels};
}

Labelled without_repeats(Labelled x) {
  for (std::size_t i = 0; i < x.labels.size(); i++)
    for (std::size_t j = i + 1; j < x.labels.size(); j++)
      if (x.labels[i] == x.labels[j]) return without_repeats(diagonal(x, i, j));
  return x;
}

// Sums over the labels that are not in `kept`.
Labelled summed(const Labelled& x, const Labels& kept) {
  Labelled y{x.tensor, {}};
  Axes gone;
  for (std::size_t i = 0; i < x.labels.size(); i++) {
    if (has(kept, x.labels[i]))
      y.labels.push_back(x.labels[i]);
    else
      gone.axis[gone.count++] = int(i);
  }
  if (gone.count) y.tensor = sum(x.tensor, gone);
  return y;
}

std::int64_t size_of_label(const Labelled& x, int label) {
  const auto at = std::find(x.labels.begin(), x.labels.end(), label);
  return at == x.labels.end() ? 1 : x.tensor.shape()[int(at - x.labels.begin())];
}

// x with its axes in the order of the groups, each group as one axis; axes of size 1 that the other
// operand has larger are repeated.
Tensor grouped(const Labelled& x, const Labelled& other, const std::vector<Labels>& groups) {
  Axes order;
  Shape full, merged;
  for (const Labels& group : groups) {
    std::int64_t size = 1;
    for (int label : group) {
      const auto at = std::find(x.labels.begin(), x.labels.end(), label) - x.labels.begin();
      order.axis[order.count++] = int(at);
      const std::int64_t own = x.tensor.shape()[int(at)];
      full.insert(full.rank(), own == 1 ? size_of_label(other, label) : own);
      size *= full[-1];
    }
    merged.insert(merged.rank(), size);
  }
  Tensor y = permute(x.tensor, order);
  if (!(y.shape() == full)) y = expand(y, full);
  return reshape(y, merged);
}

// The product of a and b, summed over the labels that are not in `kept`.
Labelled contracted(const Labelled& left, const Labelled& right, const Labels& kept) {
  const auto needed = [&](const Labels& other) {
    Labels all = kept;
    all.insert(all.end(), other.begin(), other.end());
    return all;
  };
  const Labelled a = summed(left, needed(right.labels)), b = summed(right, needed(left.labels));
  Labels both, only_a, only_b, over;
  for (int label : a.labels)
    (!has(b.labels, label) ? only_a : has(kept, label) ? both : over).push_back(label);
  for (int label : b.labels)
    if (!has(a.labels, label)) only_b.push_back(label);
  const Tensor x = grouped(a, b, {both, only_a, over}), y = grouped(b, a, {both, over, only_b});
  const Tensor z = over.empty() ? mul(x, y) : matmul(x, y);
  Labelled result{{}, both};
  result.labels.insert(result.labels.end(), only_a.begin(), only_a.end());
  result.labels.insert(result.labels.end(), only_b.begin(), only_b.end());
  Shape shape;
  for (int label : result.labels) {
    const std::int64_t n = size_of_label(a, label);
    shape.insert(shape.rank(), n == 1 ? size_of_label(b, label) : n);
  }
  result.tensor = reshape(z, shape);
  return result;
}

std::string spelled(int label) {
  return label < 0 ? "..." : "'" + std::string(1, char(label)) + "'";
}

// Throws where sizes of one label differ; 1 goes with every size, but not on a diagonal.
template <class Complain>
void require_sizes(const std::vector<Labelled>& all, Complain complain) {
  std::map<int, std::int64_t> sizes;
  for (const Labelled& x : all)
    for (std::size_t i = 0; i < x.labels.size(); i++) {
      const std::int64_t size = x.tensor.shape()[int(i)];
      if (size != size_of_label(x, x.labels[i]))
        complain("the diagonal along " + spelled(x.labels[i]) + " needs equal sizes");
      std::int64_t& known = sizes.emplace(x.labels[i], size).first->second;
      if (size != known && size != 1 && known != 1)
        complain("sizes of " + spelled(x.labels[i]) + " differ");
      if (size != 1) known = size;
    }
}

// The operands with their labels, one of which may stand at two axes.
std::vector<Labelled> labelled(const std::string& equation, const Equation& e,
                               const Tensors& operands) {
  const auto complain = [&](const std::string& why) {
    std::string shapes;
    for (const Tensor& x : operands) shapes += (shapes.empty() ? "" : ", ") + to_string(x.shape());
    fail("einsum", "\"" + equation + "\" of " + shapes + ": " + why);
  };
  if (e.terms.size() != operands.size())
    complain(std::to_string(e.terms.size()) + " terms for " + std::to_string(operands.size()) +
             " operands");
  std::vector<Labelled> all;
  for (std::size_t i = 0; i < operands.size(); i++) {
    const bool dots = e.terms[i].find('.') != std::string::npos;
    const int named = int(e.terms[i].size()) - (dots ? 3 : 0);
    const int hidden = operands[i].rank() - named;
    if (hidden < 0 || (hidden > 0 && !dots))
      complain("'" + e.terms[i] + "' does not fit " + to_string(operands[i].shape()));
    all.push_back({operands[i], labels_of(e.terms[i], hidden)});
  }
  require_sizes(all, complain);
  return all;
}

// The labels of the result.
Labels result_of(const std::string& equation, const Equation& e, const std::vector<Labelled>& all) {
  int hidden = 0;
  for (const Labelled& x : all)
    for (int label : x.labels) hidden = std::max(hidden, -label);
  if (e.has_result) {
    const Labels labels = labels_of(e.result, hidden);
    for (std::size_t i = 0; i < labels.size(); i++) {
      const bool known = std::any_of(all.begin(), all.end(),
                                     [&](const Labelled& x) { return has(x.labels, labels[i]); });
      if (!known || std::count(labels.begin(), labels.end(), labels[i]) > 1)
        fail("einsum", spelled(labels[i]) + " of the result of \"" + equation +
                           "\" must be in an operand, and once in the result");
    }
    return labels;
  }
  Labels labels = labels_of("...", hidden);
  std::string letters;
  for (const std::string& term : e.terms) letters += term;
  std::sort(letters.begin(), letters.end());
  for (char c : letters)
    if (c != '.' && std::count(letters.begin(), letters.end(), c) == 1) labels.push_back(c);
  return labels;
}

}  // namespace

Tensor einsum(const std::string& equation, const Tensors& operands) {
  if (operands.empty()) fail("einsum", "needs at least one operand");
  for (const Tensor& x : operands) {
    require_alike("einsum", operands[0], x);
    require_real("einsum", x);
  }
  const Equation e = parse(equation);
  std::vector<Labelled> all = labelled(equation, e, operands);
  const Labels result = result_of(equation, e, all);
  for (Labelled& x : all) x = without_repeats(x);  // recorded from here on
  Labelled product = all[0];
  for (std::size_t i = 1; i < all.size(); i++) {
    Labels kept = result;
    for (std::size_t j = i + 1; j < all.size(); j++)
      kept.insert(kept.end(), all[j].labels.begin(), all[j].labels.end());
    product = contracted(product, all[i], kept);
  }
  product = summed(product, result);
  Axes order;
  for (int label : result) {
    const auto at = std::find(product.labels.begin(), product.labels.end(), label);
    order.axis[order.count++] = int(at - product.labels.begin());
  }
  return permute(product.tensor, order);
}

}  // namespace unroll
