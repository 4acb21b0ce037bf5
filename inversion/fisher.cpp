#include "inversion/fisher.h"

#include <cmath>
#include <cstdio>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "inversion/krylov.h"
#include "inversion/linear_algebra.h"

namespace unroll {
namespace {

constexpr double kAgreement = 1e-6;

Tensor transposed(const Tensor& a) { return transpose(a, 0, 1); }

double energy(const Tensor& x) { return sum(square(x)).item(); }

// a with rows and columns scaled so that its diagonal is 1.
Tensor correlations(const Tensor& a) {
  const std::int64_t N = a.shape()[0];
  const Tensor scale = rsqrt(sum(a * eye(N, Dtype::float64), {1}, true));
  return a * scale * transposed(scale);
}

bool is_normal(const Tensor& W) {
  const Tensor forth = matmul(W, transposed(W)), back = matmul(transposed(W), W);
  return energy(forth - back) <= 1e-24 * energy(forth);
}

// |A^k y|^2 until what is left, `total` less the sum, is nothing.
std::vector<double> curve_of(const Tensor& A, Tensor y, double total, std::int64_t most_lags) {
  std::vector<double> J;
  double left = total;
  while (static_cast<std::int64_t>(J.size()) < most_lags && left > 1e-14 * total) {
    J.push_back(energy(y));
    if (J.back() == 0) break;
    left -= J.back();
    y = matmul(A, y);
  }
  return J;
}

std::string disagreement(const char* what, double value, double theory, double condition) {
  if (std::abs(value - theory) <= kAgreement * theory) return "";
  char text[200];
  std::snprintf(text, sizeof text,
                "%s is %.6g but theory says %.6g: a numerical failure (noise covariance: condition "
                "%.1e)",
                what, value, theory, condition);
  return text;
}

}  // namespace

FisherMemory fisher_memory(const Tensor& W, const Tensor& v, std::int64_t most_lags) {
  const std::int64_t N = krylov_matrix(W, v, 0).shape()[0];  // checks both
  const NoTape none;
  const Tensor C = stein(W, eye(N, Dtype::float64));
  const Tensor L = cholesky(C), s = singular_values(correlations(C));
  const Tensor A = solve(L, matmul(W, L)), y = solve(L, v);
  const Tensor G = stein(transposed(A), eye(N, Dtype::float64));
  FisherMemory f;
  f.total = sum(y * matmul(G, y)).item();
  f.J = curve_of(A, y, f.total, most_lags);
  const Tensor inverse = solve(L, eye(N, Dtype::float64));
  f.basis_total = sum(inverse * matmul(G, inverse)).item();
  f.is_normal = is_normal(W);
  f.rank = numerical_rank(s, N, N);
  f.condition = condition(s);
  f.warning =
      disagreement("the sum over a basis", f.basis_total, static_cast<double>(N), f.condition);
  if (f.warning.empty() && f.is_normal)
    f.warning = disagreement("the sum of J", f.total, energy(v), f.condition);
  return f;
}

}  // namespace unroll
