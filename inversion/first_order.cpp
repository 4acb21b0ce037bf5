#include "inversion/first_order.h"

#include <cmath>
#include <deque>

#include "autograd/ops.h"
#include "autograd/optimizers.h"
#include "autograd/parameters.h"
#include "autograd/schedules.h"
#include "autograd/tape.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;

double dot(const Tensor& a, const Tensor& b) { return sum(a * b).item(); }

struct Slope {
  double value;
  Tensor gradient;
};

// |F(x) - y|^2 / 2 and its gradient, J^T (F(x) - y).
Slope slope_at(const Facts& facts, const Tensor& y, const Tensor& x) {
  Tape tape;
  const Tensor outputs = facts.of_unknowns(x);
  Tensor r;
  {
    const NoTape none;
    r = outputs - y;
  }
  const Tensor gradient = tape.pull(outputs, r, {x})[0];
  const NoTape none;
  return {dot(r, r) / 2, gradient};
}

struct Pair {
  Tensor step, change;
  double curvature;
};

// -H g, by the two-loop recursion.
Tensor direction(const std::deque<Pair>& pairs, const Tensor& gradient) {
  Tensor d = neg(gradient);
  std::vector<double> alpha(pairs.size());
  for (std::size_t i = pairs.size(); i-- > 0;) {
    alpha[i] = dot(pairs[i].step, d) / pairs[i].curvature;
    d = d - pairs[i].change * alpha[i];
  }
  if (!pairs.empty()) {
    const Pair& last = pairs.back();
    d = d * (last.curvature / dot(last.change, last.change));
  }
  for (std::size_t i = 0; i < pairs.size(); i++)
    d = d + pairs[i].step * (alpha[i] - dot(pairs[i].change, d) / pairs[i].curvature);
  return d;
}

}  // namespace

Tensor lbfgs(const Facts& facts, const Tensor& y, const Tensor& start,
             const LbfgsOptions& options) {
  for (const Tensor& own : {y, start}) facts.require_here("lbfgs", "a row", own);
  const NoTape none;
  Tensor x = start;
  Slope at = slope_at(facts, y, x);
  std::deque<Pair> pairs;
  for (std::int64_t i = 0; i < options.iterations; i++) {
    Tensor d = direction(pairs, at.gradient);
    double descent = dot(d, at.gradient);
    if (!(descent < 0)) {
      if (pairs.empty()) break;
      pairs.clear();
      continue;
    }
    double length = pairs.empty() ? std::min(1.0, 1 / std::sqrt(-descent)) : 1.0;
    Slope next = slope_at(facts, y, x + d * length);
    while (!(next.value <= at.value + 1e-4 * length * descent) && length > 1e-14) {
      length /= 2;
      next = slope_at(facts, y, x + d * length);
    }
    if (!(next.value < at.value)) {
      if (pairs.empty()) break;
      pairs.clear();  // old curvature misled the search: steepest descent once
      continue;
    }
    const Tensor step = d * length, change = next.gradient - at.gradient;
    const double curvature = dot(step, change);
    if (curvature > 1e-300) pairs.push_back({step, change, curvature});
    if (static_cast<std::int64_t>(pairs.size()) > options.memory) pairs.pop_front();
    x = x + step;
    at = next;
  }
  return x;
}

Tensor adam_descent(const Facts& facts, const Tensor& y, const Tensor& start,
                    const DescentOptions& options) {
  for (const Tensor& own : {y, start}) facts.require_here("adam_descent", "a row", own);
  const NoTape none;
  Parameters parameters(f64, facts.device());
  Tensor x = parameters.add("x", start.shape());
  copy_into(x, start);
  Adam adam(parameters, {.lr = options.lr});
  for (std::int64_t i = 0; i < options.iterations; i++) {
    Tensor gradient = parameters.gradient("x");
    copy_into(gradient, slope_at(facts, y, cast_copy(x, f64)).gradient);
    adam.step(cosine(i, options.iterations, options.lr, 0.01));
  }
  return cast_copy(x, f64);
}

}  // namespace unroll
