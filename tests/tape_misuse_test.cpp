// Every misuse of a tape is an error with a clear message, never a wrong number.
#include <gtest/gtest.h>

#include <thread>

#include "autograd/ops.h"
#include "autograd/optimizers.h"
#include "autograd/parameters.h"
#include "autograd/record.h"
#include "autograd/tape.h"
#include "autograd/transforms.h"
#include "core/view.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

class Misuse : public ::testing::Test {
 protected:
  Tensor x = random_normal({3}), u = random_normal({3}, 2);
  Parameters parameters{Dtype::float64};
  Tensor p = parameters.add("p", {3});
};

TEST_F(Misuse, XNeverAppeared) {
  const Tensor stranger = random_normal({2});
  Tape tape;
  const Tensor y = tanh(x);
  EXPECT_ERROR(tape.pull(y, u, {stranger}), "pull: x of shape [2] never appeared under this tape");
  EXPECT_ERROR(tape.push({stranger}, {stranger}, y), "push: x of shape [2] never appeared");
  EXPECT_LE(difference(tape.pull(y, u, {x})[0], u * (1.0 - square(y))), 1e-15);  // still usable
}

TEST_F(Misuse, AnEqualTensorIsNotTheSame) {
  Tape tape;
  const Tensor y = tanh(x), twin = contiguous_copy(view::slice(x, 0, 0, 3));
  EXPECT_ERROR(tape.pull(y, u, {view::slice(x, 0, 0, 3)}), "never appeared");
  EXPECT_ERROR(tape.pull(y, u, {cast_copy(x, Dtype::float64)}), "never appeared");
}

TEST_F(Misuse, YNotMadeUnderTheTape) {
  const Tensor before = tanh(x);
  Tape tape;
  const Tensor y = sin(x);
  EXPECT_ERROR(tape.pull(before, u, {x}), "pull: y of shape [3] was not made under this tape");
  EXPECT_ERROR(tape.push({x}, {u}, before), "push: y of shape [3] was not made");
  EXPECT_ERROR(tape.pull(before, u, parameters), "pull: y of shape [3] was not made");
  EXPECT_ERROR(tape.backward(number(1), parameters), "loss of shape [] was not made");
}

TEST_F(Misuse, ANewTapeDoesNotKnowTheOldOnesTensors) {
  Tensor y;
  {
    Tape tape;
    y = tanh(x);
  }
  Tape tape;
  const Tensor z = y * x;
  EXPECT_ERROR(tape.pull(y, u, {x}), "was not made under this tape");
  EXPECT_LE(difference(tape.pull(z, u, {x})[0], u * y), 1e-15);  // y is a leaf here
}

TEST_F(Misuse, ChangedInPlaceBetweenRecordingAndSweep) {
  const auto after = [&](const std::function<void(Tensor&, Tensor&)>& change) {
    Tensor a = random_normal({3}), y;
    Tape tape;
    y = a * x;
    Tensor z = exp(y);
    change(a, z);
    const std::string pulled = message_of([&] { tape.pull(z, u, {x}); });
    const std::string pushed = message_of([&] { tape.push({x}, {u}, z); });
    EXPECT_EQ(pushed.substr(pushed.find(' ') + 1), pulled.substr(pulled.find(' ') + 1));
    return pulled;
  };
  EXPECT_EQ(after([](Tensor&, Tensor&) {}), "");
  const char* mul_saved = "pull: a tensor that mul saved was changed in place";
  const char* exp_saved = "pull: a tensor that exp saved was changed in place";
  EXPECT_NE(after([](Tensor& a, Tensor&) { a.mutable_data<double>()[0] = 1; }).find(mul_saved),
            std::string::npos);
  EXPECT_NE(after([](Tensor& a, Tensor&) { fill(a, 2); }).find(mul_saved), std::string::npos);
  EXPECT_NE(
      after([](Tensor& a, Tensor&) { copy_into(a, ones({3}, Dtype::float64)); }).find(mul_saved),
      std::string::npos);
  EXPECT_NE(after([](Tensor& a, Tensor&) {
              Tensor part = view::slice(a, 0, 0, 1);
              fill(part, 0);
            }).find(mul_saved),
            std::string::npos);
  EXPECT_NE(after([](Tensor&, Tensor& z) { fill(z, 2); }).find(exp_saved), std::string::npos);
}

TEST_F(Misuse, AChangeOfWhatNoOpSavedIsFine) {
  Tensor a = contiguous_copy(x * 1.0);
  Tape tape;
  const Tensor y = a + x;
  fill(a, 7);
  EXPECT_TRUE(same_bits(tape.pull(y, u, {a})[0], u));
  const Tensor z = a * x;  // recorded after the change
  EXPECT_LE(difference(tape.pull(z, u, {x})[0], u * 7.0), 1e-15);
}

TEST_F(Misuse, AnOptimiserStepBetweenRecordingAndSweep) {
  Tape tape;
  const Tensor loss = sum(square(p));
  parameters.mutable_flat().mutable_data<double>()[0] = 3;
  EXPECT_ERROR(tape.backward(loss, parameters), "square saved was changed in place");
}

// A rule that uses its own tape again.
struct ReentrantRule {
  static constexpr const char* name = "reentrant";
  Tape* tape;
  Tensor x;
  auto saved() const { return std::tie(x); }
  void pull(Pullback& s) const {
    s.add(0, tape->pull(sum(x * 2.0), number(1), {x})[0] * s.cotangent());
  }
  void push(Pushforward& s) const { s.set(0, tape->push({x}, {x}, x * 2.0)); }
};

TEST_F(Misuse, AChangeAfterTheParametersMovedToALargerBuffer) {
  for (int i = 0; i < 8; i++) fill(p, 2);
  Tape tape;
  const Tensor y = square(p);
  parameters.add("more", {1000});
  EXPECT_LE(difference(tape.pull(y, u, {p})[0], u * 4.0), 0);
  for (int i = 0; i < 16; i++) {
    fill(p, i);
    EXPECT_ERROR(tape.pull(y, u, {p}), "square saved was changed in place");
  }
}

TEST_F(Misuse, AnOptimiserMadeBeforeTheLastParameter) {
  Adam adam(parameters);
  Sgd sgd(parameters, {.momentum = 0.9});
  parameters.add("more", {1000});
  EXPECT_ERROR(adam.step(), "adam: was made for 3 parameters but there are 1003 now");
  EXPECT_ERROR(sgd.step(), "sgd: was made for 3 parameters but there are 1003 now");
}

TEST_F(Misuse, SweepingWhileSweeping) {
  Tape tape;
  Tensor y = contiguous_copy(view::slice(x, 0, 0, 3));
  record(ReentrantRule{&tape, x}, {&x}, {&y});
  EXPECT_ERROR(tape.pull(y, u, {x}), "a sweep of this tape is already running");
  EXPECT_ERROR(tape.push({x}, {u}, y), "a sweep of this tape is already running");
  const Tensor z = tanh(x);  // and the tape is none the worse
  EXPECT_LE(difference(tape.pull(z, u, {x})[0], u * (1.0 - square(z))), 1e-15);
}

TEST_F(Misuse, SweepingFromWithinARecomputedSegment) {
  Tape tape;
  bool sweep = false;
  const Tensor y = recompute([&] {
    const Tensor h = tanh(x);
    if (sweep) tape.pull(h, u, {x});
    return h * x;
  });
  sweep = true;
  EXPECT_ERROR(tape.pull(y, u, {x}), "a sweep of this tape is already running");
}

TEST_F(Misuse, ConsumedByBackward) {
  Tape tape;
  const Tensor loss = sum(square(p));
  tape.backward(loss, parameters);
  const char* consumed = "backward() consumed this tape";
  EXPECT_ERROR(tape.backward(loss, parameters), consumed);
  EXPECT_ERROR(tape.pull(loss, number(1), {p}), consumed);
  EXPECT_ERROR(tape.pull(loss, number(1), parameters), consumed);
  EXPECT_ERROR(tape.push({p}, {p}, loss), consumed);
}

// An outer tape that was muted during an inner backward still has everything; one that shares
// consumed records says so.
TEST_F(Misuse, BackwardUnderAnOuterTape) {
  Tape outer;
  Tape inner;
  const Tensor loss = sum(square(p + 1.0));
  EXPECT_ERROR(inner.backward(loss, parameters), "an outer tape is recording");
  {
    const NoTape none;
    inner.backward(loss, parameters);
  }
  EXPECT_LE(difference(parameters.gradients(), full({3}, 2, Dtype::float64)), 0);
  EXPECT_LE(difference(outer.pull(loss, number(1), {p})[0], full({3}, 2, Dtype::float64)), 0);
}

TEST_F(Misuse, BackwardOfMoreThanOneElement) {
  Tape tape;
  const Tensor y = square(p);
  EXPECT_ERROR(tape.backward(y, parameters), "backward: loss has shape [3], not one element");
  EXPECT_ERROR(tape.backward(Tensor(), parameters), "loss is an undefined tensor");
  tape.backward(sum(y), parameters);  // neither consumed it
}

TEST_F(Misuse, AnotherThread) {
  Tape tape;
  const Tensor loss = sum(square(p));
  std::string pulled, pushed, backward, fresh;
  std::thread([&] {
    pulled = message_of([&] { tape.pull(loss, number(1), {p}); });
    Tape own;
    pushed = message_of([&] { tape.push({p}, {p}, loss); });
    backward = message_of([&] { tape.backward(loss, parameters); });
    fresh = message_of([&] { own.pull(loss, number(1), {p}); });
  }).join();
  for (const std::string& message : {pulled, pushed, backward})
    EXPECT_NE(message.find("belongs to the thread that made it"), std::string::npos) << message;
  EXPECT_NE(fresh.find("was not made under this tape"), std::string::npos) << fresh;
  EXPECT_EQ(tape.pull(loss, number(1), {p})[0].numel(), 3);
}

TEST_F(Misuse, WrongCotangents) {
  Tape tape;
  const Tensor y = tanh(x), s = sum(y);
  EXPECT_ERROR(tape.pull(y, ones({2}, Dtype::float64), {x}),
               "pull: cotangent is [2] but its tensor is [3]: give that shape, or [K] before it");
  EXPECT_ERROR(tape.pull(y, ones({2, 2, 3}, Dtype::float64), {x}), "cotangent is [2,2,3]");
  EXPECT_ERROR(tape.pull(y, number(1), {x}), "cotangent is [] but its tensor is [3]");
  EXPECT_ERROR(tape.pull(y, ones({3}), {x}), "cotangent is float32 but its tensor is float64");
  EXPECT_ERROR(tape.pull(y, Tensor(), {x}), "every cotangent is undefined");
  EXPECT_ERROR(tape.pull(Tensors{y, s}, {u}, {x}), "1 cotangents for 2 tensors");
  EXPECT_ERROR(
      tape.pull(Tensors{y, s}, {ones({2, 3}, Dtype::float64), ones({3}, Dtype::float64)}, {x}),
      "all cotangents must have the same leading axis");
  EXPECT_ERROR(tape.pull(Tensors{y, s}, {u, ones({4}, Dtype::float64)}, {x}),
               "all cotangents must have the same leading axis");
  EXPECT_ERROR(tape.pull(Tensor(), u, {x}), "y is an undefined tensor");
  EXPECT_ERROR(tape.pull(y, u, {x, Tensor()}), "x is an undefined tensor");
  EXPECT_ERROR(tape.pull(y, ones({2}, Dtype::float64), parameters), "cotangent is [2]");
  EXPECT_ERROR(tape.pull(y, Tensor(), parameters), "undefined");
}

TEST_F(Misuse, WrongTangents) {
  const Tensor z = random_normal({2}, 4);
  Tape tape;
  const Tensor y = sum(x) * z;
  EXPECT_ERROR(tape.push({x}, {z}, y), "push: tangent is [2] but its tensor is [3]");
  EXPECT_ERROR(tape.push({x}, {ones({3})}, y), "tangent is float32");
  EXPECT_ERROR(tape.push({x, z}, {u}, y), "1 tangents for 2 tensors");
  EXPECT_ERROR(tape.push({x, z}, {u, ones({5, 2}, Dtype::float64)}, y),
               "all tangents must have the same leading axis");
  EXPECT_ERROR(tape.push({x}, {Tensor()}, y), "every tangent is undefined");
}

TEST_F(Misuse, AThrowingOpLeavesNoRecord) {
  Tape tape;
  const Tensor y = tanh(x);
  const std::size_t before = tape.size();
  EXPECT_ERROR(x + random_normal({2}), "add: [3] and [2]");
  EXPECT_ERROR(matmul(x, number(1)), "matmul");
  EXPECT_ERROR(einsum("ii,ii,j", {ones({2, 2}), ones({2, 2}), ones({2, 2})}), "einsum");
  EXPECT_ERROR(pad(x, {{0, 1, 1}, {0, 1, 1}}), "pad");
  EXPECT_ERROR(cat({x, number(1)}, 0), "cat");
  EXPECT_ERROR(reshape(view::transpose(random_normal({2, 3}), 0, 1), {5}), "reshape");
  EXPECT_ERROR(expand(x, {2, 4}), "expand");
  EXPECT_ERROR(recompute([this]() -> Tensor { fail("segment", to_string(x.shape())); }), "segment");
  EXPECT_EQ(tape.size(), before);
  EXPECT_LE(difference(tape.pull(y, u, {x})[0], u * (1.0 - square(y))), 1e-15);
}

TEST_F(Misuse, ASweepThatThrowsLeavesTheTapeUsable) {
  Tensor a = random_normal({3}, 5);
  Tape tape;
  const Tensor bad = exp(a * x), good = tanh(x);
  fill(a, 0);
  for (int i = 0; i < 3; i++) {
    EXPECT_ERROR(tape.pull(bad, u, {x}), "changed in place");
    EXPECT_LE(difference(tape.pull(good, u, {x})[0], u * (1.0 - square(good))), 1e-15);
  }
}

}  // namespace
}  // namespace unroll::testing
