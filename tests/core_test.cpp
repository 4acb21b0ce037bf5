// What a tensor is: shapes, dtypes, devices, creation, conversion, identity, printing, lengths.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>
#include <vector>

#include "core/lengths.h"
#include "core/tensor.h"
#include "core/view.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

using Integers = std::vector<std::int64_t>;

TEST(ShapeTest, SizesCountFromBothEnds) {
  Shape shape{2, 3, 5};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[-1], 5);
  EXPECT_EQ(shape.numel(), 30);
  EXPECT_EQ(Shape{}.numel(), 1);
  EXPECT_EQ(to_string(shape), "[2,3,5]");
  EXPECT_EQ(to_string(Shape{}), "[]");
  shape.insert(1, 7);
  EXPECT_EQ(shape, (Shape{2, 7, 3, 5}));
  shape.insert(4, 9);
  shape.erase(0);
  EXPECT_EQ(shape, (Shape{7, 3, 5, 9}));
  EXPECT_FALSE((Shape{1, 2} == Shape{1, 2, 1}));
  EXPECT_FALSE((Shape{1, 2} == Shape{2, 1}));
}

TEST(ShapeTest, ProductsThatDoNotFit) {
  EXPECT_ERROR((Shape{1 << 30, 1 << 30, 1 << 30}.numel()), "64 bits");
  EXPECT_EQ((Shape{0, INT64_MAX, INT64_MAX}.numel()), 0);
  EXPECT_EQ((Shape{INT64_MAX, INT64_MAX, 0}.numel()), 0);
  EXPECT_EQ(zeros({0, INT64_MAX, INT64_MAX}).numel(), 0) << "strides may not overflow either";
  EXPECT_ERROR((Shape{2, -3}.numel()), "negative");
  EXPECT_ERROR(Shape(Integers(9, 1)), "at most 8");
  EXPECT_ERROR(Shape(Integers(1000, 1)), "at most 8");
  EXPECT_ERROR((Axes{0, 1, 2, 3, 4, 5, 6, 7, 8}), "at most 8");
  EXPECT_ERROR(zeros({2, -3}), "[2,-3]");
}

TEST(ShapeTest, NormalAxis) {
  EXPECT_EQ(normal_axis("op", -1, 3), 2);
  EXPECT_EQ(normal_axis("op", 0, 3), 0);
  EXPECT_ERROR(normal_axis("op", 3, 3), "op: axis 3", "rank 3");
  EXPECT_ERROR(normal_axis("op", -4, 3), "axis -4");
}

TEST(ShapeTest, BroadcastingIsThatOfNumpy) {
  const auto joined = [](const Shape& a, const Shape& b) {
    EXPECT_EQ(broadcast_shapes("op", a, b), broadcast_shapes("op", b, a));
    return broadcast_shapes("op", a, b);
  };
  EXPECT_EQ(joined({2, 3}, {3}), (Shape{2, 3}));
  EXPECT_EQ(joined({2, 1}, {1, 3}), (Shape{2, 3}));
  EXPECT_EQ(joined({}, {4}), (Shape{4}));
  EXPECT_EQ(joined({1}, {0}), (Shape{0}));
  EXPECT_EQ(joined({5, 1, 2}, {3, 1}), (Shape{5, 3, 2}));
  EXPECT_ERROR(broadcast_shapes("add", {2, 3}, {2}), "add: ", "[2,3]", "[2]");
  EXPECT_ERROR(broadcast_shapes("add", {0}, {2}), "[0]");
}

TEST(DtypeTest, NamesSizesAndTheSwitches) {
  EXPECT_EQ(std::string(name(Dtype::float32)) + name(Dtype::float64) + name(Dtype::int64) +
                name(Dtype::boolean) + name(Dtype::float16) + name(Dtype::bfloat16),
            "float32float64int64boolfloat16bfloat16");
  EXPECT_EQ(size_of(Dtype::float32), 4u);
  EXPECT_EQ(size_of(Dtype::boolean), 1u);
  EXPECT_EQ(with_real(Dtype::float64, [](auto real) { return sizeof(real); }), 8u);
  EXPECT_EQ(with_dtype(Dtype::boolean, [](auto type) { return sizeof(type); }), 1u);
  const auto size = [](auto real) { return sizeof(real); };
  for (const Dtype half : {Dtype::float16, Dtype::bfloat16}) {
    EXPECT_EQ(size_of(half), 2u);
    EXPECT_EQ(with_stored(half, size), 2u);
    EXPECT_TRUE(is_half(half) && !is_real(half));
    EXPECT_ERROR(with_dtype(half, size), name(half), "is only stored; convert with to()");
    EXPECT_ERROR(with_real(half, size), name(half), "convert with to()");
  }
  EXPECT_EQ(with_stored(Dtype::float64, size), 8u);
  EXPECT_ERROR(with_real(Dtype::int64, size), "float32 or float64", "int64");
}

TEST(DeviceTest, OnlyWhatIsBuiltInCanBeAllocatedOn) {
  EXPECT_TRUE(is_built_in(Device::cpu()));
  EXPECT_EQ(name(Device::cuda(3)), "cuda:3");
  EXPECT_EQ(name(Device::sim()), "sim");
  EXPECT_FALSE(Device::cuda(0) == Device::cuda(1));
  for (const Device device : {Device::cuda(), Device::sim()})
    if (!is_built_in(device)) {
      EXPECT_ERROR(zeros({2}, Dtype::float32, device), name(device), "not built in");
    }
}

TEST(TensorTest, Creation) {
  EXPECT_EQ(to_vector<float>(zeros({2, 2})), (std::vector<float>{0, 0, 0, 0}));
  EXPECT_EQ(to_vector<double>(ones({2}, Dtype::float64)), (std::vector<double>{1, 1}));
  EXPECT_EQ(to_vector<std::int64_t>(full({2}, -3, Dtype::int64)), (Integers{-3, -3}));
  EXPECT_EQ(full({}, 2, Dtype::boolean).item(), 1);
  EXPECT_EQ(scalar(1.5).rank(), 0);
  EXPECT_EQ(to_vector<std::int64_t>(arange(4)), (Integers{0, 1, 2, 3}));
  EXPECT_EQ(to_vector<double>(arange(3, Dtype::float64, 1, -0.5)),
            (std::vector<double>{1, 0.5, 0}));
  EXPECT_EQ(to_vector<float>(eye(2)), (std::vector<float>{1, 0, 0, 1}));
  EXPECT_EQ(eye(0).shape(), (Shape{0, 0}));
  EXPECT_EQ(empty({0, 3}).numel(), 0);
  EXPECT_EQ(empty_like(view::transpose(ones({2, 3}), 0, 1)).strides(), (Shape{2, 1}));
  EXPECT_EQ(from_values<bool>({true, false}, {2, 1}).item({1, 0}), 0);
  EXPECT_ERROR(from_values<float>({1, 2, 3}, {2, 2}), "3 values", "[2,2]");
  EXPECT_ERROR(full({2}, std::nan(""), Dtype::int64), "int64");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(ones({3}).raw_data()) % 64, 0u);
}

TEST(TensorTest, DataIsReadAsItsOwnTypeOnly) {
  Tensor x = ones({2});
  EXPECT_EQ(x.data<float>()[1], 1.0f);
  EXPECT_ERROR(x.data<double>(), "float32", "not float64");
  EXPECT_ERROR(x.mutable_data<std::int64_t>(), "not int64");
  EXPECT_ERROR(Tensor().data<float>(), "undefined");
  EXPECT_FALSE(Tensor());
}

TEST(TensorTest, Items) {
  const Tensor x = from_values<double>({1, 2, 3, 4, 5, 6}, {2, 3});
  EXPECT_EQ(x.item({1, 2}), 6);
  EXPECT_EQ(scalar(7).item(), 7);
  EXPECT_EQ(ones({1, 1}).item(), 1);
  EXPECT_ERROR(x.item(), "more than one element");
  EXPECT_ERROR(x.item({1}), "1 indices", "[2,3]");
  EXPECT_ERROR(x.item({0, 3}), "index 3", "axis 1");
  EXPECT_ERROR(x.item({-1, 0}), "index -1");
  EXPECT_ERROR(Tensor().item(), "undefined");
  EXPECT_ERROR(Tensor().item({0}), "undefined");
}

TEST(TensorTest, HandlesShareAndVersionsCountWrites) {
  Tensor x = zeros({3});
  const Tensor same = x;
  EXPECT_EQ(same.id(), x.id());
  EXPECT_FALSE(x.is_sole_owner());
  const auto version = same.version();
  (void)x.data<float>();
  EXPECT_EQ(same.version(), version) << "reading is no write";
  x.mutable_data<float>()[1] = 5;
  EXPECT_EQ(same.item({1}), 5);
  EXPECT_NE(same.version(), version);
  const Tensor other = zeros({3});
  EXPECT_NE(other.id(), x.id());
  EXPECT_FALSE(other.shares_storage(x));
  EXPECT_TRUE(other.is_sole_owner());
}

TEST(TensorTest, AssignmentAndMoves) {
  Tensor x = ones({2}), y = zeros({3});
  const auto id = x.id();
  y = x;
  EXPECT_EQ(y.id(), id);
  Tensor& alias = y;
  y = alias;
  EXPECT_EQ(y.id(), id);
  Tensor moved = std::move(x);
  EXPECT_FALSE(x);  // NOLINT: what is left is undefined by contract
  y = Tensor();
  EXPECT_TRUE(moved.is_sole_owner());
}

TEST(TensorTest, Contiguity) {
  const Tensor x = zeros({2, 3});
  EXPECT_TRUE(x.is_contiguous());
  EXPECT_TRUE(view::slice(x, 0, 0, 1).is_contiguous());
  EXPECT_FALSE(view::slice(x, 1, 0, 2).is_contiguous());
  EXPECT_TRUE(view::slice(x, 1, 0, 0).is_contiguous()) << "nothing has no gaps";
  EXPECT_FALSE(view::expand(zeros({1}), {3}).is_contiguous());
  EXPECT_EQ(contiguous_copy(x).id(), x.id());
  const Tensor turned = view::transpose(x, 0, 1);
  EXPECT_TRUE(contiguous_copy(turned).is_contiguous());
  EXPECT_FALSE(contiguous_copy(turned).shares_storage(x));
}

TEST(Conversion, TruncatesTowardsZeroAndKnowsItsLimits) {
  const auto cast = [](double v, Dtype to) {
    return cast_copy(full({}, v, Dtype::float64), to).item();
  };
  EXPECT_EQ(cast(2.9, Dtype::int64), 2);
  EXPECT_EQ(cast(-2.9, Dtype::int64), -2);
  EXPECT_EQ(cast(-0x1p63, Dtype::int64), -0x1p63);
  EXPECT_ERROR(cast(0x1p63, Dtype::int64), "int64");
  EXPECT_ERROR(cast(-0x1p63 - 2048, Dtype::int64), "int64");
  EXPECT_ERROR(cast(std::nan(""), Dtype::int64), "nan");
  EXPECT_ERROR(cast(std::numeric_limits<double>::infinity(), Dtype::int64), "inf");
  EXPECT_EQ(cast(0.1, Dtype::boolean), 1);
  EXPECT_EQ(cast(-0.0, Dtype::boolean), 0);
  EXPECT_EQ(cast(0.1, Dtype::float32), static_cast<double>(0.1f));
  EXPECT_EQ(to_vector<std::int64_t>(cast_copy(from_values<bool>({true, false}, {2}), Dtype::int64)),
            (Integers{1, 0}));
  // Exact beyond what a double holds.
  const std::int64_t big = (std::int64_t{1} << 53) + 1;
  EXPECT_EQ(to_vector<std::int64_t>(cast_copy(from_values<std::int64_t>({big}, {1}), Dtype::int64)),
            (Integers{big}));
}

TEST(Conversion, CopiesThroughViews) {
  const Tensor x = from_values<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  const Tensor turned = view::transpose(x, 0, 1);
  EXPECT_EQ(to_vector<double>(cast_copy(turned, Dtype::float64)),
            (std::vector<double>{1, 4, 2, 5, 3, 6}));
  Tensor target = zeros({2, 2});
  Tensor column = view::select(target, 1, 1);
  copy_into(column, from_values<float>({8, 9}, {2}));
  EXPECT_EQ(to_vector<float>(target), (std::vector<float>{0, 8, 0, 9}));
  fill(column, 3);
  EXPECT_EQ(to_vector<float>(target), (std::vector<float>{0, 3, 0, 3}));
  EXPECT_ERROR(copy_into(target, ones({2})), "float32[2]", "float32[2,2]");
  EXPECT_ERROR(copy_into(target, ones({2, 2}, Dtype::float64)), "float64[2,2]");
}

TEST(Printing, ShowsValuesDtypeAndShape) {
  EXPECT_EQ(to_string(from_values<float>({1, 2.5f, -3, 0}, {2, 2})),
            "tensor([[1, 2.5],\n        [-3, 0]], float32[2,2])");
  EXPECT_EQ(to_string(arange(3)), "tensor([0, 1, 2], int64[3])");
  EXPECT_EQ(to_string(from_values<bool>({true, false}, {2})), "tensor([true, false], bool[2])");
  EXPECT_EQ(to_string(scalar(2, Dtype::float64)), "tensor(2, float64[])");
  EXPECT_EQ(to_string(zeros({0, 2})), "tensor([], float32[0,2])");
  EXPECT_EQ(to_string(Tensor()), "tensor(undefined)");
  EXPECT_EQ(to_string(full({1}, 0x1p62, Dtype::int64)), "tensor([4611686018427387904], int64[1])");
}

TEST(Printing, AbbreviatesLongAxesAndLeavesTheStreamAlone) {
  EXPECT_EQ(to_string(arange(2000)), "tensor([0, 1, 2, ..., 1997, 1998, 1999], int64[2000])");
  EXPECT_LT(to_string(zeros({300, 300, 3})).size(), 2000u);
  std::ostringstream out;
  out.precision(3);
  out << ones({1}) << 1.23456;
  EXPECT_EQ(out.str(), "tensor([1], float32[1])1.23");
}

TEST(LengthsTest, OrderAndActiveCounts) {
  const Lengths lengths({2, 5, 0, 5, 3});
  EXPECT_TRUE(lengths);
  EXPECT_EQ(lengths.batch(), 5);
  EXPECT_EQ(lengths.longest(), 5);
  EXPECT_EQ(lengths.total(), 15);
  const LengthsView view = lengths.view("op", 7, 5);
  EXPECT_EQ(Integers(view.length, view.length + 5), (Integers{2, 5, 0, 5, 3}));
  EXPECT_EQ(Integers(view.order, view.order + 5), (Integers{1, 3, 4, 0, 2}))
      << "descending and stable";
  EXPECT_EQ(Integers(view.active, view.active + 5), (Integers{4, 4, 3, 2, 2}));
  EXPECT_EQ(view.longest, 5);
}

TEST(LengthsTest, TheDefaultIsFull) {
  const Lengths full;
  EXPECT_FALSE(full);
  EXPECT_EQ(full.view("op", 3, 2).length, nullptr);
  EXPECT_EQ(full.batch(), 0);
  EXPECT_TRUE(full.values().empty());
  EXPECT_EQ(Lengths({0, 0}).longest(), 0);
  EXPECT_EQ(Lengths({0, 0}).view("op", 0, 2).order[1], 1);
}

TEST(LengthsTest, WhatDoesNotFit) {
  EXPECT_ERROR(Lengths({3, -1}), "-1", "negative");
  EXPECT_ERROR(Lengths({3, 1'000'000'000}), "1000000000", "limit");
  EXPECT_ERROR(Lengths({3, 1}).view("lstm", 3, 3), "lstm: 2 lengths", "batch of 3");
  EXPECT_ERROR(Lengths({3, 1}).view("lstm", 2, 2), "length 3", "2 steps");
}

TEST(LengthsTest, CopiesShareAndOutliveTheirSource) {
  LengthsView view;
  Lengths copy;
  {
    const Lengths lengths({1, 2});
    copy = lengths;
    view = lengths.view("op", 2, 2);
  }
  EXPECT_EQ(view.length[1], 2);
}

TEST(ErrorTest, NamesTheOperation) {
  EXPECT_ERROR(fail("matmul", "does not fit"), "matmul: does not fit");
  EXPECT_THROW(fail("x", "y"), std::runtime_error);
}

}  // namespace
}  // namespace unroll
