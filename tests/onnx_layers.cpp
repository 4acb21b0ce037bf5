// ONNX's node tests: normalisation, losses and optimisers.
#include "tests/onnx_node.h"

namespace unroll::testing::onnx {
namespace {

// Normalises the axes from `axis` on; outputs Y, Mean and InvStdDev.
Tensors layer_normalization(const Node& n) {
  const Tensor& x = n.in[0];
  const int first = n.axis(-1) < 0 ? n.axis(-1) + x.rank() : n.axis(-1);
  Shape shape;
  for (int i = first; i < x.rank(); i++) shape.insert(shape.rank(), x.shape()[i]);
  const LayerNormOut out = layer_norm_stats(x, shape, n.in[1], n.input(2), n.get("epsilon", 1e-5));
  return {out.y, out.mean, out.inv_sd};
}

[[noreturn]] Tensors training_operator(const Node& n) {
  unsupported(n.op + ": ONNX's training operators are out of scope");
}

}  // namespace

const Ops& layers_ops() {
  static const Ops all = {
      {"Adagrad", training_operator},
      {"Adam", training_operator},
      {"LayerNormalization", layer_normalization},
      {"Momentum", training_operator},
  };
  return all;
}

}  // namespace unroll::testing::onnx
