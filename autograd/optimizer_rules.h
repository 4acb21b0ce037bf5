// What tells one optimiser from another. Private to autograd/optimizers.cpp.
//
//   Rule<AdamOptions>::check(options);
//   Rule<AdamOptions>::run<float>(device, options, span);     // one range of the flat buffers
#pragma once

#include <cmath>
#include <string>

#include "autograd/operands.h"
#include "autograd/optimizers.h"
#include "kernels/optimizer.h"

namespace unroll::detail {

inline constexpr int kMostSlots = 3;

/// One range of the flat buffers in one step.
template <class T>
struct Span {
  std::int64_t count;
  std::int64_t step;  // 1 on the first
  double lr;
  double grad_scale;  // -1 to maximise
  double product;     // of the group's momenta up to this step (NAdam)
  const T* grad;
  T* param;
  T* slot[kMostSlots];  // null where the group does not need it
};

// The checks of options that several optimisers have.
struct Checked {
  const char* op;

  void require(bool valid, const char* what, double value) const {
    if (!valid) fail(op, std::string(what) + " " + std::to_string(value) + " is out of range");
  }
  void not_negative(const char* what, double value) const { require(value >= 0, what, value); }
  void weight(const char* what, double value) const {
    require(value >= 0 && value < 1, what, value);
  }
  template <class Options>
  void common(const Options& o) const {
    not_negative("lr", o.lr);
    not_negative("weight_decay", o.weight_decay);
    if constexpr (requires { o.eps; }) not_negative("eps", o.eps);
    if constexpr (requires { o.momentum; }) not_negative("momentum", o.momentum);
    if constexpr (requires { o.beta1; }) weight("beta1", o.beta1), weight("beta2", o.beta2);
  }
};

/// What tells one optimiser from another: its name and those of its slots (PyTorch's), further
/// checks, which slots a group needs, and the kernel.
template <class Options>
struct Rule;

template <>
struct Rule<SgdOptions> {
  static constexpr const char* name = "sgd";
  static constexpr const char* slots[] = {"momentum_buffer"};
  static void check(const SgdOptions& o) {
    if (o.nesterov && (o.momentum == 0 || o.dampening != 0))
      fail(name, "nesterov needs momentum and no dampening");
  }
  static bool needs(const SgdOptions& o, std::size_t) { return o.momentum != 0; }
  template <class T>
  static void run(const Device& device, const SgdOptions& o, const Span<T>& at) {
    const SgdShape shape{.count = at.count,
                         .first = at.step == 1,
                         .lr = at.lr,
                         .momentum = o.momentum,
                         .dampening = o.dampening,
                         .weight_decay = o.weight_decay,
                         .nesterov = o.nesterov,
                         .grad_scale = at.grad_scale};
    UNROLL_ON_DEVICE(device, sgd<T>(shape, {at.grad, at.param, at.slot[0]}));
  }
};

// The shape of Adam and its relatives.
template <class T, class Options>
AdamShape adam_shape(const Options& o, const Span<T>& at) {
  return {.count = at.count,
          .step = at.step,
          .lr = at.lr,
          .beta1 = o.beta1,
          .beta2 = o.beta2,
          .eps = o.eps,
          .weight_decay = o.weight_decay,
          .grad_scale = at.grad_scale};
}

template <class T>
void run_adam(const Device& device, const AdamShape& shape, const Span<T>& at) {
  const AdamArgs<T> args{at.grad, at.param, at.slot[0], at.slot[1], at.slot[2]};
  UNROLL_ON_DEVICE(device, adam<T>(shape, args));
}

template <>
struct Rule<AdamOptions> {
  static constexpr const char* name = "adam";
  static constexpr const char* slots[] = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  static void check(const AdamOptions&) {}
  static bool needs(const AdamOptions& o, std::size_t slot) { return slot < 2 || o.amsgrad; }
  template <class T>
  static void run(const Device& device, const AdamOptions& o, const Span<T>& at) {
    AdamShape shape = adam_shape(o, at);
    shape.decoupled = o.decoupled;
    run_adam(device, shape, at);
  }
};

template <>
struct Rule<NadamOptions> {
  static constexpr const char* name = "nadam";
  static constexpr const char* slots[] = {"exp_avg", "exp_avg_sq"};
  static void check(const NadamOptions& o) {
    Checked{name}.not_negative("momentum_decay", o.momentum_decay);
  }
  static double momentum(const NadamOptions& o, std::int64_t step) {
    return o.beta1 * (1 - 0.5 * std::pow(0.96, static_cast<double>(step) * o.momentum_decay));
  }
  static bool needs(const NadamOptions&, std::size_t) { return true; }
  template <class T>
  static void run(const Device& device, const NadamOptions& o, const Span<T>& at) {
    AdamShape shape = adam_shape(o, at);
    shape.rule = AdamRule::nadam;
    shape.mu = momentum(o, at.step);
    shape.mu_next = momentum(o, at.step + 1);
    shape.mu_product = at.product;
    shape.mu_product_next = at.product * shape.mu_next * (o.momentum_twice ? shape.mu : 1);
    run_adam(device, shape, at);
  }
};

template <>
struct Rule<RadamOptions> {
  static constexpr const char* name = "radam";
  static constexpr const char* slots[] = {"exp_avg", "exp_avg_sq"};
  static void check(const RadamOptions&) {}
  static bool needs(const RadamOptions&, std::size_t) { return true; }
  template <class T>
  static void run(const Device& device, const RadamOptions& o, const Span<T>& at) {
    AdamShape shape = adam_shape(o, at);
    shape.rule = AdamRule::radam;
    run_adam(device, shape, at);
  }
};

template <>
struct Rule<RmspropOptions> {
  static constexpr const char* name = "rmsprop";
  static constexpr const char* slots[] = {"square_avg", "grad_avg", "momentum_buffer"};
  static void check(const RmspropOptions& o) { Checked{name}.weight("alpha", o.alpha); }
  static bool needs(const RmspropOptions& o, std::size_t slot) {
    return slot == 0 || (slot == 1 ? o.centered : o.momentum != 0);
  }
  template <class T>
  static void run(const Device& device, const RmspropOptions& o, const Span<T>& at) {
    const RmspropShape shape{.count = at.count,
                             .lr = at.lr,
                             .alpha = o.alpha,
                             .eps = o.eps,
                             .momentum = o.momentum,
                             .weight_decay = o.weight_decay,
                             .grad_scale = at.grad_scale};
    const RmspropArgs<T> args{at.grad, at.param, at.slot[0], at.slot[1], at.slot[2]};
    UNROLL_ON_DEVICE(device, rmsprop<T>(shape, args));
  }
};

template <>
struct Rule<AdagradOptions> {
  static constexpr const char* name = "adagrad";
  static constexpr const char* slots[] = {"sum"};
  static void check(const AdagradOptions& o) {
    Checked{name}.not_negative("lr_decay", o.lr_decay);
    Checked{name}.not_negative("initial_accumulator_value", o.initial_accumulator_value);
  }
  static bool needs(const AdagradOptions&, std::size_t) { return true; }
  static double start(const AdagradOptions& o) { return o.initial_accumulator_value; }
  template <class T>
  static void run(const Device& device, const AdagradOptions& o, const Span<T>& at) {
    const AdagradShape shape{.count = at.count,
                             .lr = at.lr / (1 + static_cast<double>(at.step - 1) * o.lr_decay),
                             .eps = o.eps,
                             .weight_decay = o.weight_decay,
                             .grad_scale = at.grad_scale};
    UNROLL_ON_DEVICE(device, adagrad<T>(shape, {at.grad, at.param, at.slot[0]}));
  }
};

template <>
struct Rule<AdadeltaOptions> {
  static constexpr const char* name = "adadelta";
  static constexpr const char* slots[] = {"square_avg", "acc_delta"};
  static void check(const AdadeltaOptions& o) { Checked{name}.weight("rho", o.rho); }
  static bool needs(const AdadeltaOptions&, std::size_t) { return true; }
  template <class T>
  static void run(const Device& device, const AdadeltaOptions& o, const Span<T>& at) {
    const AdadeltaShape shape{.count = at.count,
                              .lr = at.lr,
                              .rho = o.rho,
                              .eps = o.eps,
                              .weight_decay = o.weight_decay,
                              .grad_scale = at.grad_scale};
    UNROLL_ON_DEVICE(device, adadelta<T>(shape, {at.grad, at.param, at.slot[0], at.slot[1]}));
  }
};

}  // namespace unroll::detail
