#include "capi/handles.h"

using namespace unroll;
using namespace unroll::capi;

namespace {

constexpr const char* kCreate = "optimizer_create";

using Any = decltype(unroll_optimizer::optimizer);

struct Request {
  Parameters& parameters;
  const unroll_option* options;
  int count;
  const unroll_group* groups;
  int group_count;
};

std::vector<Setting> settings_of(SgdOptions& o) {
  return {{"lr", &o.lr},
          {"momentum", &o.momentum},
          {"dampening", &o.dampening},
          {"weight_decay", &o.weight_decay},
          {"nesterov", &o.nesterov},
          {"maximize", &o.maximize}};
}

// What Adam, NAdam and RAdam have in common.
template <class Options>
std::vector<Setting> with_betas(Options& o, const std::vector<Setting>& more) {
  std::vector<Setting> all{{"lr", &o.lr},
                           {"beta1", &o.beta1},
                           {"beta2", &o.beta2},
                           {"eps", &o.eps},
                           {"weight_decay", &o.weight_decay},
                           {"maximize", &o.maximize}};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::vector<Setting> settings_of(AdamOptions& o) {
  return with_betas(o, {{"amsgrad", &o.amsgrad}});
}

std::vector<Setting> settings_of(NadamOptions& o) {
  return with_betas(o,
                    {{"momentum_decay", &o.momentum_decay}, {"momentum_twice", &o.momentum_twice}});
}

std::vector<Setting> settings_of(RadamOptions& o) { return with_betas(o, {}); }

std::vector<Setting> settings_of(RmspropOptions& o) {
  return {{"lr", &o.lr},
          {"alpha", &o.alpha},
          {"eps", &o.eps},
          {"momentum", &o.momentum},
          {"weight_decay", &o.weight_decay},
          {"centered", &o.centered},
          {"maximize", &o.maximize}};
}

std::vector<Setting> settings_of(AdagradOptions& o) {
  return {{"lr", &o.lr},
          {"lr_decay", &o.lr_decay},
          {"eps", &o.eps},
          {"weight_decay", &o.weight_decay},
          {"initial_accumulator_value", &o.initial_accumulator_value},
          {"maximize", &o.maximize}};
}

std::vector<Setting> settings_of(AdadeltaOptions& o) {
  return {{"lr", &o.lr},
          {"rho", &o.rho},
          {"eps", &o.eps},
          {"weight_decay", &o.weight_decay},
          {"maximize", &o.maximize}};
}

template <class Options>
Any make_from(const Request& r, Options options, double& lr) {
  set_options(kCreate, r.options, r.count, settings_of(options));
  std::vector<ParameterGroup<Options>> groups;
  if (r.group_count > 0) the(kCreate, r.groups);
  for (int i = 0; i < r.group_count; i++) {
    const unroll_group& group = r.groups[i];
    Options own = options;
    set_options(kCreate, group.options, group.count, settings_of(own));
    groups.push_back({with_prefix(&the(kCreate, group.prefix)), own});
  }
  lr = options.lr;
  return Optimizer<Options>(r.parameters, options, groups);
}

template <class Options>
Any make(const Request& r, double& lr) {
  return make_from(r, Options(), lr);
}
Any make_adamw(const Request& r, double& lr) { return make_from(r, adamw(), lr); }

constexpr std::pair<const char*, Any (*)(const Request&, double&)> kKinds[] = {
    {"sgd", make<SgdOptions>},
    {"adam", make<AdamOptions>},
    {"adamw", make_adamw},
    {"nadam", make<NadamOptions>},
    {"radam", make<RadamOptions>},
    {"rmsprop", make<RmspropOptions>},
    {"adagrad", make<AdagradOptions>},
    {"adadelta", make<AdadeltaOptions>}};

}  // namespace

namespace unroll::capi {

void step(unroll_optimizer& optimizer, const double* lr) {
  const double rate = lr ? *lr : optimizer.lr;
  if (!(rate >= 0)) fail("optimizer_step", "lr " + std::to_string(rate) + " is out of range");
  std::visit([&](auto& each) { each.step(rate); }, optimizer.optimizer);
}

}  // namespace unroll::capi

unroll_status unroll_optimizer_create_with_groups(unroll_parameters* parameters, const char* kind,
                                                  const unroll_option* options, int count,
                                                  const unroll_group* groups, int group_count,
                                                  unroll_optimizer** out) {
  return guarded([&] {
    const auto& set = the(kCreate, parameters).parameters;
    const std::string wanted = &the(kCreate, kind);
    const Request request{*set, options, count, groups, group_count};
    std::string all;
    for (const auto& [name, make] : kKinds) {
      if (wanted == name) {
        double lr = 0;
        Any optimizer = make(request, lr);
        *out = new unroll_optimizer{set, wanted, std::move(optimizer), lr};
        return;
      }
      all += (all.empty() ? "" : ", ") + std::string(name);
    }
    fail(kCreate, "there is no " + wanted + "; there are: " + all);
  });
}

unroll_status unroll_optimizer_create(unroll_parameters* parameters, const char* kind,
                                      const unroll_option* options, int count,
                                      unroll_optimizer** out) {
  return unroll_optimizer_create_with_groups(parameters, kind, options, count, nullptr, 0, out);
}

void unroll_optimizer_release(unroll_optimizer* optimizer) { delete optimizer; }

unroll_status unroll_optimizer_step(unroll_optimizer* optimizer, const double* lr) {
  return guarded([&] { step(the("optimizer_step", optimizer), lr); });
}

unroll_status unroll_optimizer_save(const unroll_optimizer* optimizer, const char* path) {
  return guarded([&] {
    constexpr const char* op = "optimizer_save";
    std::visit(
        [&](const auto& each) { save_optimizer(&the(op, path), optimizer->kind, each.state()); },
        the(op, optimizer).optimizer);
  });
}

unroll_status unroll_optimizer_load(unroll_optimizer* optimizer, const char* path) {
  return guarded([&] {
    constexpr const char* op = "optimizer_load";
    const OptimizerState state = load_optimizer(&the(op, path), the(op, optimizer).kind);
    std::visit([&](auto& each) { each.restore(state); }, optimizer->optimizer);
  });
}
