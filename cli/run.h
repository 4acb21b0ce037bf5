// One training run: the series cut into windows, the model, and training to the end or to Ctrl-C.
//
//   RunConfig config = complete(asked, epochs, series);      // new; or load_config(directory)
//   Data data(series, config);
//   Model model(config);
//   train(model, data, config, directory, ...);
//
// What is trained depends on config and series alone.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "models/checkpoint.h"
#include "models/model.h"
#include "models/score.h"
#include "models/series.h"
#include "models/trainer.h"

namespace unroll::cli {

/// As it is kept in config.json, so that a run can be resumed from any folder.
std::string absolute_path(const std::string& data);

/// The series that a config names, with its columns and treatment of missing values.
Series read_data(const std::string& path, const RunConfig& config);

/// Fills in what the series decides: columns, sizes, statistics of the training part, steps of an
/// epoch, steps in all (of `epochs`; 0: as asked), digest. Throws Error where a part is shorter
/// than a window.
RunConfig complete(RunConfig asked, std::int64_t epochs, const Series& series);

/// Throws Error unless the series is, value by value, the one that the run began with.
void require_same_data(const RunConfig& config, const Series& series, const std::string& path);

/// Standardised windows [count,window,C], float64. validation and test are undefined where their
/// fraction is 0.
struct Data {
  Data(const Series& series, const RunConfig& config);
  Split parts;
  Standardizer standardizer;
  Tensor train, validation, test;
};

/// Held-out scores of the model's kind of data.
Score evaluate(const Model& model, const Tensor& windows, const RunConfig& config);

/// Trains from the folder's checkpoint, if there is one, to the end, or until *stop; the folder has
/// its config.json. On return the model holds the best parameters.
TrainResult train(Model& model, const Data& data, const RunConfig& config,
                  const std::string& directory,
                  const std::function<void(const StepReport&)>& progress,
                  const std::atomic<bool>* stop);

}  // namespace unroll::cli
