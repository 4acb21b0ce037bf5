#include "inversion/linear_algebra.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/LU>
#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <limits>
#include <string>

#include "core/view.h"
#include "inversion/numbers.h"

namespace unroll {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kEps = std::numeric_limits<double>::epsilon();

MatrixXd matrix_of(const char* op, const Tensor& a) {
  if (!a || a.rank() != 2 || a.dtype() != Dtype::float64)
    fail(op, "a matrix [m,n] of float64 is wanted" + (a ? ", not " + to_string(a.shape()) : ""));
  const Tensor dense = detail::on_host(a);
  const MatrixXd m = Eigen::Map<const RowMajor>(dense.data<double>(), a.shape()[0], a.shape()[1]);
  if (!m.allFinite()) fail(op, "the matrix holds NaN or infinity");
  return m;
}

MatrixXd square_of(const char* op, const Tensor& a) {
  MatrixXd m = matrix_of(op, a);
  if (m.rows() != m.cols()) fail(op, to_string(a.shape()) + " is not square");
  return m;
}

// A right-hand side: [m] counts as one column.
MatrixXd columns_of(const char* op, const Tensor& b, Eigen::Index rows) {
  const bool vector = b && b.rank() == 1;
  MatrixXd m = matrix_of(op, vector ? view::unsqueeze(b, 1) : b);
  if (m.rows() != rows)
    fail(op, "the right side is " + to_string(b.shape()) + " but the matrix has " +
                 std::to_string(rows) + " rows");
  return m;
}

template <class M>
Tensor tensor_of(const M& m) {
  Tensor x = empty({m.rows(), m.cols()}, Dtype::float64);
  Eigen::Map<RowMajor>(x.mutable_data<double>(), m.rows(), m.cols()) = m;
  return x;
}

template <class V>
Tensor vector_of(const V& v) {
  Tensor x = empty({v.size()}, Dtype::float64);
  Eigen::Map<VectorXd>(x.mutable_data<double>(), v.size()) = v;
  return x;
}

// In the shape that the right-hand side asked for.
Tensor like(const Tensor& b, const MatrixXd& x) {
  const Tensor t = tensor_of(x);
  return b.rank() == 1 ? view::squeeze(t, 1) : t;
}

// One-sided Jacobi finds small singular values of small matrices to more digits; larger ones would
// take too long.
constexpr Eigen::Index kJacobi = 48;

struct Decomposed {
  MatrixXd u, v;
  VectorXd s;
};

Decomposed decompose(const MatrixXd& a, unsigned options) {
  const Eigen::Index k = std::min(a.rows(), a.cols());
  if (k == 0) return {MatrixXd(a.rows(), 0), MatrixXd(a.cols(), 0), VectorXd(0)};
  const auto take = [&](const auto& solver) {
    Decomposed d{{}, {}, solver.singularValues()};
    if (solver.computeU()) d.u = solver.matrixU();
    if (solver.computeV()) d.v = solver.matrixV();
    return d;
  };
  if (k <= kJacobi) return take(Eigen::JacobiSVD<MatrixXd>(a, options));
  return take(Eigen::BDCSVD<MatrixXd>(a, options));
}

// Of a tall matrix through its triangular factor (Golub & Van Loan, section 8.6.3).
Decomposed decompose_tall(const MatrixXd& a, unsigned options) {
  const Eigen::HouseholderQR<MatrixXd> qr(a);
  const MatrixXd r = qr.matrixQR().topRows(a.cols()).triangularView<Eigen::Upper>();
  Decomposed d = decompose(r, options);
  if (d.u.size() == 0) return d;
  MatrixXd u = MatrixXd::Zero(a.rows(), a.cols());
  u.topRows(a.cols()) = d.u;
  d.u = qr.householderQ() * u;
  return d;
}

constexpr unsigned kThin = Eigen::ComputeThinU | Eigen::ComputeThinV;

double threshold(const VectorXd& s, Eigen::Index m, Eigen::Index n, double relative) {
  if (s.size() == 0) return 0;
  return s(0) * (relative > 0 ? relative : static_cast<double>(std::max(m, n)) * kEps);
}

}  // namespace

Svd svd(const Tensor& a) {
  const MatrixXd m = matrix_of("svd", a);
  const Decomposed d =
      m.rows() > 2 * m.cols() && m.cols() > 0 ? decompose_tall(m, kThin) : decompose(m, kThin);
  return {tensor_of(d.u), vector_of(d.s), tensor_of(d.v)};
}

Tensor singular_values(const Tensor& a) {
  return vector_of(decompose(matrix_of("singular_values", a), 0).s);
}

std::int64_t numerical_rank(const Tensor& s, std::int64_t m, std::int64_t n) {
  const Eigen::Map<const VectorXd> values(s.data<double>(), s.numel());
  return (values.array() > threshold(values, m, n, 0)).count();
}

double condition(const Tensor& s) {
  if (s.numel() == 0) return 1;
  const double* values = s.data<double>();
  const double smallest = values[s.numel() - 1];
  return smallest > 0 ? values[0] / smallest : std::numeric_limits<double>::infinity();
}

Tensor pseudo_inverse(const Tensor& a, double relative) {
  const MatrixXd m = matrix_of("pseudo_inverse", a);
  const Decomposed d = decompose(m, kThin);
  const double least = threshold(d.s, m.rows(), m.cols(), relative);
  const VectorXd inverse = d.s.unaryExpr([&](double s) { return s > least ? 1 / s : 0; });
  return tensor_of(d.v * inverse.asDiagonal() * d.u.transpose());
}

Tensor least_squares(const Tensor& a, const Tensor& b) {
  const MatrixXd m = matrix_of("least_squares", a);
  const MatrixXd right = columns_of("least_squares", b, m.rows());
  return like(b, Eigen::ColPivHouseholderQR<MatrixXd>(m).solve(right));
}

Tensor solve_spd(const Tensor& a, const Tensor& b) {
  const MatrixXd m = square_of("solve_spd", a);
  const Eigen::LLT<MatrixXd> factor(m);
  if (factor.info() != Eigen::Success)
    fail("solve_spd", "the matrix is not positive definite: add a multiple of the identity");
  return like(b, factor.solve(columns_of("solve_spd", b, m.rows())));
}

Tensor solve(const Tensor& a, const Tensor& b) {
  const MatrixXd m = square_of("solve", a);
  const Eigen::PartialPivLU<MatrixXd> factor(m);
  const MatrixXd x = factor.solve(columns_of("solve", b, m.rows()));
  if (!x.allFinite()) fail("solve", "the matrix is singular");
  return like(b, x);
}

Tensor null_space(const Tensor& a, double relative) {
  const MatrixXd m = matrix_of("null_space", a);
  if (m.rows() == 0) return tensor_of(MatrixXd::Identity(m.cols(), m.cols()));
  const Decomposed d = decompose(m, Eigen::ComputeThinU | Eigen::ComputeFullV);
  const double least = threshold(d.s, m.rows(), m.cols(), relative);
  const Eigen::Index rank = (d.s.array() > least).count();
  return tensor_of(d.v.rightCols(m.cols() - rank));
}

Tensor cholesky(const Tensor& a) {
  const Eigen::LLT<MatrixXd> factor(square_of("cholesky", a));
  if (factor.info() != Eigen::Success) fail("cholesky", "the matrix is not positive definite");
  return tensor_of(MatrixXd(factor.matrixL()));
}

std::vector<std::complex<double>> eigenvalues(const Tensor& a) {
  const MatrixXd m = square_of("eigenvalues", a);
  if (m.rows() == 0) return {};
  const Eigen::EigenSolver<MatrixXd> solver(m, false);
  if (solver.info() != Eigen::Success) fail("eigenvalues", "the iteration did not converge");
  const auto& found = solver.eigenvalues();
  std::vector<std::complex<double>> values(found.data(), found.data() + found.size());
  std::stable_sort(values.begin(), values.end(),
                   [](const auto& p, const auto& q) { return std::abs(p) > std::abs(q); });
  return values;
}

double spectral_radius(const Tensor& a) {
  const auto values = eigenvalues(a);
  return values.empty() ? 0 : std::abs(values[0]);
}

SymmetricEigen symmetric_eigen(const Tensor& a) {
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(square_of("symmetric_eigen", a));
  if (solver.info() != Eigen::Success) fail("symmetric_eigen", "the iteration did not converge");
  return {vector_of(solver.eigenvalues()), tensor_of(solver.eigenvectors())};
}

OrthogonalTriangular qr(const Tensor& a) {
  const MatrixXd m = square_of("qr", a);
  const Eigen::HouseholderQR<MatrixXd> factor(m);
  MatrixXd q = factor.householderQ();
  VectorXd diagonal = factor.matrixQR().diagonal();
  for (Eigen::Index i = 0; i < diagonal.size(); i++) {
    if (diagonal(i) >= 0) continue;
    diagonal(i) = -diagonal(i);
    q.col(i) = -q.col(i);
  }
  return {tensor_of(q), vector_of(diagonal)};
}

}  // namespace unroll
