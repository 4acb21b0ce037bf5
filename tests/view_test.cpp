// Views: which element lies where, what needs a copy, what does not fit.
#include "core/view.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/random.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

using Values = std::vector<std::int64_t>;

Values values(const Tensor& x) { return to_vector<std::int64_t>(x); }

Tensor counting(const Shape& shape) { return view::reshape(arange(shape.numel()), shape); }

TEST(View, Slice) {
  const Tensor x = counting({3, 4});
  EXPECT_EQ(values(view::slice(x, 0, 1, 3)), (Values{4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(values(view::slice(x, -1, 1, 3)), (Values{1, 2, 5, 6, 9, 10}));
  EXPECT_EQ(values(view::slice(x, 1, 0, 4, 3)), (Values{0, 3, 4, 7, 8, 11}));
  EXPECT_EQ(values(view::slice(view::slice(x, 1, 1, 4, 2), 1, 1, 2)), (Values{3, 7, 11}));
  EXPECT_EQ(view::slice(x, 0, 3, 3).shape(), (Shape{0, 4}));
  EXPECT_EQ(values(view::slice(x, 0, 0, 3, INT64_MAX)), (Values{0, 1, 2, 3}));
  EXPECT_ERROR(view::slice(x, 0, -1, 2), "slice", "-1:2:1", "[3,4]");
  EXPECT_ERROR(view::slice(x, 0, 2, 1), "2:1:1");
  EXPECT_ERROR(view::slice(x, 0, 0, 4), "0:4:1");
  EXPECT_ERROR(view::slice(x, 0, 0, 3, 0), "0:3:0");
  EXPECT_ERROR(view::slice(x, 2, 0, 1), "axis 2", "rank 2");
}

TEST(View, Select) {
  const Tensor x = counting({2, 3, 2});
  EXPECT_EQ(values(view::select(x, 1, 1)), (Values{2, 3, 8, 9}));
  EXPECT_EQ(values(view::select(x, -1, -1)), (Values{1, 3, 5, 7, 9, 11}));
  EXPECT_EQ(view::select(counting({3}), 0, 2).rank(), 0);
  EXPECT_ERROR(view::select(x, 1, 3), "index 3", "axis 1");
  EXPECT_ERROR(view::select(x, 1, -4), "index -4");
  EXPECT_ERROR(view::select(scalar(1), 0, 0), "rank 0");
}

TEST(View, TransposeAndPermute) {
  const Tensor x = counting({2, 3});
  EXPECT_EQ(values(view::transpose(x, 0, 1)), (Values{0, 3, 1, 4, 2, 5}));
  EXPECT_FALSE(view::transpose(x, 0, 1).is_contiguous());
  EXPECT_EQ(values(view::transpose(view::transpose(x, 0, 1), -1, -2)), values(x));
  const Tensor y = view::permute(counting({2, 3, 4}), {2, 0, 1});
  EXPECT_EQ(y.shape(), (Shape{4, 2, 3}));
  EXPECT_EQ(y.item({3, 1, 2}), 23);
  EXPECT_EQ(y.item({1, 1, 0}), 13);
  EXPECT_ERROR(view::permute(x, {0}), "1 axes", "[2,3]");
  EXPECT_ERROR(view::permute(x, {0, -2}), "axis 0", "twice");
  EXPECT_ERROR(view::permute(x, {0, 2}), "axis 2");
  EXPECT_ERROR(view::transpose(x, 0, 2), "axis 2");
}

TEST(View, Expand) {
  const Tensor x = counting({3, 1});
  const Tensor y = view::expand(x, {2, 3, 2});
  EXPECT_EQ(values(y), (Values{0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2}));
  EXPECT_TRUE(y.shares_storage(x));
  EXPECT_EQ(view::expand(scalar(1), {0, 2}).numel(), 0);
  EXPECT_EQ(values(view::expand(x, {3, 1})), values(x));
  EXPECT_ERROR(view::expand(x, {2, 2}), "[3,1]", "[2,2]");
  EXPECT_ERROR(view::expand(x, {3}), "[3,1]", "[3]");
  EXPECT_ERROR(view::expand(x, {INT64_MAX, 3, 2}), "shape");
  EXPECT_ERROR(view::expand(x, {3, -1}), "-1");
}

TEST(View, UnsqueezeAndSqueeze) {
  const Tensor x = counting({2, 3});
  EXPECT_EQ(view::unsqueeze(x, 0).shape(), (Shape{1, 2, 3}));
  EXPECT_EQ(view::unsqueeze(x, -1).shape(), (Shape{2, 3, 1}));
  EXPECT_EQ(view::unsqueeze(x, 1).shape(), (Shape{2, 1, 3}));
  EXPECT_TRUE(view::unsqueeze(x, 1).is_contiguous());
  EXPECT_EQ(view::squeeze(view::unsqueeze(x, 1), 1).shape(), x.shape());
  EXPECT_EQ(view::unsqueeze(scalar(1), 0).shape(), (Shape{1}));
  EXPECT_ERROR(view::squeeze(x, 0), "axis 0", "not of size 1");
  EXPECT_ERROR(view::unsqueeze(x, 3), "axis 3");
  EXPECT_ERROR(view::unsqueeze(ones({1, 1, 1, 1, 1, 1, 1, 1}), 0), "at most 8");
}

TEST(View, ReshapeSharesWhereItCan) {
  const Tensor x = counting({4, 6});
  EXPECT_TRUE(view::reshape(x, {2, 2, 6}).shares_storage(x));
  EXPECT_EQ(view::reshape(x, {-1, 8}).shape(), (Shape{3, 8}));
  EXPECT_TRUE(view::reshape(view::slice(x, 1, 0, 3), {2, 2, 3}).shares_storage(x));
  EXPECT_TRUE(view::reshape(view::slice(x, 0, 0, 4, 2), {2, 2, 3}).shares_storage(x));
  EXPECT_FALSE(view::reshape(view::transpose(x, 0, 1), {24}).shares_storage(x));
  EXPECT_FALSE(view::reshape(view::slice(x, 1, 0, 3), {12}).shares_storage(x));
}

TEST(View, ReshapeOfAColumn) {
  const Tensor x = counting({3, 4});
  for (std::int64_t c = 0; c < 4; c++) {
    const Tensor column = view::slice(x, 1, c, c + 1);  // [3,1], a last axis of size 1
    EXPECT_EQ(values(view::reshape(column, {3})), (Values{c, 4 + c, 8 + c}));
    EXPECT_EQ(values(view::reshape(column, {1, 3, 1})), (Values{c, 4 + c, 8 + c}));
  }
}

TEST(View, ReshapeThatDoesNotFit) {
  const Tensor x = counting({2, 3});
  EXPECT_ERROR(view::reshape(x, {4}), "reshape", "6 elements", "[4]");
  EXPECT_ERROR(view::reshape(x, {-1, 4}), "[-1,4]");
  EXPECT_ERROR(view::reshape(x, {-1, -1}), "more than one -1");
  EXPECT_ERROR(view::reshape(x, {-2, -3}), "negative");
  EXPECT_ERROR(view::reshape(counting({0, 2}), {-1, 0}), "[-1,0]");
  EXPECT_EQ(view::reshape(counting({0, 2}), {-1, 5}).shape(), (Shape{0, 5}));
  EXPECT_EQ(view::reshape(counting({1}), {}).rank(), 0);
}

// Random chains of views, each against the dense copy with the same change.
TEST(View, AnyReshapeOfAnyViewKeepsTheOrderOfTheElements) {
  Random random(21);
  int shared = 0;
  for (int trial = 0; trial < 3000; trial++) {
    Shape shape;
    for (std::int64_t i = random.integer(1, 5); i > 0; i--) shape.insert(0, random.integer(1, 5));
    Tensor x = counting(shape);
    for (std::int64_t i = random.integer(0, 5); i > 0; i--) {
      const int axis = static_cast<int>(random.integer(0, x.rank()));
      const std::int64_t size = x.size(axis), start = random.integer(0, size);
      switch (random.integer(0, 5)) {
        case 0:
          x = view::slice(x, axis, start, random.integer(start + 1, size + 1),
                          random.integer(1, 3));
          break;
        case 1: x = view::transpose(x, axis, static_cast<int>(random.integer(0, x.rank()))); break;
        case 2:
          if (x.rank() < 7) x = view::unsqueeze(x, axis);
          break;
        case 3: {
          Shape wider = x.shape();
          for (int a = 0; a < x.rank(); a++)
            if (wider[a] == 1) wider[a] = random.integer(1, 4);
          if (wider.numel() < 5000) x = view::expand(x, wider);
          break;
        }
        default:
          if (x.rank() > 1) x = view::select(x, axis, start);
      }
    }
    // A random factorisation of the number of elements, with ones in between.
    Shape target;
    std::int64_t left = x.numel();
    while (target.rank() < 6) {
      const std::int64_t factor = random.integer(1, 7);
      if (left % factor != 0) continue;
      target.insert(target.rank(), factor);
      left /= factor;
      if (left == 1 && random.integer(0, 2) == 0) break;
    }
    target.insert(static_cast<int>(random.integer(0, target.rank() + 1)), left);
    const Tensor y = view::reshape(x, target);
    shared += y.shares_storage(x);
    ASSERT_EQ(values(y), values(x)) << "shape " << to_string(x.shape()) << " strides "
                                    << to_string(x.strides()) << " to " << to_string(target);
  }
  EXPECT_GT(shared, 500);
}

TEST(View, KeepsTheStorageAliveAndSeesWrites) {
  Tensor x = counting({2, 3});
  const Tensor row = view::select(x, 0, 1);
  const auto version = row.version();
  x.mutable_data<std::int64_t>()[4] = 40;
  EXPECT_EQ(row.item({1}), 40);
  EXPECT_NE(row.version(), version) << "the version belongs to the storage";
  x = Tensor();
  EXPECT_EQ(values(row), (Values{3, 40, 5}));
}

TEST(View, IsATensorOfItsOwn) {
  const Tensor x = counting({2, 3});
  const Tensor y = view::slice(x, 0, 0, 2);
  EXPECT_NE(x.id(), y.id());
  EXPECT_TRUE(x.shares_storage(y));
  EXPECT_FALSE(x.is_sole_owner());
}

}  // namespace
}  // namespace unroll
