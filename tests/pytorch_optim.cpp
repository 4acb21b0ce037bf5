// PyTorch's cases: optimisers and gradient clipping.
#include "autograd/optimizers.h"
#include "tests/pytorch_case.h"

namespace unroll::testing::pytorch {
namespace {

// w0 g0 w1 g1 ..: the parameters before each step and its gradients.
template <class Optimizer, class Options>
Outcome judge_steps(const File& file, const Options& options) {
  Parameters parameters(Dtype::float64);
  Tensor w = parameters.add("w", file.at("w0").shape());
  copy_into(w, file.at("w0"));
  Optimizer optimizer(parameters, options);
  std::string wrong;
  for (int i = 0; file.at("g" + std::to_string(i)); i++) {
    Tensor g = parameters.gradient("w");
    copy_into(g, file.at("g" + std::to_string(i)));
    optimizer.step();
    const std::string next = "w" + std::to_string(i + 1);
    wrong += compare(next, w, file.at(next));
  }
  return wrong.empty() ? conformance::pass() : conformance::fail(wrong);
}

Outcome judge_clip(const File& file, const Json& spec) {
  Parameters parameters(Dtype::float64);
  for (const char* name : {"a", "b"}) {
    parameters.add(name, file.at(name).shape());
    Tensor g = parameters.gradient(name);
    copy_into(g, file.at(name));
  }
  const double norm = clip_norm(parameters, spec.at("max_norm"));
  std::string wrong = compare("norm", number(norm), file.at("norm"));
  for (const std::string name : {"a", "b"})
    wrong += compare(name, parameters.gradient(name), file.at(name + "_clipped"));
  return wrong.empty() ? conformance::pass() : conformance::fail(wrong);
}

// The spec does not name the optimiser: the file does, "adam_amsgrad".
Outcome judge_optimizer(const Case& c) {
  const File file(c);
  const Json& spec = c.entry.at("spec");
  const std::string stem = c.path.stem().string(), kind = stem.substr(0, stem.find('_'));
  if (stem == "clip_grad_norm") return judge_clip(file, spec);
  for (const char* flag : {"maximize", "centered"})
    if (spec.value(flag, false)) unsupported(stem + ": " + flag + " is not in this version");
  if (kind == "sgd")
    return judge_steps<Sgd>(file, SgdOptions{.lr = spec.at("lr"),
                                             .momentum = spec.at("momentum"),
                                             .dampening = spec.at("dampening"),
                                             .weight_decay = spec.at("weight_decay"),
                                             .nesterov = spec.at("nesterov")});
  if (kind == "adam" || kind == "adamw")
    return judge_steps<Adam>(file, AdamOptions{.lr = spec.at("lr"),
                                               .beta1 = spec.at("betas").at(0),
                                               .beta2 = spec.at("betas").at(1),
                                               .eps = spec.at("eps"),
                                               .weight_decay = spec.at("weight_decay"),
                                               .amsgrad = spec.at("amsgrad"),
                                               .decoupled = kind == "adamw"});
  unsupported(kind + ": not in this version");
}

}  // namespace

const Judges& optim_judges() {
  static const Judges all = {
      {"optim", judge_optimizer},
  };
  return all;
}

}  // namespace unroll::testing::pytorch
