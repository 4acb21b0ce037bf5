#include "bench/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "autograd/ops.h"
#include "core/random.h"

namespace unroll::bench {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr double move = 1.0 / (1 << 20);
constexpr int draws = 4;

double largest_of(const Tensor& x) {
  const Tensor dense = contiguous_copy(x);
  const double* const data = dense.data<double>();
  double largest = 0;
  for (std::int64_t i = 0; i < dense.numel(); i++) {
    if (!std::isfinite(data[i])) return infinite;
    largest = std::max(largest, std::abs(data[i]));
  }
  return largest;
}

double difference(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() ? largest_of(cast_copy(a, Dtype::float64) - b) : infinite;
}

}  // namespace

Tensors in_float64(const Tensors& x) {
  Tensors all;
  for (const Tensor& each : x) all.push_back(cast_copy(each, Dtype::float64));
  return all;
}

double error_of(const Tensors& got, const Tensors& wanted) {
  if (got.size() != wanted.size()) return infinite;
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); i++) {
    const Tensor exact = cast_copy(wanted[i], Dtype::float64);
    const double off = difference(got[i], exact);
    if (off != 0) worst = std::max(worst, off / largest_of(exact));
  }
  return worst;
}

Reference::Reference(const Tensors& inputs, Definition definition)
    : inputs_(in_float64(inputs)),
      definition_(std::move(definition)),
      wanted_(definition_(inputs_)) {}

double Reference::error_of(const Tensors& got) const {
  if (got.size() != wanted_.size()) return infinite;
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); i++) {
    const double off = difference(got[i], wanted_[i]);
    if (off == 0) continue;
    double error = off / largest_of(wanted_[i]);
    if (error > tolerance && off < infinite)
      error = off / std::max(largest_of(wanted_[i]), spreads()[i]);
    worst = std::max(worst, error);
  }
  return worst;
}

const std::vector<double>& Reference::spreads() const {
  if (!spreads_.empty()) return spreads_;
  spreads_.assign(wanted_.size(), 0);
  Random random(4);
  for (int draw = 0; draw < draws; draw++) {
    Tensors moved;
    for (const Tensor& x : inputs_)
      moved.push_back(x * (1 + random.normal(x.shape(), 0, move, Dtype::float64)));
    const Tensors results = definition_(moved);
    for (std::size_t i = 0; i < results.size(); i++)
      spreads_[i] = std::max(spreads_[i], difference(results[i], wanted_[i]) / move);
  }
  return spreads_;
}

}  // namespace unroll::bench
