// Trainer: Adam with cosine decay and clipping over a stream of batches, safe to interrupt.
//
//   Trainer trainer(model, parameters, {.steps = 2500});
//   trainer.run([&](std::int64_t step) { return make_batch(step); });
//
// The model and its parameters may be on any device, on which Trainer puts each batch. A batch is a
// function of its step alone, so that a run that was killed and resumed from its last checkpoint
// ends in the same bits as one that was not. A Trainer keeps references to model and parameters.
// Any other model trains by its loss of a batch. Not thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "autograd/optimizers.h"
#include "autograd/tape.h"
#include "models/checkpoint.h"
#include "models/reconstruction.h"
#include "models/windows.h"

namespace UNROLL_API unroll {

/// The batch of a step, counted from 0.
using BatchSource = std::function<Batch(std::int64_t step)>;
/// A differentiable scalar, to be made small.
using LossFunction = std::function<Tensor(const Batch&)>;

/// What a step did.
struct StepReport {
  std::int64_t step = 0;  // steps done, 1 after the first
  double loss = 0, lr = 0;
  double gradient_norm = 0;  // before clipping
  bool validated = false;
  double validation = 0;
};

/// How a run ended.
struct TrainResult {
  TrainState state;
  StepReport last;
  bool interrupted = false;    // asked to stop: resume later
  bool early_stopped = false;  // no improvement for `patience` validations
};

/// One step of training: gradients of the loss, clipping to `clip` (0: none), Adam with rate `lr`.
/// Throws Error, changing no parameter, where the loss or the gradient is not finite.
StepReport train_step(const Reconstruction& model, Parameters& parameters, Adam& adam,
                      const Batch& batch, double lr, double clip);

/// Training with checkpoints, validation and early stopping.
class Trainer {
 public:
  /// Also keeps the model's constants in its files. The model and its parameters must outlive it.
  Trainer(const Reconstruction& model, Parameters& parameters, const TrainOptions& options);
  /// Of any loss.
  Trainer(LossFunction loss, Parameters& parameters, const TrainOptions& options);
  ~Trainer();

  /// A folder for checkpoints and metrics; none by default. It must exist.
  void set_directory(const std::string& directory) { directory_ = directory; }
  /// Mean loss on held-out data, called every validate_every steps and after the last.
  void set_validation(std::function<double()> validation) { validation_ = std::move(validation); }
  /// Called after every step.
  void set_progress(std::function<void(const StepReport&)> progress) {
    progress_ = std::move(progress);
  }
  /// Checked after every step but the last: true saves a checkpoint and returns.
  void set_stop(const std::atomic<bool>* stop) { stop_ = stop; }
  /// Tensors that training leaves alone and DIR/model.safetensors holds beside the parameters.
  void set_constants(std::vector<NamedTensor> constants) { constants_ = std::move(constants); }

  /// Continues from the folder's checkpoint. Throws Error where there is none or it does not fit.
  void resume();

  /// Trains to the end. On return the parameters are the last ones; after validations the best ones
  /// are in state.best_parameters, and in DIR/model.safetensors. Throws Error, naming step and
  /// batch, where the loss or a gradient is not finite; the last good checkpoint stays: one whose
  /// parameters gave a finite loss and gradient of the batch that came next.
  TrainResult run(const BatchSource& batches);

 private:
  class Metrics;

  StepReport find_step(const BatchSource& batches);
  void validate(StepReport& report);
  bool out_of_patience() const;
  std::string kept_checkpoint() const;
  bool checkpoint_is_due() const;
  void save();
  void finish();

  LossFunction loss_;
  Parameters& parameters_;
  TrainOptions options_;
  Adam adam_;
  TrainState state_;
  std::string directory_;
  std::function<double()> validation_;
  std::function<void(const StepReport&)> progress_;
  const std::atomic<bool>* stop_ = nullptr;
  std::vector<NamedTensor> constants_;
  std::unique_ptr<Metrics> metrics_;
  std::chrono::steady_clock::time_point saved_;
};

}  // namespace unroll
