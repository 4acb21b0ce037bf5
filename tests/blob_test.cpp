// Tensors over memory of somebody else: no copy, the right end of its life, and what is refused.
#include "core/blob.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "tests/testing.h"

namespace unroll {
namespace {

using Doubles = std::vector<double>;

TEST(Blob, SharesTheMemory) {
  double memory[6] = {1, 2, 3, 4, 5, 6};
  Tensor x = from_blob(memory, {2, 3}, {}, Dtype::float64);
  EXPECT_EQ(x.raw_data(), memory);
  EXPECT_TRUE(x.is_contiguous());
  EXPECT_FALSE(x.is_read_only());
  memory[4] = 50;
  EXPECT_EQ(x.item({1, 1}), 50);
  const std::uint64_t version = x.version();
  fill(x, 7);
  EXPECT_EQ(memory[5], 7);
  EXPECT_GT(x.version(), version);
}

TEST(Blob, Strides) {
  const double memory[6] = {1, 2, 3, 4, 5, 6};
  const Tensor columns = from_read_only_blob(memory, {3, 2}, {1, 3}, Dtype::float64);
  EXPECT_EQ(to_vector<double>(columns), (Doubles{1, 4, 2, 5, 3, 6}));
  const Tensor repeated = from_read_only_blob(memory, {2, 2}, {0, 1}, Dtype::float64);
  EXPECT_EQ(to_vector<double>(repeated), (Doubles{1, 2, 1, 2}));
  // Nobody steps along an axis of size 1, whatever its stride says.
  const Tensor row = from_read_only_blob(memory, {1, 6}, {-77, 1}, Dtype::float64);
  EXPECT_TRUE(row.is_contiguous());
  EXPECT_EQ(sum(row).item(), 21);
}

TEST(Blob, ReleasesOnceWithTheLastView) {
  double memory[4] = {1, 2, 3, 4};
  int released = 0;
  Tensor x = from_blob(memory, {4}, {}, Dtype::float64, [&] { released++; });
  Tensor view = view::slice(x, 0, 1, 3);
  Tensor handle = x;
  x = Tensor();
  handle = Tensor();
  EXPECT_EQ(released, 0);
  EXPECT_EQ(view.item({0}), 2);
  view = Tensor();
  EXPECT_EQ(released, 1);
}

TEST(Blob, ATapeKeepsTheMemory) {
  auto memory = std::make_unique<Doubles>(Doubles{1, 2});
  int released = 0;
  {
    Tape tape;
    Tensor y;
    const Tensor w = testing::random_normal({2});
    {
      const Tensor x = from_blob(memory->data(), {2}, {}, Dtype::float64, [&] {
        memory.reset();
        released++;
      });
      y = sum(mul(w, x));
    }
    EXPECT_EQ(released, 0) << "the record still needs x";
    const Tensor d = tape.pull(y, scalar(1, Dtype::float64), {w})[0];
    EXPECT_EQ(to_vector<double>(d), (Doubles{1, 2}));
  }
  EXPECT_EQ(released, 1);
}

TEST(Blob, NobodyReusesTheMemory) {
  double memory[2] = {1, 2};
  const Tensor x = from_blob(memory, {2}, {}, Dtype::float64);
  EXPECT_FALSE(x.is_sole_owner());
  EXPECT_FALSE(view::slice(x, 0, 0, 1).is_sole_owner());
}

TEST(Blob, ReadOnly) {
  const std::array<float, 2> memory = {1, 2};
  Tensor x = from_read_only_blob(memory.data(), {2}, {}, Dtype::float32);
  Tensor view = view::slice(x, 0, 0, 1);
  EXPECT_TRUE(view.is_read_only());
  EXPECT_ERROR(x.mutable_data<float>(), "mutable_data", "read-only", "[2]");
  EXPECT_ERROR(view.mutable_raw_data(), "read-only", "[1]");
  EXPECT_ERROR(fill(x, 0), "read-only");
  EXPECT_EQ(x.version(), 0u);
  EXPECT_EQ(add(x, 1.0).item({1}), 3);
  Tensor copy = cast_copy(x, x.dtype());
  EXPECT_FALSE(copy.is_read_only());
}

TEST(Blob, WhatDoesNotFitStaysTheCallers) {
  double memory[4] = {};
  bool released = false;
  const auto release = [&] { released = true; };
  const auto at = [&](void* data, const Shape& shape, const Shape& strides) {
    return from_blob(data, shape, strides, Dtype::float64, release);
  };
  EXPECT_ERROR(at(nullptr, {2}, {}), "from_blob: no memory", "[2]");
  EXPECT_ERROR(at(reinterpret_cast<char*>(memory) + 4, {2}, {}), "multiple");
  EXPECT_ERROR(at(memory, {2, 2}, {1}), "1 strides for shape [2,2]");
  EXPECT_ERROR(at(memory, {4}, {-1}), "backwards");
  EXPECT_ERROR(at(memory, {-4}, {}), "negative");
  EXPECT_ERROR(at(memory, {3, 2}, {INT64_MAX, 1}), "too large");
  EXPECT_ERROR(at(memory, {2, 2}, {INT64_MAX / 8, 1}), "too large");
  EXPECT_FALSE(released);
  EXPECT_EQ(at(nullptr, {0, 3}, {}).numel(), 0);
  EXPECT_TRUE(released) << "an empty tensor takes its memory too";
}

}  // namespace
}  // namespace unroll
