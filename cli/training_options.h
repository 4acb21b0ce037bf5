// The options of `unroll train` and `unroll compare`: they fill a RunConfig, and beside --resume
// must agree with the one that is there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "models/checkpoint.h"

namespace unroll::cli {

class TrainingOptions {
 public:
  /// Registers the options of `command`, with the defaults of `config`. This object must outlive
  /// the parsing.
  TrainingOptions(Command command, RunConfig config);
  TrainingOptions(const TrainingOptions&) = delete;
  TrainingOptions& operator=(const TrainingOptions&) = delete;

  /// For `train`, which has one model: --model, --cell and --code, and those of its encoder.
  void add_model();

  /// What was asked for; columns, sizes and statistics that the data decides are still open.
  const RunConfig& config() const noexcept { return config_; }
  /// The same with the encoder of --encoder, if it is given, read; where --cell and --hidden are
  /// not given, the decoder's are the encoder's.
  RunConfig with_encoder() const;
  /// 0: --steps was given instead.
  std::int64_t epochs() const;
  const std::string& data() const noexcept { return data_; }
  const std::string& out() const noexcept { return out_; }
  bool resume() const noexcept { return resume_; }
  /// Where to train; no part of the config, so that a run may go on elsewhere.
  Device device() const noexcept { return device_; }

  /// Throws UsageError where an option was given that says something else than `config`, the
  /// config.json of the run in `directory`.
  void require_agreement(const RunConfig& config, const std::string& directory) const;
  /// Throws UsageError where what a new run needs is missing.
  void require_data() const;
  /// Throws UsageError for options that contradict each other.
  void require_sense() const;

 private:
  // An option and its value in a config, as text.
  struct Setting {
    std::string name;
    std::function<std::string(const RunConfig&)> value;
  };

  void add_series();
  void add_schedule();
  void add_start();
  void add_encoder();

  Command command_;
  RunConfig config_;
  std::string data_, out_;
  std::int64_t epochs_ = 20;
  bool resume_ = false;
  Device device_;
  std::vector<Setting> settings_;
};

/// The names of all cells.
std::vector<std::string> cell_names();
/// The names of all models.
std::vector<std::string> model_names();

}  // namespace unroll::cli
