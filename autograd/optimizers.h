// Optimisers over the flat buffer of Parameters: PyTorch's update rules, one pass per step.
//
//   Adam adam(parameters, {.lr = 3e-3}, {{with_prefix("decoder."), {.lr = 1e-3}}});
//   clip_norm(parameters, 1.0);
//   adam.step(cosine(step, steps, 3e-3, 0.01));       // schedules: autograd/schedules.h
//
// An optimiser keeps a reference to the Parameters, which must outlive it, and its state in flat
// tensors of their size and dtype: write and restore them with state(). Not thread-safe.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "autograd/parameters.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {

/// What an optimiser remembers: named tensors and the number of steps done.
struct OptimizerState {
  /// One tensor of the state.
  struct Entry {
    std::string name;
    Tensor values;  // [P]; what there is once per group: [1 + groups]
  };
  std::vector<Entry> entries;
  std::int64_t steps = 0;
};

// In all options: `weight_decay` times the parameter is added to the gradient, `maximize` climbs.

/// torch.optim.SGD.
struct SgdOptions {
  double lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;  // needs momentum and no dampening
  bool maximize = false;
};

/// torch.optim.Adam (Kingma & Ba 2015).
struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool amsgrad = false;
  bool decoupled = false;  // true: AdamW (Loshchilov & Hutter 2019)
  bool maximize = false;
};

/// AdamW's defaults: decoupled weight decay of 0.01.
inline AdamOptions adamw(double lr = 1e-3, double weight_decay = 0.01) {
  return {.lr = lr, .weight_decay = weight_decay, .decoupled = true};
}

/// torch.optim.NAdam (Dozat 2016).
struct NadamOptions {
  double lr = 2e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double momentum_decay = 4e-3;
  // As PyTorch 1 had it: the product of the momenta that corrects the average of the gradients
  // counts that of the step twice.
  bool momentum_twice = false;
  bool maximize = false;
};

/// torch.optim.RAdam (Liu et al. 2020).
struct RadamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool maximize = false;
};

/// torch.optim.RMSprop (Hinton 2012; centred: Graves 2013).
struct RmspropOptions {
  double lr = 1e-2, alpha = 0.99, eps = 1e-8, momentum = 0, weight_decay = 0;
  bool centered = false;
  bool maximize = false;
};

/// torch.optim.Adagrad (Duchi, Hazan & Singer 2011).
struct AdagradOptions {
  double lr = 1e-2, lr_decay = 0, eps = 1e-10, weight_decay = 0;
  double initial_accumulator_value = 0;  // of the sum of squares
  bool maximize = false;
};

/// torch.optim.Adadelta (Zeiler 2012).
struct AdadeltaOptions {
  double lr = 1, rho = 0.9, eps = 1e-6, weight_decay = 0;
  bool maximize = false;
};

/// Parameters with options of their own: those whose names `holds` accepts.
template <class Options>
struct ParameterGroup {
  /// Whether the parameter of a name is one of them.
  std::function<bool(const std::string& name)> holds;
  Options options;
};

/// Accepts the names that begin with `prefix`.
inline std::function<bool(const std::string&)> with_prefix(std::string prefix) {
  return [prefix = std::move(prefix)](const std::string& name) { return name.starts_with(prefix); };
}

/// One optimiser for each of the options above: Sgd, Adam, ... below.
template <class Options>
class UNROLL_API Optimizer {
 public:
  using Group = ParameterGroup<Options>;

  /// A parameter belongs to the first group that holds it, and has `options` where none does. Make
  /// it when all parameters are added. Throws Error, naming the option, for a negative rate, eps,
  /// decay or momentum and for an average's weight outside [0, 1); and for a group that holds no
  /// parameter.
  explicit Optimizer(Parameters& parameters, Options options = {},
                     const std::vector<Group>& groups = {});

  /// One update from the gradients. `lr` replaces the rate of `options` for this step, and the
  /// groups' rates change in proportion. Throws Error where parameters were added since, or the
  /// groups' rates are in no proportion because that of `options` is 0.
  void step(double lr);
  void step();

  /// Copies of all that it remembers.
  OptimizerState state() const;
  /// Throws Error unless names and sizes fit.
  void restore(const OptimizerState& state);

 private:
  struct Range {  // adjacent parameters of one group
    std::size_t group;
    std::int64_t begin, count;
  };
  void find_ranges(const std::vector<Group>& groups);
  void update(const Range& range, double lr);

  Parameters& parameters_;
  std::vector<Options> options_;  // at 0: of all that are in no group
  std::vector<Range> ranges_;
  std::int64_t size_;  // of the parameters when this was made
  Tensors slots_;      // [P] each; undefined where no group needs it
  Tensor products_;    // [1 + groups], float64: of NAdam's momenta; undefined elsewhere
  std::int64_t steps_ = 0;
};

/// PyTorch's optimisers, by name.
using Sgd = Optimizer<SgdOptions>;
using Adam = Optimizer<AdamOptions>;  // and AdamW
using Nadam = Optimizer<NadamOptions>;
using Radam = Optimizer<RadamOptions>;
using Rmsprop = Optimizer<RmspropOptions>;
using Adagrad = Optimizer<AdagradOptions>;
using Adadelta = Optimizer<AdadeltaOptions>;

extern template class Optimizer<SgdOptions>;
extern template class Optimizer<AdamOptions>;
extern template class Optimizer<NadamOptions>;
extern template class Optimizer<RadamOptions>;
extern template class Optimizer<RmspropOptions>;
extern template class Optimizer<AdagradOptions>;
extern template class Optimizer<AdadeltaOptions>;

/// Euclidean norm of all gradients, summed in double.
double gradient_norm(const Parameters& parameters);

/// torch.nn.utils.clip_grad_norm_: scales the gradients so that their norm is at most max_norm, by
/// max_norm / (norm + 1e-6) where that is below 1. Returns the norm before. A norm that is not
/// finite leaves the gradients alone: the caller decides. Throws Error unless max_norm > 0.
double clip_norm(Parameters& parameters, double max_norm);

/// torch.nn.utils.clip_grad_value_: each element of the gradients to [-limit, limit]; NaN stays.
/// Throws Error unless limit > 0.
void clip_value(Parameters& parameters, double limit);

}  // namespace unroll
