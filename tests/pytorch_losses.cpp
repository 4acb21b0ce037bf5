// PyTorch's cases: losses.
#include "tests/pytorch_case.h"

namespace unroll::testing::pytorch {
namespace {

Named loss(const File& file, const Json& spec) {
  const std::string f = spec.at("f");
  const Tensor x = file.input("x"), t = file.input("t");
  if (f == "mse_mean") return {{"loss", mse_loss(x, t)}};
  if (f == "l1") return {{"loss", l1_loss(x, t)}};
  unsupported(f + ": not in this version");
}

}  // namespace

const Judges& losses_judges() {
  static const Judges all = {
      {"losses", [](const Case& c) { return judge_function(c, loss); }},
  };
  return all;
}

}  // namespace unroll::testing::pytorch
