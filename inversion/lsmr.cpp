#include <algorithm>
#include <cmath>
#include <cstring>

#include "autograd/ops.h"
#include "core/view.h"
#include "inversion/krylov_vectors.h"
#include "inversion/matrix_free.h"
#include "inversion/numbers.h"

namespace unroll {
namespace {

using detail::normalise;
using detail::Vector;

constexpr std::size_t kBasisBytes = std::size_t(1) << 28;  // of vectors kept for orthogonality

// One right-hand side: the scalars and vectors of Fong & Saunders, table 2.1 and section 2.9 (the
// rotation that brings in the damping).
class Column {
 public:
  Column(const double* b, std::int64_t m, std::int64_t n, const LsmrOptions& options)
      : m_(m), n_(n), options_(options), u_(b, b + m), v_(n), h_(n), hbar_(n), x_(n) {
    beta_ = normalise(u_);
    done_ = converged_ = beta_ == 0;
  }

  // v = A^T u of the first u.
  void begin(const double* w) {
    if (done_) return;
    v_.assign(w, w + n_);
    alpha_ = normalise(v_);
    alphabar_ = alpha_;
    zetabar_ = first_ = alpha_ * beta_;
    h_ = v_;
    done_ = converged_ = alpha_ == 0;
    keep();
  }

  // u <- A v - alpha u.
  void left(const double* w) {
    if (done_) return;
    for (std::int64_t i = 0; i < m_; i++) u_[i] = w[i] - alpha_ * u_[i];
    beta_ = normalise(u_);
  }

  // v <- A^T u - beta v, orthogonal to all that were kept; then the step of x.
  void right(const double* w) {
    if (done_) return;
    for (std::int64_t i = 0; i < n_; i++) v_[i] = w[i] - beta_ * v_[i];
    detail::orthogonalise(v_, basis_);
    alpha_ = normalise(v_);
    keep();
    advance();
    converged_ = std::abs(zetabar_) <= options_.tolerance * first_;
    done_ = converged_ || !std::isfinite(zetabar_);
  }

  bool done() const noexcept { return done_; }
  bool converged() const noexcept { return converged_; }
  const Vector& u() const noexcept { return u_; }
  const Vector& v() const noexcept { return v_; }
  const Vector& x() const noexcept { return x_; }

 private:
  void keep() {
    if ((basis_.size() + 1) * static_cast<std::size_t>(n_) * sizeof(double) <= kBasisBytes)
      basis_.push_back(v_);
  }

  void advance() {
    const double alphahat = std::hypot(alphabar_, options_.damping);
    const double rho_before = rho_;
    rho_ = std::hypot(alphahat, beta_);
    const double c = alphahat / rho_, s = beta_ / rho_;
    const double theta = s * alpha_;
    alphabar_ = c * alpha_;
    const double rhobar_before = rhobar_, thetabar = sbar_ * rho_, part = cbar_ * rho_;
    rhobar_ = std::hypot(part, theta);
    cbar_ = part / rhobar_;
    sbar_ = theta / rhobar_;
    const double zeta = cbar_ * zetabar_;
    zetabar_ *= -sbar_;
    const double back = thetabar * rho_ / (rho_before * rhobar_before);
    const double step = zeta / (rho_ * rhobar_), along = theta / rho_;
    for (std::int64_t i = 0; i < n_; i++) {
      hbar_[i] = h_[i] - back * hbar_[i];
      x_[i] += step * hbar_[i];
      h_[i] = v_[i] - along * h_[i];
    }
  }

  std::int64_t m_, n_;
  const LsmrOptions& options_;
  Vector u_, v_, h_, hbar_, x_;
  std::vector<Vector> basis_;
  double alpha_ = 0, beta_ = 0, alphabar_ = 0, zetabar_ = 0, first_ = 0;
  double rho_ = 1, rhobar_ = 1, cbar_ = 1, sbar_ = 0;
  bool done_ = false, converged_ = false;
};

using Columns = std::vector<Column>;

// The vectors of the columns that go on, side by side, through the map and back to them.
void exchange(Columns& columns, std::int64_t width, const std::function<Tensor(const Tensor&)>& map,
              const Vector& (Column::*from)() const noexcept, void (Column::*to)(const double*)) {
  std::vector<Column*> active;
  for (Column& c : columns)
    if (!c.done()) active.push_back(&c);
  if (active.empty()) return;
  Tensor all = empty({static_cast<std::int64_t>(active.size()), width}, Dtype::float64);
  double* rows = all.mutable_data<double>();
  for (std::size_t i = 0; i < active.size(); i++)
    std::memcpy(rows + static_cast<std::int64_t>(i) * width, (active[i]->*from)().data(),
                sizeof(double) * width);
  const Tensor mapped = contiguous_copy(map(all));
  const std::int64_t other = mapped.shape()[1];
  const std::int64_t count = static_cast<std::int64_t>(active.size());
#pragma omp parallel for if (count > 1)
  for (std::int64_t i = 0; i < count; i++)
    (active[static_cast<std::size_t>(i)]->*to)(mapped.data<double>() + i * other);
}

}  // namespace

LsmrResult lsmr(const LinearMap& a, const Tensor& b, const LsmrOptions& options) {
  if (!b || b.rank() != 2 || b.shape()[1] != a.m || b.dtype() != Dtype::float64)
    fail("lsmr", "right sides [K," + std::to_string(a.m) + "] of float64 are wanted" +
                     (b ? ", not " + to_string(b.shape()) : ""));
  const NoTape none;
  const Tensor dense = detail::on_host(b);
  const std::int64_t K = b.shape()[0];
  const std::int64_t most = options.iterations > 0
                                ? options.iterations
                                : std::min<std::int64_t>(2000, 4 * std::min(a.m, a.n) + 20);
  Columns columns;
  columns.reserve(static_cast<std::size_t>(K));
  for (std::int64_t k = 0; k < K; k++)
    columns.emplace_back(dense.data<double>() + k * a.m, a.m, a.n, options);
  exchange(columns, a.m, a.transposed, &Column::u, &Column::begin);
  LsmrResult result{.x = empty({K, a.n}, Dtype::float64), .converged = {}};
  const auto goes_on = [](const Column& c) { return !c.done(); };
  while (result.iterations < most && std::any_of(columns.begin(), columns.end(), goes_on)) {
    result.iterations++;
    exchange(columns, a.n, a.apply, &Column::v, &Column::left);
    exchange(columns, a.m, a.transposed, &Column::u, &Column::right);
  }
  double* x = result.x.mutable_data<double>();
  for (const Column& c : columns) {
    x = std::copy(c.x().begin(), c.x().end(), x);
    result.converged.push_back(c.converged());
  }
  return result;
}

}  // namespace unroll
