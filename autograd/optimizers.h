// Optimisers over the flat buffer of Parameters, PyTorch's update rules, one pass per step.
//
//   Adam adam(parameters, {.lr = 3e-3});
//   clip_norm(parameters, 1.0);
//   adam.step(cosine(step, steps, 3e-3, 0.01));
//
// An optimiser keeps a reference to the Parameters, which must outlive it, and its state in flat
// tensors of their size and dtype: write and restore them with state(). Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "autograd/parameters.h"
#include "core/tensor.h"

namespace unroll {

/// What an optimiser remembers: named flat tensors and the number of steps done.
struct OptimizerState {
  struct Entry {
    std::string name;
    Tensor values;  // [P]
  };
  std::vector<Entry> entries;
  std::int64_t steps = 0;
};

struct SgdOptions {
  double lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
};

/// torch.optim.SGD.
class Sgd {
 public:
  /// Throws Error for a negative rate, momentum or decay, and for nesterov without momentum or
  /// with dampening.
  explicit Sgd(Parameters& parameters, SgdOptions options = {});
  /// One update from the gradients. `lr` replaces the option's rate for this step.
  void step(double lr);
  void step() { step(options_.lr); }
  OptimizerState state() const;
  /// Throws Error unless names and sizes fit.
  void restore(const OptimizerState& state);

 private:
  Parameters& parameters_;
  SgdOptions options_;
  Tensor velocity_;
  std::int64_t steps_ = 0;
};

struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool amsgrad = false;
  bool decoupled = false;  // true: AdamW (Loshchilov & Hutter 2019)
};

/// torch.optim.Adam (Kingma & Ba 2015), or AdamW with `decoupled`.
class Adam {
 public:
  /// Throws Error for a negative rate, eps or decay, and for betas outside [0, 1).
  explicit Adam(Parameters& parameters, AdamOptions options = {});
  void step(double lr);
  void step() { step(options_.lr); }
  OptimizerState state() const;
  void restore(const OptimizerState& state);

 private:
  Parameters& parameters_;
  AdamOptions options_;
  Tensor m_, v_, v_max_;
  std::int64_t steps_ = 0;
};

/// AdamW's defaults: decoupled weight decay of 0.01.
inline AdamOptions adamw(double lr = 1e-3, double weight_decay = 0.01) {
  return {.lr = lr, .weight_decay = weight_decay, .decoupled = true};
}

/// Euclidean norm of all gradients, summed in double.
double gradient_norm(const Parameters& parameters);

/// torch.nn.utils.clip_grad_norm_: scales the gradients so that their norm is at most max_norm, by
/// max_norm / (norm + 1e-6) where that is below 1. Returns the norm before. A norm that is not
/// finite leaves the gradients alone: the caller decides. Throws Error unless max_norm > 0.
double clip_norm(Parameters& parameters, double max_norm);

/// Cosine schedule: lr at step 0 falling to final_fraction * lr at `steps` (Loshchilov & Hutter
/// 2017, without restarts); constant beyond.
double cosine(std::int64_t step, std::int64_t steps, double lr, double final_fraction = 0);

}  // namespace unroll
