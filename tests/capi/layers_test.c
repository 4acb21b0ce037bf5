/* Layers beside the plain ones: cells, options, dropout, attention. */
#include <math.h>

#include "tests/capi/testing.h"

enum { T = 4, N = 2, I = 3, H = 5, E = 4, S = 3 };

/* Largest difference of two tensors of one size. */
static double apart(const unroll_tensor* a, const unroll_tensor* b) {
  double most = 0;
  CHECK(unroll_tensor_numel(a) == unroll_tensor_numel(b));
  for (int64_t i = 0; i < unroll_tensor_numel(a); i++)
    most = fmax(most, fabs(element(a, i) - element(b, i)));
  return most;
}

static void forget(unroll_tensor** tensors, size_t count) {
  for (size_t i = 0; i < count; i++) unroll_tensor_release(tensors[i]);
}

/* A cell looped over the steps is its layer: here with every option that does not draw. */
static void test_cells(void) {
  const unroll_option options[] = {{"clip", 0.8},      {"peephole", 1},  {"layer_norm", 1},
                                   {"zoneout_h", 0.2}, {"proj_size", 2}, {"zoneout_c", 0.1}};
  const int count = sizeof options / sizeof *options;
  const int64_t shape[] = {T, N, I}, step[] = {N, I};
  double data[T * N * I];
  unroll_parameters* p[2];
  unroll_layer *layer, *cell, *gru;
  unroll_tensor *x, *flat[2], *y, *h = NULL, *c = NULL, *ends[2];
  scatter(data, T * N * I);
  x = wrap(data, 3, shape);
  for (int i = 0; i < 2; i++) OK(unroll_parameters_create(UNROLL_FLOAT64, &p[i]));
  OK(unroll_layer_create(p[0], "lstm", "", I, H, options, count, &layer));
  OK(unroll_layer_create(p[1], "lstm_cell", "", I, H, options, count, &cell));
  FAILS(unroll_layer_create(p[1], "gru_cell", "g", I, H, options, count, &gru), "peephole",
        "reset_first");
  CHECK(!strcmp(unroll_parameters_name(p[1], 5), "weight_peephole"));
  OK(unroll_layer_reset(layer, 3, NULL, 0));
  for (int i = 0; i < 2; i++) OK(unroll_parameters_flat(p[i], &flat[i]));
  OK(unroll_tensor_assign(flat[1], flat[0]));
  OK(unroll_layer_forward(layer, x, NULL, 0, NULL, NULL, &y, &ends[0], &ends[1]));
  for (int t = 0; t < T; t++) {
    unroll_tensor *at = wrap(data + t * N * I, 2, step), *none, *next[2];
    OK(unroll_layer_forward(cell, at, NULL, 0, h, c, &none, &next[0], &next[1]));
    CHECK(none == NULL);
    unroll_tensor* old[] = {at, h, c};
    forget(old, 3);
    h = next[0], c = next[1];
  }
  CHECK(unroll_tensor_shape(h)[1] == 2 && unroll_tensor_shape(c)[1] == H);
  CHECK(apart(h, ends[0]) < 1e-14 && apart(c, ends[1]) < 1e-14);
  const int64_t lengths[] = {1, 1};
  FAILS(unroll_layer_forward(cell, h, lengths, N, NULL, NULL, &y, NULL, NULL), "lengths", "cell");
  unroll_tensor* all[] = {x, flat[0], flat[1], y, h, c, ends[0], ends[1]};
  forget(all, sizeof all / sizeof *all);
  unroll_layer_release(layer);
  unroll_layer_release(cell);
  for (int i = 0; i < 2; i++) unroll_parameters_release(p[i]);
}

/* Dropout acts while training only, with the numbers that the caller names. */
static void test_dropout(void) {
  const unroll_option options[] = {{"num_layers", 2},
                                   {"dropout", 0.5},
                                   {"variational", 1},
                                   {"recurrent_dropout", 0.3},
                                   {"zoneout_h", 0.2}};
  const int64_t shape[] = {T, N, I};
  double data[T * N * I];
  unroll_parameters* p;
  unroll_layer* gru;
  unroll_random *random, *again;
  unroll_tensor *x, *y[4], *dropped;
  scatter(data, T * N * I);
  x = wrap(data, 3, shape);
  OK(unroll_parameters_create(UNROLL_FLOAT64, &p));
  OK(unroll_layer_create(p, "gru", "gru", I, H, options, 5, &gru));
  OK(unroll_layer_reset(gru, 3, NULL, 0));
  OK(unroll_random_create(7, 1, 0, &random));
  OK(unroll_layer_forward(gru, x, NULL, 0, NULL, NULL, &y[0], NULL, NULL));
  OK(unroll_layer_train(gru, random));
  OK(unroll_layer_forward(gru, x, NULL, 0, NULL, NULL, &y[1], NULL, NULL));
  CHECK(unroll_random_counter(random) > 0 && apart(y[0], y[1]) > 1e-3);
  OK(unroll_random_create(7, 1, 0, &again));
  OK(unroll_layer_train(gru, again));
  unroll_random_release(again); /* the layer keeps it */
  OK(unroll_layer_forward(gru, x, NULL, 0, NULL, NULL, &y[2], NULL, NULL));
  CHECK(apart(y[1], y[2]) == 0);
  OK(unroll_layer_train(gru, NULL));
  OK(unroll_layer_forward(gru, x, NULL, 0, NULL, NULL, &y[3], NULL, NULL));
  CHECK(apart(y[0], y[3]) == 0);

  OK(unroll_dropout(x, 0.5, random, &dropped));
  int zero = 0;
  for (int i = 0; i < T * N * I; i++) {
    zero += element(dropped, i) == 0;
    CHECK(element(dropped, i) == 0 || element(dropped, i) == 2 * data[i]);
  }
  CHECK(zero > 0 && zero < T * N * I);
  FAILS(unroll_dropout(x, 0.5, NULL, &dropped), "dropout", "NULL");
  unroll_tensor* all[] = {x, y[0], y[1], y[2], y[3], dropped};
  forget(all, sizeof all / sizeof *all);
  unroll_random_release(random);
  unroll_layer_release(gru);
  unroll_parameters_release(p);
}

/* Rows of weights sum to one, and what is masked in any way gets none. */
static void test_multihead(void) {
  const unroll_option odd = {"heads", 2}, split = {"average_weights", 0};
  const int64_t q_shape[] = {T, N, E}, k_shape[] = {S, N, E}, mask_shape[] = {T, S},
                padding_shape[] = {N, S}, lengths[] = {2, 1};
  double q_data[T * N * E], k_data[S * N * E];
  unsigned char mask_data[T * S] = {0}, padding_data[N * S] = {0, 0, 1, 0, 1, 1};
  unroll_parameters* p;
  unroll_layer *heads, *lstm;
  unroll_tensor *q, *k, *mask, *padding, *context[3], *weights[3];
  scatter(q_data, T * N * E);
  scatter(k_data, S * N * E);
  q = wrap(q_data, 3, q_shape);
  k = wrap(k_data, 3, k_shape);
  mask_data[1] = 1; /* query 0 does not see key 1 */
  OK(unroll_tensor_wrap(mask_data, UNROLL_BOOL, 2, mask_shape, NULL, 0, NULL, NULL, &mask));
  OK(unroll_tensor_wrap(padding_data, UNROLL_BOOL, 2, padding_shape, NULL, 0, NULL, NULL,
                        &padding));
  OK(unroll_parameters_create(UNROLL_FLOAT64, &p));
  FAILS(unroll_layer_create(p, "multihead", "", E, 3, NULL, 0, &heads), "multiple", "3 heads");
  FAILS(unroll_layer_create(p, "multihead", "", E, 2, &odd, 1, &heads), "no option heads", "kdim");
  OK(unroll_layer_create(p, "multihead", "", E, 2, NULL, 0, &heads));
  CHECK(!strcmp(unroll_parameters_name(p, 0), "in_proj_weight"));
  OK(unroll_layer_reset(heads, 1, NULL, 0));
  OK(unroll_layer_attend(heads, q, k, k, mask, padding, NULL, 0, NULL, 0, &context[0],
                         &weights[0]));
  OK(unroll_layer_attend(heads, q, k, k, mask, NULL, lengths, N, &split, 1, &context[1],
                         &weights[1]));
  CHECK(apart(context[0], context[1]) < 1e-14);
  CHECK(unroll_tensor_rank(weights[0]) == 3 && unroll_tensor_rank(weights[1]) == 4);
  for (int n = 0; n < N; n++)
    for (int i = 0; i < T; i++) {
      const int64_t at = (n * T + i) * S;
      double sum = 0;
      for (int j = 0; j < S; j++) {
        sum += element(weights[0], at + j);
        CHECK((element(weights[0], at + j) == 0) == (j >= lengths[n] || (i == 0 && j == 1)));
      }
      CHECK(fabs(sum - 1) < 1e-14);
    }
  const unroll_option causal = {"causal", 1};
  OK(unroll_layer_attend(heads, q, k, k, NULL, NULL, NULL, 0, &causal, 1, NULL, &weights[2]));
  CHECK(element(weights[2], 0) == 1 && element(weights[2], 1) == 0 && element(weights[2], S) < 1);
  OK(unroll_layer_create(p, "lstm", "lstm", E, E, NULL, 0, &lstm));
  FAILS(unroll_layer_attend(lstm, q, k, k, NULL, NULL, NULL, 0, NULL, 0, &context[2], NULL),
        "no attention", "layer_forward");
  FAILS(unroll_layer_forward(heads, q, NULL, 0, NULL, NULL, &context[2], NULL, NULL), "attention",
        "layer_attend");
  unroll_tensor* all[] = {q,          k,          mask,       padding,   context[0],
                          context[1], weights[0], weights[1], weights[2]};
  forget(all, sizeof all / sizeof *all);
  unroll_layer_release(heads);
  unroll_layer_release(lstm);
  unroll_parameters_release(p);
}

/* Luong's dot score with one head is the scaled dot product with scale 1; a mask of the layer says
 * the opposite of one of the function. */
static void test_scores(void) {
  const unroll_option one = {"scale", 1}, keys = {"keys", 2};
  const int64_t q_shape[] = {T, 1, E}, k_shape[] = {S, 1, E}, mask_shape[] = {T, S},
                q4[] = {1, 1, T, E}, k4[] = {1, 1, S, E};
  double q_data[T * E], k_data[S * E];
  unsigned char ignored[T * S], seen[T * S];
  unroll_parameters* p;
  unroll_layer* layer[4];
  unroll_tensor *q, *k, *q_heads, *k_heads, *masks[2], *context[3], *weights[2];
  scatter(q_data, T * E);
  scatter(k_data, S * E);
  for (int i = 0; i < T * S; i++) ignored[i] = i % 4 == 0, seen[i] = i % 4 != 0;
  q = wrap(q_data, 3, q_shape), k = wrap(k_data, 3, k_shape);
  q_heads = wrap(q_data, 4, q4), k_heads = wrap(k_data, 4, k4);
  OK(unroll_tensor_wrap(ignored, UNROLL_BOOL, 2, mask_shape, NULL, 0, NULL, NULL, &masks[0]));
  OK(unroll_tensor_wrap(seen, UNROLL_BOOL, 2, mask_shape, NULL, 0, NULL, NULL, &masks[1]));
  OK(unroll_parameters_create(UNROLL_FLOAT64, &p));
  FAILS(unroll_layer_create(p, "luong_dot", "d", E, 0, &keys, 1, &layer[0]), "dot", "general");
  FAILS(unroll_layer_create(p, "bahdanau", "b", E, 0, NULL, 0, &layer[0]), "hidden is 0",
        "positive");
  OK(unroll_layer_create(p, "luong_dot", "d", E, 0, NULL, 0, &layer[0]));
  OK(unroll_layer_create(p, "luong_general", "g", E, 0, NULL, 0, &layer[1]));
  OK(unroll_layer_create(p, "luong_concat", "c", E, 3, NULL, 0, &layer[2]));
  OK(unroll_layer_create(p, "bahdanau", "b", E, 3, NULL, 0, &layer[3]));
  OK(unroll_layer_attend(layer[0], q, k, k, masks[0], NULL, NULL, 0, NULL, 0, &context[0],
                         &weights[0]));
  OK(unroll_scaled_dot_product_attention(q_heads, k_heads, k_heads, masks[1], NULL, 0, &one, 1,
                                         &context[1], &weights[1]));
  CHECK(apart(context[0], context[1]) < 1e-14 && apart(weights[0], weights[1]) < 1e-14);
  CHECK(element(weights[0], 0) == 0 && element(weights[0], 1) > 0);
  for (int i = 1; i < 4; i++) {
    OK(unroll_layer_reset(layer[i], 2, NULL, 0));
    OK(unroll_layer_attend(layer[i], q, k, k, NULL, NULL, NULL, 0, NULL, 0, &context[2], NULL));
    CHECK(unroll_tensor_numel(context[2]) == T * E && element(context[2], 0) != 0);
    unroll_tensor_release(context[2]);
  }
  FAILS(unroll_layer_attend(layer[0], q, k, k, NULL, masks[0], NULL, 0, NULL, 0, &context[2], NULL),
        "key_padding_mask", "multihead");
  unroll_tensor* all[] = {q,        k,          q_heads,    k_heads,    masks[0],
                          masks[1], context[0], context[1], weights[0], weights[1]};
  forget(all, sizeof all / sizeof *all);
  for (int i = 0; i < 4; i++) unroll_layer_release(layer[i]);
  unroll_parameters_release(p);
}

void test_layers(void) {
  test_cells();
  test_dropout();
  test_multihead();
  test_scores();
}
