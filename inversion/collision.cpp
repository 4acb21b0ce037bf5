#include "inversion/collision.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/levenberg_marquardt.h"
#include "inversion/linear_algebra.h"
#include "inversion/numbers.h"

namespace unroll {
namespace {

constexpr std::int64_t kJacobians = 1 << 22;  // numbers in those of the starts solved together

using detail::largest;

double length(const Tensor& x) { return std::sqrt(sum(square(x)).item()); }

void require_row(const char* op, const Facts& facts, const Tensor& row, double distance) {
  const std::int64_t n = facts.unknowns();
  if (!row || !(row.shape() == Shape{1, n}) || row.dtype() != Dtype::float64)
    fail(op, "the row is " + (row ? to_string(row.shape()) : "undefined") + " but must be [1," +
                 std::to_string(n) + "] float64, as Facts::rows_of gives it");
  facts.require_here(op, "the row", row);
  if (!std::isfinite(sum(row).item())) fail(op, "the row holds NaN or infinity");
  if (!(distance > 0)) fail(op, "a distance of " + std::to_string(distance) + " is not above 0");
}

double allowed(const Tensor& y, double agreement) { return agreement * std::max(1.0, largest(y)); }

// The facts seen from a place: r = facts(x) - y, and the decomposition of their Jacobian.
class Surface {
 public:
  Surface(const Facts& facts, const Tensor& row, double relative)
      : facts_(facts), relative_(relative), y_(facts.of_unknowns(row)) {
    move(row);
  }

  // r = u (s (v^T d)): only singular values that are not rounding.
  void move(const Tensor& x) {
    const Linearised at =
        linearise(x, [&](const Tensor& rows) { return facts_.of_unknowns(rows) - y_; });
    r_ = at.r;
    const std::int64_t m = facts_.count(), n = facts_.unknowns();
    finite_ = std::isfinite(sum(abs(at.jacobian)).item()) && std::isfinite(sum(r_).item());
    if (!finite_) return;
    const Svd all = svd(view::select(at.jacobian, 0, 0));
    rank_ = numerical_rank(all.s, m, n);
    if (relative_ > 0) {
      const double* s = all.s.data<double>();
      rank_ = std::count_if(s, s + all.s.numel(), [&](double v) { return v > relative_ * s[0]; });
    }
    u_ = on_device(slice(all.u, 1, 0, rank_), x.device());
    s_ = on_device(slice(all.s, 0, 0, rank_), x.device());
    v_ = on_device(slice(all.v, 1, 0, rank_), x.device());
  }

  // d [1,n] without what would change the facts.
  Tensor tangent(const Tensor& d) const { return d - matmul(matmul(d, v_), transpose(v_, 0, 1)); }
  // The shortest d with J d = -r.
  Tensor correction() const {
    return -matmul(matmul(r_, u_) / unsqueeze(s_, 0), transpose(v_, 0, 1));
  }
  double error() const { return finite_ ? largest(r_) : std::numeric_limits<double>::infinity(); }
  std::int64_t rank() const { return rank_; }
  const Tensor& y() const { return y_; }

 private:
  const Facts& facts_;
  double relative_;
  Tensor y_, r_, u_, s_, v_;
  std::int64_t rank_ = 0;
  bool finite_ = true;
};

constexpr int kCorrections = 12;

// Gauss-Newton from x, until the error no longer falls: the best place seen, where the surface then
// is.
Tensor corrected(Surface& surface, Tensor x) {
  surface.move(x);
  for (int i = 0; i < kCorrections && surface.error() > 0; i++) {
    const double before = surface.error();
    if (!std::isfinite(before)) break;
    const Tensor next = x + surface.correction();
    surface.move(next);
    if (!(surface.error() < before)) {
      surface.move(x);
      break;
    }
    x = next;
  }
  return x;
}

class Walk {
 public:
  Walk(const Facts& facts, const Tensor& row, const CollisionOptions& options)
      : options_(options),
        row_(row),
        surface_(facts, row, options.relative),
        allowed_(allowed(surface_.y(), options.agreement)),
        best_(row) {
    rank_ = surface_.rank();
  }

  // From the row in a first direction, always away from the row. True where it got far enough.
  bool attempt(const Tensor& first) {
    Tensor x = row_;
    surface_.move(x);
    Tensor d = surface_.tangent(first);
    double step = options_.distance / 20;
    while (steps_ < options_.steps) {
      const double turn = length(d);
      if (turn <= 1e-6 * length(x - row_)) return false;  // as far as the surface goes
      const double left = options_.distance - length(x - row_);
      const double stride = std::min(step, std::max(left, options_.distance * 1e-3));
      const Tensor guess = x + d * (stride / turn);
      const Tensor next = corrected(surface_, guess);
      steps_++;
      const bool good = surface_.error() <= allowed_ && length(next - guess) <= stride / 2;
      if (good) {
        x = next;
        step *= 1.5;
        if (length(x - row_) > length(best_ - row_)) best_ = x;
        if (length(x - row_) >= options_.distance) return true;
      } else {
        step = stride / 4;
        if (step < options_.distance * 1e-9) return false;
        surface_.move(x);
      }
      const Tensor away = x - row_;
      d = surface_.tangent(length(away) > 0 ? away : first);
    }
    return false;
  }

  const Tensor& best() const { return best_; }
  std::int64_t rank() const { return rank_; }
  std::int64_t steps() const { return steps_; }

 private:
  const CollisionOptions& options_;
  Tensor row_;
  Surface surface_;
  double allowed_;
  Tensor best_;
  std::int64_t rank_ = 0, steps_ = 0;
};

// Measured anew, by two plain runs.
Collision measured(const Facts& facts, const Tensor& row, const Tensor& other) {
  Collision c{.row = row, .other = other};
  c.input_distance = length(other - row);
  c.output_distance = largest(facts.of_unknowns(other) - facts.of_unknowns(row));
  return c;
}

}  // namespace

Collision find_collision(const Facts& facts, const Tensor& row, const CollisionOptions& options) {
  const NoTape none;
  require_row("find_collision", facts, row, options.distance);
  Walk walk(facts, row, options);
  Random random(options.seed, 41);
  const std::int64_t n = facts.unknowns();
  bool far = false;
  for (std::int64_t i = 0; i < options.attempts && walk.rank() < n && !far; i++)
    far = walk.attempt(random.normal({1, n}, 0, 1, Dtype::float64, facts.device()));
  Collision c = measured(facts, row, walk.best());
  c.rank = walk.rank();
  c.steps = walk.steps();
  c.found = far && c.input_distance >= options.distance &&
            c.output_distance <= allowed(facts.of_unknowns(row), options.agreement);
  return c;
}

Collision second_preimage(const Facts& facts, const Tensor& row, const PreimageOptions& options) {
  const NoTape none;
  require_row("second_preimage", facts, row, options.distance);
  const std::int64_t n = facts.unknowns();
  const Tensor y = facts.of_unknowns(row);
  const Residuals residuals = [&](const Tensor& x, auto) {
    return linearise(x, [&](const Tensor& rows) { return facts.of_unknowns(rows) - y; });
  };
  Random random(options.seed, 42);
  const double enough = allowed(y, options.agreement);
  const double least = options.distance * (1 + length(row));
  Collision best = measured(facts, row, row);
  const std::int64_t at_once = std::max<std::int64_t>(1, kJacobians / (facts.count() * n));
  for (std::int64_t first = 0; first < options.starts; first += at_once) {
    const std::int64_t count = std::min(at_once, options.starts - first);
    const LmResult solved = levenberg_marquardt(
        residuals, random.normal({count, n}, 0, options.scale, Dtype::float64, facts.device()));
    for (std::int64_t b = 0; b < count; b++) {
      if (!(solved.residual[static_cast<std::size_t>(b)] <= enough)) continue;
      const Collision c = measured(facts, row, slice(solved.x, 0, b, b + 1));
      if (c.output_distance <= enough && c.input_distance > best.input_distance) best = c;
    }
  }
  best.rank = Surface(facts, row, 0).rank();
  best.steps = options.starts;
  best.found = best.input_distance >= least;
  return best;
}

Tensor null_basis(const Facts& facts, const Tensor& row, double relative) {
  const NoTape none;
  require_row("null_basis", facts, row, 1);
  const Linearised at = linearise(row, [&](const Tensor& rows) { return facts.of_unknowns(rows); });
  return null_space(view::select(at.jacobian, 0, 0), relative);
}

}  // namespace unroll
