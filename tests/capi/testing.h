/* What the tests of the C interface share: checks that go on, calls that must not fail, and small
 * tensors of float64.
 *
 *   OK(unroll_parameters_create(UNROLL_FLOAT64, &p));
 *   FAILS(unroll_layer_create(p, "cnn", "", 1, 1, NULL, 0, &layer), "cnn", "lstm");
 */
#ifndef UNROLL_TESTS_CAPI_TESTING_H_
#define UNROLL_TESTS_CAPI_TESTING_H_

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capi/unroll.h"

/* In capi_test.c. */
extern int failures;

#define CHECK(condition)                                               \
  do {                                                                 \
    if (!(condition)) {                                                \
      printf("%s:%d: %s is not so\n", __FILE__, __LINE__, #condition); \
      failures++;                                                      \
    }                                                                  \
  } while (0)
#define OK(call)                                                                 \
  do {                                                                           \
    if ((call) != UNROLL_OK) {                                                   \
      printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #call, unroll_last_error()); \
      exit(1);                                                                   \
    }                                                                            \
  } while (0)
/* The call fails, and its message holds both texts. */
#define FAILS(call, one, two)                                                                   \
  do {                                                                                          \
    const unroll_status status_ = (call);                                                       \
    const char* said_ = unroll_last_error();                                                    \
    if (status_ != UNROLL_ERROR || !strstr(said_, one) || !strstr(said_, two)) {                \
      printf("%s:%d: %s: status %d, \"%s\"\n", __FILE__, __LINE__, #call, (int)status_, said_); \
      failures++;                                                                               \
    }                                                                                           \
  } while (0)

static inline unroll_tensor* wrap(double* data, int rank, const int64_t* shape) {
  unroll_tensor* out = NULL;
  OK(unroll_tensor_wrap(data, UNROLL_FLOAT64, rank, shape, NULL, 0, NULL, NULL, &out));
  return out;
}

static inline unroll_tensor* vector(double* data, int64_t size) { return wrap(data, 1, &size); }

static inline double element(const unroll_tensor* t, int64_t i) {
  return ((const double*)unroll_tensor_data(t))[i];
}

static inline unroll_tensor* apply(const char* name, const unroll_tensor* a,
                                   const unroll_tensor* b) {
  const unroll_tensor* inputs[] = {a, b};
  unroll_tensor* out = NULL;
  OK(unroll_apply(name, inputs, b ? 2 : 1, &out));
  return out;
}

/* Numbers in [-1, 1), always the same. */
static inline void scatter(double* to, int count) {
  unsigned state = 12345;
  for (int i = 0; i < count; i++) {
    state = state * 1103515245u + 12345u;
    to[i] = (double)(state >> 16 & 1023) / 512 - 1;
  }
}

/* In layers_test.c, optimizers_test.c and inversion_test.c; `path` names a file to write and read,
 * `runs` the folder of PyTorch's runs. */
void test_layers(void);
void test_optimizers(const char* path);
void test_inversion(const char* runs);

#endif
