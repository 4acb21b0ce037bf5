// ONNX's node tests: elementwise ops with broadcasting.
#include <limits>

#include "tests/onnx_node.h"

namespace unroll::testing::onnx {
namespace {

// Before opset 7 the second operand's axes were placed by an attribute.
Tensor old_broadcast(const Node& n, Tensor b) {
  if (!n.has("axis")) return b;
  while (b.rank() + n.axis(0) < n.in[0].rank()) b = unsqueeze(b, -1);
  return b;
}

Run unary(Tensor (*f)(const Tensor&)) {
  return [f](const Node& n) { return Tensors{f(n.in[0])}; };
}
Run binary(Tensor (*f)(const Tensor&, const Tensor&)) {
  return [f](const Node& n) {
    if (n.in[0].dtype() != n.in[1].dtype()) unsupported(n.op + " of mixed types");
    return Tensors{f(n.in[0], old_broadcast(n, n.in[1]))};
  };
}
Run folded(Tensor (*f)(const Tensor&, const Tensor&), bool averaged = false) {
  return [=](const Node& n) {
    Tensor y = n.in[0];
    for (std::size_t i = 1; i < n.in.size(); i++) y = f(y, n.in[i]);
    return Tensors{averaged ? y / double(n.in.size()) : y};
  };
}

// Whole numbers on either side are converted, and the result to the type of the base.
Tensors power(const Node& n) {
  const Dtype dtype = n.in[0].dtype(), real = is_real(dtype) ? dtype : Dtype::float64;
  return {to(pow(to(n.in[0], real), to(old_broadcast(n, n.in[1]), real)), dtype)};
}

// A function with one attribute.
Run with_alpha(Tensor (*f)(const Tensor&, double), double otherwise) {
  return [=](const Node& n) { return Tensors{f(n.in[0], n.get("alpha", otherwise))}; };
}

Tensors gelus(const Node& n) {
  const bool approximate = n.get<std::string>("approximate", "none") == "tanh";
  return {approximate ? gelu_tanh(n.in[0]) : gelu(n.in[0])};
}

// x sigmoid(alpha x)
Tensors swish(const Node& n) {
  const double alpha = n.get("alpha", 1.0);
  return {silu(n.in[0] * alpha) / alpha};
}

Tensors clip(const Node& n) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const double low = n.input(1) ? n.in[1].item() : n.get("min", -inf);
  const double high = n.input(2) ? n.in[2].item() : n.get("max", inf);
  if (low > high) return {full(n.in[0].shape(), high, n.in[0].dtype(), n.in[0].device())};
  return {clamp(n.in[0], low, high)};
}

}  // namespace

const Ops& elementwise_ops() {
  static const Ops all = {
      {"Abs", unary(abs)},
      {"Add", binary(add)},
      {"Clip", clip},
      {"Cos", unary(cos)},
      {"Div", binary(div)},
      {"Elu", with_alpha(elu, 1.0)},
      {"Equal", binary(eq)},
      {"Erf", unary(erf)},
      {"Exp", unary(exp)},
      {"Gelu", gelus},
      {"Greater", binary(gt)},
      {"LeakyRelu", with_alpha(leaky_relu, 0.01)},
      {"Less", binary(lt)},
      {"Log", unary(log)},
      {"Max", folded(maximum)},
      {"Mean", folded(add, true)},
      {"Min", folded(minimum)},
      {"Mul", binary(mul)},
      {"Neg", unary(neg)},
      {"Pow", power},
      {"Reciprocal", unary(reciprocal)},
      {"Relu", unary(relu)},
      {"Sigmoid", unary(sigmoid)},
      {"Sign", unary(sign)},
      {"Sin", unary(sin)},
      {"Softplus", unary(softplus)},
      {"Softsign", unary(softsign)},
      {"Sqrt", unary(sqrt)},
      {"Sub", binary(sub)},
      {"Sum", folded(add)},
      {"Swish", swish},
      {"Tanh", unary(tanh)},
      {"Where", [](const Node& n) { return Tensors{where(n.in[0], n.in[1], n.in[2])}; }},
  };
  return all;
}

}  // namespace unroll::testing::onnx
