// Learning rates as functions of the step: PyTorch's schedules in closed form.
//
//   const OneCycle rate{.max_lr = 0.1, .steps = 1000};
//   for (std::int64_t i = 0; i < 1000; i++) adam.step(rate(i));
//
// Steps count from 0: rate(0) is the rate of the first update. A schedule is a plain value without
// state, so that a resumed run needs nothing but its step; the exception is Plateau, which follows
// a measured loss and has its state in the open. Thread-safe where const.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "core/export.h"

namespace UNROLL_API unroll {

/// Cosine schedule: lr at step 0 falling to final_fraction * lr at `steps` (Loshchilov & Hutter
/// 2017, without restarts); constant beyond.
double cosine(std::int64_t step, std::int64_t steps, double lr, double final_fraction = 0);

/// StepLR: lr * gamma^(step / every), whole quotients.
struct StepDecay {
  double lr;
  std::int64_t every;
  double gamma = 0.1;
  /// The rate at a step.
  double operator()(std::int64_t step) const;
};

/// MultiStepLR: a factor gamma at each milestone reached, in any order; one that stands twice
/// counts twice.
struct MultiStepDecay {
  double lr;
  std::vector<std::int64_t> milestones;
  double gamma = 0.1;
  /// The rate at a step.
  double operator()(std::int64_t step) const;
};

/// ExponentialLR: lr * gamma^step.
struct ExponentialDecay {
  double lr, gamma;
  /// The rate at a step.
  double operator()(std::int64_t step) const;
};

/// LinearLR, and ConstantLR with `end` = `start` until `steps`: lr times a factor that goes from
/// `start` to `end` in `steps` steps and stays there. A warm-up, for example.
struct LinearRamp {
  double lr, start = 1.0 / 3, end = 1;
  std::int64_t steps = 5;
  /// The rate at a step.
  double operator()(std::int64_t step) const;
};

/// PolynomialLR: lr (1 - step / steps)^power, 0 from `steps` on.
struct PolynomialDecay {
  double lr;
  std::int64_t steps = 5;
  double power = 1;
  /// The rate at a step.
  double operator()(std::int64_t step) const;
};

/// CosineAnnealingLR: from lr to `lowest` in `half_period` steps, and back as long again, for ever.
struct CosineAnnealing {
  double lr;
  std::int64_t half_period;
  double lowest = 0;
  /// The rate at a step.
  double operator()(std::int64_t step) const;
};

/// CosineAnnealingWarmRestarts (SGDR, Loshchilov & Hutter 2017): from lr towards `lowest`,
/// restarted after `period` steps; each period is `growth` times as long as the one before.
struct CosineRestarts {
  double lr;
  std::int64_t period, growth = 1;
  double lowest = 0;
  /// The rate at a step.
  double operator()(std::int64_t step) const;
};

/// How a rate goes from one value to another.
enum class Anneal : std::uint8_t { cosine, linear };

/// OneCycleLR (Smith & Topin 2018): from max_lr / divisor up to max_lr in the first `rise` of the
/// steps, then down to max_lr / (divisor * final_divisor) at the last of `steps`; constant beyond.
/// `three_phase`: down to the first rate as fast as up, and only then on to the last.
struct OneCycle {
  double max_lr;
  std::int64_t steps;
  double rise = 0.3, divisor = 25, final_divisor = 1e4;
  Anneal anneal = Anneal::cosine;
  bool three_phase = false;
  /// The rate at a step.
  double operator()(std::int64_t step) const;
};

/// How the cycles of Cyclic change.
enum class CycleShape : std::uint8_t {
  triangular,   // the same for ever
  triangular2,  // each cycle half as high as the one before
  exponential,  // the height shrinks by gamma per step
};

/// CyclicLR (Smith 2017): from lr up to max_lr in `up` steps and down in `down` (0: as many).
struct Cyclic {
  double lr, max_lr;
  std::int64_t up = 2000, down = 0;
  CycleShape shape = CycleShape::triangular;
  double gamma = 1;
  /// The rate at a step.
  double operator()(std::int64_t step) const;
};

/// ReduceLROnPlateau: lr falls by `factor` when the loss has not improved for more than `patience`
/// reports, and not again for `cooldown` reports. A loss that is NaN is no improvement. Its state
/// is lr, best, bad and cooling: whoever saves and sets them goes on as if never interrupted.
struct Plateau {
  double lr;
  double factor = 0.1;
  std::int64_t patience = 10, cooldown = 0;
  double threshold = 1e-4;  // an improvement is a loss below best (1 - threshold),
  bool relative = true;     // or below best - threshold where not relative
  bool maximize = false;    // the loss is a score: higher is better, above best (1 + threshold)
  double lowest = 0, eps = 1e-8;  // a change of at most eps is not made

  // The state.
  double best = std::numeric_limits<double>::quiet_NaN();  // NaN: nothing reported yet
  std::int64_t bad = 0, cooling = 0;

  /// Takes a loss and returns the rate from now on.
  double report(double loss);

 private:
  bool improves(double loss) const;
};

}  // namespace unroll
