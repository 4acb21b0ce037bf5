#include "inversion/jaeger.h"

#include <cmath>
#include <complex>
#include <cstdio>
#include <numeric>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/krylov.h"
#include "inversion/linear_algebra.h"

namespace unroll {
namespace {

using Complex = std::complex<double>;

constexpr double kAgreement = 1e-6;  // of total and theory
constexpr double kNaiveCutoff = 1e-15;

// The chain of all-pass filters, fed an impulse: one lag at each step.
class OrthonormalBasis {
 public:
  explicit OrthonormalBasis(std::vector<Complex> eigenvalues)
      : poles_(std::move(eigenvalues)), state_(poles_.size()) {}

  // sum_n |phi_n[k]|^2 of the next k.
  double step() {
    Complex u = first_ ? 1 : 0;
    first_ = false;
    double energy = 0;
    for (std::size_t n = 0; n < poles_.size(); n++) {
      const double rest = 1 - std::norm(poles_[n]);
      const Complex before = state_[n];
      state_[n] = poles_[n] * before + u;
      energy += rest * std::norm(state_[n]);
      u = rest * before - std::conj(poles_[n]) * u;
    }
    return energy;
  }

 private:
  std::vector<Complex> poles_, state_;
  bool first_ = true;
};

// m_k until N lags in a row hold nothing any more: a ring is silent between its rounds.
std::vector<double> curve_of(const std::vector<Complex>& eigenvalues, std::int64_t most_lags) {
  constexpr double nothing = 1e-13;
  OrthonormalBasis basis(eigenvalues);
  std::vector<double> m;
  std::size_t silent = 0;
  while (static_cast<std::int64_t>(m.size()) < most_lags && silent < eigenvalues.size()) {
    m.push_back(basis.step());
    silent = m.back() < nothing ? silent + 1 : 0;
  }
  m.resize(m.size() - silent);
  return m;
}

// Everything but m and total.
JaegerCapacity network_of(const Tensor& W, const Tensor& w, std::vector<Complex>& eigenvalues) {
  const KrylovSpace reached = krylov_space(W, w);
  eigenvalues = unroll::eigenvalues(reached.hessenberg);
  const std::int64_t N = W.shape()[0];
  const Tensor s = singular_values(krylov_matrix(W, w, N));
  JaegerCapacity c;
  c.controllable = reached.dimension();
  c.krylov_rank = numerical_rank(s, N, N);
  c.krylov_condition = condition(s);
  c.spectral_radius = eigenvalues.empty() ? 0 : std::abs(eigenvalues[0]);
  if (c.spectral_radius >= 1)
    fail("jaeger_capacity", "the spectral radius is " + std::to_string(c.spectral_radius) +
                                ": there is no steady state; scale W to below 1");
  return c;
}

JaegerCapacity finished(JaegerCapacity c, std::int64_t most_lags) {
  c.total = std::accumulate(c.m.begin(), c.m.end(), 0.0);
  const double theory = static_cast<double>(c.controllable);
  if (std::abs(c.total - theory) <= kAgreement * std::max(1.0, theory)) return c;
  const bool cut = static_cast<std::int64_t>(c.m.size()) >= most_lags;
  char text[256];
  std::snprintf(
      text, sizeof text,
      "the sum of m_k is %.4f but theory says %lld: %s (Krylov matrix: numerical rank "
      "%lld, condition %.1e)",
      c.total, static_cast<long long>(c.controllable),
      cut ? "the lags end before the memory does" : "a numerical failure, not the capacity",
      static_cast<long long>(c.krylov_rank), c.krylov_condition);
  c.warning = text;
  return c;
}

}  // namespace

JaegerCapacity jaeger_capacity(const Tensor& W, const Tensor& w, std::int64_t most_lags) {
  std::vector<Complex> eigenvalues;
  JaegerCapacity c = network_of(W, w, eigenvalues);
  c.m = curve_of(eigenvalues, most_lags);
  return finished(std::move(c), most_lags);
}

JaegerCapacity jaeger_capacity_naive(const Tensor& W, const Tensor& w, std::int64_t most_lags) {
  const NoTape none;
  std::vector<Complex> eigenvalues;
  JaegerCapacity c = network_of(W, w, eigenvalues);
  const auto lags = static_cast<std::int64_t>(curve_of(eigenvalues, most_lags).size());
  const Tensor K = krylov_matrix(W, w, lags);
  const Tensor C = matmul(K, transpose(K, 0, 1));
  c.m = to_vector<double>(sum(K * matmul(pseudo_inverse(C, kNaiveCutoff), K), {0}));
  return finished(std::move(c), most_lags);
}

}  // namespace unroll
