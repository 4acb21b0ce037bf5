#include "autograd/schedules.h"

#include <cmath>

#include "capi/handles.h"

using namespace unroll;
using namespace unroll::capi;

namespace {

constexpr const char* kRate = "schedule_rate";
constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

struct Request {
  const unroll_option* options;
  int count;
  std::int64_t step;

  /// Throws Error also where a number without a default was not given.
  void read(const std::vector<Setting>& settings) const {
    set_options(kRate, options, count, settings);
    for (const Setting& setting : settings)
      if (double* const* number = std::get_if<double*>(&setting.target))
        if (std::isnan(**number))
          fail(kRate, std::string("option ") + setting.name + " must be given, and be a number");
  }
};

double cosine_rate(const Request& r) {
  double lr = kMissing, final_fraction = 0;
  std::int64_t steps = 0;
  r.read({{"lr", &lr}, {"steps", &steps}, {"final_fraction", &final_fraction}});
  return cosine(r.step, steps, lr, final_fraction);
}

double step_rate(const Request& r) {
  StepDecay s{.lr = kMissing, .every = 0};
  r.read({{"lr", &s.lr}, {"every", &s.every}, {"gamma", &s.gamma}});
  return s(r.step);
}

double multi_step_rate(const Request& r) {
  MultiStepDecay s{.lr = kMissing, .milestones = {}};
  r.read({{"lr", &s.lr}, {"milestone", &s.milestones}, {"gamma", &s.gamma}});
  return s(r.step);
}

double exponential_rate(const Request& r) {
  ExponentialDecay s{.lr = kMissing, .gamma = kMissing};
  r.read({{"lr", &s.lr}, {"gamma", &s.gamma}});
  return s(r.step);
}

double linear_rate(const Request& r) {
  LinearRamp s{.lr = kMissing};
  r.read({{"lr", &s.lr}, {"start", &s.start}, {"end", &s.end}, {"steps", &s.steps}});
  return s(r.step);
}

double polynomial_rate(const Request& r) {
  PolynomialDecay s{.lr = kMissing};
  r.read({{"lr", &s.lr}, {"steps", &s.steps}, {"power", &s.power}});
  return s(r.step);
}

double cosine_annealing_rate(const Request& r) {
  CosineAnnealing s{.lr = kMissing, .half_period = 0};
  r.read({{"lr", &s.lr}, {"half_period", &s.half_period}, {"lowest", &s.lowest}});
  return s(r.step);
}

double cosine_restarts_rate(const Request& r) {
  CosineRestarts s{.lr = kMissing, .period = 0};
  r.read({{"lr", &s.lr}, {"period", &s.period}, {"growth", &s.growth}, {"lowest", &s.lowest}});
  return s(r.step);
}

template <Anneal anneal>
double one_cycle_rate(const Request& r) {
  OneCycle s{.max_lr = kMissing, .steps = 0, .anneal = anneal};
  r.read({{"max_lr", &s.max_lr},
          {"steps", &s.steps},
          {"rise", &s.rise},
          {"divisor", &s.divisor},
          {"final_divisor", &s.final_divisor},
          {"three_phase", &s.three_phase}});
  return s(r.step);
}

template <CycleShape shape>
double cyclic_rate(const Request& r) {
  Cyclic s{.lr = kMissing, .max_lr = kMissing, .shape = shape};
  std::vector<Setting> settings{
      {"lr", &s.lr}, {"max_lr", &s.max_lr}, {"up", &s.up}, {"down", &s.down}};
  if (shape == CycleShape::exponential) settings.push_back({"gamma", &s.gamma});
  r.read(settings);
  return s(r.step);
}

constexpr std::pair<const char*, double (*)(const Request&)> kKinds[] = {
    {"cosine", cosine_rate},
    {"step", step_rate},
    {"multi_step", multi_step_rate},
    {"exponential", exponential_rate},
    {"linear", linear_rate},
    {"polynomial", polynomial_rate},
    {"cosine_annealing", cosine_annealing_rate},
    {"cosine_restarts", cosine_restarts_rate},
    {"one_cycle", one_cycle_rate<Anneal::cosine>},
    {"one_cycle_linear", one_cycle_rate<Anneal::linear>},
    {"cyclic", cyclic_rate<CycleShape::triangular>},
    {"cyclic2", cyclic_rate<CycleShape::triangular2>},
    {"cyclic_exponential", cyclic_rate<CycleShape::exponential>}};

}  // namespace

unroll_status unroll_schedule_rate(const char* kind, const unroll_option* options, int count,
                                   int64_t step, double* out) {
  return guarded([&] {
    const std::string wanted = &the(kRate, kind);
    if (step < 0) fail(kRate, "step " + std::to_string(step) + " is before the first");
    std::string all;
    for (const auto& [name, rate] : kKinds) {
      if (wanted == name) {
        *out = rate({options, count, step});
        return;
      }
      all += (all.empty() ? "" : ", ") + std::string(name);
    }
    fail(kRate, "there is no " + wanted + "; there are: " + all);
  });
}

unroll_status unroll_plateau_report(unroll_plateau* state, double loss,
                                    const unroll_option* options, int count) {
  return guarded([&] {
    constexpr const char* op = "plateau_report";
    the(op, state);
    Plateau plateau{.lr = state->lr};
    plateau.best = state->best;
    plateau.bad = state->bad;
    plateau.cooling = state->cooling;
    set_options(op, options, count,
                {{"factor", &plateau.factor},
                 {"patience", &plateau.patience},
                 {"cooldown", &plateau.cooldown},
                 {"threshold", &plateau.threshold},
                 {"relative", &plateau.relative},
                 {"maximize", &plateau.maximize},
                 {"lowest", &plateau.lowest},
                 {"eps", &plateau.eps}});
    plateau.report(loss);
    *state = {plateau.lr, plateau.best, plateau.bad, plateau.cooling};
  });
}
