// The two-way tape: nesting, higher order, many sweeps, several outputs, costs.
#include "autograd/tape.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <optional>

#include "autograd/ops.h"
#include "autograd/parameters.h"
#include "autograd/record.h"
#include "autograd/transforms.h"
#include "core/memory.h"
#include "core/view.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

Tensor pull_one(Tape& tape, const Tensor& y, const Tensor& x) {
  return tape.pull(y, ones(y.shape(), y.dtype()), {x})[0];
}

TEST(Tape, PullsAndPushesFromOneRecording) {
  const Tensor w = random_normal({3, 4}, 1), x = random_normal({4, 2}, 2);
  Tape tape;
  const Tensor y = tanh(matmul(w, x));
  const Tensor u = random_normal({3, 2}, 3), v = random_normal({4, 2}, 4);
  const Tensor slope = 1.0 - square(y);
  EXPECT_LE(difference(tape.pull(y, u, {x})[0], matmul(transpose(w, 0, 1), u * slope)), 1e-14);
  EXPECT_LE(difference(tape.push({x}, {v}, y), slope * matmul(w, v)), 1e-14);
}

TEST(Tape, ManySweepsFromOneRecordingAreBitIdentical) {
  const Tensor x = random_normal({5, 5});
  Tape tape;
  const Tensor y = sigmoid(matmul(x, tanh(x)));
  const Tensor u = random_normal({5, 5}, 3);
  const Tensor first = tape.pull(y, u, {x})[0], pushed = tape.push({x}, {u}, y);
  for (int i = 0; i < 20; i++) {
    EXPECT_TRUE(same_bits(tape.pull(y, u, {x})[0], first));
    EXPECT_TRUE(same_bits(tape.push({x}, {u}, y), pushed));
  }
}

TEST(Tape, RecordsNothingWithoutATape) {
  EXPECT_FALSE(is_recording());
  const Tensor x = random_normal({3});
  const Tensor y = tanh(x);
  Tape tape;
  EXPECT_TRUE(is_recording());
  EXPECT_EQ(tape.size(), 0u);
  tanh(y);
  EXPECT_EQ(tape.size(), 1u);
}

TEST(Tape, DerivativesByIntermediateTensors) {
  const Tensor x = random_normal({4});
  Tape tape;
  const Tensor h = sin(x), y = h * x;
  const Tensors d = tape.pull(y, ones({4}, Dtype::float64), {x, h});
  EXPECT_LE(difference(d[0], cos(x) * x + h), 1e-15);
  EXPECT_LE(difference(d[1], x), 1e-15);
}

// J v with v for x and for h = sin(x) is the transpose of the pull by both: what comes through the
// sine adds to h's own tangent.
TEST(Tape, PushByAnIntermediateTensorIsTheTransposeOfThePull) {
  const Tensor x = random_normal({4}), vx = random_normal({4}, 2), vh = random_normal({4}, 3);
  const Tensor u = random_normal({4}, 4);
  Tape tape;
  const Tensor h = sin(x), y = h * x;
  const Tensors d = tape.pull(y, u, {x, h});
  const Tensor jv = tape.push({x, h}, {vx, vh}, y);
  EXPECT_NEAR(dot(u, jv), dot(d[0], vx) + dot(d[1], vh), 1e-14);
  EXPECT_LE(difference(tape.push({x, h}, {vx, {}}, y), tape.push({x}, {vx}, y)), 1e-15);
}

TEST(Tape, AnOutputThatIsItsOwnInputHasDerivativeOne) {
  const Tensor x = random_normal({3}), u = random_normal({3}, 2);
  Tape tape;
  EXPECT_TRUE(same_bits(tape.pull(x, u, {x})[0], u));
  EXPECT_TRUE(same_bits(tape.push({x}, {u}, x), u));
  EXPECT_TRUE(same_bits(gradient([](const Tensor& t) { return t; }, number(2)), number(1)));
}

TEST(Tape, ATensorThatDoesNotMatterHasDerivativeZero) {
  const Tensor x = random_normal({3}), z = random_normal({2});
  Tape tape;
  const Tensor y = tanh(x), other = tanh(z);
  EXPECT_EQ(norm(tape.pull(y, ones({3}, Dtype::float64), {z})[0]), 0);
  EXPECT_EQ(to_string(tape.pull(y, ones({7, 3}, Dtype::float64), {z})[0].shape()), "[7,2]");
  EXPECT_EQ(norm(tape.push({z}, {z}, y)), 0);
}

TEST(Tape, AnInputNamedTwiceAndAnOutputNamedTwice) {
  const Tensor x = random_normal({3}), u = random_normal({3}, 2);
  Tape tape;
  const Tensor y = x * x;
  const Tensors d = tape.pull(y, u, {x, x});
  EXPECT_LE(difference(d[0], u * x * 2.0), 1e-15);
  EXPECT_LE(difference(d[1], d[0]), 0);
  EXPECT_LE(difference(tape.pull(Tensors{y, y}, {u, u}, {x})[0], d[0] * 2.0), 1e-15);
  EXPECT_LE(difference(tape.push({x, x}, {u, u}, y), tape.push({x}, {u * 2.0}, y)), 1e-15);
}

// ---- nesting

TEST(TapeNesting, AnOuterTapeSeesTheSweepsOfAnInnerOne) {
  const Tensor x = number(0.7);
  const double t = std::tanh(0.7);
  Tape outer;
  Tensor slope;
  {
    Tape inner;
    slope = pull_one(inner, tanh(x), x);
  }
  EXPECT_NEAR(slope.item(), 1 - t * t, 1e-15);
  EXPECT_NEAR(pull_one(outer, slope, x).item(), -2 * t * (1 - t * t), 1e-15);
  EXPECT_NEAR(outer.push({x}, {number(1)}, slope).item(), -2 * t * (1 - t * t), 1e-15);
}

// d^n tanh, every mixture of directions.
TEST(TapeNesting, HigherDerivativesOfTanhInEveryMixtureOfDirections) {
  const Tensor x = number(0.7);
  const double t = std::tanh(0.7), s = 1 - t * t;
  const double exact[] = {t, s, -2 * t * s, s * (6 * t * t - 2), t * s * (16 - 24 * t * t)};
  const std::function<Tensor(int, int)> nth = [&](int n, int mixture) -> Tensor {
    if (n == 0) return tanh(x);
    Tape tape;
    const Tensor y = nth(n - 1, mixture >> 1);
    return mixture & 1 ? tape.push({x}, {number(1)}, y) : pull_one(tape, y, x);
  };
  for (int n = 1; n <= 4; n++)
    for (int mixture = 0; mixture < 1 << n; mixture++)
      EXPECT_NEAR(nth(n, mixture).item(), exact[n], 1e-13) << n << " mixture " << mixture;
}

TEST(TapeNesting, NoPerturbationConfusion) {
  const Tensor x = number(1), y = number(1), one = number(1);
  for (const bool forward : {false, true}) {
    const auto inner = [&](bool product) {
      Tape tape;
      const Tensor z = product ? x * y : x + y;
      return forward ? tape.push({y}, {one}, z) : tape.pull(z, one, {y})[0];
    };
    Tape outer;
    const Tensor a = x * inner(false), b = x * inner(true);  // x * 1 and x * x
    EXPECT_EQ(outer.pull(a, one, {x})[0].item(), 1);
    EXPECT_EQ(outer.push({x}, {one}, a).item(), 1);
    EXPECT_EQ(outer.pull(b, one, {x})[0].item(), 2);
    EXPECT_EQ(outer.push({x}, {one}, b).item(), 2);
  }
}

TEST(TapeNesting, AnInnerTapeSeesOnlyWhatIsMadeUnderIt) {
  const Tensor x = number(2);
  Tape outer;
  const Tensor h = square(x);
  Tape inner;
  const Tensor y = h * 3.0;
  EXPECT_EQ(inner.size(), 1u);
  EXPECT_EQ(outer.size(), 2u);
  EXPECT_ERROR(inner.pull(y, number(1), {x}), "x of shape [] never appeared");
  EXPECT_EQ(inner.pull(y, number(1), {h})[0].item(), 3);
  EXPECT_EQ(outer.pull(y, number(1), {x})[0].item(), 12);
}

// y depends on x, but through an op that this tape never saw: zero would be a wrong number.
TEST(TapeNesting, AnOutputMadeBeforeTheTapeIsAnErrorEvenIfItAppears) {
  const Tensor x = number(2);
  const Tensor h = square(x);
  Tape tape;
  const Tensor z = h * x;
  EXPECT_ERROR(tape.pull(h, number(1), {x}), "y of shape [] was not made under this tape");
  EXPECT_ERROR(tape.push({x}, {number(1)}, h), "was not made under this tape");
  EXPECT_EQ(tape.pull(z, number(1), {x})[0].item(), 4);  // h is a constant here
}

TEST(TapeNesting, ATapeDoesNotSeeItsOwnSweeps) {
  const Tensor x = random_normal({3});
  Tape tape;
  const Tensor y = sum(tanh(x) * x);
  const std::size_t before = tape.size();
  const Tensor g = pull_one(tape, y, x);
  EXPECT_EQ(tape.size(), before);
  EXPECT_ERROR(pull_one(tape, g, x), "was not made under this tape");
  EXPECT_ERROR(tape.push({x}, {x}, g), "was not made under this tape");
}

TEST(TapeNesting, ThirtyTwoTapesAndNoMore) {
  const Tensor x = number(1);
  std::optional<Tape> tapes[32];
  for (auto& tape : tapes) tape.emplace();
  const Tensor y = exp(x);
  EXPECT_ERROR(Tape(), "32 tapes");
  for (auto& tape : tapes) EXPECT_DOUBLE_EQ(pull_one(*tape, y, x).item(), std::exp(1.0));
  tapes[31].reset();
  Tape again;
  EXPECT_DOUBLE_EQ(pull_one(again, exp(x), x).item(), std::exp(1.0));
}

TEST(TapeNesting, TapesMayDieInAnyOrder) {
  const Tensor x = number(0.5);
  std::optional<Tape> outer(std::in_place);
  Tensor before = x;
  for (int i = 0; i < 10; i++) before = sin(before);
  std::optional<Tape> inner(std::in_place);
  outer.reset();
  const Tensor h = square(x);
  Tensor y = h;
  for (int i = 0; i < 12; i++) y = y + h;
  EXPECT_DOUBLE_EQ(pull_one(*inner, y, x).item(), 13.0);
  std::optional<Tape> third(std::in_place);
  inner.reset();
  EXPECT_DOUBLE_EQ(pull_one(*third, y * x, x).item(), 13 * 0.25);
}

// ---- NoTape

TEST(NoTape, MutesTheTapesThatAreLive) {
  const Tensor x = number(2);
  Tape tape;
  Tensor constant;
  {
    const NoTape none;
    EXPECT_FALSE(is_recording());
    constant = square(x);
  }
  EXPECT_TRUE(is_recording());
  EXPECT_EQ(pull_one(tape, constant * x, x).item(), 4);
  EXPECT_ERROR(pull_one(tape, constant, x), "was not made under this tape");
}

TEST(NoTape, ATapeMadeUnderItRecordsForItselfOnly) {
  const Tensor x = number(3);
  Tape outer;
  const NoTape none;
  Tape inner;
  const Tensor y = square(x);
  EXPECT_EQ(inner.size(), 1u);
  EXPECT_EQ(outer.size(), 0u);
  EXPECT_EQ(pull_one(inner, y, x).item(), 6);
  EXPECT_ERROR(pull_one(outer, y, x), "was not made under this tape");
}

TEST(NoTape, NestsAndRestores) {
  Tape tape;
  {
    const NoTape a;
    {
      const NoTape b;
      Tape inner;
      EXPECT_TRUE(is_recording());
      const NoTape c;
      EXPECT_FALSE(is_recording());
    }
    EXPECT_FALSE(is_recording());
  }
  EXPECT_TRUE(is_recording());
}

TEST(NoTape, SweepsUnderItAreNotRecorded) {
  const Tensor x = number(0.3);
  Tape outer;
  Tape inner;
  const Tensor y = tanh(x);
  const std::size_t before = outer.size();
  const NoTape none;
  pull_one(inner, y, x);
  EXPECT_EQ(outer.size(), before);
}

// ---- several outputs

TEST(MultipleOutputs, AnAbsentCotangentIsZero) {
  const Tensor x = random_normal({3, 4});
  Tape tape;
  const Tensors parts = unbind(x, 0);
  const Tensor u = random_normal({4}, 2);
  Tensor expected = zeros({3, 4}, Dtype::float64);
  Tensor row = view::select(expected, 0, 1);
  copy_into(row, u);
  EXPECT_LE(difference(tape.pull(parts[1], u, {x})[0], expected), 0);
  EXPECT_LE(difference(tape.pull(parts, {{}, u, {}}, {x})[0], expected), 0);
  EXPECT_LE(difference(tape.pull(Tensors{parts[0], parts[1]}, {{}, u}, {x})[0], expected), 0);
}

TEST(MultipleOutputs, PullAndPushOfSeveralAtOnce) {
  const Tensor x = random_normal({4});
  Tape tape;
  const Tensor a = tanh(x), b = sum(a * x);
  const Tensor ua = random_normal({4}, 2), ub = number(0.7), v = random_normal({4}, 3);
  const Tensor both = tape.pull(Tensors{a, b}, {ua, ub}, {x})[0];
  EXPECT_LE(difference(both, tape.pull(a, ua, {x})[0] + tape.pull(b, ub, {x})[0]), 1e-15);
  const Tensors pushed = tape.push({x}, {v}, Tensors{a, b});
  EXPECT_LE(difference(pushed[0], tape.push({x}, {v}, a)), 0);
  EXPECT_LE(difference(pushed[1], tape.push({x}, {v}, b)), 0);
  EXPECT_NEAR(dot(ua, pushed[0]) + 0.7 * pushed[1].item(), dot(both, v), 1e-14);
}

// More parts than 16 bits count.
TEST(MultipleOutputs, FortyThousandPartsOfOneRecord) {
  const std::int64_t T = 40000;
  const Tensor x = random_normal({T, 2}), u = random_normal({T, 2}, 2);
  Tape tape;
  const Tensor y = stack(unbind(x, 0), 0);
  EXPECT_TRUE(same_bits(tape.pull(y, u, {x})[0], u));
  EXPECT_TRUE(same_bits(tape.push({x}, {u}, y), u));
}

// ---- memory and time

TEST(TapeCosts, AllBytesComeBack) {
  const Tensor x = random_normal({50}), w = random_normal({50, 50}, 2, 0.1);
  Parameters parameters(Dtype::float64);
  const Tensor p = parameters.add("p", {50, 50});
  const auto work = [&] {
    Tape outer;
    Tensor g;
    {
      Tape inner;
      Tensor h = reshape(x, {1, 50});
      for (int i = 0; i < 30; i++) h = tanh(matmul(h, w + p));
      g = pull_one(inner, sum(h), x);
    }
    outer.push({x}, {x}, sum(g * g));
    const NoTape none;
    Tape tape;
    tape.backward(sum(matmul(reshape(x, {1, 50}), p)), parameters);
    EXPECT_ERROR(matmul(x, number(1)), "matmul");
  };
  work();
  const std::int64_t before = memory::stats().live;
  work();
  EXPECT_EQ(memory::stats().live, before);
}

TEST(TapeCosts, BackwardFreesAsItGoes) {
  Parameters parameters(Dtype::float64);
  const Tensor p = parameters.add("p", {10000});
  fill(parameters.mutable_flat(), 0.5);
  const auto peak = [&](bool consume) {
    Tape tape;
    Tensor h = p;
    for (int i = 0; i < 50; i++) h = sin(h);
    const Tensor loss = sum(h);
    memory::reset_peak();
    const std::int64_t live = memory::stats().live;
    if (consume)
      tape.backward(loss, parameters);
    else
      pull_one(tape, loss, p);
    h = Tensor();
    return memory::stats().live - live;
  };
  EXPECT_GE(peak(false), -100000);
  EXPECT_LE(peak(true), -45 * 80000);
}

double seconds(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// No recursion, and time in proportion to the length: 100 000 ops, up and down and down again.
TEST(TapeCosts, LongChains) {
  const Tensor x = number(0.5), one = number(1);
  Tape tape;
  Tensor y = x;
  for (int i = 0; i < 100000; i++) y = y + x;
  EXPECT_EQ(tape.pull(y, one, {x})[0].item(), 100001);
  EXPECT_EQ(tape.push({x}, {one}, y).item(), 100001);
  Tape late;
  Tensor z = y;
  for (int i = 0; i < 100000; i++) z = sin(z);
  EXPECT_TRUE(std::isfinite(tape.pull(z, one, {x})[0].item()));
}

TEST(TapeCosts, ANestedSweepDoesNotPayForALongOuterLog) {
  const Tensor x = number(0.5);
  const auto inner_sweeps = [&] {
    for (int i = 0; i < 200; i++) {
      Tape inner;
      pull_one(inner, tanh(x), x);
    }
  };
  Tape outer;
  inner_sweeps();
  const double alone = seconds(inner_sweeps);
  Tensor y = x;
  for (int i = 0; i < 200000; i++) y = y + x;
  inner_sweeps();  // the tables grow once
  const double beside = std::min(seconds(inner_sweeps), seconds(inner_sweeps));
  EXPECT_LE(beside, 20 * alone + 2e-3);  // were it to touch the log, 200 x 200 000 cells: seconds
}

}  // namespace
}  // namespace unroll::testing
