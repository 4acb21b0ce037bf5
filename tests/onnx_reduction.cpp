// ONNX's node tests: reductions, softmax and what else runs along axes.
#include "tests/onnx_node.h"

namespace unroll::testing::onnx {
namespace {

Axes axes_of(const Node& n, std::size_t input = 1) {
  Ints list = n.list(input, "axes");
  if (list.empty() && !n.get("noop_with_empty_axes", 0))
    for (int i = 0; i < n.in[0].rank(); i++) list.push_back(i);
  Axes axes;
  for (std::int64_t a : list) axes.axis[axes.count++] = static_cast<int>(a);
  return axes;
}

using Reduction = Tensor (*)(const Tensor&, const Axes&, bool);

Tensor sum_of_squares(const Tensor& x, const Axes& axes, bool keepdim) {
  return sum(square(x), axes, keepdim);
}
Tensor norm2(const Tensor& x, const Axes& axes, bool keepdim) { return norm(x, 2, axes, keepdim); }

// Truth values: the largest is "any", the smallest "all".
Run reduce(Reduction f) {
  return [f](const Node& n) {
    const Dtype dtype = n.in[0].dtype();
    const Tensor x = dtype == Dtype::boolean ? to(n.in[0], Dtype::float32) : n.in[0];
    return Tensors{to(f(x, axes_of(n), n.get("keepdims", 1)), dtype)};
  };
}

Run arg(Tensor (*f)(const Tensor&, int, bool, Tie)) {
  return [f](const Node& n) {
    const Tie tie = n.get("select_last_index", 0) ? Tie::last : Tie::first;
    return Tensors{f(n.in[0], n.axis(0), n.get("keepdims", 1), tie)};
  };
}

Tensors running_sum(const Node& n) {
  const int axis = int(to_vector<std::int64_t>(reshape(n.in[1], {1}))[0]);
  return {cumsum(n.in[0], axis,
                 {.exclusive = n.get("exclusive", 0) != 0, .reverse = n.get("reverse", 0) != 0})};
}

Run softmax_like(Tensor (*f)(const Tensor&, int)) {
  return [f](const Node& n) {
    const Tensor x = n.in[0];
    if (n.opset >= 13) return Tensors{f(x, n.axis(-1))};
    const int axis = normal_axis("softmax", n.axis(1), x.rank());  // everything from the axis on
    std::int64_t rows = 1;
    for (int i = 0; i < axis; i++) rows *= x.shape()[i];
    return Tensors{reshape(f(reshape(x, {rows, -1}), -1), x.shape())};
  };
}

}  // namespace

const Ops& reduction_ops() {
  static const Ops all = {
      {"ArgMax", arg(argmax)},
      {"ArgMin", arg(argmin)},
      {"CumSum", running_sum},
      {"LogSoftmax", softmax_like(log_softmax)},
      {"ReduceL2", reduce(norm2)},
      {"ReduceLogSumExp", reduce(logsumexp)},
      {"ReduceMax", reduce(amax)},
      {"ReduceMean", reduce(mean)},
      {"ReduceMin", reduce(amin)},
      {"ReduceProd", reduce(prod)},
      {"ReduceSum", reduce(sum)},
      {"ReduceSumSquare", reduce(sum_of_squares)},
      {"Softmax", softmax_like(softmax)},
  };
  return all;
}

}  // namespace unroll::testing::onnx
