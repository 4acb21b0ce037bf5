// ONNX's node tests: normalisation, losses and optimisers.
#include "tests/onnx_node.h"

namespace unroll::testing::onnx {

const Ops& layers_ops() {
  static const Ops all;
  return all;
}

}  // namespace unroll::testing::onnx
