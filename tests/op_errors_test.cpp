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
  EXPECT_ERROR(matmul(a, random_normal({4})), "matmul: a is [2,3] but b is [4]");
  EXPECT_ERROR(matmul(random_normal({3}), a), "matmul: a is [3] but b is [2,3]");
  EXPECT_ERROR(matmul(number(1), a), "matmul: a is [] but b is [2,3]");
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
  EXPECT_ERROR(selu(whole), "selu: needs float32 or float64");
  EXPECT_ERROR(celu(whole), "celu: needs float32 or float64");
  EXPECT_ERROR(relu6(whole), "relu6: needs float32 or float64");
  EXPECT_ERROR(hardsigmoid(whole), "hardsigmoid: needs float32 or float64");
  EXPECT_ERROR(logsumexp(whole, 0), "logsumexp: needs float32 or float64");
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

TEST(OpErrors, Equations) {
  EXPECT_ERROR(einsum("ij", {}), "einsum: needs at least one operand");
  EXPECT_ERROR(einsum("ij,jk", {a}), "einsum: \"ij,jk\" of [2,3]: 2 terms for 1 operands");
  EXPECT_ERROR(einsum("ijk", {a}), "einsum: ", "'ijk' does not fit [2,3]");
  EXPECT_ERROR(einsum("i", {a}), "'i' does not fit [2,3]");
  EXPECT_ERROR(einsum("ij,jk", {a, b}), "einsum: \"ij,jk\" of [2,3], [4,2]: sizes of 'j' differ");
  EXPECT_ERROR(einsum("...i,...i", {a, b}), "sizes of ... differ");
  EXPECT_ERROR(einsum("ii", {a}),
               "einsum: \"ii\" of [2,3]: the diagonal along 'i' needs equal sizes");
  EXPECT_ERROR(einsum("ij->k", {a}), "einsum: 'k' of the result");
  EXPECT_ERROR(einsum("ij->ii", {a}), "einsum: 'i' of the result");
  EXPECT_ERROR(einsum("i2", {a}), "einsum: cannot read '2'");
  EXPECT_ERROR(einsum("ij->i,j", {a}), "einsum: cannot read ',j'");
  EXPECT_ERROR(einsum("......", {a}), "einsum: cannot read '...'");
  EXPECT_ERROR(einsum("ij", {whole}), "einsum: needs float32 or float64");
  EXPECT_ERROR(einsum("ij,ij", {a, narrow}), "einsum: operands are float64 and float32");
}

TEST(OpErrors, RunningAndSeveralAxes) {
  EXPECT_ERROR(cumsum(a, 2), "cumsum: ");
  EXPECT_ERROR(cumprod(a, -3), "cumprod: ");
  EXPECT_ERROR(linear_scan(b, a, 0), "linear_scan: ", "[4,2]", "[2,3]");
  EXPECT_ERROR(linear_scan(a, random_normal({3}), 0), "linear_scan: a is [2,3], which does not");
  EXPECT_ERROR(prod(a, {0, 0}), "prod: an axis is named twice");
  EXPECT_ERROR(amax(a, {0, -2}), "amax: an axis is named twice");
  EXPECT_ERROR(amin(a, 2), "amin: ");
  EXPECT_ERROR(logsumexp(a, {1, -1}), "logsumexp: an axis is named twice");
  EXPECT_ERROR(var(a, {1, 1}), "var: an axis is named twice");
  EXPECT_ERROR(std_dev(a, 5), "std_dev: ");
  EXPECT_ERROR(norm(a, 0, 1), "norm: the order must be above 0");
  EXPECT_ERROR(norm(a, 2, {1, 1}), "norm: an axis is named twice");
}

TEST(OpErrors, Padding) {
  EXPECT_ERROR(pad(a, {{2, 1, 1}}), "pad: ");
  EXPECT_ERROR(pad(a, {{1, 1, 1}, {-1, 0, 1}}), "pad: an axis is named twice");
  EXPECT_ERROR(pad(a, {{1, -2, -2}}), "pad: axis 1 of shape [2,3] is shorter");
  EXPECT_ERROR(pad(zeros({0, 2}), {{0, 1, 1}}, Pad::reflect),
               "pad: axis 0 of shape [0,2] is empty");
  EXPECT_ERROR(repeat(a, {2}), "repeat: [2] has fewer axes than x, [2,3]");
  EXPECT_ERROR(repeat(a, {2, -1}), "repeat: [2,-1] has a negative count");
  EXPECT_ERROR(roll(a, 1, 2), "roll: ");
  EXPECT_ERROR(tril(random_normal({3})), "tril: x is [3], not [...,M,N]");
  EXPECT_ERROR(slice(a, 1, 3, 0, -1), "slice: from 3 down to 0");
  EXPECT_ERROR(slice(a, 1, 1, 2, -1), "slice: from 1 down to 2");
  EXPECT_ERROR(slice(a, 1, 2, -2, -1), "slice: from 2 down to -2");
  EXPECT_ERROR(hardtanh(a, 1, 1), "hardtanh: ");
  EXPECT_ERROR(celu(a, 0), "celu: alpha must not be 0");
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
