#include "autograd/schedules.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "core/error.h"

namespace unroll {
namespace {

void require_positive(const char* op, const char* what, std::int64_t value) {
  if (value <= 0) fail(op, std::string(what) + " must be positive, not " + std::to_string(value));
}

double real(std::int64_t n) { return static_cast<double>(n); }

// From `from` at 0 to `to` at 1, along half a cosine.
double along_cosine(double from, double to, double at) {
  return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * at));
}

}  // namespace

double cosine(std::int64_t step, std::int64_t steps, double lr, double final_fraction) {
  if (steps <= 0) return lr;
  const double at = std::clamp(real(step) / real(steps), 0.0, 1.0);
  return lr * (final_fraction + (1 - final_fraction) * 0.5 * (1 + std::cos(std::numbers::pi * at)));
}

double StepDecay::operator()(std::int64_t step) const {
  require_positive("step_decay", "every", every);
  return lr * std::pow(gamma, real(step / every));
}

double MultiStepDecay::operator()(std::int64_t step) const {
  const auto reached = std::count_if(milestones.begin(), milestones.end(),
                                     [&](std::int64_t milestone) { return milestone <= step; });
  return lr * std::pow(gamma, real(reached));
}

double ExponentialDecay::operator()(std::int64_t step) const {
  return lr * std::pow(gamma, real(step));
}

double LinearRamp::operator()(std::int64_t step) const {
  require_positive("linear_ramp", "steps", steps);
  return lr * (start + (end - start) * real(std::min(step, steps)) / real(steps));
}

double PolynomialDecay::operator()(std::int64_t step) const {
  require_positive("polynomial_decay", "steps", steps);
  return lr * std::pow(1 - real(std::min(step, steps)) / real(steps), power);
}

double CosineAnnealing::operator()(std::int64_t step) const {
  require_positive("cosine_annealing", "half_period", half_period);
  return along_cosine(lr, lowest, real(step) / real(half_period));
}

double CosineRestarts::operator()(std::int64_t step) const {
  require_positive("cosine_restarts", "period", period);
  require_positive("cosine_restarts", "growth", growth);
  std::int64_t length = period;
  if (growth == 1) step %= period;
  while (step >= length) {
    step -= length;
    length *= growth;
  }
  return along_cosine(lr, lowest, real(step) / real(length));
}

// The phases end at steps that need not be whole.
double OneCycle::operator()(std::int64_t step) const {
  require_positive("one_cycle", "steps", steps);
  const double first = max_lr / divisor, last = first / final_divisor;
  const double top = rise * real(steps) - 1, end = real(steps - 1);
  const double at = std::min(real(step), end);
  const auto between = [&](double from, double to, double begin, double finish) {
    const double part = finish > begin ? (at - begin) / (finish - begin) : 1;
    return anneal == Anneal::cosine ? along_cosine(from, to, part) : from * (1 - part) + to * part;
  };
  if (at <= top) return between(first, max_lr, 0, top);
  if (!three_phase) return between(max_lr, last, top, end);
  const double bottom = 2 * rise * real(steps) - 2;
  if (at <= bottom) return between(max_lr, first, top, bottom);
  return between(first, last, bottom, end);
}

double Cyclic::operator()(std::int64_t step) const {
  require_positive("cyclic", "up", up);
  const std::int64_t length = up + (down > 0 ? down : up), at = step % length;
  const double height = at <= up ? real(at) / real(up) : real(length - at) / real(length - up);
  const double scale = shape == CycleShape::triangular    ? 1
                       : shape == CycleShape::triangular2 ? std::pow(0.5, real(step / length))
                                                          : std::pow(gamma, real(step));
  return lr + (max_lr - lr) * height * scale;
}

bool Plateau::improves(double loss) const {
  constexpr double worst = std::numeric_limits<double>::infinity();
  if (std::isnan(best)) return maximize ? loss > -worst : loss < worst;
  const double margin = relative ? threshold * best : threshold;
  return maximize ? loss > best + margin : loss < best - margin;
}

double Plateau::report(double loss) {
  if (improves(loss)) {
    best = loss;
    bad = 0;
  } else {
    bad++;
  }
  if (cooling > 0) {
    cooling--;
    bad = 0;
  }
  if (bad > patience) {
    const double next = std::max(lr * factor, lowest);
    if (lr - next > eps) lr = next;
    cooling = cooldown;
    bad = 0;
  }
  return lr;
}

}  // namespace unroll
