// A user's program. It prints 6 and exits 0.
#include <unroll/core/tensor.h>

#include <cstdio>

#include "core/tensor.h"

int main() {
  const unroll::Tensor x = unroll::full({2, 3}, 1.0, unroll::Dtype::float64);
  double sum = 0;
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j) sum += x.item({i, j});
  std::printf("%g\n", sum);
  return sum == 6 && users_own_tensor() == 7 ? 0 : 1;
}
