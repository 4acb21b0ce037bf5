// PyTorch's cases: functions of one or two tensors.
#include "tests/pytorch_case.h"

namespace unroll::testing::pytorch {
namespace {

const std::map<std::string, Tensor (*)(const Tensor&)>& functions() {
  static const std::map<std::string, Tensor (*)(const Tensor&)> all = {
      {"softmax_last", [](const Tensor& x) { return softmax(x, -1); }},
      {"softmax_mid", [](const Tensor& x) { return softmax(x, 1); }},
      {"log_softmax", [](const Tensor& x) { return log_softmax(x, -1); }},
      {"softplus", softplus},
      {"hardtanh", [](const Tensor& x) { return hardtanh(x); }},
      {"gelu", gelu},
      {"gelu_tanh", gelu_tanh},
      {"silu", silu},
      {"elu", [](const Tensor& x) { return elu(x); }},
      {"leaky_relu", [](const Tensor& x) { return leaky_relu(x); }},
      {"softsign", softsign},
      {"logsumexp", [](const Tensor& x) { return logsumexp(x, -1); }},
      {"var_unbiased", [](const Tensor& x) { return var(x, -1); }},
      {"var_biased", [](const Tensor& x) { return var(x, -1, false); }},
      {"std", [](const Tensor& x) { return std_dev(x, -1); }},
      {"norm2", [](const Tensor& x) { return norm(x, 2, -1); }},
      {"cumsum", [](const Tensor& x) { return cumsum(x, 1); }},
      {"cumprod", [](const Tensor& x) { return cumprod(x, 1); }},
      {"prod", [](const Tensor& x) { return prod(x, -1); }},
      {"roll", [](const Tensor& x) { return roll(x, 1, 1); }},
      {"max_dim", [](const Tensor& x) { return max(x, -1); }},
      {"amax_ties", [](const Tensor& x) { return amax(round(x), -1); }},
      {"expm1", expm1},
      {"log1p_abs", [](const Tensor& x) { return log1p(abs(x)); }},
      {"clamp", [](const Tensor& x) { return clamp(x, -0.5, 0.5); }},
      {"flip", [](const Tensor& x) { return flip(x, 1); }},
  };
  return all;
}

Named functional(const File& file, const Json& spec) {
  const std::string f = spec.at("f");
  if (functions().count(f)) return {{"y", functions().at(f)(file.input("x"))}};
  const Tensor a = file.input("a"), b = file.input("b");
  if (f == "add") return {{"y", a + b}};
  if (f == "mul") return {{"y", a * b}};
  if (f == "div") return {{"y", a / b}};
  if (f == "matmul") return {{"y", matmul(a, b)}};
  unsupported(f + ": not in this version");
}

}  // namespace

const Judges& functional_judges() {
  static const Judges all = {
      {"functional", judge_of(functional)},
  };
  return all;
}

}  // namespace unroll::testing::pytorch
