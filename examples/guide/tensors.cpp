// docs/guide.md: tensors.
#include "expected.h"

// [start]
#include <unroll/autograd/ops.h>

using namespace unroll;
// [end]

int main() {
  // [make]
  const Tensor x = reshape(arange(6, Dtype::float64), {2, 3});
  const Tensor w = from_values<double>({1, -2, 3, 0.5, 0.25, -1}, {2, 3});
  // [end]

  // [views]
  const Tensor row = select(x, 0, 1);
  const Tensor columns = slice(x, 1, 1, 3);
  const Tensor turned = transpose(x, 0, 1);
  const Tensor backwards = flip(x, 1);
  // [end]

  // [compute]
  const Tensor y = sum(x * w, 1);
  const Tensor product = matmul(x, transpose(w, 0, 1));
  const Tensor large = where(gt(x, full({}, 2, x.dtype())), x, full({}, 0, x.dtype()));
  const Tensor narrow = to(x, Dtype::float32);
  const double length = norm(w, 2, {0, 1}).item();
  // [end]

  Expected expected("tensors");
  expected.same("row", row);
  expected.same("columns", columns);
  expected.same("turned", turned);
  expected.same("backwards", backwards);
  expected.same("y", y);
  expected.same("product", product);
  expected.same("large", large);
  expected.same("norm", length);
  return expected.status() || narrow.dtype() != Dtype::float32;
}
