#include "inversion/krylov.h"

#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"

namespace unroll {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

bool is_finite(const Tensor& x) {
  const double* values = x.data<double>();
  for (std::int64_t i = 0; i < x.numel(); i++)
    if (!std::isfinite(values[i])) return false;
  return true;
}

double norm_of(const Tensor& x) { return std::sqrt(sum(square(x)).item()); }

void check_square(const char* op, const Tensor& W) {
  if (!W || W.rank() != 2 || W.shape()[0] != W.shape()[1] || W.dtype() != Dtype::float64)
    fail(op, "W must be [N,N] of float64" + (W ? ", not " + to_string(W.shape()) : ""));
  if (!is_finite(contiguous_copy(W))) fail(op, "W holds NaN or infinity");
}

void check_network(const char* op, const Tensor& W, const Tensor& w) {
  check_square(op, W);
  if (!w || w.dtype() != Dtype::float64 || !(w.shape() == Shape{W.shape()[0]}))
    fail(op, "w must be [" + std::to_string(W.shape()[0]) + "] of float64" +
                 (w ? ", not " + to_string(w.shape()) : ""));
  if (!is_finite(contiguous_copy(w))) fail(op, "w holds NaN or infinity");
}

// x without its part in the span of the columns; what was taken is added to `along`.
Tensor orthogonal_part(Tensor x, const Tensor& columns, Tensor& along) {
  for (int round = 0; round < 2; round++) {
    const Tensor part = matmul(transpose(columns, 0, 1), x);
    along = along + part;
    x = x - matmul(columns, part);
  }
  return x;
}

}  // namespace

Tensor krylov_matrix(const Tensor& W, const Tensor& w, std::int64_t columns) {
  check_network("krylov_matrix", W, w);
  if (columns < 0) fail("krylov_matrix", std::to_string(columns) + " columns");
  const NoTape none;
  Tensor K = empty({columns, W.shape()[0]}, Dtype::float64);
  Tensor power = w;
  for (std::int64_t k = 0; k < columns; k++) {
    Tensor row = view::select(K, 0, k);
    copy_into(row, power);
    power = matmul(W, power);
  }
  if (!is_finite(K)) fail("krylov_matrix", "the powers of W overflow: scale W down");
  return contiguous_copy(view::transpose(K, 0, 1));
}

KrylovSpace krylov_space(const Tensor& W, const Tensor& w) {
  check_network("krylov_space", W, w);
  const NoTape none;
  const std::int64_t N = W.shape()[0];
  const double least = static_cast<double>(N) * kEps * norm_of(W);
  Tensor H = zeros({N, N}, Dtype::float64);
  Tensor Q = zeros({N, N}, Dtype::float64);  // rows, to be appended to
  const double first = norm_of(w);
  std::int64_t r = 0;
  Tensor next = w;
  for (double length = first; r < N && length > (r ? least : 0);) {
    Tensor row = view::select(Q, 0, r);
    copy_into(row, next * (1 / length));
    if (r > 0) H.mutable_data<double>()[r * N + r - 1] = length;
    r++;
    const Tensor columns = view::transpose(view::slice(Q, 0, 0, r), 0, 1);
    Tensor along = zeros({r}, Dtype::float64);
    next = orthogonal_part(matmul(W, row), columns, along);
    for (std::int64_t i = 0; i < r; i++) H.mutable_data<double>()[i * N + r - 1] = along.item({i});
    length = norm_of(next);
  }
  const Tensor square = view::slice(view::slice(H, 0, 0, r), 1, 0, r);
  return {cast_copy(view::transpose(view::slice(Q, 0, 0, r), 0, 1), Dtype::float64),
          cast_copy(square, Dtype::float64)};
}

Tensor stein(const Tensor& W, const Tensor& Q) {
  check_square("stein", W);
  check_square("stein", Q);
  if (!(W.shape() == Q.shape()))
    fail("stein", "W is " + to_string(W.shape()) + " but Q is " + to_string(Q.shape()));
  const NoTape none;
  constexpr int kRounds = 48;  // 2^48 powers: a radius of 1 - 1e-13 still ends
  Tensor C = Q, power = W;
  for (int round = 0; round < kRounds; round++) {
    const Tensor more = matmul(matmul(power, C), transpose(power, 0, 1));
    C = C + more;
    const double size = norm_of(C);
    if (!std::isfinite(size)) break;
    if (norm_of(more) <= 0.01 * kEps * size) return C;
    power = matmul(power, power);
  }
  fail("stein", "the powers of W do not vanish: scale W to a spectral radius below 1");
}

}  // namespace unroll
