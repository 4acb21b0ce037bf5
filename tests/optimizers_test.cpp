// Optimisers over Parameters: groups, state, maximising, clipping and what is refused. The update
// rules themselves: optimizer_kernel_test.cpp and the conformance cases.
#include "autograd/optimizers.h"

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

// Three parameters with gradients that change from step to step.
struct Problem {
  Parameters parameters;
  explicit Problem(Dtype dtype = Dtype::float64) : parameters(dtype) {
    parameters.add("encoder.weight", {3, 5});
    parameters.add("encoder.bias", {7});
    parameters.add("decoder.weight", {2, 4});
    parameters.add("decoder.bias", {3});
    copy_into(parameters.mutable_flat(), random_normal({33}, 1, 1, dtype));
  }
  void set_gradients(std::uint64_t seed, double sign = 1) {
    const Tensor g = random_normal({33}, 100 + seed, 1, parameters.dtype());
    copy_into(parameters.mutable_gradients(), g * sign);
  }
  template <class O>
  void run(O& optimizer, int first, int last, double sign = 1) {
    for (int i = first; i < last; i++) {
      set_gradients(static_cast<std::uint64_t>(i), sign);
      optimizer.step();
    }
  }
  Tensor values() const { return cast_copy(parameters.flat(), parameters.dtype()); }
};

template <class Options>
class Optimizers : public ::testing::Test {
 protected:
  // Options in which every part of the state is used.
  static Options options(double lr = 0.05) {
    Options o;
    o.lr = lr;
    o.weight_decay = 0.01;
    if constexpr (requires { o.momentum; }) o.momentum = 0.9;
    if constexpr (requires { o.amsgrad; }) o.amsgrad = true;
    if constexpr (requires { o.centered; }) o.centered = true;
    return o;
  }
};
using AllOptions = ::testing::Types<SgdOptions, AdamOptions, NadamOptions, RadamOptions,
                                    RmspropOptions, AdagradOptions, AdadeltaOptions>;
TYPED_TEST_SUITE(Optimizers, AllOptions);

TYPED_TEST(Optimizers, ARestoredRunIsTheSameBits) {
  for (const Dtype dtype : {Dtype::float32, Dtype::float64}) {
    Problem whole(dtype), broken(dtype);
    Optimizer<TypeParam> one(whole.parameters, this->options());
    whole.run(one, 0, 9);
    OptimizerState state;
    {
      Optimizer<TypeParam> first(broken.parameters, this->options());
      broken.run(first, 0, 4);
      state = first.state();
      broken.run(first, 4, 5);  // what was handed out is a copy
      EXPECT_EQ(state.steps, 4);
    }
    Problem resumed(dtype);
    Optimizer<TypeParam> again(resumed.parameters, this->options());
    resumed.run(again, 0, 4);
    Optimizer<TypeParam> second(resumed.parameters, this->options());
    second.restore(state);
    resumed.run(second, 4, 9);
    EXPECT_TRUE(same_bits(resumed.values(), whole.values())) << name(dtype);
  }
}

// Each group steps as a run of its own would, wherever its parameters lie.
TYPED_TEST(Optimizers, GroupsStepAsOnTheirOwn) {
  using O = Optimizer<TypeParam>;
  const auto is_weight = [](const std::string& name) { return name.ends_with(".weight"); };
  Problem grouped, plain, weights, decoder;
  O mixed(grouped.parameters, this->options(0.05),
          {{with_prefix("decoder."), this->options(0.2)}, {is_weight, this->options(0.1)}});
  O a(plain.parameters, this->options(0.05)), b(weights.parameters, this->options(0.1)),
      c(decoder.parameters, this->options(0.2));
  grouped.run(mixed, 0, 5);
  plain.run(a, 0, 5);
  weights.run(b, 0, 5);
  decoder.run(c, 0, 5);
  const auto same = [&](const Problem& other, const char* name) {
    return same_bits(grouped.parameters.get(name), other.parameters.get(name));
  };
  EXPECT_TRUE(same(weights, "encoder.weight"));
  EXPECT_TRUE(same(plain, "encoder.bias"));
  EXPECT_TRUE(same(decoder, "decoder.weight")) << "the first group that holds it";
  EXPECT_TRUE(same(decoder, "decoder.bias"));
}

TYPED_TEST(Optimizers, AGroupsRateFollowsInProportion) {
  using O = Optimizer<TypeParam>;
  Problem scheduled, fixed;
  O a(scheduled.parameters, this->options(0.1), {{with_prefix("decoder."), this->options(0.4)}});
  O b(fixed.parameters, this->options(0.05), {{with_prefix("decoder."), this->options(0.2)}});
  for (int i = 0; i < 3; i++) {
    scheduled.set_gradients(static_cast<std::uint64_t>(i));
    fixed.set_gradients(static_cast<std::uint64_t>(i));
    a.step(0.05);
    b.step();
  }
  EXPECT_LE(difference(scheduled.values(), fixed.values()), 1e-15);
}

TYPED_TEST(Optimizers, MaximisingIsMinimisingTheNegative) {
  Problem up, down;
  TypeParam options = this->options();
  Optimizer<TypeParam> minimise(down.parameters, options);
  options.maximize = true;
  Optimizer<TypeParam> maximise(up.parameters, options);
  up.run(maximise, 0, 4);
  down.run(minimise, 0, 4, -1);
  EXPECT_TRUE(same_bits(up.values(), down.values()));
}

TYPED_TEST(Optimizers, Errors) {
  using O = Optimizer<TypeParam>;
  Problem problem;
  TypeParam bad = this->options();
  bad.lr = -1;
  EXPECT_ERROR(O(problem.parameters, bad), "lr -1");
  bad = this->options();
  bad.weight_decay = std::nan("");
  EXPECT_ERROR(O(problem.parameters, bad), "weight_decay nan");
  EXPECT_ERROR(O(problem.parameters, this->options(), {{with_prefix("decoder."), bad}}),
               "weight_decay nan");
  EXPECT_ERROR(O(problem.parameters, this->options(), {{with_prefix("head."), this->options()}}),
               "group 0 holds no parameter");
  O optimizer(problem.parameters, this->options());
  OptimizerState state = optimizer.state();
  state.entries.pop_back();
  EXPECT_ERROR(optimizer.restore(state), "the saved state has no ");
  state = optimizer.state();
  problem.run(optimizer, 0, 3);
  const OptimizerState before = optimizer.state();
  state.entries.back().values = zeros({34});
  EXPECT_ERROR(optimizer.restore(state), "is [34] but must be [");
  ASSERT_EQ(optimizer.state().steps, before.steps);
  for (std::size_t i = 0; i < before.entries.size(); i++)  // all or nothing
    EXPECT_TRUE(same_bits(optimizer.state().entries[i].values, before.entries[i].values));
  problem.parameters.add("late", {2});
  EXPECT_ERROR(optimizer.step(), "was made for 33 parameters but there are 35 now");
  O still(problem.parameters, this->options(0), {{with_prefix("late"), this->options()}});
  EXPECT_ERROR(still.step(0.1), "the groups' rates cannot follow");
}

TEST(OptimizerOptions, AreChecked) {
  Problem problem;
  Parameters& p = problem.parameters;
  EXPECT_ERROR(Sgd(p, {.nesterov = true}), "nesterov needs momentum");
  EXPECT_ERROR(Sgd(p, {.momentum = 0.9, .dampening = 0.1, .nesterov = true}), "no dampening");
  EXPECT_ERROR(Sgd(p, {.momentum = -0.1}), "momentum -0.1");
  EXPECT_ERROR(Adam(p, {.beta1 = 1}), "adam: beta1 1");
  EXPECT_ERROR(Adam(p, {.beta2 = -0.1}), "beta2 -0.1");
  EXPECT_ERROR(Adam(p, {.eps = -1}), "eps -1");
  EXPECT_ERROR(Nadam(p, {.momentum_decay = -1}), "momentum_decay -1");
  EXPECT_ERROR(Rmsprop(p, {.alpha = 1}), "alpha 1");
  EXPECT_ERROR(Adagrad(p, {.lr_decay = -1}), "lr_decay -1");
  EXPECT_ERROR(Adagrad(p, {.initial_accumulator_value = -1}), "initial_accumulator_value -1");
  EXPECT_ERROR(Adadelta(p, {.rho = 2}), "rho 2");
}

// lr / (1 + (step - 1) lr_decay), on top of an accumulator that starts at 0.5.
TEST(AdagradOptimizer, DecaysItsRateAndStartsWhereItIsTold) {
  Parameters parameters(Dtype::float64);
  parameters.add("w", {});
  Adagrad optimizer(parameters, {.lr = 0.1, .lr_decay = 0.5, .initial_accumulator_value = 0.5});
  fill(parameters.mutable_gradients(), 2);
  optimizer.step();
  optimizer.step();
  const double expected = -0.1 * 2 / std::sqrt(4.5) - 0.1 / 1.5 * 2 / std::sqrt(8.5);
  EXPECT_NEAR(parameters.flat().item(), expected, 1e-11);
}

// With one gradient of 1 everything but the products is 1: m = 0.1, v^ = 1.
TEST(NadamOptimizer, CountsAMomentumTwiceWhereAsked) {
  const double mu = 0.9 * (1 - 0.5 * std::pow(0.96, 0.004)),
               next = 0.9 * (1 - 0.5 * std::pow(0.96, 0.008));
  for (const bool twice : {false, true}) {
    Parameters parameters(Dtype::float64);
    parameters.add("w", {});
    Nadam optimizer(parameters, {.lr = 1, .eps = 0, .momentum_twice = twice});
    fill(parameters.mutable_gradients(), 1);
    optimizer.step();
    const double product = mu * next * (twice ? mu : 1);
    EXPECT_NEAR(parameters.flat().item(), -1 - next * 0.1 / (1 - product), 1e-15);
  }
}

TEST(Clipping, ByValue) {
  Parameters parameters;
  parameters.add("w", {5});
  const Tensor g = from_values<float>({-3, -0.5, 0, NAN, INFINITY}, {5});
  copy_into(parameters.mutable_gradients(), g);
  clip_value(parameters, 1);
  const auto got = to_vector<float>(parameters.gradients());
  EXPECT_EQ(got[0], -1);
  EXPECT_EQ(got[1], -0.5f);
  EXPECT_EQ(got[2], 0);
  EXPECT_TRUE(std::isnan(got[3]));
  EXPECT_EQ(got[4], 1);
  EXPECT_ERROR(clip_value(parameters, 0), "clip_value: limit 0");
}

TEST(Clipping, ByNorm) {
  Parameters parameters(Dtype::float64);
  parameters.add("w", {2});
  copy_into(parameters.mutable_gradients(), from_values<double>({3, 4}, {2}));
  EXPECT_EQ(clip_norm(parameters, 10), 5);
  EXPECT_EQ(gradient_norm(parameters), 5) << "below the limit nothing changes";
  EXPECT_EQ(clip_norm(parameters, 1), 5);
  EXPECT_NEAR(gradient_norm(parameters), 5 / (5 + 1e-6), 1e-15);
  fill(parameters.mutable_gradients(), INFINITY);
  EXPECT_EQ(clip_norm(parameters, 1), INFINITY);
  EXPECT_EQ(parameters.gradients().item({0}), INFINITY) << "the caller decides";
  EXPECT_ERROR(clip_norm(parameters, -1), "clip_norm: max_norm -1");
}

}  // namespace
}  // namespace unroll::testing
