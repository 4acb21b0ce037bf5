#include "inversion/matrix_free.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "autograd/ops.h"
#include "core/random.h"
#include "core/view.h"
#include "inversion/krylov_vectors.h"
#include "inversion/linear_algebra.h"
#include "inversion/numbers.h"
#include "inversion/stop.h"

namespace unroll {
namespace {

using detail::Vector;

constexpr Dtype f64 = Dtype::float64;
constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMostDamping = 1e16;
constexpr std::int64_t kFirstLook = 40;  // steps before the spectrum is looked at
constexpr std::int64_t kFewDirections = 2;
constexpr double kSomeLength = 0.1;  // of a null vector out of a random one

double norm(const Tensor& x) { return x.numel() ? std::sqrt(sum(square(x)).item()) : 0; }

// ---- Golub-Kahan-Lanczos

// A V = U B with B upper bidiagonal: alpha on the diagonal, beta above it.
class Bidiagonal {
 public:
  Bidiagonal(const LinearMap& a, std::uint64_t seed) : a_(a) {
    Random random(seed, 61);
    v_.push_back(to_vector<double>(random.normal({a.n}, 0, 1, f64)));
    detail::normalise(v_.back());
  }

  // False where the space that the start reaches is exhausted.
  bool step() {
    Vector u = through(a_.apply, v_.back());
    if (!u_.empty()) detail::subtract(u, beta_.back(), u_.back());
    if (!grow(u_, alpha_, std::move(u))) return false;
    Vector v = through(a_.transposed, u_.back());
    detail::subtract(v, alpha_.back(), v_.back());
    return grow(v_, beta_, std::move(v));
  }

  // beta beyond the matrix.
  double next() const noexcept { return beta_.size() == alpha_.size() ? beta_.back() : 0; }
  Tensor matrix() const {  // [k,k]
    const std::int64_t k = static_cast<std::int64_t>(alpha_.size());
    Tensor b = zeros({k, k}, f64);
    double* values = b.mutable_data<double>();
    for (std::int64_t i = 0; i < k; i++) {
      values[i * k + i] = alpha_[static_cast<std::size_t>(i)];
      if (i + 1 < k) values[i * k + i + 1] = beta_[static_cast<std::size_t>(i)];
    }
    return b;
  }

 private:
  static Vector through(const std::function<Tensor(const Tensor&)>& map, const Vector& x) {
    return to_vector<double>(
        contiguous_copy(map(from_values<double>(x, {1, static_cast<std::int64_t>(x.size())}))));
  }

  bool grow(std::vector<Vector>& basis, Vector& scalars, Vector next) {
    detail::orthogonalise(next, basis);
    scalars.push_back(detail::normalise(next));
    size_ = std::max(size_, scalars.back());
    basis.push_back(std::move(next));
    return scalars.back() > kEps * size_;
  }

  const LinearMap& a_;
  std::vector<Vector> u_, v_;
  Vector alpha_, beta_;
  double size_ = 0;
};

// exp of the entropy of s / sum s, where value j stands for weight[j] of n values.
double effective_rank(const Tensor& s, const Tensor& weight, double n) {
  double total = 0, logs = 0;
  for (std::int64_t j = 0; j < s.numel(); j++) {
    const double value = s.item({j}), count = n * weight.item({j});
    if (value <= 0) continue;
    total += count * value;
    logs += count * value * std::log(value);
  }
  return total > 0 ? std::exp(std::log(total) - logs / total) : 0;
}

ExtremeValues ends_of(const Bidiagonal& bidiagonal, std::int64_t n) {
  const Svd s = svd(bidiagonal.matrix());
  const std::int64_t k = s.s.shape()[0];
  const auto error = [&](std::int64_t j) {
    return bidiagonal.next() * std::abs(s.u.item({k - 1, j}));
  };
  ExtremeValues ends{.largest = s.s.item({0}), .smallest = s.s.item({k - 1})};
  ends.values = s.s;
  ends.largest_error = error(0);
  ends.smallest_error = error(k - 1);
  ends.converged = ends.smallest_error <= 0.01 * ends.smallest || k == n;
  const Tensor weight = contiguous_copy(square(view::select(s.v, 0, 0)));
  ends.effective_rank = effective_rank(s.s, weight, static_cast<double>(n));
  return ends;
}

// ---- Levenberg-Marquardt

class MatrixFree {
 public:
  MatrixFree(const Facts& facts, const Tensor& y, const MatrixFreeOptions& options)
      : facts_(facts), y_(y), options_(options) {}

  MatrixFreeResult run(const Tensor& start) {
    out_.row = contiguous_copy(start);
    residual_ = y_ - facts_.of_unknowns(out_.row);
    squares_ = first_ = sum(square(residual_)).item();
    if (!std::isfinite(squares_)) return {out_.row, kInfinity, 0};
    std::optional<JacobianAt> at;
    while (out_.steps < options_.iterations && !is_enough() && !done_) {
      detail::stop_if(options_.stop);
      if (!at) at.emplace(facts_, out_.row);
      if (advance(at->map())) at.reset();  // moved: linearised anew
    }
    out_.residual = root_mean();
    return out_;
  }

 private:
  double root_mean() const {
    return std::sqrt(squares_ / static_cast<double>(std::max<std::int64_t>(facts_.count(), 1)));
  }
  bool is_enough() const { return root_mean() <= options_.enough; }

  // One trial; whether it was taken.
  bool advance(const LinearMap& a) {
    const NoTape none;
    if (scale_ == 0) {
      scale_ = mean_square_column(a);
      damping_ = options_.damping * scale_;
    }
    out_.steps++;
    const Tensor step = solve(a);
    const Tensor trial = out_.row + step;
    const Tensor left = y_ - facts_.of_unknowns(trial);
    const double after = sum(square(left)).item();
    const bool still = norm(step) <= options_.progress * (norm(out_.row) + 1e-150);
    if (!(after < squares_)) {
      damping_ = std::max(damping_, 1e-300) * 10;
      done_ = still || damping_ > kMostDamping * scale_;
      return false;
    }
    done_ = squares_ - after <= options_.progress * squares_;
    out_.row = trial;
    residual_ = left;
    squares_ = after;
    damping_ /= 10;
    return true;
  }

  double mean_square_column(const LinearMap& a) const {
    Random random(1, 62);
    const double estimate = sum(square(a.apply(random.normal({4, a.n}, 0, 1, f64)))).item() /
                            static_cast<double>(4 * a.n);
    return estimate > 0 ? estimate : 1;
  }

  Tensor solve(const LinearMap& a) const {
    const double part = std::sqrt(squares_ / first_);
    const LsmrResult step =
        lsmr(a, residual_,
             {.damping = std::sqrt(damping_), .tolerance = std::clamp(1e-2 * part, 1e-14, 1e-3)});
    return on_device(step.x, facts_.device());
  }

  const Facts& facts_;
  const Tensor& y_;
  const MatrixFreeOptions& options_;
  MatrixFreeResult out_;
  Tensor residual_;
  double squares_ = 0, first_ = 0, damping_ = 0, scale_ = 0;
  bool done_ = false;
};

// ---- Samples

class Sampler {
 public:
  Sampler(const LinearMap& a, double largest, std::uint64_t seed)
      : a_(a),
        rounding_(static_cast<double>(std::max(a.m, a.n)) * kEps * largest),
        random_(seed, 63) {}

  SampledAnalysis run(std::int64_t group, const Tensor& residual, std::int64_t samples) {
    // Errors of the facts through the pseudo-inverse, and directions less what the facts see of
    // them. Where two of these leave nothing, all do.
    const std::int64_t K = samples, few = std::min(kFewDirections, K);
    Tensor v = random_.normal({few, a_.n}, 0, 1, f64);
    Tensors sides = {random_.normal({K, a_.m}, 0, 1, f64), a_.apply(v)};
    if (residual) sides.push_back(detail::on_host(residual));
    const Tensor x = solve(cat(sides, 0));
    if (residual) out_.correction = contiguous_copy(view::select(x, 0, K + few));
    Tensor w = v - view::slice(x, 0, K, K + few);
    if (norm(w) > 1e-3 && K > few) {
      v = random_.normal({K - few, a_.n}, 0, 1, f64);
      w = cat({w, v - solve(a_.apply(v))}, 0);
    }
    prove(w);
    const Tensor own = mean(square(contiguous_copy(view::slice(x, 0, 0, K))), {0});
    out_.inverse_norm = std::sqrt(sum(own).item());
    const Tensor moved = mean(square(w), {0});
    out_.null_dimension = sum(moved).item();
    out_.lost = minimum(moved, ones({a_.n}, f64));
    spread(own, group);
    return std::move(out_);
  }

 private:
  Tensor solve(const Tensor& sides) {
    const LsmrResult solved = lsmr(a_, sides, {.tolerance = 1e-20});
    for (const bool converged : solved.converged) out_.converged = out_.converged && converged;
    return solved.x;
  }

  void prove(const Tensor& w) {
    const Tensor image = a_.apply(w);
    for (std::int64_t k = 0; k < w.shape()[0]; k++) {
      const double length = norm(view::select(w, 0, k)), change = norm(view::select(image, 0, k));
      if (length > kSomeLength && change <= rounding_ * length) out_.deficient = true;
    }
  }

  void spread(const Tensor& squares, std::int64_t group) {
    const double* own = squares.data<double>();
    out_.gain = empty({a_.n}, f64);
    double* gain = out_.gain.mutable_data<double>();
    for (std::int64_t from = 0; from < a_.n; from += group) {
      const std::int64_t to = std::min(a_.n, from + group);
      const double mean =
          std::accumulate(own + from, own + to, 0.0) / static_cast<double>(to - from);
      for (std::int64_t i = from; i < to; i++) gain[i] = std::sqrt(std::max(own[i], mean));
    }
  }

  const LinearMap& a_;
  double rounding_;
  Random random_;
  SampledAnalysis out_{.converged = true};
};

}  // namespace

LinearMap map_of(const Tensor& a) {
  const Tensor dense = detail::on_host(a);
  return {dense.shape()[0], dense.shape()[1],
          [dense](const Tensor& v) { return matmul(v, view::transpose(dense, 0, 1)); },
          [dense](const Tensor& u) { return matmul(u, dense); }};
}

JacobianAt::JacobianAt(const Facts& facts, const Tensor& row) : row_(row) {
  if (!row || !(row.shape() == Shape{1, facts.unknowns()}))
    fail("JacobianAt",
         "one row of unknowns [1," + std::to_string(facts.unknowns()) + "] is wanted");
  y_ = facts.of_unknowns(row_);
}

LinearMap JacobianAt::map() {
  const std::int64_t m = y_.shape()[1], n = row_.shape()[1];
  const auto directions = [device = row_.device()](const Tensor& x, std::int64_t width) {
    return on_device(view::reshape(contiguous_copy(x), {x.shape()[0], 1, width}), device);
  };
  const auto rows = [](const Tensor& x, std::int64_t width) {
    return view::reshape(detail::on_host(x), {x.shape()[0], width});
  };
  return {
      m, n,
      [=, this](const Tensor& v) { return rows(tape_.push({row_}, {directions(v, n)}, y_), m); },
      [=, this](const Tensor& u) { return rows(tape_.pull(y_, directions(u, m), {row_})[0], n); }};
}

ExtremeValues extreme_singular_values(const LinearMap& a, std::int64_t steps, std::uint64_t seed) {
  const NoTape none;
  Bidiagonal bidiagonal(a, seed);
  const std::int64_t most = std::min({steps, a.m, a.n});
  ExtremeValues ends;
  for (std::int64_t k = 0, look = kFirstLook; !ends.converged && k < most;) {
    bool more = true;
    while (more && k < std::min(look, most)) more = bidiagonal.step(), k++;
    look *= 2;
    ends = ends_of(bidiagonal, a.n);
    if (!more) break;
  }
  return ends;
}

MatrixFreeResult levenberg_marquardt_matrix_free(const Facts& facts, const Tensor& y,
                                                 const Tensor& start,
                                                 const MatrixFreeOptions& options) {
  if (!y || !(y.shape() == Shape{1, facts.count()}))
    fail("levenberg_marquardt_matrix_free",
         "facts [1," + std::to_string(facts.count()) + "] are wanted");
  if (!start || !(start.shape() == Shape{1, facts.unknowns()}))
    fail("levenberg_marquardt_matrix_free",
         "one row of unknowns [1," + std::to_string(facts.unknowns()) + "] is wanted");
  for (const Tensor& own : {y, start})
    facts.require_here("levenberg_marquardt_matrix_free", "a row", own);
  const NoTape none;
  return MatrixFree(facts, y, options).run(start);
}

SampledAnalysis analyse_by_samples(const LinearMap& a, double largest, std::int64_t group,
                                   const Tensor& residual, std::int64_t samples,
                                   std::uint64_t seed) {
  const NoTape none;
  return Sampler(a, largest, seed).run(group, residual, samples);
}

}  // namespace unroll
