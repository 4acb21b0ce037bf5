// PyTorch's cases: optimisers and gradient clipping.
#include "autograd/optimizers.h"
#include "tests/pytorch_case.h"

namespace unroll::testing::pytorch {
namespace {

// w0 g0 w1 g1 ..: the parameters before each step and its gradients.
template <class Options>
Outcome judge_steps(const File& file, const Options& options) {
  Parameters parameters(Dtype::float64);
  Tensor w = parameters.add("w", file.at("w0").shape());
  parameters.move_to(file.device());
  copy_into(w, file.at("w0"));
  Optimizer<Options> optimizer(parameters, options);
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
  parameters.move_to(file.device());
  for (const char* name : {"a", "b"}) {
    parameters.add(name, file.at(name).shape());
    Tensor g = parameters.gradient(name);
    copy_into(g, file.at(name));
  }
  const double norm = clip_norm(parameters, spec.at("max_norm"));
  std::string wrong = compare("norm", to(number(norm), file.device()), file.at("norm"));
  for (const std::string name : {"a", "b"})
    wrong += compare(name, parameters.gradient(name), file.at(name + "_clipped"));
  return wrong.empty() ? conformance::pass() : conformance::fail(wrong);
}

// The options that the spec gives, whatever the optimiser; the rest keeps its default.
template <class Options>
Options options_of(const Json& spec) {
  Options o;
  const auto set = [&](const char* name, auto& value) {
    if (spec.contains(name)) spec.at(name).get_to(value);
  };
  set("lr", o.lr);
  set("weight_decay", o.weight_decay);
  set("maximize", o.maximize);
  if constexpr (requires { o.eps; }) set("eps", o.eps);
  if constexpr (requires { o.momentum; }) set("momentum", o.momentum);
  if constexpr (requires { o.dampening; }) set("dampening", o.dampening);
  if constexpr (requires { o.nesterov; }) set("nesterov", o.nesterov);
  if constexpr (requires { o.amsgrad; }) set("amsgrad", o.amsgrad);
  if constexpr (requires { o.momentum_decay; }) set("momentum_decay", o.momentum_decay);
  if constexpr (requires { o.alpha; }) set("alpha", o.alpha);
  if constexpr (requires { o.centered; }) set("centered", o.centered);
  if constexpr (requires { o.lr_decay; }) set("lr_decay", o.lr_decay);
  if constexpr (requires { o.initial_accumulator_value; })
    set("initial_accumulator_value", o.initial_accumulator_value);
  if constexpr (requires { o.rho; }) set("rho", o.rho);
  if constexpr (requires { o.beta1; })
    if (spec.contains("betas")) o.beta1 = spec.at("betas").at(0), o.beta2 = spec.at("betas").at(1);
  return o;
}

// The spec does not name the optimiser: the file does, "adam_amsgrad".
Outcome judge_optimizer(const Case& c, Device device) {
  const File file(c, device);
  const Json& spec = c.entry.at("spec");
  const std::string stem = c.path.stem().string(), kind = stem.substr(0, stem.find('_'));
  if (stem == "clip_grad_norm") return judge_clip(file, spec);
  if (kind == "sgd") return judge_steps(file, options_of<SgdOptions>(spec));
  if (kind == "nadam") {
    NadamOptions options = options_of<NadamOptions>(spec);
    options.momentum_twice = file.metadata("torch").rfind("1.", 0) == 0;
    return judge_steps(file, options);
  }
  if (kind == "radam") return judge_steps(file, options_of<RadamOptions>(spec));
  if (kind == "rmsprop") return judge_steps(file, options_of<RmspropOptions>(spec));
  if (kind == "adagrad") return judge_steps(file, options_of<AdagradOptions>(spec));
  if (kind == "adadelta") return judge_steps(file, options_of<AdadeltaOptions>(spec));
  if (kind != "adam" && kind != "adamw") unsupported(kind + ": not in this version");
  AdamOptions options = options_of<AdamOptions>(spec);
  options.decoupled = kind == "adamw";
  return judge_steps(file, options);
}

}  // namespace

const Judges& optim_judges() {
  static const Judges all = {
      {"optim", judge_optimizer},
  };
  return all;
}

}  // namespace unroll::testing::pytorch
