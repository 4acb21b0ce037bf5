#include "autograd/optimizers.h"

#include <cmath>
#include <utility>

#include "autograd/optimizer_rules.h"
#include "kernels/elementwise.h"

namespace unroll {

using namespace detail;

namespace {

template <class Options>
constexpr std::size_t slot_count = std::size(Rule<Options>::slots);

constexpr const char* kProducts = "mu_product";

// The saved values of a slot.
const Tensor& entry_of(const char* op, const OptimizerState& state, const char* name,
                       const Tensor& like) {
  for (const auto& entry : state.entries) {
    if (entry.name != name) continue;
    if (entry.values.shape() == like.shape() && is_real(entry.values.dtype())) return entry.values;
    fail(op, std::string("the saved ") + name + " is " + to_string(entry.values.shape()) +
                 " but must be " + to_string(like.shape()));
  }
  fail(op, std::string("the saved state has no ") + name);
}

void add_entry(OptimizerState& state, const char* name, const Tensor& values) {
  if (values) state.entries.push_back({name, cast_copy(values, values.dtype())});
}

}  // namespace

template <class Options>
Optimizer<Options>::Optimizer(Parameters& parameters, Options options,
                              const std::vector<Group>& groups)
    : parameters_(parameters), options_{options}, size_(parameters.size()) {
  using R = Rule<Options>;
  for (const Group& group : groups) options_.push_back(group.options);
  for (const Options& o : options_) {
    Checked{R::name}.common(o);
    R::check(o);
  }
  find_ranges(groups);
  slots_ = Tensors(slot_count<Options>);
  for (std::size_t slot = 0; slot < slots_.size(); slot++)
    for (const Options& o : options_)
      if (!slots_[slot] && R::needs(o, slot))
        slots_[slot] = zeros({size_}, parameters.dtype(), parameters.device());
  if constexpr (requires { R::start(options); })
    for (const Range& range : ranges_) {
      Tensor part = view::slice(slots_[0], 0, range.begin, range.begin + range.count);
      fill(part, R::start(options_[range.group]));
    }
  if constexpr (requires { R::momentum(options, 1); })
    products_ = ones({static_cast<std::int64_t>(options_.size())}, Dtype::float64);
}

template <class Options>
void Optimizer<Options>::find_ranges(const std::vector<Group>& groups) {
  std::vector<bool> used(groups.size());
  std::int64_t at = 0;
  for (std::size_t i = 0; i < parameters_.names().size(); i++) {
    std::size_t group = 0;
    for (std::size_t g = 0; g < groups.size() && group == 0; g++)
      if (groups[g].holds(parameters_.names()[i])) group = g + 1;
    if (group) used[group - 1] = true;
    const std::int64_t count = parameters_.tensors()[i].numel();
    if (!ranges_.empty() && ranges_.back().group == group)
      ranges_.back().count += count;
    else
      ranges_.push_back({group, at, count});
    at += count;
  }
  for (std::size_t g = 0; g < groups.size(); g++)
    if (!used[g])
      fail(Rule<Options>::name,
           "group " + std::to_string(g) + " holds no parameter, or earlier groups hold them all");
}

template <class Options>
void Optimizer<Options>::step(double lr) {
  if (parameters_.size() != size_)
    fail(Rule<Options>::name,
         "was made for " + std::to_string(size_) + " parameters but there are " +
             std::to_string(parameters_.size()) + " now; make it when all are added");
  const double usual = options_[0].lr;
  if (options_.size() > 1 && usual == 0 && lr != 0)
    fail(Rule<Options>::name, "the groups' rates cannot follow a rate of " + std::to_string(lr) +
                                  ": that of the options is 0");
  steps_++;
  if constexpr (requires(Options o) { Rule<Options>::momentum(o, 1); }) {
    double* product = products_.mutable_data<double>();
    for (const Options& o : options_) *product++ *= Rule<Options>::momentum(o, steps_);
  }
  for (const Range& range : ranges_) {
    const double own = options_[range.group].lr;
    update(range, range.group == 0 ? lr : lr == usual ? own : own * (lr / usual));
  }
}

template <class Options>
void Optimizer<Options>::step() {
  step(options_[0].lr);
}

template <class Options>
void Optimizer<Options>::update(const Range& range, double lr) {
  const Options& options = options_[range.group];
  with_real(parameters_.dtype(), [&](auto type) {
    using T = decltype(type);
    Tensor& flat = parameters_.mutable_flat();
    Span<T> at{.count = range.count,
               .step = steps_,
               .lr = lr,
               .grad_scale = options.maximize ? -1.0 : 1.0,
               .product = 0,
               .grad = parameters_.gradients().template data<T>() + range.begin,
               .param = flat.mutable_data<T>() + range.begin,
               .slot = {}};
    if (products_) at.product = products_.data<double>()[range.group];
    for (std::size_t slot = 0; slot < slots_.size(); slot++)
      if (Rule<Options>::needs(options, slot))
        at.slot[slot] = slots_[slot].template mutable_data<T>() + range.begin;
    Rule<Options>::template run<T>(flat.device(), options, at);
  });
}

template <class Options>
OptimizerState Optimizer<Options>::state() const {
  OptimizerState state{{}, steps_};
  for (std::size_t slot = 0; slot < slots_.size(); slot++)
    add_entry(state, Rule<Options>::slots[slot], slots_[slot]);
  add_entry(state, kProducts, products_);
  return state;
}

template <class Options>
void Optimizer<Options>::restore(const OptimizerState& state) {
  using R = Rule<Options>;
  // All or nothing.
  std::vector<std::pair<Tensor*, const Tensor*>> found;
  for (std::size_t slot = 0; slot < slots_.size(); slot++)
    if (Tensor& into = slots_[slot])
      found.emplace_back(&into, &entry_of(R::name, state, R::slots[slot], into));
  if (products_) found.emplace_back(&products_, &entry_of(R::name, state, kProducts, products_));
  for (const auto& [into, values] : found) copy_into(*into, cast_copy(*values, into->dtype()));
  steps_ = state.steps;
}

template class Optimizer<SgdOptions>;
template class Optimizer<AdamOptions>;
template class Optimizer<NadamOptions>;
template class Optimizer<RadamOptions>;
template class Optimizer<RmspropOptions>;
template class Optimizer<AdagradOptions>;
template class Optimizer<AdadeltaOptions>;

double gradient_norm(const Parameters& parameters) {
  const FlatShape shape{.count = parameters.size()};
  return with_real(parameters.dtype(), [&](auto type) {
    using T = decltype(type);
    const FlatArgs<T> args{parameters.gradients().data<T>()};
    return std::sqrt(UNROLL_VALUE_ON_DEVICE(parameters.device(), sum_of_squares<T>(shape, args)));
  });
}

double clip_norm(Parameters& parameters, double max_norm) {
  Checked{"clip_norm"}.require(max_norm > 0, "max_norm", max_norm);
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

void clip_value(Parameters& parameters, double limit) {
  Checked{"clip_value"}.require(limit > 0, "limit", limit);
  Tensor& flat = parameters.mutable_gradients();
  const UnaryShape shape{Unary::clamp, space_of(flat, {&flat}), -limit, limit};
  with_real(parameters.dtype(), [&](auto type) {
    using T = decltype(type);
    T* at = flat.mutable_data<T>();
    UNROLL_ON_DEVICE(flat.device(), unary<T>(shape, {at, at}));
  });
}

}  // namespace unroll
