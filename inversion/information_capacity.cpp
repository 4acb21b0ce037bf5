#include "inversion/information_capacity.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/linear_algebra.h"

namespace unroll {
namespace {

// z with P(standard normal > z) = p, by bisection.
double normal_quantile(double p) {
  double low = 0, high = 40;
  for (int i = 0; i < 100; i++) {
    const double middle = 0.5 * (low + high);
    (0.5 * std::erfc(middle / std::sqrt(2.0)) > p ? low : high) = middle;
  }
  return low;
}

// Upper quantile of chi^2 (Wilson & Hilferty 1931).
double chi_square_quantile(std::int64_t freedom, double p) {
  const double v = 2 / (9 * static_cast<double>(freedom));
  const double root = 1 - v + normal_quantile(p) * std::sqrt(v);
  return static_cast<double>(freedom) * root * root * root;
}

// Multisets of `degree` lags out of `lags`.
double count_of(std::int64_t lags, std::size_t degree) {
  double count = 1;
  for (std::size_t i = 0; i < degree; i++)
    count *= static_cast<double>(lags + static_cast<std::int64_t>(i)) / static_cast<double>(i + 1);
  return count;
}

void check(const Encoder& encoder, const InformationOptions& o) {
  const char* op = "information_capacity";
  if (encoder.sizes().I != 1)
    fail(op, "one input is wanted, not " + std::to_string(encoder.sizes().I));
  if (o.lags.empty() || o.steps < 1 || o.washout < 0)
    fail(op, "at least one degree and one step are wanted");
  if (!(o.false_rate > 0 && o.false_rate < 0.5)) fail(op, "the false rate must be in (0, 0.5)");
  double targets = 0;
  for (std::size_t d = 0; d < o.lags.size(); d++) {
    if (o.lags[d] < 1) fail(op, "every degree needs at least one lag");
    targets += count_of(o.lags[d], d + 1);
  }
  if (targets > (1 << 22)) fail(op, "there are more than 2^22 targets: take fewer lags or degrees");
  if (o.steps <= encoder.sizes().output_width())
    fail(op, std::to_string(o.steps) + " steps are not above the number of states");
}

// sqrt(2d+1) P_d(u), d = 0 .. degrees, of every u: Bonnet's recursion.
std::vector<std::vector<double>> legendre(const std::vector<double>& u, std::size_t degrees) {
  std::vector<std::vector<double>> p(degrees + 1, std::vector<double>(u.size(), 1));
  if (degrees > 0) p[1] = u;
  for (std::size_t d = 2; d <= degrees; d++) {
    const double n = static_cast<double>(d);
    for (std::size_t t = 0; t < u.size(); t++)
      p[d][t] = ((2 * n - 1) * u[t] * p[d - 1][t] - (n - 1) * p[d - 2][t]) / n;
  }
  for (std::size_t d = 0; d <= degrees; d++)
    for (double& value : p[d]) value *= std::sqrt(2 * static_cast<double>(d) + 1);
  return p;
}

// Walks all products of one degree, sharing their first factors, and adds up what is recovered.
class Targets {
 public:
  // basis [n,r] orthonormal; factors[d][first + t - k] is the d-th polynomial of u_{t-k}.
  Targets(Tensor basis, const std::vector<std::vector<double>>& factors, std::size_t first,
          double threshold)
      : basis_(std::move(basis)),
        factors_(factors),
        first_(first),
        n_(static_cast<std::size_t>(basis_.shape()[0])),
        threshold_(threshold) {}

  DegreeCapacity of_degree(std::size_t degree, std::int64_t lags) {
    result_ = {};
    lags_ = static_cast<std::size_t>(lags);
    products_.assign(degree + 1, std::vector<double>(n_, 1));
    extend(0, 0, degree);
    flush();
    return result_;
  }

 private:
  static constexpr std::size_t kBatch = 32;

  // Factors of lags from `lag` on, whose degrees add up to `left`.
  void extend(std::size_t depth, std::size_t lag, std::size_t left) {
    for (std::size_t k = lag; k < lags_; k++)
      for (std::size_t d = left; d >= 1; d--) {
        if (d < left && k + 1 == lags_) break;  // nothing to take the rest
        const double* factor = factors_[d].data() + first_ - k;
        double* to = d == left ? next_row() : products_[depth + 1].data();
        const double* from = products_[depth].data();
        for (std::size_t t = 0; t < n_; t++) to[t] = from[t] * factor[t];
        if (d < left) extend(depth + 1, k + 1, left - d);
        if (d == left && rows_ == kBatch) flush();
      }
  }

  double* next_row() {
    if (!batch_) batch_ = empty({kBatch, static_cast<std::int64_t>(n_)}, Dtype::float64);
    return batch_.mutable_data<double>() + rows_++ * n_;
  }

  void flush() {
    if (rows_ == 0) return;
    const Tensor y = view::slice(batch_, 0, 0, static_cast<std::int64_t>(rows_));
    const auto recovered = to_vector<double>(sum(square(matmul(y, basis_)), {1}));
    const auto whole = to_vector<double>(sum(square(y), {1}));
    for (std::size_t i = 0; i < rows_; i++) {
      const double capacity = recovered[i] / whole[i];
      result_.targets++;
      if (capacity <= threshold_) continue;
      result_.counted++;
      result_.capacity += capacity;
    }
    rows_ = 0;
  }

  Tensor basis_;
  const std::vector<std::vector<double>>& factors_;
  std::size_t first_, n_, lags_ = 0, rows_ = 0;
  double threshold_;
  std::vector<std::vector<double>> products_;  // of the factors so far, by depth
  Tensor batch_;
  DegreeCapacity result_;
};

std::string warning_of(const InformationCapacity& c) {
  const double theory = static_cast<double>(c.rank);
  if (std::abs(c.total - theory) <= 0.05 * theory) return "";
  char text[200];
  std::snprintf(text, sizeof text, "the total is %.3f but theory says %lld: %s", c.total,
                static_cast<long long>(c.rank),
                c.total < theory ? "higher degrees, longer lags or more steps would find the rest"
                                 : "too few steps for a network that is slow to forget");
  return text;
}

}  // namespace

InformationCapacity information_capacity(const Encoder& encoder, const InformationOptions& options,
                                         Random& random) {
  check(encoder, options);
  const NoTape none;
  const std::int64_t longest = *std::max_element(options.lags.begin(), options.lags.end());
  const std::int64_t first = std::max(options.washout, longest - 1);
  const std::int64_t T = first + options.steps;
  const Tensor u = random.uniform({T, 1, 1}, -1, 1, Dtype::float64);
  const Tensor states = reshape(slice(encoder(u).y, 0, first, T), {options.steps, -1});
  const Svd x = svd(states - mean(states, {0}, true));
  InformationCapacity c{.states = states.shape()[1]};
  c.rank = numerical_rank(x.s, options.steps, c.states);
  c.condition = condition(x.s);
  if (c.rank == 0) fail("information_capacity", "the states do not vary with the input");
  c.threshold =
      chi_square_quantile(c.rank, options.false_rate) / static_cast<double>(options.steps);
  const auto factors = legendre(to_vector<double>(u), options.lags.size());
  Targets targets(contiguous(slice(x.u, 1, 0, c.rank)), factors, static_cast<std::size_t>(first),
                  c.threshold);
  for (std::size_t d = 0; d < options.lags.size(); d++) {
    c.degrees.push_back(targets.of_degree(d + 1, options.lags[d]));
    c.total += c.degrees.back().capacity;
  }
  c.warning = warning_of(c);
  return c;
}

}  // namespace unroll
