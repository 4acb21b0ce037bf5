/* The C interface from C11: every group of functions, its errors, and who frees what. Under
 * AddressSanitizer it shows that no order of releases leaks or uses memory that is gone.
 *
 * The arguments: a folder for files, and examples/data/pytorch. */
#include "tests/capi/testing.h"

#include <math.h>
#include <pthread.h>

int failures = 0;

static void count_release(void* context) { ++*(int*)context; }

static void test_library(void) {
  CHECK(unroll_abi_version() == UNROLL_ABI_VERSION);
  CHECK(strchr(unroll_version(), '.'));
  CHECK(unroll_last_error()[0] == 0);
  FAILS(unroll_set_num_threads(0), "threads", "0");
  OK(unroll_set_num_threads(2));
}

static void test_wrap(void) {
  double memory[6] = {1, 2, 3, 4, 5, 6};
  const int64_t shape[] = {3, 2}, strides[] = {1, 3};
  int released = 0;
  unroll_tensor *x, *alias, *copy;
  OK(unroll_tensor_wrap(memory, UNROLL_FLOAT64, 2, shape, strides, 0, count_release, &released,
                        &x));
  CHECK(unroll_tensor_data(x) == memory);
  CHECK(unroll_tensor_dtype(x) == UNROLL_FLOAT64 && unroll_tensor_rank(x) == 2);
  CHECK(unroll_tensor_shape(x)[0] == 3 && unroll_tensor_strides(x)[1] == 3);
  CHECK(unroll_tensor_numel(x) == 6 && !unroll_tensor_is_read_only(x));
  OK(unroll_tensor_copy(x, UNROLL_FLOAT64, &copy));
  CHECK(element(copy, 1) == 4 && element(copy, 4) == 3);
  OK(unroll_tensor_alias(x, &alias));
  unroll_tensor_release(x);
  CHECK(released == 0);
  CHECK(element(alias, 5) == 6);
  OK(unroll_tensor_assign(alias, alias));
  unroll_tensor_release(alias);
  CHECK(released == 1);
  unroll_tensor_release(copy);
  unroll_tensor_release(NULL);
}

static void test_read_only(void) {
  double memory[2] = {1, 2};
  const int64_t size = 2;
  void* data = NULL;
  unroll_tensor *x, *y;
  OK(unroll_tensor_wrap(memory, UNROLL_FLOAT64, 1, &size, NULL, 1, NULL, NULL, &x));
  OK(unroll_tensor_create(UNROLL_FLOAT32, 1, &size, &y));
  CHECK(unroll_tensor_is_read_only(x));
  FAILS(unroll_tensor_mutable_data(x, &data), "mutable_data", "read-only");
  FAILS(unroll_tensor_assign(x, y), "read-only", "[2]");
  CHECK(data == NULL && memory[0] == 1);
  OK(unroll_tensor_assign(y, x));
  OK(unroll_tensor_mutable_data(y, &data));
  CHECK(((float*)data)[1] == 2);
  unroll_tensor_release(x);
  unroll_tensor_release(y);
}

static void test_what_does_not_fit(void) {
  double memory[2] = {0};
  const int64_t size = 2, back = -1, negative = -2;
  int released = 0;
  unroll_tensor* x = NULL;
  const unroll_tensor* inputs[2] = {NULL, NULL};
  FAILS(
      unroll_tensor_wrap(memory, UNROLL_FLOAT64, 1, &size, &back, 0, count_release, &released, &x),
      "from_blob", "backwards");
  FAILS(unroll_tensor_wrap(NULL, UNROLL_FLOAT64, 1, &size, NULL, 0, NULL, NULL, &x), "no memory",
        "");
  FAILS(unroll_tensor_wrap(memory, 77, 1, &size, NULL, 0, NULL, NULL, &x), "dtype", "77");
  FAILS(unroll_tensor_create(UNROLL_FLOAT32, 9, &size, &x), "9 axes", "at most 8");
  FAILS(unroll_tensor_create(UNROLL_FLOAT32, 1, NULL, &x), "tensor_create", "NULL");
  FAILS(unroll_tensor_create(UNROLL_FLOAT32, 1, &negative, &x), "negative", "");
  FAILS(unroll_tensor_alias(NULL, &x), "tensor_alias", "NULL");
  FAILS(unroll_apply("add", inputs, 2, &x), "apply", "NULL");
  FAILS(unroll_apply("sort", inputs, 0, &x), "no sort of 0", "matmul/2");
  CHECK(x == NULL && released == 0);
}

static void test_dlpack(void) {
  double memory[3] = {1, 2, 3};
  const int64_t size = 3;
  int released = 0;
  struct DLManagedTensor* legacy = NULL;
  struct DLManagedTensorVersioned* versioned = NULL;
  unroll_tensor *x, *read_only, *y, *z;
  OK(unroll_tensor_wrap(memory, UNROLL_FLOAT64, 1, &size, NULL, 0, count_release, &released, &x));
  OK(unroll_tensor_wrap(memory, UNROLL_FLOAT64, 1, &size, NULL, 1, NULL, NULL, &read_only));
  OK(unroll_tensor_to_dlpack(x, &legacy));
  OK(unroll_tensor_to_dlpack_versioned(read_only, &versioned));
  OK(unroll_tensor_from_dlpack(legacy, &y));
  OK(unroll_tensor_from_dlpack_versioned(versioned, &z));
  CHECK(unroll_tensor_data(y) == memory && unroll_tensor_data(z) == memory);
  CHECK(!unroll_tensor_is_read_only(y) && unroll_tensor_is_read_only(z));
  FAILS(unroll_tensor_to_dlpack(z, &legacy), "read-only", "versioned");
  FAILS(unroll_tensor_from_dlpack(NULL, &y), "from_dlpack", "NULL");
  unroll_tensor_release(x);
  unroll_tensor_release(read_only);
  CHECK(released == 0);
  CHECK(element(y, 2) == 3 && element(z, 2) == 3);
  unroll_tensor_release(y);
  unroll_tensor_release(z);
  CHECK(released == 1);
}

static void test_parameters(const char* path) {
  unroll_parameters *p, *q;
  unroll_tensor *w, *grad, *flat;
  const int64_t shape[] = {1, 2}, many = 1000;
  double values[2] = {3, 4};
  unroll_tensor* x = wrap(values, 2, shape);
  OK(unroll_parameters_create(UNROLL_FLOAT64, &p));
  OK(unroll_parameters_add(p, "w", 2, shape, &w));
  OK(unroll_parameters_set(p, "w", x));
  OK(unroll_parameters_add(p, "b", 1, &many, NULL)); /* moves w to a larger buffer */
  CHECK(element(w, 1) == 4);
  CHECK(unroll_parameters_count(p) == 2 && !strcmp(unroll_parameters_name(p, 1), "b"));
  CHECK(!unroll_parameters_name(p, 2) && !unroll_parameters_name(p, -1));
  OK(unroll_parameters_flat(p, &flat));
  CHECK(unroll_tensor_numel(flat) == 1002 && unroll_tensor_data(flat) == unroll_tensor_data(w));
  OK(unroll_parameters_gradient(p, "w", &grad));
  OK(unroll_parameters_save(p, path));
  OK(unroll_parameters_create(UNROLL_FLOAT32, &q));
  OK(unroll_parameters_add(q, "layer.w", 2, shape, NULL));
  FAILS(unroll_parameters_load(q, path, NULL), "layer.w", path);
  FAILS(unroll_parameters_load(q, path, "other."), "no parameter", "other.");
  FAILS(unroll_parameters_load(q, "nowhere.npz", NULL), "nowhere.npz", "");
  OK(unroll_parameters_load(q, path, "layer."));
  FAILS(unroll_parameters_get(q, "w", &x), "there is no parameter w", "layer.w");
  unroll_parameters_release(p);
  CHECK(element(w, 0) == 3); /* a tensor outlives its set */
  unroll_tensor_release(w);
  OK(unroll_parameters_get(q, "layer.w", &w));
  CHECK(((const float*)unroll_tensor_data(w))[1] == 4);
  unroll_tensor_release(w);
  unroll_tensor_release(x);
  unroll_tensor_release(grad);
  unroll_tensor_release(flat);
  unroll_parameters_release(q);
}

/* u . (J v) = (J^T u) . v for h_n and c_n of an LSTM by its input. */
static void test_layer_and_sweeps(void) {
  enum { T = 4, N = 2, I = 3, H = 5 };
  const int64_t shape[] = {T, N, I}, state[] = {1, N, H}, lengths[] = {4, 2};
  double data[T * N * I], v_data[T * N * I], u_data[2][N * H];
  const unroll_option no_bias = {"bias", 0}, odd = {"reset_first", 1};
  unroll_parameters* p;
  unroll_layer* lstm = NULL;
  unroll_tape* tape;
  unroll_tensor *y, *ends[2], *pulled[1], *pushed[2], *x, *v, *u[2];
  scatter(data, T * N * I);
  scatter(v_data, T * N * I);
  scatter(u_data[0], 2 * N * H);
  x = wrap(data, 3, shape);
  v = wrap(v_data, 3, shape);
  for (int i = 0; i < 2; i++) u[i] = wrap(u_data[i], 3, state);
  OK(unroll_parameters_create(UNROLL_FLOAT64, &p));
  FAILS(unroll_layer_create(p, "lstm", "l", I, H, &odd, 1, &lstm), "reset_first", "peephole");
  FAILS(unroll_layer_create(p, "lstm2", "l", I, H, NULL, 0, &lstm), "lstm2", "gru");
  FAILS(unroll_layer_create(p, "lstm", "l", 0, H, NULL, 0, &lstm), "inputs 0", "positive");
  OK(unroll_layer_create(p, "lstm", "l", I, H, &no_bias, 1, &lstm));
  CHECK(unroll_parameters_count(p) == 2 && !strcmp(unroll_parameters_name(p, 0), "l.weight_ih_l0"));
  unroll_parameters_release(p); /* the layer keeps them */
  OK(unroll_layer_reset(lstm, 7, NULL, 0));
  FAILS(unroll_layer_forward(lstm, v, lengths, 1, NULL, NULL, &y, NULL, NULL), "lengths", "");

  OK(unroll_tape_begin(&tape));
  OK(unroll_layer_forward(lstm, x, lengths, N, NULL, NULL, &y, &ends[0], &ends[1]));
  CHECK(element(y, ((int64_t)T - 1) * N * H + H) == 0); /* padding */
  unroll_layer_release(lstm);                           /* the tape keeps what it needs */
  OK(unroll_tape_pull(tape, (const unroll_tensor* const*)ends, (const unroll_tensor* const*)u, 2,
                      (const unroll_tensor* const*)&x, 1, pulled));
  OK(unroll_tape_push(tape, (const unroll_tensor* const*)&x, (const unroll_tensor* const*)&v, 1,
                      (const unroll_tensor* const*)ends, 2, pushed));
  FAILS(unroll_tape_pull(tape, (const unroll_tensor* const*)&v, (const unroll_tensor* const*)&v, 1,
                         (const unroll_tensor* const*)&x, 1, pulled),
        "pull", "not made under this tape");
  OK(unroll_tape_end(tape));

  double left = 0, right = 0;
  for (int k = 0; k < 2; k++)
    for (int64_t i = 0; i < N * H; i++) left += element(u[k], i) * element(pushed[k], i);
  for (int64_t i = 0; i < T * N * I; i++) right += element(pulled[0], i) * element(v, i);
  CHECK(left != 0 && fabs(left - right) < 1e-13);
  unroll_tensor* all[] = {x, v, y, u[0], u[1], ends[0], ends[1], pulled[0], pushed[0], pushed[1]};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) unroll_tensor_release(all[i]);
}

static void* end_elsewhere(void* tape) {
  FAILS(unroll_tape_end(tape), "tape_end", "thread");
  return NULL;
}

/* d sum((w x)^2)/dw, one step of SGD, and misuse of a tape. */
static void test_backward_and_optimizer(void) {
  double x_data[2] = {1, 2}, w_data[2] = {3, -1};
  const int64_t size = 2;
  const unroll_option lr = {"lr", 0.5}, bad = {"nesterov", 0.5};
  unroll_parameters* p;
  unroll_optimizer* sgd;
  unroll_tape* tape;
  unroll_tensor *w, *g, *x = vector(x_data, 2), *start = vector(w_data, 2);
  double norm = 0;
  pthread_t thread;
  OK(unroll_parameters_create(UNROLL_FLOAT64, &p));
  OK(unroll_parameters_add(p, "w", 1, &size, &w));
  OK(unroll_parameters_set(p, "w", start));
  FAILS(unroll_optimizer_create(p, "sgd", &bad, 1, &sgd), "nesterov", "0 or 1");
  FAILS(unroll_optimizer_create(p, "lion", NULL, 0, &sgd), "lion", "adamw");
  OK(unroll_optimizer_create(p, "sgd", &lr, 1, &sgd));

  OK(unroll_tape_begin(&tape));
  unroll_tensor *product = apply("mul", w, x), *squares = apply("square", product, NULL);
  unroll_tensor* loss = apply("sum", squares, NULL);
  CHECK(element(loss, 0) == 13);
  OK(unroll_tape_pull_parameters(tape, loss, loss, p, &g));
  CHECK(element(g, 0) == 6 * 13.0 && element(g, 1) == -8 * 13.0);
  unroll_tensor_release(g);
  OK(unroll_tape_backward(tape, loss, p));
  FAILS(unroll_tape_backward(tape, loss, p), "consumed", "");
  if (pthread_create(&thread, NULL, end_elsewhere, tape) || pthread_join(thread, NULL)) exit(1);
  OK(unroll_tape_end(tape));

  OK(unroll_parameters_gradients(p, &g));
  CHECK(element(g, 0) == 6 && element(g, 1) == -8);
  OK(unroll_parameters_clip_norm(p, 1e9, &norm));
  CHECK(norm == 10);
  OK(unroll_optimizer_step(sgd, NULL));
  CHECK(element(w, 0) == 0 && element(w, 1) == 3);
  OK(unroll_parameters_zero_gradients(p));
  CHECK(element(g, 0) == 0);
  unroll_parameters_release(p); /* the optimiser keeps them */
  OK(unroll_optimizer_step(sgd, &norm));
  unroll_optimizer_release(sgd);
  unroll_tensor* all[] = {w, g, x, start, product, squares, loss};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) unroll_tensor_release(all[i]);
}

static void test_model(const char* folder) {
  enum { T = 6, N = 3, C = 2 };
  const int64_t shape[] = {T, N, C}, lengths[] = {6, 5, 1};
  double data[T * N * C], first = 0, loss = 0, norm = 0;
  unroll_model *model = NULL, *other;
  unroll_parameters* p;
  unroll_optimizer* adam;
  unroll_tensor *x, *y, *at_end;
  scatter(data, T * N * C);
  x = wrap(data, 3, shape);
  FAILS(unroll_model_create("decoder", "cnn", UNROLL_FLOAT64, C, 8, 1, NULL, 0, &model), "cnn",
        "gru");
  FAILS(unroll_model_open(folder, &model), folder, "config.json");
  OK(unroll_model_create("decoder", "gru", UNROLL_FLOAT64, C, 8, 1, NULL, 0, &model));
  OK(unroll_model_create("decoder", NULL, UNROLL_FLOAT64, C, 8, 1, NULL, 0, &other));
  CHECK(unroll_model_window(model) == 0 && !unroll_model_column(model, 0));
  FAILS(unroll_model_standardize(model, x, &y), "units", "");
  OK(unroll_model_forward(model, x, lengths, N, &y));
  CHECK(unroll_tensor_numel(y) == T * N * C);
  OK(unroll_model_parameters(model, &p));
  OK(unroll_optimizer_create(p, "adam", NULL, 0, &adam));
  unroll_parameters_release(p);
  FAILS(unroll_train_step(other, adam, x, lengths, N, NULL, 1, NULL, NULL), "train_step",
        "not of the model");
  const double lr = 0.01;
  OK(unroll_train_step(model, adam, x, lengths, N, &lr, 1, &first, &norm));
  CHECK(norm > 0);
  for (int i = 0; i < 50; i++)
    OK(unroll_train_step(model, adam, x, lengths, N, &lr, 1, &loss, NULL));
  CHECK(loss < 0.9 * first);
  OK(unroll_model_loss(model, x, lengths, N, &at_end));
  CHECK(element(at_end, 0) < loss * 1.1);
  unroll_model_release(model); /* the optimiser keeps the parameters */
  unroll_optimizer_release(adam);
  unroll_model_release(other);
  unroll_tensor_release(x);
  unroll_tensor_release(y);
  unroll_tensor_release(at_end);
}

int main(int argc, char** argv) {
  char path[4096];
  if (argc != 3) return 2;
  snprintf(path, sizeof path, "%s/capi_test.safetensors", argv[1]);
  test_library();
  test_wrap();
  test_read_only();
  test_what_does_not_fit();
  test_dlpack();
  test_parameters(path);
  test_layer_and_sweeps();
  test_backward_and_optimizer();
  test_layers();
  test_optimizers(path);
  test_model(argv[1]);
  test_inversion(argv[2]);
  remove(path);
  if (!failures) puts("all passed");
  return failures != 0;
}
