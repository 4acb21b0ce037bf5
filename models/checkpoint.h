// What a training run leaves in its folder, and how it is read back.
//
//   DIR/config.json              the model, the data and the options: RunConfig
//   DIR/checkpoint.safetensors   everything needed to go on, bit for bit: TrainState
//   DIR/model.safetensors        the best parameters, under PyTorch's names
//   DIR/metrics.csv              one row per step
//   DIR/encoder.safetensors      a given encoder, float64; only where there is one
//
// Each file is written to a temporary name, synced and renamed. Functions throw Error, naming the
// file, where one is missing, malformed or does not fit.
#pragma once

#include <string>
#include <vector>

#include "autograd/optimizers.h"
#include "autograd/parameters.h"
#include "models/reconstruction.h"

namespace UNROLL_API unroll {

/// How training goes.
struct TrainOptions {
  std::int64_t steps = 1000;          // in all
  std::int64_t steps_per_epoch = 0;   // 0: no epochs; only for messages and metrics
  double lr = 3e-3;                   // of Adam, at the first step
  double final_fraction = 0.01;       // cosine schedule down to final_fraction * lr
  double clip = 1;                    // gradient norm; 0: none
  std::int64_t validate_every = 0;    // steps; 0: never
  std::int64_t patience = 0;          // validations without improvement before stopping; 0: all
  std::int64_t checkpoint_every = 0;  // steps; 0: only at the end and when interrupted
  double checkpoint_seconds = 0;      // also when the last is that old; 0: never
};

/// Where a given encoder comes from. The run keeps its own copy of the weights.
struct EncoderOrigin {
  std::string file;    // for the record; empty: no encoder is given
  std::string prefix;  // of its tensors' names, as asked for
  std::string cell;    // its name
  bool frozen = false;
};

/// What `unroll train` was asked to do: enough to rebuild the model and its data.
struct RunConfig {
  ModelOptions model;  // model.given where there is an encoder
  EncoderOrigin encoder;
  TrainOptions train;
  std::vector<std::string> columns;     // of the series
  std::vector<double> mean;             // per column, of the training part
  std::vector<double> sd;               // the same
  std::int64_t window = 24;             // T
  std::int64_t batch = 64;              // N
  std::int64_t stride = 1;              // steps from one window to the next
  bool variable_lengths = false;        // windows of random length (window+1)/2..window
  double validation = 0.1, test = 0.1;  // fractions of the series, its end
  Dtype dtype = Dtype::float32;         // of parameters and batches
  std::uint64_t seed = 1;
  std::string data;               // path of the series, for the record
  std::string digest;             // of the series' values and names
  std::string missing = "error";  // how missing values were treated
};

/// DIR/config.json, and where an encoder is given encoder.safetensors, before config.json. Throws
/// Error where there is another one already.
void save_config(const std::string& directory, const RunConfig& config);
RunConfig load_config(const std::string& directory);

/// The state of a run between two steps.
struct TrainState {
  std::int64_t step = 0;  // steps done
  bool finished = false;
  bool has_best = false;  // a validation has been done
  double best = 0;        // lowest validation loss so far, reached after best_step steps
  std::int64_t best_step = 0;
  std::int64_t stale = 0;  // validations since
  Tensor best_parameters;  // [P]; undefined without has_best
};

/// DIR/checkpoint.safetensors; loading fills the parameters and the optimiser's state.
void save_checkpoint(const std::string& directory, const Parameters& parameters,
                     const OptimizerState& optimizer, const TrainState& state);
TrainState load_checkpoint(const std::string& directory, Parameters& parameters,
                           OptimizerState& optimizer);
bool has_checkpoint(const std::string& directory);
/// The best parameters of the run: of model.safetensors, or, before the run is finished, of its
/// checkpoint. Throws Error where there are neither.
void load_best(const std::string& directory, Parameters& parameters);

/// An optimiser's state by itself, as safetensors. `kind` is a name of the caller's; load_optimizer
/// throws Error where another was saved.
void save_optimizer(const std::string& path, const std::string& kind, const OptimizerState& state);
OptimizerState load_optimizer(const std::string& path, const std::string& kind);

/// Parameters under their names, then `constants`; `flat` [P] replaces the current values where it
/// is defined.
void save_model(const std::string& path, const Parameters& parameters, const Tensor& flat = {},
                const std::vector<NamedTensor>& constants = {});
/// Fills all parameters from a safetensors file, converting between float32 and float64. Throws
/// Error for a missing name or another shape; names that are not parameters are ignored.
void load_model(const std::string& path, Parameters& parameters);

}  // namespace unroll
