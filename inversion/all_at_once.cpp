#include "inversion/all_at_once.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/levenberg_marquardt.h"
#include "inversion/linear_algebra.h"
#include "inversion/numbers.h"
#include "inversion/stop.h"

namespace unroll {
namespace {

constexpr Dtype f64 = Dtype::float64;
constexpr double kTight = 0.9;
constexpr std::int64_t kPriorSamples = 400, kBatch = 20;
constexpr double kWhitenLeast = 1e-9;  // of the largest variance

using detail::largest;

class Solver {
 public:
  Solver(const Facts& facts, const Tensor& y, const AllAtOnceOptions& options)
      : facts_(facts), y_(y), options_(options), n_(facts.unknowns()), random_(options.seed, 41) {
    found_.residual = INFINITY;
  }

  AllAtOnce run() {
    if (options_.start) take(Method::given_start, plain(moved(cast_copy(options_.start, f64))));
    // With hardly more facts than unknowns there are other roots, or narrow valleys: stay near
    // zero.
    const bool tight = static_cast<double>(n_) > kTight * static_cast<double>(facts_.count());
    if (wanted() && tight) take(Method::continuation, plain(by_continuation()));
    if (wanted()) take(Method::gauss_newton, plain(zeros({1, n_}, f64, facts_.device())));
    if (wanted() && !tight) take(Method::continuation, plain(by_continuation()));
    while (found_.starts < options_.starts && wanted()) random_starts();
    return std::move(found_);
  }

 private:
  Tensor moved(const Tensor& x) const { return on_device(x, facts_.device()); }

  bool wanted() const { return options_.all_roots || found_.roots.empty(); }

  LmOptions lm() const { return {.iterations = options_.iterations}; }

  LmResult plain(const Tensor& start) const {
    return levenberg_marquardt(
        [&](const Tensor& x, auto) {
          detail::stop_if(options_.stop);
          return linearise(x, [&](const Tensor& rows) { return facts_.of_unknowns(rows) - y_; });
        },
        start, lm());
  }

  Tensor by_continuation() const {
    Tensor x = zeros({1, n_}, f64, facts_.device());
    for (double mu = 1; mu > 1e-31; mu /= 10) {
      const double weight = std::sqrt(mu);
      const LmResult result = levenberg_marquardt(
          [&](const Tensor& at, auto) {
            detail::stop_if(options_.stop);
            return linearise(at, [&](const Tensor& rows) {
              return cat({facts_.of_unknowns(rows) - y_, rows * weight}, 1);
            });
          },
          x, {.iterations = 20, .damping = 1e-6});
      x = result.x;
    }
    return x;
  }

  // Cov(F(x))^(-1/2) of random x.
  const Tensor& whitener() {
    if (whitener_) return whitener_;
    const Tensor y = facts_.of_unknowns(random_rows(kPriorSamples));
    const Tensor centred = y - mean(y, {0}, true);
    const SymmetricEigen eigen =
        symmetric_eigen(matmul(transpose(centred, 0, 1), centred) / double(kPriorSamples));
    const double most = eigen.values.item({eigen.values.numel() - 1});
    const Tensor root = rsqrt(clamp(eigen.values, kWhitenLeast * most, INFINITY));
    whitener_ = moved(matmul(eigen.vectors * root, transpose(eigen.vectors, 0, 1)));
    return whitener_;
  }

  Tensor random_rows(std::int64_t count) {
    return random_.normal({count, n_}, 0, options_.scale, f64, facts_.device());
  }

  void random_starts() {
    const std::int64_t count = std::min(kBatch, options_.starts - found_.starts);
    Tensor rows = random_rows(count);
    if (++batches_ % 2) {
      const Tensor W = whitener();
      rows = levenberg_marquardt(
                 [&](const Tensor& x, auto) {
                   detail::stop_if(options_.stop);
                   return linearise(
                       x, [&](const Tensor& at) { return linear(facts_.of_unknowns(at) - y_, W); });
                 },
                 rows, lm())
                 .x;
    }
    const LmResult result = plain(rows);
    found_.starts += count;
    found_.stalled += std::count_if(result.residual.begin(), result.residual.end(),
                                    [&](double r) { return !(r <= options_.enough); });
    take(Method::multistart, result);
  }

  // Keeps the best, and the roots that are new.
  void take(Method method, const LmResult& result) {
    for (std::size_t b = 0; b < result.residual.size(); b++) {
      const std::int64_t own = static_cast<std::int64_t>(b);
      const Tensor row = contiguous_copy(view::slice(result.x, 0, own, own + 1));
      const double residual = result.residual[b];
      const bool first = found_.roots.empty();
      if (residual <= options_.enough && is_new(row)) found_.roots.push_back(row);
      const bool better = found_.method == Method::none && residual < found_.residual;
      if (!better && found_.row) continue;
      found_.row = row;
      found_.residual = residual;
      if (first && !found_.roots.empty()) found_.method = method;
    }
  }

  bool is_new(const Tensor& row) const {
    return std::all_of(found_.roots.begin(), found_.roots.end(), [&](const Tensor& root) {
      return largest(root - row) > 1e-3 * (1 + largest(root));
    });
  }

  const Facts& facts_;
  Tensor y_;
  const AllAtOnceOptions& options_;
  std::int64_t n_;
  Random random_;
  int batches_ = 0;
  Tensor whitener_;
  AllAtOnce found_;
};

// In z, where x = mean + L z and covariance = L L^T, the prior is |z|^2.
class MapSearch {
 public:
  MapSearch(const Facts& facts, const Tensor& y, const Prior& prior, double sd)
      : facts_(facts),
        y_(y),
        mean_(on_device(prior.mean, facts.device())),
        L_(on_device(cholesky(prior.covariance), facts.device())),
        sd_(sd) {}

  Tensor run() {
    const std::int64_t n = facts_.unknowns();
    Tensor z = follow(zeros({1, n}, f64, facts_.device()), 1);
    double best = cost(z);
    Random random(5, 42);
    // So improbable an answer is that of another minimum.
    for (int i = 0; i < kOtherStarts && best > kProbable * static_cast<double>(n); i++) {
      const Tensor other = follow(random.normal({1, n}, 0, 0.5, f64, facts_.device()), 0.1);
      if (const double own = cost(other); own < best) best = own, z = other;
    }
    return x_of(z);
  }

 private:
  static constexpr int kOtherStarts = 8;
  static constexpr double kFalling =
      4;  // factor from one sd to the next: larger steps leave the path
  static constexpr double kProbable = 2;  // of the expected |z|^2

  Tensor x_of(const Tensor& z) const { return linear(z, L_, mean_); }

  Tensor residual(const Tensor& z, double s) const {
    return cat({(facts_.of_unknowns(x_of(z)) - y_) / s, z}, 1);
  }
  double cost(const Tensor& z) const { return sum(square(residual(z, sd_))).item(); }

  Tensor follow(Tensor z, double first) const {
    for (double s = first;; s = std::max(s / kFalling, sd_)) {
      z = levenberg_marquardt(
              [&](const Tensor& at, auto) {
                return linearise(at, [&](const Tensor& rows) { return residual(rows, s); });
              },
              z, {.iterations = 40, .damping = 1e-6})
              .x;
      if (s <= sd_) return z;
    }
  }

  const Facts& facts_;
  Tensor y_, mean_, L_;
  double sd_;
};

void require_row(const char* op, const Facts& facts, const Tensor& y) {
  if (!y || y.rank() != 2 || y.shape()[0] != 1 || y.shape()[1] != facts.count())
    fail(op, "outputs of one sequence are wanted, [1," + std::to_string(facts.count()) + "]" +
                 (y ? ", not " + to_string(y.shape()) : ""));
  facts.require_here(op, "the outputs' facts", y);
}

}  // namespace

const char* name(Method method) noexcept {
  switch (method) {
    case Method::none: return "none";
    case Method::stepwise: return "stepwise";
    case Method::given_start: return "from the given start";
    case Method::gauss_newton: return "all at once";
    case Method::continuation: return "continuation";
    case Method::multistart: return "random starts";
    case Method::prior: return "most probable";
  }
  return "?";
}

AllAtOnce invert_all_at_once(const Facts& facts, const Tensor& y, const AllAtOnceOptions& options) {
  require_row("invert_all_at_once", facts, y);
  if (options.start && !(options.start.shape() == Shape{1, facts.unknowns()}))
    fail("invert_all_at_once", "the start is " + to_string(options.start.shape()) + " but [1," +
                                   std::to_string(facts.unknowns()) + "] is wanted");
  const NoTape none;
  return Solver(facts, y, options).run();
}

Prior Prior::of_samples(const Tensor& samples, double jitter) {
  const NoTape none;
  const std::int64_t count = samples.shape()[0], n = samples.shape()[1];
  const Tensor centre = unroll::mean(samples, {0}), centred = samples - centre;
  const Tensor covariance = matmul(transpose(centred, 0, 1), centred) /
                            static_cast<double>(std::max<std::int64_t>(count - 1, 1));
  const double spread =
      sum(square(centred)).item() / static_cast<double>(std::max<std::int64_t>(count - 1, 1) * n);
  if (!(spread > 0))
    fail("Prior", "the samples are all the same, which says nothing of their spread");
  return {centre, covariance + eye(n, f64, samples.device()) * (jitter * spread)};
}

Tensor map_estimate(const Facts& facts, const Tensor& y, const Prior& prior, double sd) {
  require_row("map_estimate", facts, y);
  const std::int64_t n = facts.unknowns();
  if (!(prior.mean.shape() == Shape{n}) || !(prior.covariance.shape() == Shape{n, n}))
    fail("map_estimate", "the prior is of " + to_string(prior.mean.shape()) + " and " +
                             to_string(prior.covariance.shape()) + " but there are " +
                             std::to_string(n) + " unknowns");
  const NoTape none;
  return MapSearch(facts, y, prior, sd).run();
}

}  // namespace unroll
