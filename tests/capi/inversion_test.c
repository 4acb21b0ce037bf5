/* Encoders, the input from the outputs that PyTorch wrote, and whether outputs determine it. */
#include <math.h>

#include "capi/unroll_inversion.h"
#include "tests/capi/testing.h"

/* [T,N,C] of float32 or float64 in a file of NumPy's version 1. */
static unroll_tensor* read_array(const char* runs, const char* file, int64_t T, int64_t C) {
  char path[4096], head[10];
  const int64_t shape[] = {T, 1, C};
  unroll_tensor* out = NULL;
  void* data = NULL;
  snprintf(path, sizeof path, "%s/%s", runs, file);
  FILE* in = fopen(path, "rb");
  if (!in || fread(head, 1, 10, in) != 10 || head[6] != 1) exit(1);
  char* text = calloc(1, 65536);
  const size_t size = (size_t)((unsigned char)head[8] | (unsigned char)head[9] << 8);
  if (!text || fread(text, 1, size, in) != size) exit(1);
  const int dtype = strstr(text, "'<f8'") ? UNROLL_FLOAT64 : UNROLL_FLOAT32;
  OK(unroll_tensor_create(dtype, 3, shape, &out));
  OK(unroll_tensor_mutable_data(out, &data));
  CHECK(fread(data, dtype == UNROLL_FLOAT64 ? 8 : 4, (size_t)(T * C), in) == (size_t)(T * C));
  fclose(in);
  free(text);
  return out;
}

static unroll_encoder* load(const char* runs, const char* kind) {
  char path[4096];
  unroll_encoder* out = NULL;
  snprintf(path, sizeof path, "%s/%s.safetensors", runs, kind);
  OK(unroll_encoder_load(path, NULL, NULL, &out));
  return out;
}

static double number(const unroll_inversion* found, const char* name) {
  double out = NAN;
  OK(unroll_inversion_number(found, 0, name, &out));
  return out;
}

static double fact(const unroll_identifiability* answer, const char* name) {
  double out = NAN;
  OK(unroll_identifiability_number(answer, name, &out));
  return out;
}

static double largest_difference(const unroll_tensor* a, const unroll_tensor* b) {
  double most = 0;
  for (int64_t i = 0; i < unroll_tensor_numel(a); i++)
    most = fmax(most, fabs(element(a, i) - element(b, i)));
  return most;
}

/* The input comes back from outputs of either type, and the bound holds. */
static void test_run(const char* runs, const char* kind, const char* cell) {
  char file[64];
  unroll_encoder* encoder = load(runs, kind);
  int64_t hidden = 0, layers = 0;
  CHECK(!strcmp(unroll_encoder_cell(encoder), cell));
  CHECK(strstr(unroll_encoder_describe(encoder), "2 layers, I 6, H 24"));
  OK(unroll_encoder_size(encoder, "hidden", &hidden));
  OK(unroll_encoder_size(encoder, "layers", &layers));
  CHECK(hidden == 24 && layers == 2);
  snprintf(file, sizeof file, "%s_x.npy", kind);
  unroll_tensor *given = read_array(runs, file, 100, 6), *x;
  OK(unroll_tensor_copy(given, UNROLL_FLOAT64, &x));
  for (int bits = 32; bits <= 64; bits += 32) {
    unroll_inversion* found = NULL;
    unroll_tensor *back = NULL, *bound = NULL, *other = x;
    const char *verdict = NULL, *reason = NULL;
    snprintf(file, sizeof file, "%s_y%d.npy", kind, bits);
    unroll_tensor* y = read_array(runs, file, 100, 24);
    OK(unroll_invert(encoder, y, NULL, 0, NULL, 0, NULL, NULL, NULL, 0, &found));
    CHECK(!strcmp(unroll_inversion_verdict(found), "recovered"));
    CHECK(unroll_inversion_count(found) == 1);
    OK(unroll_inversion_x(found, &back));
    OK(unroll_inversion_tensor(found, 0, "bound", &bound));
    OK(unroll_inversion_tensor(found, 0, "other", &other));
    OK(unroll_inversion_text(found, 0, "verdict", &verdict));
    OK(unroll_inversion_text(found, 0, "reason", &reason));
    CHECK(!strcmp(verdict, "recovered") && strstr(reason, "full rank") && other == NULL);
    const double error = largest_difference(back, x);
    CHECK(error < (bits == 64 ? 1e-10 : 1e-4));
    CHECK(error <= unroll_inversion_error_bound(found));
    for (int64_t i = 0; i < 600; i++)
      CHECK(fabs(element(back, i) - element(x, i)) <= element(bound, i));
    CHECK(number(found, "rank") == 600 && number(found, "unknowns") == 600);
    CHECK(number(found, "residual") <= 5 * number(found, "fact_error"));
    unroll_tensor_release(y);
    unroll_inversion_release(found); /* the tensors stay */
    CHECK(largest_difference(back, x) == error);
    unroll_tensor_release(back);
    unroll_tensor_release(bound);
  }
  unroll_tensor_release(x);
  unroll_tensor_release(given);
  unroll_encoder_release(encoder);
}

enum { T = 5, N = 2, I = 2, H = 6 };

/* An LSTM of given tensors. */
static unroll_encoder* small(void) {
  static double data[4 * H * (I + H + 2)];
  const int64_t w_ih[] = {4 * H, I}, w_hh[] = {4 * H, H}, bias = 4 * H;
  const char* const names[] = {"body.weight_ih_l0", "body.weight_hh_l0", "body.bias_ih_l0",
                               "body.bias_hh_l0"};
  unroll_encoder* out = NULL;
  scatter(data, sizeof data / sizeof *data);
  unroll_tensor* tensors[] = {wrap(data, 2, w_ih), wrap(data + 4 * H * I, 2, w_hh),
                              wrap(data + 4 * H * (I + H), 1, &bias),
                              wrap(data + 4 * H * (I + H + 1), 1, &bias)};
  const unroll_tensor* const* given = (const unroll_tensor* const*)tensors;
  OK(unroll_encoder_create(names, given, 4, NULL, NULL, &out));
  FAILS(unroll_encoder_create(names, given, 4, "head.", NULL, &out), "head.weight_ih_l0", "prefix");
  FAILS(unroll_encoder_create(names, given, 4, NULL, "gru", &out), "4 gates", "gru");
  FAILS(unroll_encoder_create(names, given, 4, NULL, "cnn", &out), "cnn", "lstm");
  FAILS(unroll_encoder_create(names, given, 1, NULL, NULL, &out), "no tensor", "weight_hh_l0");
  FAILS(unroll_encoder_create(NULL, given, 4, NULL, NULL, &out), "encoder_create", "NULL");
  FAILS(unroll_encoder_create(names, given, 0, NULL, NULL, &out), "weight_ih_l0", "");
  unroll_tensor* crossed[] = {tensors[0], tensors[0]};
  FAILS(unroll_encoder_create(names, (const unroll_tensor* const*)crossed, 2, NULL, NULL, &out),
        "that is no RNN", "[24,2]");
  for (int i = 0; i < 4; i++) unroll_tensor_release(tensors[i]);
  memset(data, 0, sizeof data); /* it has copies */
  return out;
}

/* Every kind of argument: a start, lengths, a readout, a guess, options; and what does not fit. */
static void test_observations(void) {
  const int64_t input[] = {T, N, I}, state[] = {1, N, H}, lengths[] = {T, 3}, read[] = {3, H};
  double x_data[T * N * I], h_data[N * H], c_data[N * H], C_data[3 * H];
  const unroll_option few = {"restarts", 2}, odd = {"starts", 2};
  unroll_encoder* encoder = small();
  unroll_inversion* found = NULL;
  unroll_tensor *y, *h, *c, *whole, *seen, *back, *start[2] = {NULL, NULL};
  double out = 0;
  scatter(x_data, T * N * I);
  scatter(h_data, N * H);
  scatter(c_data, N * H);
  scatter(C_data, 3 * H);
  for (int i = 3; i < T; i++) memset(x_data + (i * N + 1) * I, 0, sizeof(double) * I);
  unroll_tensor *x = wrap(x_data, 3, input), *h_0 = wrap(h_data, 3, state),
                *c_0 = wrap(c_data, 3, state), *C = wrap(C_data, 2, read);
  OK(unroll_encoder_forward(encoder, x, lengths, N, h_0, c_0, &y, &h, &c));
  unroll_observation what = {.h_0 = h_0, .c_0 = c_0};
  OK(unroll_invert(encoder, y, &what, 0, lengths, N, NULL, NULL, &few, 1, &found));
  OK(unroll_inversion_x(found, &back));
  CHECK(!strcmp(unroll_inversion_verdict(found), "recovered"));
  CHECK(largest_difference(back, x) <= unroll_inversion_error_bound(found));
  OK(unroll_inversion_start(found, &start[0], &start[1]));
  CHECK(largest_difference(start[0], h_0) == 0 && largest_difference(start[1], c_0) == 0);
  OK(unroll_inversion_number(found, 1, "unknowns", &out));
  CHECK(out == 3 * I);
  FAILS(unroll_inversion_number(found, 2, "rank", &out), "no sequence 2 of 2", "");
  FAILS(unroll_inversion_number(found, 0, "bound", &out), "no bound", "error_bound, residual");
  FAILS(unroll_inversion_tensor(found, 0, "rank", &seen), "no rank", "bound, other");
  unroll_tensor_release(back);
  unroll_inversion_release(found);

  OK(unroll_encoder_forward(encoder, x, NULL, 0, h_0, c_0, &whole, NULL, NULL));
  const unroll_tensor* product[] = {whole, C};
  OK(unroll_apply("linear", product, 2, &seen));
  what.readout = C;
  OK(unroll_invert(encoder, seen, &what, 0, NULL, 0, x, NULL, NULL, 0, &found));
  CHECK(!strcmp(unroll_inversion_verdict(found), "recovered"));
  unroll_inversion_release(found);
  unroll_tensor_release(seen);

  found = NULL;
  FAILS(unroll_invert(encoder, y, &what, 0, NULL, 0, NULL, NULL, NULL, 0, &found), "[5,2,6]",
        "[5,N,3]");
  what.readout = NULL;
  FAILS(unroll_invert(encoder, y, &what, 0, NULL, 0, NULL, NULL, &odd, 1, &found), "starts",
        "restarts");
  FAILS(unroll_invert(encoder, y, &what, 0, NULL, 0, NULL, x, NULL, 0, &found), "prior", "samples");
  FAILS(unroll_invert(encoder, y, &what, 4, NULL, 0, NULL, NULL, NULL, 0, &found), "[4,N,6]", "");
  FAILS(unroll_invert(encoder, y, &what, -1, NULL, 0, NULL, NULL, NULL, 0, &found), "steps", "");
  FAILS(unroll_invert(encoder, NULL, &what, 0, NULL, 0, NULL, NULL, NULL, 0, &found), "invert",
        "NULL");
  what.unknown_start = 1;
  FAILS(unroll_invert(encoder, y, &what, 0, NULL, 0, NULL, NULL, NULL, 0, &found), "start",
        "sought");
  what = (unroll_observation){.h_0 = x};
  FAILS(unroll_invert(encoder, y, &what, 0, NULL, 0, NULL, NULL, NULL, 0, &found), "h_0",
        "[1,N,6]");
  what = (unroll_observation){.noise = NAN};
  FAILS(unroll_invert(encoder, y, &what, 0, NULL, 0, NULL, NULL, NULL, 0, &found), "noise", "nan");
  what = (unroll_observation){.dtype = "int8"};
  FAILS(unroll_invert(encoder, y, &what, 0, NULL, 0, NULL, NULL, NULL, 0, &found), "int8",
        "bfloat16");
  what = (unroll_observation){.outputs = "last"};
  FAILS(unroll_invert(encoder, y, &what, 0, NULL, 0, NULL, NULL, NULL, 0, &found), "last",
        "final-cell");
  what.outputs = "final";
  FAILS(unroll_invert(encoder, h, &what, 0, NULL, 0, NULL, NULL, NULL, 0, &found), "how many steps",
        "");
  void* data = NULL;
  OK(unroll_tensor_mutable_data(y, &data));
  ((double*)data)[7] = NAN;
  FAILS(unroll_invert(encoder, y, NULL, 0, NULL, 0, NULL, NULL, NULL, 0, &found), "NaN", "7");
  CHECK(found == NULL);
  unroll_tensor* all[] = {x, h_0, c_0, C, y, h, c, whole, start[0], start[1]};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) unroll_tensor_release(all[i]);
  unroll_encoder_release(encoder);
}

/* Six numbers of a last state say two steps of two numbers, and not five. */
static void test_identify(void) {
  const int64_t two[] = {2, 1, I};
  double x_data[2 * I], error = 0, worst = 0;
  const unroll_observation final = {.outputs = "final"};
  const unroll_option many = {"inputs", 5}, odd = {"count", 5};
  unroll_encoder* encoder = small();
  unroll_identifiability* answer = NULL;
  unroll_tensor *lost, *gain;
  scatter(x_data, 2 * I);
  unroll_tensor* x = wrap(x_data, 3, two);
  OK(unroll_identify(encoder, &final, 0, x, NULL, 0, &answer));
  CHECK(strstr(unroll_identifiability_verdict(answer), "determined: rank 4"));
  CHECK(fact(answer, "determined") == 1 && fact(answer, "rank") == 4 && fact(answer, "facts") == H);
  CHECK(fact(answer, "condition") >= 1 && isnan(fact(answer, "inverse_radius")));
  OK(unroll_identifiability_digits(answer, "float32", &error, &worst, NULL));
  CHECK(error > 1e-9 && error < 1e-5 && worst > 1 && worst < 8);
  FAILS(unroll_identifiability_digits(answer, "int8", NULL, NULL, NULL), "int8", "float16");
  OK(unroll_identifiability_tensor(answer, "lost_steps", &lost));
  OK(unroll_identifiability_tensor(answer, "gain", &gain));
  CHECK(unroll_tensor_numel(lost) == 0 && unroll_tensor_numel(gain) == 2 * I);
  unroll_tensor_release(lost);
  unroll_tensor_release(gain);
  unroll_identifiability_release(answer);

  OK(unroll_identify(encoder, &final, T, NULL, &many, 1, &answer));
  CHECK(strstr(unroll_identifiability_verdict(answer), "not determined"));
  CHECK(fact(answer, "determined") == 0 && fact(answer, "rank") == H);
  CHECK(isinf(fact(answer, "condition")));
  OK(unroll_identifiability_tensor(answer, "lost_steps", &lost));
  CHECK(unroll_tensor_dtype(lost) == UNROLL_INT64 && unroll_tensor_numel(lost) > 0);
  FAILS(unroll_identifiability_number(answer, "gain", &error), "no gain", "effective_rank");
  FAILS(unroll_identifiability_tensor(answer, "rank", &gain), "no rank", "singular_values");
  unroll_tensor_release(lost);
  unroll_identifiability_release(answer);

  FAILS(unroll_identify(encoder, &final, 0, NULL, NULL, 0, &answer), "0 steps", "");
  FAILS(unroll_identify(encoder, &final, T, x, NULL, 0, &answer), "[2,1,2]", "[5,N,2]");
  FAILS(unroll_identify(encoder, &final, T, NULL, &odd, 1, &answer), "count", "saturated");
  unroll_tensor_release(x);
  unroll_encoder_release(encoder);
}

/* What is NULL is an error, or has an answer of its own; it never crashes. */
static void test_nothing(const char* runs) {
  char nowhere[4096];
  int64_t size = 0;
  double out = 0;
  const char* text = NULL;
  unroll_encoder* encoder = NULL;
  unroll_tensor* tensor = NULL;
  snprintf(nowhere, sizeof nowhere, "%s/nowhere.safetensors", runs);
  FAILS(unroll_encoder_load(nowhere, NULL, NULL, &encoder), "nowhere.safetensors", "");
  FAILS(unroll_encoder_load(NULL, NULL, NULL, &encoder), "encoder_load", "NULL");
  FAILS(unroll_encoder_size(NULL, "hidden", &size), "encoder_size", "NULL");
  FAILS(unroll_encoder_forward(NULL, NULL, NULL, 0, NULL, NULL, &tensor, NULL, NULL), "forward",
        "NULL");
  FAILS(unroll_identify(NULL, NULL, 1, NULL, NULL, 0, NULL), "identify", "NULL");
  FAILS(unroll_inversion_x(NULL, &tensor), "inversion_x", "NULL");
  FAILS(unroll_inversion_start(NULL, &tensor, NULL), "inversion_start", "NULL");
  FAILS(unroll_inversion_text(NULL, 0, "verdict", &text), "inversion_text", "NULL");
  FAILS(unroll_identifiability_number(NULL, "rank", &out), "identifiability_number", "NULL");
  FAILS(unroll_identifiability_tensor(NULL, "gain", &tensor), "identifiability_tensor", "NULL");
  FAILS(unroll_identifiability_digits(NULL, "float64", &out, NULL, NULL), "digits", "NULL");
  CHECK(!unroll_encoder_describe(NULL) && !unroll_encoder_cell(NULL));
  CHECK(!unroll_inversion_verdict(NULL) && !unroll_identifiability_verdict(NULL));
  CHECK(unroll_inversion_count(NULL) == 0 && isnan(unroll_inversion_error_bound(NULL)));
  CHECK(!encoder && !tensor && !text);
  unroll_encoder_release(NULL);
  unroll_inversion_release(NULL);
  unroll_identifiability_release(NULL);
  encoder = load(runs, "gru");
  FAILS(unroll_encoder_size(encoder, "width", &size), "no width", "inputs, hidden");
  FAILS(unroll_encoder_size(encoder, NULL, &size), "encoder_size", "NULL");
  unroll_encoder_release(encoder);
}

void test_inversion(const char* runs) {
  test_run(runs, "lstm", "lstm");
  test_run(runs, "gru", "gru");
  test_run(runs, "rnn", "tanh");
  test_observations();
  test_identify();
  test_nothing(runs);
}
