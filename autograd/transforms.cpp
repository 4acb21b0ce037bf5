#include "autograd/transforms.h"

namespace unroll::detail {
namespace {

// [K] + shape, K = numel: every unit vector of that space.
Tensor unit_directions(const Tensor& like) {
  Shape shape = like.shape();
  shape.insert(0, like.numel());
  return reshape(eye(like.numel(), like.dtype(), like.device()), shape);
}

Shape joined(const Shape& a, const Shape& b) {
  Shape both = a;
  for (std::int64_t size : b) both.insert(both.rank(), size);
  return both;
}

}  // namespace

Tensor dense_jacobian(Tape& tape, const Tensor& x, const Tensor& y) {
  const Shape shape = joined(y.shape(), x.shape());
  const std::int64_t rows = y.numel(), columns = x.numel();
  if (rows <= columns) return reshape(tape.pull(y, unit_directions(y), {x})[0], shape);
  const Tensor by_column = tape.push({x}, {unit_directions(x)}, y);
  return reshape(transpose(reshape(by_column, {columns, rows}), 0, 1), shape);
}

}  // namespace unroll::detail
