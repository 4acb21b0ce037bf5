// PyTorch's cases: Linear, LayerNorm and Embedding.
#include "tests/pytorch_case.h"

namespace unroll::testing::pytorch {
namespace {

Named linear_case(const File& f, const Json&) {
  return {{"y", linear(f.input("x"), f.param("weight"), f.param("bias"))}};
}

}  // namespace

const Judges& layers_judges() {
  static const Judges all = {
      {"Linear", [](const Case& c) { return judge_function(c, linear_case); }},
  };
  return all;
}

}  // namespace unroll::testing::pytorch
