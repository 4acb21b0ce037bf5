#include "models/trainer.h"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "autograd/schedules.h"
#include "io/atomic_file.h"

namespace unroll {
namespace {

// "step 12 (epoch 2, batch 3)", counted from 1.
std::string place(std::int64_t step, std::int64_t per_epoch) {
  std::string text = "step " + std::to_string(step + 1);
  if (per_epoch > 0)
    text += " (epoch " + std::to_string(step / per_epoch + 1) + ", batch " +
            std::to_string(step % per_epoch + 1) + ")";
  else
    text += " (batch " + std::to_string(step + 1) + ")";
  return text;
}

std::string text_of(double value) { return std::isnan(value) ? "NaN" : std::to_string(value); }

// Training that has left the numbers; anything else that fails has another remedy.
struct Diverged : Error {
  using Error::Error;
};

void require_finite(const char* what, double value) {
  if (!std::isfinite(value))
    throw Diverged("train: " + std::string(what) + " is " + text_of(value));
}

}  // namespace

// Rows of metrics.csv, in memory until they are flushed, so that the file on disk never runs ahead
// of the checkpoint by more than what resume() cuts off again.
class Trainer::Metrics {
 public:
  explicit Metrics(std::string path) : path_(std::move(path)) {}

  // Keeps the rows of the first `steps` steps of an earlier run, which were on disk before its
  // checkpoint; what a kill left behind them, perhaps half a row, goes. 0 starts anew.
  void start(std::int64_t steps) {
    std::string kept = "step,loss,lr,gradient_norm,validation\n", line;
    if (steps > 0) {
      std::ifstream old(path_);
      std::getline(old, line);
      for (std::int64_t i = 0; i < steps && std::getline(old, line); i++) kept += line + "\n";
    }
    write_file(path_, kept);
  }

  void add(const StepReport& r) {
    char row[160];
    int used = std::snprintf(row, sizeof row, "%lld,%.9g,%.9g,%.9g,",
                             static_cast<long long>(r.step), r.loss, r.lr, r.gradient_norm);
    if (r.validated) used += std::snprintf(row + used, sizeof row - used, "%.9g", r.validation);
    rows_.append(row, static_cast<std::size_t>(used)).append("\n");
    if (rows_.size() > 1 << 15) flush();
  }

  void flush() {
    std::ofstream file(path_, std::ios::app | std::ios::binary);
    file << rows_;
    file.flush();
    if (!file) fail("train", path_ + " cannot be written");
    rows_.clear();
  }

 private:
  std::string path_, rows_;
};

namespace {

// Gradients of the loss, clipped; the report of a step that is still to be made.
StepReport find_gradients(const LossFunction& loss_of, Parameters& parameters, const Batch& batch,
                          double clip) {
  parameters.zero_gradients();
  StepReport report;
  {
    Tape tape;
    const Batch there{on_device(batch.x, parameters.device()), batch.lengths};
    const Tensor loss = loss_of(there);
    report.loss = loss.item();
    require_finite("the loss", report.loss);
    tape.backward(loss, parameters);
  }
  report.gradient_norm = clip > 0 ? clip_norm(parameters, clip) : gradient_norm(parameters);
  require_finite("the gradient's norm", report.gradient_norm);
  return report;
}

LossFunction loss_of(const Reconstruction& model) {
  return [&model](const Batch& batch) { return model.loss(batch.x, batch.lengths); };
}

}  // namespace

StepReport train_step(const Reconstruction& model, Parameters& parameters, Adam& adam,
                      const Batch& batch, double lr, double clip) {
  StepReport report = find_gradients(loss_of(model), parameters, batch, clip);
  report.lr = lr;
  adam.step(lr);
  return report;
}

Trainer::Trainer(const Reconstruction& model, Parameters& parameters, const TrainOptions& options)
    : Trainer(loss_of(model), parameters, options) {
  constants_ = model.constants();
}

Trainer::Trainer(LossFunction loss, Parameters& parameters, const TrainOptions& options)
    : loss_(std::move(loss)),
      parameters_(parameters),
      options_(options),
      adam_(parameters, {.lr = options.lr}) {
  if (options.steps < 0 || options.clip < 0 || options.patience < 0)
    fail("train", "steps, clip and patience must not be negative");
}

Trainer::~Trainer() = default;

void Trainer::resume() {
  OptimizerState optimizer;
  state_ = load_checkpoint(directory_, parameters_, optimizer);
  adam_.restore(optimizer);
}

StepReport Trainer::find_step(const BatchSource& batches) {
  const std::int64_t step = state_.step;
  const std::string at = " at " + place(step, options_.steps_per_epoch);
  StepReport report;
  try {
    report = find_gradients(loss_, parameters_, batches(step), options_.clip);
  } catch (const Diverged& e) {
    throw Error(e.what() + at + "; try a lower learning rate or clip" + kept_checkpoint());
  } catch (const Error& e) {
    throw Error(e.what() + at + kept_checkpoint());
  }
  report.lr = cosine(step, options_.steps, options_.lr, options_.final_fraction);
  report.step = step + 1;
  return report;
}

std::string Trainer::kept_checkpoint() const {
  if (directory_.empty() || !has_checkpoint(directory_)) return "";
  return "; the last good checkpoint is kept in " + directory_;
}

void Trainer::validate(StepReport& report) {
  const bool due = options_.validate_every > 0 &&
                   (state_.step % options_.validate_every == 0 || state_.step == options_.steps);
  if (!validation_ || !due) return;
  const NoTape none;
  report.validated = true;
  report.validation = validation_();
  if (!std::isfinite(report.validation))
    fail("train", "the validation loss is " + text_of(report.validation) + " after step " +
                      std::to_string(state_.step) + "; try a lower learning rate or clip" +
                      kept_checkpoint());
  if (state_.has_best && !(report.validation < state_.best)) {
    state_.stale++;
    return;
  }
  state_.has_best = true;
  state_.best = report.validation;
  state_.best_step = state_.step;
  state_.stale = 0;
  state_.best_parameters = cast_copy(parameters_.flat(), parameters_.dtype());
}

bool Trainer::out_of_patience() const {
  return options_.patience > 0 && state_.stale >= options_.patience;
}

void Trainer::save() {
  if (directory_.empty()) return;
  metrics_->flush();
  save_checkpoint(directory_, parameters_, adam_.state(), state_);
  saved_ = std::chrono::steady_clock::now();
}

bool Trainer::checkpoint_is_due() const {
  if (options_.checkpoint_every > 0 && state_.step % options_.checkpoint_every == 0) return true;
  if (directory_.empty() || options_.checkpoint_seconds <= 0) return false;
  const std::chrono::duration<double> since = std::chrono::steady_clock::now() - saved_;
  return since.count() >= options_.checkpoint_seconds;
}

void Trainer::finish() {
  state_.finished = true;
  save();
  if (!directory_.empty())
    save_model((std::filesystem::path(directory_) / "model.safetensors").string(), parameters_,
               state_.best_parameters, constants_);
}

TrainResult Trainer::run(const BatchSource& batches) {
  if (!directory_.empty()) {
    metrics_ =
        std::make_unique<Metrics>((std::filesystem::path(directory_) / "metrics.csv").string());
    metrics_->start(state_.step);
  }
  saved_ = std::chrono::steady_clock::now();
  const std::int64_t first = state_.step;
  TrainResult result;
  while (!state_.finished && state_.step < options_.steps && !out_of_patience()) {
    const bool stopping = state_.step > first && stop_ && stop_->load(std::memory_order_relaxed);
    const StepReport next = find_step(batches);
    // Only now, since parameters that give no finite loss and gradient are not worth keeping.
    if (stopping || (state_.step > first && checkpoint_is_due())) save();
    if (stopping) {
      result.interrupted = true;
      result.state = state_;
      return result;
    }
    adam_.step(next.lr);
    state_.step = next.step;
    result.last = next;
    validate(result.last);
    if (metrics_) metrics_->add(result.last);
    if (progress_) progress_(result.last);
  }
  result.early_stopped = out_of_patience() && state_.step < options_.steps;
  finish();
  result.state = state_;
  return result;
}

}  // namespace unroll
