#include "inversion/matrix_free.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "autograd/ops.h"
#include "core/random.h"
#include "core/view.h"
#include "inversion/krylov_vectors.h"
#include "inversion/linear_algebra.h"

namespace unroll {
namespace {

using detail::Vector;

constexpr Dtype f64 = Dtype::float64;
constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMostDamping = 1e16;

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
      if (options_.stop && *options_.stop) fail("invert", "stopped before the end");
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
    return lsmr(a, residual_,
                {.damping = std::sqrt(damping_), .tolerance = std::clamp(1e-2 * part, 1e-14, 1e-3)})
        .x;
  }

  const Facts& facts_;
  const Tensor& y_;
  const MatrixFreeOptions& options_;
  MatrixFreeResult out_;
  Tensor residual_;
  double squares_ = 0, first_ = 0, damping_ = 0, scale_ = 0;
  bool done_ = false;
};

}  // namespace

LinearMap map_of(const Tensor& a) {
  const Tensor dense = contiguous_copy(a);
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
  const auto directions = [](const Tensor& x, std::int64_t width) {
    return view::reshape(contiguous_copy(x), {x.shape()[0], 1, width});
  };
  return {m, n,
          [=, this](const Tensor& v) {
            const Tensor out = tape_.push({row_}, {directions(v, n)}, y_);
            return view::reshape(contiguous_copy(out), {v.shape()[0], m});
          },
          [=, this](const Tensor& u) {
            const Tensor out = tape_.pull(y_, directions(u, m), {row_})[0];
            return view::reshape(contiguous_copy(out), {u.shape()[0], n});
          }};
}

ExtremeValues extreme_singular_values(const LinearMap& a, std::int64_t steps, std::uint64_t seed) {
  const NoTape none;
  Bidiagonal bidiagonal(a, seed);
  const std::int64_t whole = std::min(a.m, a.n), most = std::min(steps, whole);
  for (std::int64_t k = 0; k < most; k++)
    if (!bidiagonal.step()) break;
  const Svd s = svd(bidiagonal.matrix());
  const std::int64_t k = s.s.shape()[0];
  const auto error = [&](std::int64_t j) {
    return bidiagonal.next() * std::abs(s.u.item({k - 1, j}));
  };
  ExtremeValues ends{.largest = s.s.item({0}), .smallest = s.s.item({k - 1})};
  ends.values = s.s;
  ends.largest_error = error(0);
  ends.smallest_error = error(k - 1);
  ends.converged = ends.smallest_error <= 0.01 * ends.smallest || k == a.n;
  const Tensor weight = contiguous_copy(square(view::select(s.v, 0, 0)));
  ends.effective_rank = effective_rank(s.s, weight, static_cast<double>(a.n));
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
  const NoTape none;
  return MatrixFree(facts, y, options).run(start);
}

SampledAnalysis analyse_by_samples(const LinearMap& a, double largest, std::int64_t group,
                                   const Tensor& residual, std::int64_t samples,
                                   std::uint64_t seed) {
  const NoTape none;
  Random random(seed, 63);
  const std::int64_t n = a.n, K = samples;
  // Errors of the facts through the pseudo-inverse, and directions less what the facts see of them.
  const Tensor v = random.normal({K, n}, 0, 1, f64);
  Tensors sides = {random.normal({K, a.m}, 0, 1, f64), a.apply(v)};
  if (residual) sides.push_back(residual);
  const LsmrResult solved = lsmr(a, cat(sides, 0), {.tolerance = 1e-20});
  SampledAnalysis out{.converged = std::all_of(solved.converged.begin(), solved.converged.end(),
                                               [](bool c) { return c; })};
  const Tensor z = contiguous_copy(view::slice(solved.x, 0, 0, K));
  const Tensor w = contiguous_copy(v - view::slice(solved.x, 0, K, 2 * K));
  if (residual) out.correction = contiguous_copy(view::select(solved.x, 0, 2 * K));
  const Tensor own = mean(square(z), {0}), moved = mean(square(w), {0});
  out.inverse_norm = std::sqrt(sum(own).item());
  out.null_dimension = sum(moved).item();
  const Tensor image = a.apply(w);
  for (std::int64_t k = 0; k < K; k++) {
    const double length = norm(view::select(w, 0, k)), change = norm(view::select(image, 0, k));
    const double rounding = static_cast<double>(std::max(a.m, n)) * kEps * largest;
    if (length > 0.1 && change <= rounding * length) out.deficient = true;
  }
  out.gain = empty({n}, f64);
  out.lost = empty({n}, f64);
  double *gain = out.gain.mutable_data<double>(), *lost = out.lost.mutable_data<double>();
  for (std::int64_t from = 0; from < n; from += group) {
    const std::int64_t to = std::min(n, from + group);
    double of_group = 0;
    for (std::int64_t i = from; i < to; i++)
      of_group += own.item({i}) / static_cast<double>(to - from);
    for (std::int64_t i = from; i < to; i++) {
      gain[i] = std::sqrt(std::max(own.item({i}), of_group));
      lost[i] = std::min(1.0, moved.item({i}));
    }
  }
  return out;
}

}  // namespace unroll
