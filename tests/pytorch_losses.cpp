// PyTorch's cases: losses.
#include "tests/pytorch_case.h"

namespace unroll::testing::pytorch {
namespace {

using Loss = Tensor (*)(const Tensor& x, const Tensor& t);

const std::map<std::string, Loss>& losses() {
  static const std::map<std::string, Loss> all = {
      {"mse_mean", [](const Tensor& x, const Tensor& t) { return mse_loss(x, t); }},
      {"mse_sum", [](const Tensor& x, const Tensor& t) { return mse_loss(x, t, Reduction::sum); }},
      {"mse_none",
       [](const Tensor& x, const Tensor& t) { return mse_loss(x, t, Reduction::none); }},
      {"l1", [](const Tensor& x, const Tensor& t) { return l1_loss(x, t); }},
      {"smooth_l1_beta05",
       [](const Tensor& x, const Tensor& t) { return smooth_l1_loss(x, t, 0.5); }},
      {"huber_delta2", [](const Tensor& x, const Tensor& t) { return huber_loss(x, t, 2); }},
      // The case's target is sigmoid(t).
      {"bce_logits",
       [](const Tensor& x, const Tensor& t) {
         return binary_cross_entropy_with_logits(x, sigmoid(t));
       }},
      // 1 - the mean of the rows' cosines.
      {"cosine_embedding",
       [](const Tensor& x, const Tensor& t) {
         return cosine_embedding_loss(x, t, ones({x.shape()[0]}, Dtype::int64, x.device()));
       }},
  };
  return all;
}

Reduction reduction_of(const Json& spec) {
  const std::string name = spec.value("reduction", "mean");
  if (name == "none") return Reduction::none;
  return name == "sum" ? Reduction::sum : Reduction::mean;
}

Named loss(const File& file, const Json& spec) {
  const std::string f = spec.at("f");
  const Tensor x = file.input("x"), t = file.input("t");
  if (losses().count(f)) return {{"loss", losses().at(f)(x, t)}};
  if (f != "cross_entropy") unsupported(f + ": not in this version");
  return {{"loss", cross_entropy(x, t,
                                 {.weight = file.input("weight"),
                                  .ignore_index = spec.value("ignore_index", -100),
                                  .label_smoothing = spec.value("label_smoothing", 0.0),
                                  .reduction = reduction_of(spec)})}};
}

}  // namespace

const Judges& losses_judges() {
  static const Judges all = {
      {"losses", judge_of(loss)},
  };
  return all;
}

}  // namespace unroll::testing::pytorch
