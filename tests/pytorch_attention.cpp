// PyTorch's cases: MultiheadAttention.
#include "tests/pytorch_case.h"

namespace unroll::testing::pytorch {

const Judges& attention_judges() {
  static const Judges all;
  return all;
}

}  // namespace unroll::testing::pytorch
