// ONNX's node tests: reductions, softmax and what else runs along axes.
#include "tests/onnx_node.h"

namespace unroll::testing::onnx {
namespace {

using Extreme = Tensor (*)(const Tensor&, int, bool);

Axes axes_of(const Node& n, std::size_t input = 1) {
  Ints list = n.list(input, "axes");
  if (list.empty() && !n.get("noop_with_empty_axes", 0))
    for (int i = 0; i < n.in[0].rank(); i++) list.push_back(i);
  Axes axes;
  for (std::int64_t a : list) axes.axis[axes.count++] = static_cast<int>(a);
  return axes;
}

Tensors reduce_sum(const Node& n) { return {sum(n.in[0], axes_of(n), n.get("keepdims", 1))}; }
Tensors reduce_mean(const Node& n) { return {mean(n.in[0], axes_of(n), n.get("keepdims", 1))}; }

Run reduce_extreme(Extreme f) {
  return [f](const Node& n) {
    if (n.in[0].numel() == 0) unsupported(n.op + " of nothing is an error here");
    Tensor y = n.in[0];
    const Axes axes = axes_of(n);
    for (int axis : axes) y = f(y, axis, true);
    if (!n.get("keepdims", 1)) {
      Shape left = y.shape();
      std::vector<bool> gone(static_cast<std::size_t>(left.rank()));
      for (int axis : axes) gone[std::size_t(normal_axis("axes", axis, left.rank()))] = true;
      for (int i = left.rank(); i-- > 0;)
        if (gone[std::size_t(i)]) left.erase(i);
      y = reshape(y, left);
    }
    return Tensors{y};
  };
}

Run arg(Extreme f) {
  return [f](const Node& n) {
    if (n.get("select_last_index", 0))
      unsupported(n.op + " of the last index: not in this version");
    return Tensors{f(n.in[0], n.axis(0), n.get("keepdims", 1))};
  };
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
      {"LogSoftmax", softmax_like(log_softmax)},
      {"ReduceMax", reduce_extreme(max)},
      {"ReduceMean", reduce_mean},
      {"ReduceMin", reduce_extreme(min)},
      {"ReduceSum", reduce_sum},
      {"Softmax", softmax_like(softmax)},
  };
  return all;
}

}  // namespace unroll::testing::onnx
