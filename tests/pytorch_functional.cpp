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
      {"hardtanh", [](const Tensor& x) { return clamp(x, -1, 1); }},
      {"max_dim", [](const Tensor& x) { return max(x, -1); }},
      {"amax_ties", [](const Tensor& x) { return max(round(x), -1); }},
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
  if (f != "matmul") unsupported(f + ": not in this version");
  if (a.rank() < 2 || b.rank() < 2) unsupported("matmul of a vector: not in this version");
  return {{"y", matmul(a, b)}};
}

}  // namespace

const Judges& functional_judges() {
  static const Judges all = {
      {"functional", [](const Case& c) { return judge_function(c, functional); }},
  };
  return all;
}

}  // namespace unroll::testing::pytorch
