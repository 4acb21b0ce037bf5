// Parameters: views into one flat buffer, and the tape's ways into it.
#include "autograd/parameters.h"

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

TEST(Parameters, AreViewsIntoOneUnpaddedBuffer) {
  Parameters parameters(Dtype::float64);
  Tensor a = parameters.add("a", {2, 3}), b = parameters.add("b.c", {});
  const Tensor c = parameters.add("d", {4});
  EXPECT_EQ(parameters.size(), 11);
  EXPECT_EQ(parameters.names(), (std::vector<std::string>{"a", "b.c", "d"}));
  fill(a, 1), fill(b, 2);
  copy_into(const_cast<Tensor&>(c), arange(4, Dtype::float64));
  EXPECT_EQ(to_vector<double>(parameters.flat()),
            (std::vector<double>{1, 1, 1, 1, 1, 1, 2, 0, 1, 2, 3}));
  EXPECT_EQ(parameters.gradient("d").shape(), Shape{4});
  EXPECT_EQ(parameters.gradients().shape(), Shape{11});
}

TEST(Parameters, HandlesStayValidWhileOthersAreAdded) {
  Parameters parameters(Dtype::float64);
  std::vector<Tensor> handles;
  for (int i = 0; i < 100; i++) {
    handles.push_back(parameters.add("p" + std::to_string(i), {3}));
    fill(handles.back(), i);
    const Tensor g = parameters.gradient("p" + std::to_string(i));
    fill(const_cast<Tensor&>(g), -i);
  }
  for (int i = 0; i < 100; i++) {
    EXPECT_EQ(handles[i].item({1}), i);
    EXPECT_EQ(parameters.flat().item({3 * i}), i);
    EXPECT_EQ(parameters.gradients().item({3 * i + 2}), -i);
    fill(handles[i], 7);
  }
  EXPECT_EQ(parameters.flat().item({200}), 7);
}

TEST(Parameters, Errors) {
  Parameters parameters;
  parameters.add("w", {2});
  EXPECT_ERROR(parameters.add("w", {3}), "there is already a parameter w");
  EXPECT_ERROR(parameters.add("", {3}), "a parameter needs a name");
  EXPECT_ERROR(parameters.add("n", {-1}), "");
  EXPECT_ERROR(parameters.get("v"), "there is no parameter v; there are: w");
  EXPECT_ERROR(Parameters(Dtype::int64), "float32 or float64");
  EXPECT_EQ(parameters.size(), 2);
}

TEST(Parameters, OneThatHasNoMemoryLeavesTheOthersAsTheyWere) {
  Parameters parameters;
  Tensor w = parameters.add("w", {2});
  fill(w, 3);
  EXPECT_ERROR(parameters.add("vast", {std::int64_t{1} << 50}), "cannot allocate");
  EXPECT_ERROR(parameters.add("vaster", {INT64_MAX}), "vaster of shape", "is too large");
  Tensor v = parameters.add("v", {100});
  fill(v, 4);
  EXPECT_EQ(parameters.names(), (std::vector<std::string>{"w", "v"}));
  EXPECT_EQ(parameters.flat().shape(), Shape{102});
  EXPECT_EQ(parameters.flat().item({1}), 3);
  EXPECT_EQ(parameters.flat().item({101}), 4);
  EXPECT_EQ(w.item({0}), 3);
}

class ParametersSweep : public ::testing::Test {
 protected:
  Parameters parameters{Dtype::float64};
  Tensor w = parameters.add("w", {2, 3}), frozen = parameters.add("frozen", {2}),
         b = parameters.add("b", {3});
  Tensor x = random_normal({4, 2}, 2);

  void SetUp() override { copy_into(parameters.mutable_flat(), random_normal({11}, 3)); }
  Tensor loss() const { return sum(square(tanh(matmul(x, w) + b))); }
};

TEST_F(ParametersSweep, BackwardEqualsPull) {
  Tensors expected;
  Tensor flat;
  {
    Tape tape;
    const Tensor y = loss();
    expected = tape.pull(y, number(1), {w, b});
    flat = tape.pull(y, number(1), parameters);
  }
  Tape tape;
  tape.backward(loss(), parameters);
  EXPECT_LE(difference(parameters.gradient("w"), expected[0]), 1e-15);
  EXPECT_LE(difference(parameters.gradient("b"), expected[1]), 1e-15);
  EXPECT_EQ(norm(parameters.gradient("frozen")), 0);
  EXPECT_LE(difference(parameters.gradients(), flat), 1e-15);
}

TEST_F(ParametersSweep, BackwardAddsAndZeroGradientsClears) {
  for (int i = 0; i < 3; i++) {
    Tape tape;
    tape.backward(loss(), parameters);
  }
  const Tensor three = cast_copy(parameters.gradients(), Dtype::float64);
  parameters.zero_gradients();
  EXPECT_EQ(norm(parameters.gradients()), 0);
  Tape tape;
  tape.backward(loss(), parameters);
  EXPECT_LE(difference(three, parameters.gradients() * 3.0), 1e-14);
}

TEST_F(ParametersSweep, SeveralDirectionsGiveAMatrix) {
  Tape tape;
  const Tensor y = tanh(matmul(x, w) + b);
  const Tensor U = random_normal({5, 4, 3}, 4);
  const Tensor J = tape.pull(y, U, parameters);
  EXPECT_EQ(J.shape(), (Shape{5, 11}));
  for (std::int64_t k = 0; k < 5; k++)
    EXPECT_LE(difference(view::select(J, 0, k), tape.pull(y, view::select(U, 0, k), parameters)),
              1e-14);
}

TEST_F(ParametersSweep, ATapeThatNeverSawAParameterGivesZero) {
  Tape tape;
  const Tensor y = sum(square(x));
  const Tensor d = tape.pull(y, number(1), parameters);
  EXPECT_EQ(d.shape(), Shape{11});
  EXPECT_EQ(norm(d), 0);
}

// One parameter used by several ops, whose kernels may add in place.
TEST_F(ParametersSweep, CotangentsMeetInTheFlatGradients) {
  const auto tied = [&] {
    const Tensor h = matmul(x, w), back = matmul(h, transpose(w, 0, 1));
    return sum(square(back)) + sum(w * w) + sum(slice(w, 0, 0, 1)) + sum(linear(h, w));
  };
  Tensor expected;
  {
    Tape tape;
    expected = tape.pull(tied(), number(1), {w})[0];
  }
  Tape tape;
  tape.backward(tied(), parameters);
  EXPECT_LE(difference(parameters.gradient("w"), expected), 1e-14);
}

TEST_F(ParametersSweep, GradientsAreNotMovedByWhatUsersHold) {
  const Tensor held = parameters.gradient("b"),
               view = view::slice(parameters.gradients(), 0, 8, 11);
  Tape tape;
  tape.backward(loss(), parameters);
  EXPECT_GT(norm(held), 0);
  EXPECT_TRUE(same_bits(held, view));
}

TEST_F(ParametersSweep, TheFlatBufferItselfIsNoLeaf) {
  Tape tape;
  const Tensor y = loss();
  EXPECT_ERROR(tape.pull(y, number(1), {parameters.flat()}), "never appeared");
}

TEST(ParametersSweepEdge, ALossThatIsAParameter) {
  Parameters parameters(Dtype::float64);
  const Tensor w = parameters.add("w", {1});
  fill(parameters.mutable_gradients(), 5);
  Tape tape;
  const Tensor unused = square(w);
  tape.backward(w, parameters);
  EXPECT_EQ(parameters.gradients().item(), 6);
}

TEST(ParametersFloat32, Backward) {
  Parameters parameters;
  Tensor w = parameters.add("w", {2});
  fill(w, 3);
  Tape tape;
  tape.backward(sum(square(w)), parameters);
  EXPECT_EQ(to_vector<float>(parameters.gradients()), (std::vector<float>{6, 6}));
}

TEST(ParametersEmpty, PullAndBackward) {
  Parameters parameters(Dtype::float64);
  const Tensor x = random_normal({3});
  Tape tape;
  const Tensor y = sum(x);
  EXPECT_EQ(tape.pull(y, number(1), parameters).shape(), Shape{0});
  tape.backward(y, parameters);
}

}  // namespace
}  // namespace unroll::testing
