// ONNX's node tests: attention.
#include "tests/onnx_node.h"

namespace unroll::testing::onnx {

const Ops& attention_ops() {
  static const Ops all;
  return all;
}

}  // namespace unroll::testing::onnx
