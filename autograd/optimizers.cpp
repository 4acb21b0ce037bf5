#include "autograd/optimizers.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "autograd/operands.h"
#include "kernels/optimizer.h"

namespace unroll {
namespace {

void require(const char* op, bool valid, const char* what, double value) {
  if (!valid || std::isnan(value))
    fail(op, std::string(what) + " " + std::to_string(value) + " is out of range");
}

// The state was made for the parameters that there were then.
void require_fits(const char* op, const Tensor& state, const Parameters& parameters) {
  if (state && state.numel() != parameters.size())
    fail(op, "was made for " + std::to_string(state.numel()) + " parameters but there are " +
                 std::to_string(parameters.size()) + " now; make it when all are added");
}

Tensor flat_zeros(const Parameters& p) { return zeros({p.size()}, p.dtype()); }

template <class Real>
Real* pointer(Tensor& t) {
  return t ? t.mutable_data<Real>() : nullptr;
}

void restore_entry(const OptimizerState& state, const char* name, Tensor& into) {
  if (!into) return;
  for (const auto& entry : state.entries)
    if (entry.name == name) return copy_into(into, entry.values);
  fail("optimizer", std::string("the saved state has no ") + name);
}

void add_entry(OptimizerState& state, const char* name, const Tensor& values) {
  if (values) state.entries.push_back({name, values});
}

}  // namespace

Sgd::Sgd(Parameters& parameters, SgdOptions options) : parameters_(parameters), options_(options) {
  require("sgd", options.lr >= 0, "lr", options.lr);
  require("sgd", options.momentum >= 0, "momentum", options.momentum);
  require("sgd", options.weight_decay >= 0, "weight_decay", options.weight_decay);
  if (options.nesterov && (options.momentum == 0 || options.dampening != 0))
    fail("sgd", "nesterov needs momentum and no dampening");
  if (options.momentum != 0) velocity_ = flat_zeros(parameters);
}

void Sgd::step(double lr) {
  require_fits("sgd", velocity_, parameters_);
  const SgdShape shape{.count = parameters_.size(),
                       .first = steps_ == 0,
                       .lr = lr,
                       .momentum = options_.momentum,
                       .dampening = options_.dampening,
                       .weight_decay = options_.weight_decay,
                       .nesterov = options_.nesterov};
  with_real(parameters_.dtype(), [&](auto type) {
    using T = decltype(type);
    Tensor& flat = parameters_.mutable_flat();
    const SgdArgs<T> args{parameters_.gradients().data<T>(), flat.mutable_data<T>(),
                          pointer<T>(velocity_)};
    UNROLL_ON_DEVICE(flat.device(), sgd<T>(shape, args));
  });
  steps_++;
}

OptimizerState Sgd::state() const {
  OptimizerState state{{}, steps_};
  add_entry(state, "momentum_buffer", velocity_);
  return state;
}

void Sgd::restore(const OptimizerState& state) {
  restore_entry(state, "momentum_buffer", velocity_);
  steps_ = state.steps;
}

Adam::Adam(Parameters& parameters, AdamOptions options)
    : parameters_(parameters), options_(options) {
  require("adam", options.lr >= 0, "lr", options.lr);
  require("adam", options.eps >= 0, "eps", options.eps);
  require("adam", options.weight_decay >= 0, "weight_decay", options.weight_decay);
  require("adam", options.beta1 >= 0 && options.beta1 < 1, "beta1", options.beta1);
  require("adam", options.beta2 >= 0 && options.beta2 < 1, "beta2", options.beta2);
  m_ = flat_zeros(parameters);
  v_ = flat_zeros(parameters);
  if (options.amsgrad) v_max_ = flat_zeros(parameters);
}

void Adam::step(double lr) {
  require_fits("adam", m_, parameters_);
  const AdamShape shape{.count = parameters_.size(),
                        .step = ++steps_,
                        .lr = lr,
                        .beta1 = options_.beta1,
                        .beta2 = options_.beta2,
                        .eps = options_.eps,
                        .weight_decay = options_.weight_decay,
                        .decoupled = options_.decoupled};
  with_real(parameters_.dtype(), [&](auto type) {
    using T = decltype(type);
    Tensor& flat = parameters_.mutable_flat();
    const AdamArgs<T> args{parameters_.gradients().data<T>(), flat.mutable_data<T>(),
                           pointer<T>(m_), pointer<T>(v_), pointer<T>(v_max_)};
    UNROLL_ON_DEVICE(flat.device(), adam<T>(shape, args));
  });
}

OptimizerState Adam::state() const {
  OptimizerState state{{}, steps_};
  add_entry(state, "exp_avg", m_);
  add_entry(state, "exp_avg_sq", v_);
  add_entry(state, "max_exp_avg_sq", v_max_);
  return state;
}

void Adam::restore(const OptimizerState& state) {
  restore_entry(state, "exp_avg", m_);
  restore_entry(state, "exp_avg_sq", v_);
  restore_entry(state, "max_exp_avg_sq", v_max_);
  steps_ = state.steps;
}

double gradient_norm(const Parameters& parameters) {
  const FlatShape shape{.count = parameters.size()};
  return with_real(parameters.dtype(), [&](auto type) {
    using T = decltype(type);
    return std::sqrt(cpu::sum_of_squares<T>(shape, {parameters.gradients().data<T>()}));
  });
}

double clip_norm(Parameters& parameters, double max_norm) {
  require("clip_norm", max_norm > 0, "max_norm", max_norm);
  const double norm = gradient_norm(parameters);
  const double factor = max_norm / (norm + 1e-6);
  if (!std::isfinite(norm) || factor >= 1) return norm;
  const FlatShape shape{.count = parameters.size(), .factor = factor};
  with_real(parameters.dtype(), [&](auto type) {
    using T = decltype(type);
    Tensor& flat = parameters.mutable_gradients();
    UNROLL_ON_DEVICE(flat.device(), scale<T>(shape, {flat.mutable_data<T>()}));
  });
  return norm;
}

double cosine(std::int64_t step, std::int64_t steps, double lr, double final_fraction) {
  if (steps <= 0) return lr;
  const double at = std::clamp(static_cast<double>(step) / static_cast<double>(steps), 0.0, 1.0);
  return lr * (final_fraction + (1 - final_fraction) * 0.5 * (1 + std::cos(std::numbers::pi * at)));
}

}  // namespace unroll
