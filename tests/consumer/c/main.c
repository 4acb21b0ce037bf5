/* A user's program in C: the mean of squares of 1, 2, 3, 4 is 7.5. It prints that and exits with 0.
 */
#include <stdio.h>

#include <unroll/unroll.h>

int main(void) {
  double data[] = {1, 2, 3, 4};
  const int64_t size = 4;
  unroll_tensor *x, *square, *mean;
  if (unroll_abi_version() != UNROLL_ABI_VERSION) return 2;
  if (unroll_tensor_wrap(data, UNROLL_FLOAT64, 1, &size, NULL, 1, NULL, NULL, &x) ||
      unroll_apply("square", (const unroll_tensor* const*)&x, 1, &square) ||
      unroll_apply("mean", (const unroll_tensor* const*)&square, 1, &mean)) {
    fprintf(stderr, "%s\n", unroll_last_error());
    return 1;
  }
  const double value = *(const double*)unroll_tensor_data(mean);
  printf("%g\n", value);
  unroll_tensor_release(x);
  unroll_tensor_release(square);
  unroll_tensor_release(mean);
  return value == 7.5 ? 0 : 1;
}
