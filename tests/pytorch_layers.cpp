// PyTorch's cases: Linear, LayerNorm and Embedding.
#include <optional>

#include "tests/pytorch_case.h"

namespace unroll::testing::pytorch {
namespace {

Named linear_case(const File& f, const Json&) {
  return {{"y", linear(f.input("x"), f.param("weight"), f.param("bias"))}};
}

Named layer_norm_case(const File& f, const Json& spec) {
  const auto sizes = spec.at("normalized_shape").get<std::vector<std::int64_t>>();
  return {{"y", layer_norm(f.input("x"), Shape(sizes), f.param("weight"), f.param("bias"),
                           spec.value("eps", 1e-5))}};
}

Named embedding_case(const File& f, const Json& spec) {
  std::optional<std::int64_t> padding;
  if (spec.contains("padding_idx") && !spec.at("padding_idx").is_null())
    padding = spec.at("padding_idx").get<std::int64_t>();
  return {{"y", embedding(f.param("weight"), f.input("ix"), padding)}};
}

}  // namespace

const Judges& layers_judges() {
  static const Judges all = {
      {"Linear", judge_of(linear_case)},
      {"LayerNorm", judge_of(layer_norm_case)},
      {"Embedding", judge_of(embedding_case)},
  };
  return all;
}

}  // namespace unroll::testing::pytorch
