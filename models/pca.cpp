#include "models/pca.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"
#include "core/view.h"

namespace unroll {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMap = Eigen::Map<const Matrix>;

Tensor flattened(const Tensor& windows) {
  if (!windows || windows.rank() != 3) fail("pca", "windows must be [count,T,C]");
  const Shape& s = windows.shape();
  return view::reshape(cast_copy(windows, Dtype::float64), {s[0], s[1] * s[2]});
}

ConstMap matrix(const Tensor& x) { return ConstMap(x.data<double>(), x.shape()[0], x.shape()[1]); }

Tensor tensor(const Matrix& m) {
  Tensor x = empty({m.rows(), m.cols()}, Dtype::float64);
  Eigen::Map<Matrix>(x.mutable_data<double>(), m.rows(), m.cols()) = m;
  return x;
}

// Directions as rows, by descending variance, those of no variance left out.
struct Principal {
  Matrix directions;
  Eigen::VectorXd variances;
};

// The smaller of X^T X and X X^T has all there is to know: X^T X v = s v, and u of X X^T gives
// v = X^T u / sqrt(s).
Principal principal(const Matrix& X, std::int64_t k) {
  const bool wide = X.cols() > X.rows();
  const Eigen::MatrixXd gram = wide ? (X * X.transpose()).eval() : (X.transpose() * X).eval();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram);
  if (solver.info() != Eigen::Success) fail("pca", "the decomposition did not converge");
  const Eigen::Index n = gram.rows();
  const double none = std::max(solver.eigenvalues()(n - 1), 0.0) * 1e-13;
  Eigen::Index rank = 0;
  while (rank < std::min<Eigen::Index>(k, n) && solver.eigenvalues()(n - 1 - rank) > none) rank++;
  Principal out{Matrix(rank, X.cols()), Eigen::VectorXd(rank)};
  for (Eigen::Index i = 0; i < rank; i++) {
    const Eigen::VectorXd v = solver.eigenvectors().col(n - 1 - i);
    const double s = solver.eigenvalues()(n - 1 - i);
    if (wide)
      out.directions.row(i) = (X.transpose() * v / std::sqrt(s)).transpose();
    else
      out.directions.row(i) = v.transpose();
    out.variances(i) = s / static_cast<double>(X.rows());
  }
  return out;
}

}  // namespace

Pca::Pca(const Tensor& windows, std::int64_t k) {
  const Tensor rows = flattened(windows);
  T_ = windows.shape()[1];
  C_ = windows.shape()[2];
  if (rows.shape()[0] < 1) fail("pca", "there is no window to fit");
  if (k < 1 || k > T_ * C_)
    fail("pca", std::to_string(k) + " components of windows of " + std::to_string(T_ * C_) +
                    " numbers do not exist; take 1 to " + std::to_string(T_ * C_));
  const ConstMap X = matrix(rows);
  if (!X.allFinite()) fail("pca", "the windows hold NaN or infinity");
  const Matrix mean = X.colwise().mean();
  const Principal found = principal(X.rowwise() - mean.row(0), k);
  mean_ = view::reshape(tensor(mean), {T_ * C_});
  directions_ = tensor(found.directions);
  variances_ = view::reshape(tensor(found.variances), {found.variances.size()});
}

Tensor Pca::reconstruct(const Tensor& windows) const {
  const Tensor rows = flattened(windows);
  if (windows.shape()[1] != T_ || windows.shape()[2] != C_)
    fail("pca", "windows are " + to_string(windows.shape()) + " but it was fitted to [count," +
                    std::to_string(T_) + "," + std::to_string(C_) + "]");
  const ConstMap V = matrix(directions_);
  const Eigen::Map<const Eigen::RowVectorXd> mean(mean_.data<double>(), T_ * C_);
  const Matrix centred = matrix(rows).rowwise() - mean;
  const Matrix code = centred * V.transpose();
  const Matrix back = (code * V).rowwise() + mean;
  return view::reshape(tensor(back), windows.shape());
}

}  // namespace unroll
