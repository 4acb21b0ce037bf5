// Dropout: the mask's numbers, its derivative, and that every way to make a mask again makes the
// same one.
#include "autograd/dropout.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "autograd/transforms.h"
#include "core/parallel.h"
#include "core/view.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

Tensor mask_of(const Shape& shape, double p, Random random, Dtype dtype = Dtype::float64) {
  return dropout(ones(shape, dtype), p, random);
}

TEST(Dropout, KeepsWhatPhiloxSays) {
  const double p = 0.3;
  Random random(5, 2);
  random.set_counter(11);
  const std::vector<double> mask = to_vector<double>(mask_of({7, 3}, p, random));
  for (std::size_t i = 0; i < mask.size(); i++) {
    const auto word = philox_block(5, 2, 11 + i / 4).word[i % 4];
    EXPECT_EQ(mask[i], double(word) < p * 0x1p32 ? 0 : 1 / (1 - p)) << i;
  }
}

TEST(Dropout, TheMeanStaysAndTheShareIsP) {
  for (const double p : {0.1, 0.5, 0.9}) {
    const Tensor mask = mask_of({200000}, p, Random(3));
    EXPECT_NEAR(mean(mask).item(), 1, 4 * std::sqrt(p / (1 - p) / 200000));
    EXPECT_NEAR(mean(to(ne(mask, zeros({1}, Dtype::float64)), Dtype::float64)).item(), 1 - p,
                4 * std::sqrt(p * (1 - p) / 200000));
  }
}

TEST(Dropout, NothingAndEverything) {
  const Tensor x = random_normal({3, 4});
  Random random(1);
  EXPECT_TRUE(same_bits(dropout(x, 0, random), x));
  EXPECT_EQ(random.counter(), 0u);
  EXPECT_EQ(norm(dropout(x, 1, random)), 0);
  EXPECT_EQ(dropout(zeros({0, 4}), 0.5, random).shape(), (Shape{0, 4}));
  EXPECT_EQ(dropout(scalar(1), 0.5, random).rank(), 0);
}

TEST(Dropout, EachCallDrawsAndBothPrecisionsAgree) {
  Random random(9);
  const Tensor x = ones({50}, Dtype::float64);
  const Tensor first = dropout(x, 0.5, random);
  EXPECT_EQ(random.counter(), 13u) << "four elements to a block";
  EXPECT_FALSE(same_bits(first, dropout(x, 0.5, random)));
  EXPECT_TRUE(
      same_bits(first, cast_copy(mask_of({50}, 0.5, Random(9), Dtype::float32), Dtype::float64)));
}

TEST(Dropout, ThreadsDoNotChangeABit) {
  const int before = num_threads();
  set_num_threads(1);
  const Tensor expected = mask_of({99999}, 0.5, Random(6));
  for (const int threads : {2, 3}) {
    set_num_threads(threads);
    EXPECT_TRUE(same_bits(mask_of({99999}, 0.5, Random(6)), expected)) << threads;
  }
  set_num_threads(before);
}

TEST(Dropout, OneMaskForAllSteps) {
  Random random(4), same(4);
  const Tensor x = random_normal({5, 3, 8});
  const Tensor y = dropout(x, 0.4, random, {1, 3, 8});
  EXPECT_EQ(random.counter(), 6u);
  const Tensor mask = dropout(ones({3, 8}, Dtype::float64), 0.4, same);
  for (int t = 0; t < 5; t++)
    EXPECT_TRUE(same_bits(view::select(y, 0, t), view::select(x, 0, t) * mask)) << t;
}

// The sweeps make the mask again, however far the numbers have gone on since.
TEST(Dropout, SweepsUseTheMaskOfTheCall) {
  const Tensor x = random_normal({4, 6}), u = random_normal({3, 4, 6}, 2);
  const Tensor mask = mask_of({4, 6}, 0.5, Random(8));
  Random random(8);
  Tape tape;
  const Tensor y = dropout(x, 0.5, random);
  dropout(x, 0.5, random);
  EXPECT_TRUE(same_bits(y, x * mask));
  EXPECT_TRUE(same_bits(tape.pull(y, u, {x})[0], u * mask));
  EXPECT_TRUE(same_bits(tape.push({x}, {u}, y), u * mask));
}

TEST(Dropout, RecomputedSegmentsThatOwnTheirRandomAreTheSame) {
  const Tensor x = random_normal({4, 6}), u = random_normal({4, 6}, 2);
  const Random random(8);
  const auto segment = [=] {
    Random own = random;
    return tanh(dropout(tanh(dropout(x, 0.5, own)), 0.5, own));
  };
  Tape tape;
  const Tensor y = segment(), again = recompute(segment);
  EXPECT_TRUE(same_bits(y, again));
  EXPECT_TRUE(same_bits(tape.pull(y, u, {x})[0], tape.pull(again, u, {x})[0]));
  EXPECT_TRUE(same_bits(tape.push({x}, {u}, y), tape.push({x}, {u}, again)));
}

TEST(Dropout, Errors) {
  Random random(1);
  const Tensor x = zeros({3, 4});
  EXPECT_ERROR(dropout(x, 1.5, random), "dropout: p is 1.5");
  EXPECT_ERROR(dropout(x, std::nan(""), random), "dropout: p is nan");
  EXPECT_ERROR(dropout(x, 0.5, random, {2, 4}), "dropout");
  EXPECT_ERROR(dropout(x, 0.5, random, {2, 3, 4}), "[2,3,4] does not broadcast to x");
  EXPECT_ERROR(dropout(zeros({3}, Dtype::int64), 0.5, random), "dropout: needs float32");
  EXPECT_ERROR(dropout(Tensor(), 0.5, random), "undefined");
  EXPECT_EQ(random.counter(), 0u);
}

}  // namespace
}  // namespace unroll::testing
