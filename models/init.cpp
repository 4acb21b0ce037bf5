#include "models/init.h"

#include <Eigen/QR>
#include <algorithm>

namespace unroll::init {

void uniform(Tensor& x, double bound, Random& random) {
  copy_into(x, random.uniform(x.shape(), -bound, bound, x.dtype()));
}

void orthogonal(Tensor& x, Random& random, double gain) {
  if (x.rank() != 2) fail("orthogonal", to_string(x.shape()) + " is no matrix");
  const std::int64_t rows = x.shape()[0], columns = x.shape()[1];
  const std::int64_t tall = std::max(rows, columns), thin = std::min(rows, columns);
  const Tensor normal = random.normal({tall, thin}, 0, 1, Dtype::float64);
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::HouseholderQR<Matrix> qr(
      Eigen::Map<const Matrix>(normal.data<double>(), tall, thin));
  Matrix q = qr.householderQ() * Matrix::Identity(tall, thin);
  // Q's columns times the signs of R's diagonal are uniformly distributed.
  for (std::int64_t j = 0; j < thin; j++)
    if (qr.matrixQR()(j, j) < 0) q.col(j) *= -1;
  if (rows < columns) q.transposeInPlace();
  q *= gain;
  const std::span<const double> values(q.data(), static_cast<std::size_t>(rows * columns));
  copy_into(x, cast_copy(from_values<double>(values, {rows, columns}), x.dtype()));
}

}  // namespace unroll::init
