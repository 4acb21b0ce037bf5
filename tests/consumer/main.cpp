// A user's program: d sum(tanh x)/dx at x = 0 is 1. It prints that and exits 0.
#include <unroll/autograd/ops.h>
#include <unroll/autograd/tape.h>
#include <unroll/core/tensor.h>
#include <unroll/io/npy.h>

#include <cstdio>

#include "core/tensor.h"

int main() {
  const unroll::Tensor x = unroll::zeros({2, 3}, unroll::Dtype::float64);
  unroll::Tape tape;
  const unroll::Tensor y = unroll::sum(unroll::tanh(x));
  const unroll::Tensor dx = tape.pull(y, unroll::ones({}, unroll::Dtype::float64), {x})[0];
  std::printf("%g\n", dx.item({1, 2}));
  return dx.item({1, 2}) == 1 && users_own_tensor() == 7 ? 0 : 1;
}
