#include "inversion/levenberg_marquardt.h"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/numbers.h"

namespace unroll {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr std::int64_t kDirectionBytes = std::int64_t(1) << 26;  // of one sweep's directions
constexpr double kMostDamping = 1e16, kInfinity = std::numeric_limits<double>::infinity();

// [count,B,width]: unit vectors first .. first + count - 1, the same for every row.
Tensor unit_rows(std::int64_t first, std::int64_t count, std::int64_t B, std::int64_t width,
                 Device device) {
  Tensor v = zeros({count, B, width}, Dtype::float64, device);
  Tensor ones = view::strided(v, {count, B}, {B * width + 1, width}, first);
  fill(ones, 1);
  return v;
}

// Writes sweeps [count,B,other], of directions first.., into J [B,m,n]: rows of J from pulls,
// columns from pushes.
void place(Tensor& jacobian, const Tensor& sweep, std::int64_t first, bool pulled) {
  const std::int64_t count = sweep.shape()[0];
  Tensor part = pulled ? view::slice(jacobian, 1, first, first + count)
                       : view::slice(jacobian, 2, first, first + count);
  copy_into(part, pulled ? view::permute(sweep, {1, 0, 2}) : view::permute(sweep, {1, 2, 0}));
}

// One problem of the batch while it is being solved.
struct Problem {
  double damping = 0, least = 0, squares = kInfinity;
  std::int64_t steps = 0;
  bool done = false;
  VectorXd step;
  // QR of J, made once for all dampings: R and Q^T r, of at most n rows.
  MatrixXd triangle;
  VectorXd right;
};

double squared_norm(const double* r, std::int64_t m) {
  double sum = 0;
  for (std::int64_t i = 0; i < m; i++) sum += r[i] * r[i];
  return std::isfinite(sum) ? sum : kInfinity;
}

void factor(Problem& p, const double* J, const double* r, std::int64_t m, std::int64_t n) {
  const Eigen::Map<const RowMajor> jacobian(J, m, n);
  const Eigen::Map<const VectorXd> residual(r, m);
  if (m <= n) {
    p.triangle = jacobian;
    p.right = residual;
    return;
  }
  const Eigen::HouseholderQR<MatrixXd> qr(jacobian);
  p.triangle = qr.matrixQR().topRows(n).triangularView<Eigen::Upper>();
  p.right = (qr.householderQ().adjoint() * residual).head(n);
}

void solve_step(Problem& p, std::int64_t n) {
  const Eigen::Index k = p.triangle.rows();
  MatrixXd augmented(k + n, n);
  augmented.topRows(k) = p.triangle;
  augmented.bottomRows(n) = MatrixXd::Identity(n, n) * std::sqrt(p.damping);
  VectorXd right = VectorXd::Zero(k + n);
  right.head(k) = -p.right;
  p.step = Eigen::HouseholderQR<MatrixXd>(augmented).solve(right);
}

class Solver {
 public:
  Solver(const Residuals& residuals, const Tensor& start, const LmOptions& options)
      : residuals_(residuals),
        options_(options),
        B_(start.shape()[0]),
        n_(start.shape()[1]),
        device_(start.device()),
        problems_(static_cast<std::size_t>(B_)) {
    std::vector<std::int64_t> all(problems_.size());
    std::iota(all.begin(), all.end(), 0);
    result_.x = cast_copy(detail::on_host(start), Dtype::float64);
    const Linearised at = evaluate(result_.x, all);
    result_.at = {cast_copy(at.r, Dtype::float64), cast_copy(at.jacobian, Dtype::float64)};
    m_ = at.r.shape()[1];
    for (std::int64_t b = 0; b < B_; b++) begin(b);
  }

  LmResult run() {
    for (std::int64_t i = 0; i < options_.iterations && advance(); i++) {
    }
    for (const Problem& p : problems_) {
      result_.residual.push_back(m_ ? std::sqrt(p.squares / static_cast<double>(m_)) : 0);
      result_.steps.push_back(p.steps);
    }
    result_.x = on_device(result_.x, device_);
    return std::move(result_);
  }

 private:
  // The way from the host's trial points to the device's functions and back.
  Linearised evaluate(const Tensor& x, std::span<const std::int64_t> which) const {
    const Linearised at = residuals_(on_device(x, device_), which);
    return {detail::on_host(at.r), detail::on_host(at.jacobian)};
  }

  Problem& problem(std::int64_t b) { return problems_[static_cast<std::size_t>(b)]; }
  const double* r(std::int64_t b) const { return result_.at.r.data<double>() + b * m_; }
  const double* jacobian(std::int64_t b) const {
    return result_.at.jacobian.data<double>() + b * m_ * n_;
  }

  bool is_enough(const Problem& p) const {
    return p.squares <= options_.enough * options_.enough * static_cast<double>(m_);
  }

  void begin(std::int64_t b) {
    Problem& p = problem(b);
    p.squares = squared_norm(r(b), m_);
    const double scale =
        squared_norm(jacobian(b), m_ * n_) / static_cast<double>(std::max<std::int64_t>(n_, 1));
    p.damping = options_.damping * scale;
    p.least = options_.least_damping * scale;
    p.done = !std::isfinite(p.squares) || !std::isfinite(scale) || scale == 0 || is_enough(p);
    if (!p.done) factor(p, jacobian(b), r(b), m_, n_);
  }

  // One step of every problem that goes on; false where none does.
  bool advance() {
    std::vector<std::int64_t> active;
    for (std::int64_t b = 0; b < B_; b++)
      if (!problem(b).done) active.push_back(b);
    if (active.empty()) return false;
    const std::int64_t count = static_cast<std::int64_t>(active.size());
    Tensor trial = empty({count, n_}, Dtype::float64);
    double* rows = trial.mutable_data<double>();
    const double* x = result_.x.data<double>();
#pragma omp parallel for if (count > 3)
    for (std::int64_t i = 0; i < count; i++) {
      Problem& p = problem(active[static_cast<std::size_t>(i)]);
      solve_step(p, n_);
      const double* from = x + active[static_cast<std::size_t>(i)] * n_;
      for (std::int64_t k = 0; k < n_; k++) rows[i * n_ + k] = from[k] + p.step(k);
    }
    const Linearised at = evaluate(trial, active);
    const double* trial_r = at.r.data<double>();
    const double* trial_jacobian = at.jacobian.data<double>();
    double* all_x = result_.x.mutable_data<double>();
    double* all_r = result_.at.r.mutable_data<double>();
    double* all_jacobian = result_.at.jacobian.mutable_data<double>();
#pragma omp parallel for if (count > 3)
    for (std::int64_t i = 0; i < count; i++) {
      const std::int64_t b = active[static_cast<std::size_t>(i)];
      if (!judge(problem(b), squared_norm(trial_r + i * m_, m_), all_x + b * n_)) continue;
      std::memcpy(all_x + b * n_, rows + i * n_, sizeof(double) * n_);
      std::memcpy(all_r + b * m_, trial_r + i * m_, sizeof(double) * m_);
      std::memcpy(all_jacobian + b * m_ * n_, trial_jacobian + i * m_ * n_,
                  sizeof(double) * m_ * n_);
      if (!problem(b).done) factor(problem(b), all_jacobian + b * m_ * n_, all_r + b * m_, m_, n_);
    }
    return true;
  }

  // Whether the trial with these squares is taken; sets damping and the end.
  bool judge(Problem& p, double squares, const double* x) const {
    p.steps++;
    double moved = p.step.squaredNorm(), length = 0;
    for (std::int64_t k = 0; k < n_; k++) length += x[k] * x[k];
    const bool still = moved <= options_.progress * options_.progress * (length + 1e-300);
    if (!(squares < p.squares)) {
      p.damping = std::max(p.damping, 1e-300) * 10;
      p.done = still || p.damping > kMostDamping;
      return false;
    }
    const bool slow = p.squares - squares <= options_.progress * p.squares;
    p.squares = squares;
    p.damping = std::max(p.damping / 10, p.least);
    p.done = slow || is_enough(p);
    return true;
  }

  const Residuals& residuals_;
  const LmOptions& options_;
  std::int64_t B_, n_, m_ = 0;
  Device device_;
  std::vector<Problem> problems_;
  LmResult result_;
};

}  // namespace

Tensor rows_at(const Tensor& x, std::span<const std::int64_t> which) {
  const NoTape none;
  const std::int64_t count = static_cast<std::int64_t>(which.size());
  return index_select(x, 0, from_values<std::int64_t>(which, {count}, x.device()));
}

Linearised linearise(const Tensor& x, const std::function<Tensor(const Tensor&)>& f) {
  const NoTape none;
  Tape tape;
  const Tensor y = f(x);
  const std::int64_t B = x.shape()[0], n = x.shape()[1], m = y.shape()[1];
  Tensor jacobian = empty({B, m, n}, Dtype::float64, x.device());
  const bool pulled = m < n;
  const std::int64_t all = pulled ? m : n, bytes = std::max<std::int64_t>(1, B * (m + n) * 8);
  const std::int64_t chunk =
      std::clamp<std::int64_t>(kDirectionBytes / bytes, 1, std::max<std::int64_t>(all, 1));
  for (std::int64_t first = 0; first < all; first += chunk) {
    const std::int64_t count = std::min(chunk, all - first);
    const Tensor units = unit_rows(first, count, B, pulled ? m : n, x.device());
    place(jacobian, pulled ? tape.pull(y, units, {x})[0] : tape.push({x}, {units}, y), first,
          pulled);
  }
  return {contiguous_copy(y), jacobian};
}

LmResult levenberg_marquardt(const Residuals& residuals, const Tensor& start,
                             const LmOptions& options) {
  return Solver(residuals, start, options).run();
}

}  // namespace unroll
