// ONNX's node tests: products.
#include "tests/onnx_node.h"

namespace unroll::testing::onnx {
namespace {

Tensors product(const Node& n) { return {matmul(n.in[0], n.in[1])}; }

Tensors einsums(const Node& n) { return {einsum(n.get<std::string>("equation", ""), n.in)}; }

Tensors gemm(const Node& n) {
  const auto turned = [&](const Tensor& x, const char* flag) {
    return n.get(flag, 0) ? transpose(x, 0, 1) : x;
  };
  Tensor y = matmul(turned(n.in[0], "transA"), turned(n.in[1], "transB")) * n.get("alpha", 1.0);
  if (n.input(2)) y = y + n.in[2] * n.get("beta", 1.0);
  return {y};
}

}  // namespace

const Ops& product_ops() {
  static const Ops all = {
      {"Einsum", einsums},
      {"Gemm", gemm},
      {"MatMul", product},
  };
  return all;
}

}  // namespace unroll::testing::onnx
