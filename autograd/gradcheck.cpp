#include "autograd/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/random.h"

namespace unroll {
namespace {

using Function = std::function<Tensor(const Tensors&)>;

double dot(const Tensor& a, const Tensor& b) { return sum(mul(a, b)).item(); }

// d/dh f(h) at 0, from f(+-h) and f(+-2h).
template <class F>
double difference(F f, double h) {
  return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h);
}

// The derivative of u . f along a change of x[i] by h * direction.
double directional(const Function& f, Tensors x, const Tensor& u, const Tensors& v, double h) {
  const Tensors start = x;
  return difference(
      [&](double step) {
        for (std::size_t i = 0; i < x.size(); i++)
          if (v[i]) x[i] = add(start[i], mul(v[i], step));
        return dot(u, f(x));
      },
      h);
}

struct Worst {
  double error = 0;
  std::string where;
  void see(double e, const std::string& at) {
    if (e > error || std::isnan(e)) error = std::isnan(e) ? INFINITY : e, where = at;
  }
};

// Every entry of one input's gradient against differences.
void check_entries(const Function& f, const Tensors& x, std::size_t i, const Tensor& u,
                   const Tensor& pulled, Worst& worst) {
  const std::int64_t n = x[i].numel();
  const std::vector<double> ours = to_vector<double>(pulled), at = to_vector<double>(x[i]);
  std::vector<double> expected(n);
  double largest = 0;
  for (std::int64_t k = 0; k < n; k++) {
    Tensor unit = zeros({n}, Dtype::float64);
    unit.mutable_data<double>()[k] = 1;
    Tensors v(x.size());
    v[i] = reshape(unit, x[i].shape());
    expected[k] = directional(f, x, u, v, 1e-3 * std::max(1.0, std::abs(at[k])));
    largest = std::max(largest, std::abs(expected[k]));
  }
  for (std::int64_t k = 0; k < n; k++)
    worst.see(std::abs(ours[k] - expected[k]) / (largest > 0 ? largest : 1),
              "input " + std::to_string(i) + " entry " + std::to_string(k) + ": pulled " +
                  std::to_string(ours[k]) + ", difference " + std::to_string(expected[k]));
}

}  // namespace

GradcheckReport gradcheck(const Function& f, const Tensors& x, std::uint64_t seed) {
  Random random(seed, 77);
  Tensors wanted, v(x.size()), tangents;
  for (std::size_t i = 0; i < x.size(); i++) {
    if (x[i].dtype() != Dtype::float64) continue;
    v[i] = random.normal(x[i].shape(), 0, 1, Dtype::float64);
    wanted.push_back(x[i]);
    tangents.push_back(v[i]);
  }
  if (wanted.empty()) fail("gradcheck", "no input is float64");

  Tape tape;
  const Tensor y = f(x);
  const Tensor u = random.normal(y.shape(), 0, 1, Dtype::float64);
  const Tensors pulled = tape.pull(y, u, wanted);
  const Tensor pushed = tape.push(wanted, tangents, y);
  const NoTape differences_are_not_recorded;

  Worst worst;
  for (std::size_t i = 0, k = 0; i < x.size(); i++)
    if (v[i]) check_entries(f, x, i, u, pulled[k++], worst);
  GradcheckReport report;
  report.pull = worst.error;
  report.text = worst.where;

  const double forward = dot(u, pushed);
  double backward = 0;
  for (std::size_t k = 0; k < wanted.size(); k++) backward += dot(pulled[k], tangents[k]);
  const double scale = std::sqrt(dot(u, u) * dot(pushed, pushed));
  report.identity = std::abs(forward - backward) / std::max(scale, 1e-300);
  if (scale == 0) report.identity = std::abs(forward - backward);
  const double expected = directional(f, x, u, v, 1e-3);
  const double size = std::max(std::abs(expected), scale);
  report.push = std::abs(forward - expected) / (size > 0 ? size : 1);
  return report;
}

}  // namespace unroll
