/* Every optimiser with groups and a state that is saved, and the schedules. */
#include <math.h>

#include "tests/capi/testing.h"

/* Two parameters, a.w and b.w of two elements each. */
static unroll_parameters* two_parameters(void) {
  const int64_t size = 2;
  double values[4] = {1, -2, 3, -4};
  unroll_parameters* p;
  unroll_tensor *flat, *start = vector(values, 4);
  OK(unroll_parameters_create(UNROLL_FLOAT64, &p));
  OK(unroll_parameters_add(p, "a.w", 1, &size, NULL));
  OK(unroll_parameters_add(p, "b.w", 1, &size, NULL));
  OK(unroll_parameters_flat(p, &flat));
  OK(unroll_tensor_assign(flat, start));
  unroll_tensor_release(flat);
  unroll_tensor_release(start);
  return p;
}

/* Updates by gradients that differ from round to round. */
static void steps(unroll_parameters* p, unroll_optimizer* optimizer, int from, int to) {
  unroll_tensor* gradients;
  void* data;
  OK(unroll_parameters_gradients(p, &gradients));
  for (int round = from; round < to; round++) {
    OK(unroll_tensor_mutable_data(gradients, &data));
    for (int i = 0; i < 4; i++) ((double*)data)[i] = sin(1.0 + round * 4 + i);
    OK(unroll_optimizer_step(optimizer, NULL));
  }
  unroll_tensor_release(gradients);
}

static double value(const unroll_parameters* p, int64_t i) {
  unroll_tensor* flat;
  OK(unroll_parameters_flat(p, &flat));
  const double v = element(flat, i);
  unroll_tensor_release(flat);
  return v;
}

/* An optimiser that goes on from a file ends where one ends that was not interrupted. */
static void test_state(const char* path) {
  static const char* const kinds[] = {"sgd",   "adam",    "adamw",   "nadam",
                                      "radam", "rmsprop", "adagrad", "adadelta"};
  const unroll_option momentum = {"momentum", 0.9}, own_lr = {"lr", 0.5};
  const unroll_group groups[] = {{"b.", &own_lr, 1}};
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    const int with_momentum = k == 0;
    unroll_parameters *p = two_parameters(), *q = two_parameters();
    unroll_optimizer *whole, *first, *second, *other;
    OK(unroll_optimizer_create_with_groups(p, kinds[k], &momentum, with_momentum, groups, 1,
                                           &whole));
    steps(p, whole, 0, 9);
    OK(unroll_optimizer_create_with_groups(q, kinds[k], &momentum, with_momentum, groups, 1,
                                           &first));
    steps(q, first, 0, 4);
    OK(unroll_optimizer_save(first, path));
    unroll_optimizer_release(first);
    OK(unroll_optimizer_create_with_groups(q, kinds[k], &momentum, with_momentum, groups, 1,
                                           &second));
    OK(unroll_optimizer_create(q, k == 1 ? "radam" : "adam", NULL, 0, &other));
    FAILS(unroll_optimizer_load(other, path), kinds[k], k == 1 ? "radam" : "adam");
    OK(unroll_optimizer_load(second, path));
    steps(q, second, 4, 9);
    for (int i = 0; i < 4; i++) CHECK(value(p, i) == value(q, i));
    CHECK(value(p, 0) != 1 && value(p, 2) != 3);
    unroll_optimizer_release(whole);
    unroll_optimizer_release(second);
    unroll_optimizer_release(other);
    unroll_parameters_release(p);
    unroll_parameters_release(q);
    remove(path);
  }
}

static void test_groups_and_clipping(const char* path) {
  const unroll_option lr = {"lr", 0.5}, group_lr = {"lr", 0.25}, odd = {"speed", 1};
  const unroll_group groups[] = {{"b.", &group_lr, 1}}, none[] = {{"c.", NULL, 0}},
                     wrong[] = {{"b.", &odd, 1}}, nameless[] = {{NULL, NULL, 0}};
  const double half = 0.25;
  double gradient[4] = {1, -1, 4, -4};
  unroll_parameters* p = two_parameters();
  unroll_optimizer* sgd;
  unroll_tensor *gradients, *start = vector(gradient, 4);
  FAILS(unroll_optimizer_create_with_groups(p, "sgd", &lr, 1, none, 1, &sgd), "group 0",
        "no parameter");
  FAILS(unroll_optimizer_create_with_groups(p, "sgd", &lr, 1, wrong, 1, &sgd), "speed", "momentum");
  FAILS(unroll_optimizer_create_with_groups(p, "sgd", &lr, 1, nameless, 1, &sgd), "NULL", "");
  FAILS(unroll_optimizer_create_with_groups(p, "sgd", &lr, 1, NULL, 1, &sgd), "NULL", "");
  OK(unroll_optimizer_create_with_groups(p, "sgd", &lr, 1, groups, 1, &sgd));
  OK(unroll_parameters_gradients(p, &gradients));
  OK(unroll_tensor_assign(gradients, start));
  FAILS(unroll_parameters_clip_value(p, 0), "limit", "0");
  OK(unroll_parameters_clip_value(p, 2));
  CHECK(element(gradients, 0) == 1 && element(gradients, 3) == -2);
  OK(unroll_optimizer_step(sgd, NULL));
  CHECK(value(p, 0) == 0.5 && value(p, 2) == 2.5);
  OK(unroll_optimizer_step(sgd, &half)); /* the group's in proportion */
  CHECK(value(p, 0) == 0.25 && value(p, 2) == 2.25);
  FAILS(unroll_optimizer_load(sgd, "nowhere.safetensors"), "nowhere", "");
  OK(unroll_parameters_save(p, path));
  FAILS(unroll_optimizer_load(sgd, path), path, "no state of an optimiser");
  remove(path);
  unroll_tensor_release(gradients);
  unroll_tensor_release(start);
  unroll_optimizer_release(sgd);
  unroll_parameters_release(p);
}

static double rate(const char* kind, const unroll_option* options, int count, int64_t step) {
  double out = -1;
  OK(unroll_schedule_rate(kind, options, count, step, &out));
  return out;
}

static void test_schedules(void) {
  const unroll_option decay[] = {{"lr", 1}, {"every", 2}, {"gamma", 0.5}};
  const unroll_option exponential[] = {{"lr", 1}, {"gamma", 0.5}};
  const unroll_option milestones[] = {
      {"lr", 1}, {"milestone", 2}, {"milestone", 4}, {"gamma", 0.5}};
  const unroll_option cosine[] = {{"lr", 2}, {"steps", 10}};
  const unroll_option annealing[] = {{"lr", 2}, {"half_period", 10}};
  const unroll_option cycle[] = {{"max_lr", 1}, {"steps", 11}, {"rise", 0.5}};
  const unroll_option cyclic[] = {{"lr", 1}, {"max_lr", 3}, {"up", 4}};
  const unroll_option patience[] = {{"patience", 1}, {"factor", 0.5}};
  double out = 7;
  CHECK(rate("step", decay, 3, 5) == 0.25);
  CHECK(rate("multi_step", milestones, 4, 3) == 0.5 &&
        rate("multi_step", milestones, 4, 4) == 0.25);
  CHECK(rate("exponential", exponential, 2, 3) == 0.125 && rate("linear", decay, 1, 5) == 1);
  CHECK(fabs(rate("cosine", cosine, 2, 5) - 1) < 1e-15 && rate("cosine", cosine, 2, 99) == 0);
  CHECK(fabs(rate("cosine_annealing", annealing, 2, 20) - 2) < 1e-15);
  CHECK(rate("one_cycle_linear", cycle, 3, 0) == 1 / 25.0);
  CHECK(rate("cyclic", cyclic, 3, 2) == 2 && rate("cyclic2", cyclic, 3, 10) == 1.5);
  FAILS(unroll_schedule_rate("warp", cyclic, 3, 0, &out), "warp", "one_cycle");
  FAILS(unroll_schedule_rate("step", decay, 1, 0, &out), "every", "positive");
  FAILS(unroll_schedule_rate("cyclic", cyclic, 1, 0, &out), "max_lr", "must be given");
  FAILS(unroll_schedule_rate("cyclic", cyclic, 3, -1, &out), "step -1", "");
  CHECK(out == 7);

  unroll_plateau plateau = {1, NAN, 0, 0};
  const double losses[] = {5, 4, 4, 4, 4};
  const double rates[] = {1, 1, 1, 0.5, 0.5};
  for (int i = 0; i < 5; i++) {
    OK(unroll_plateau_report(&plateau, losses[i], patience, 2));
    CHECK(plateau.lr == rates[i] && plateau.best == fmin(losses[i], i ? 4 : 5));
  }
  FAILS(unroll_plateau_report(NULL, 1, NULL, 0), "plateau_report", "NULL");
}

void test_optimizers(const char* path) {
  test_state(path);
  test_groups_and_clipping(path);
  test_schedules();
}
