// Errors of the ops: they name the op and the shapes, and come before anything is allocated.
#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "core/memory.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

const Tensor a = random_normal({2, 3}), b = random_normal({4, 2}, 2), narrow = zeros({2, 3});
const Tensor whole = zeros({2, 3}, Dtype::int64), undefined;

TEST(OpErrors, ShapesThatDoNotBroadcast) {
  EXPECT_ERROR(add(a, b), "add: [2,3] and [4,2]");
  EXPECT_ERROR(sub(a, b), "sub: ", "[2,3]", "[4,2]");
  EXPECT_ERROR(mul(a, b), "mul: ", "[2,3]", "[4,2]");
  EXPECT_ERROR(div(a, b), "div: ", "[2,3]", "[4,2]");
  EXPECT_ERROR(pow(a, b), "pow: ", "[2,3]", "[4,2]");
  EXPECT_ERROR(maximum(a, b), "maximum: ", "[2,3]");
  EXPECT_ERROR(minimum(a, b), "minimum: ", "[2,3]");
  EXPECT_ERROR(lt(a, b), "lt: ", "[2,3]");
  EXPECT_ERROR(where(gt(a, a), b, b), "where: ", "[2,3]", "[4,2]");
  EXPECT_ERROR(expand(a, {2, 4}), "expand: ", "[2,3]");
  EXPECT_ERROR(mse_loss(a, b), "mse_loss: x is [2,3] but target is [4,2]");
  EXPECT_ERROR(l1_loss(a, b), "l1_loss: x is [2,3] but target is [4,2]");
  EXPECT_ERROR(masked_mse(a, b, {}), "masked_mse: x is [2,3] but target is [4,2]");
  EXPECT_ERROR(masked_mse(a, a, {}), "masked_mse: x is [2,3], not [T,N,C]");
  EXPECT_ERROR(masked_mse(random_normal({2, 3, 1}), random_normal({2, 3, 1}), Lengths{1, 3, 2}),
               "3");
}

TEST(OpErrors, Products) {
  EXPECT_ERROR(matmul(a, b), "matmul: a is [2,3] but b is [4,2]");
  EXPECT_ERROR(matmul(a, random_normal({3})), "matmul: a is [2,3] but b is [3]");
  EXPECT_ERROR(matmul(random_normal({2, 2, 3}), random_normal({5, 3, 2})), "matmul: ");
  EXPECT_ERROR(linear(a, b), "linear: x is [2,3], weight [4,2]");
  EXPECT_ERROR(linear(a, random_normal({4, 3}), random_normal({3})), "bias [3]");
  EXPECT_ERROR(linear(number(1), b), "linear: x is []");
}

TEST(OpErrors, TypesDoNotMix) {
  EXPECT_ERROR(add(a, narrow), "add: operands are float64 and float32; convert with to()");
  EXPECT_ERROR(pow(whole, whole), "pow: needs float32 or float64 but got int64");
  EXPECT_ERROR(matmul(a, narrow), "matmul: operands are float64 and float32");
  EXPECT_ERROR(cat({a, narrow}, 0), "cat: operands are float64 and float32");
  EXPECT_ERROR(tanh(whole), "tanh: needs float32 or float64 but got int64; convert with to()");
  EXPECT_ERROR(sum(whole), "sum: needs float32 or float64 but got int64");
  EXPECT_ERROR(softmax(whole, 0), "softmax: needs float32 or float64");
  EXPECT_ERROR(where(a, a, a), "where: the condition must be bool");
}

TEST(OpErrors, UndefinedTensors) {
  EXPECT_ERROR(tanh(undefined), "tanh: an operand is an undefined tensor");
  EXPECT_ERROR(add(a, undefined), "add: an operand is an undefined tensor");
  EXPECT_ERROR(reshape(undefined, {1}), "reshape: ");
  EXPECT_ERROR(slice(undefined, 0, 0, 1), "slice: ");
  EXPECT_ERROR(cat({a, undefined}, 0), "cat: ");
  EXPECT_ERROR(gather(a, 0, undefined), "gather: ");
  EXPECT_ERROR(where(undefined, a, a), "where: ");
  EXPECT_ERROR(mean(undefined), "mean: ");
}

TEST(OpErrors, AxesOutOfRange) {
  EXPECT_ERROR(sum(a, 2), "sum: ");
  EXPECT_ERROR(sum(a, -3), "sum: ");
  EXPECT_ERROR(sum(a, {0, -2}), "sum: an axis is named twice");
  EXPECT_ERROR(mean(a, {1, 1}), "mean: an axis is named twice");
  EXPECT_ERROR(max(a, 5, false), "max: ");
  EXPECT_ERROR(softmax(a, 2), "softmax: ");
  EXPECT_ERROR(log_softmax(a, -3), "log_softmax: ");
  EXPECT_ERROR(transpose(a, 0, 2), "transpose: ");
  EXPECT_ERROR(permute(a, {0, 0}), "permute: ");
  EXPECT_ERROR(permute(a, {0}), "permute: ");
  EXPECT_ERROR(unsqueeze(a, 4), "unsqueeze: ");
  EXPECT_ERROR(squeeze(a, 0), "squeeze: ", "[2,3]");
  EXPECT_ERROR(flip(a, 2), "flip: ");
  EXPECT_ERROR(unbind(a, 2), "unbind: ");
  EXPECT_ERROR(stack({a, a}, 4), "stack: ");
}

TEST(OpErrors, SlicesAndJoins) {
  EXPECT_ERROR(slice(a, 1, 2, 4), "slice: ", "[2,3]");
  EXPECT_ERROR(slice(a, 1, 2, 1), "slice: ");
  EXPECT_ERROR(slice(a, 1, -1, 2), "slice: ");
  EXPECT_ERROR(slice(a, 1, 0, 2, 0), "slice: ");
  EXPECT_ERROR(select(a, 0, 2), "select: ");
  EXPECT_ERROR(select(a, 0, -3), "select: ");
  EXPECT_ERROR(reshape(a, {4, 2}), "reshape: 6 elements do not fit shape [4,2]");
  EXPECT_ERROR(reshape(a, {-1, -1}), "reshape: ");
  EXPECT_ERROR(reshape(a, {-1, 4}), "reshape: ");
  EXPECT_ERROR(cat({}, 0), "cat: needs at least one tensor");
  EXPECT_ERROR(stack({}, 0), "stack: needs at least one tensor");
  EXPECT_ERROR(cat({a, b}, 0), "cat: [2,3] and [4,2] do not fit");
  EXPECT_ERROR(stack({a, b}, 0), "stack: [2,3] and [4,2] do not fit");
}

TEST(OpErrors, Indices) {
  const auto at = [](std::initializer_list<std::int64_t> values) {
    return from_values<std::int64_t>(values, {std::int64_t(values.size())});
  };
  EXPECT_ERROR(index_select(a, 0, at({0, 2})), "index_select: index 2 is out of range 0..1");
  EXPECT_ERROR(index_select(a, 0, at({-1})), "index_select: index -1 is out of range 0..1");
  EXPECT_ERROR(index_select(a, 0, whole), "index_select: index must be [m], not [2,3]");
  EXPECT_ERROR(index_select(a, 0, a), "index_select: indices must be int64");
  EXPECT_ERROR(index_add(a, 0, at({0, 5}), 5), "index_add: index 5 is out of range 0..4");
  EXPECT_ERROR(index_add(a, 0, at({0}), 5), "index_add: index is [1] for axis -2 of x [2,3]");
  EXPECT_ERROR(gather(a, 0, at({0})), "gather: index is [1] but x is [2,3]");
  EXPECT_ERROR(scatter_add(a, 0, at({0, 1}), 4), "scatter_add: index is [2] but x is [2,3]");
}

TEST(OpErrors, NothingIsAllocatedBeforeTheCheck) {
  const Tensor wide = expand(zeros({1, 1}), {1 << 20, 1 << 20});  // no memory of that size
  memory::reset_peak();
  const std::int64_t before = memory::stats().peak;
  EXPECT_ERROR(add(wide, zeros({3})), "add: ");
  EXPECT_ERROR(matmul(wide, zeros({3, 3})), "matmul: ");
  EXPECT_LE(memory::stats().peak - before, 1 << 16);
}

}  // namespace
}  // namespace unroll::testing
