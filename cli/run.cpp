#include "cli/run.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "models/windows.h"

namespace unroll::cli {
namespace {

// A stream of the run's seed; the start and shuffling have their own.
constexpr std::uint64_t kLengthStream = 0x6c65'6e67'0000'0000;

Missing missing_of(const std::string& name) {
  return name == "drop"          ? Missing::drop
         : name == "interpolate" ? Missing::interpolate
                                 : Missing::error;
}

// FNV-1a (Fowler, Noll & Vo) over names and values.
std::string digest_of(const Series& series) {
  std::uint64_t hash = 14695981039346656037u;
  const auto add = [&](const void* data, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; i++)
      hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211u;
  };
  for (const std::string& name : series.names) add(name.c_str(), name.size() + 1);
  const Tensor values = contiguous_copy(series.values);
  add(values.raw_data(), static_cast<std::size_t>(values.numel()) * sizeof(double));
  char text[24];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

Tensor windows_of(const char* part, const Series& series, const Standardizer& standardizer,
                  const RunConfig& config) {
  if (series.steps() == 0) return {};
  if (series.steps() < config.window)
    throw Error(std::string("the ") + part + " part has " + std::to_string(series.steps()) +
                " steps, fewer than a window of " + std::to_string(config.window) +
                "; take a shorter --window or another --validation or --test (0: none)");
  return sliding_windows(standardizer.apply(series.values), config.window, config.stride);
}

void require_columns(const GivenEncoder& given, const RunConfig& config) {
  const auto count = static_cast<std::int64_t>(config.columns.size());
  const std::int64_t reads = given.encoder.sizes().I;
  if (reads == count) return;
  std::string columns;
  for (const std::string& name : config.columns) columns += (columns.empty() ? "" : ",") + name;
  throw Error("the encoder of " + config.encoder.file + " reads " + std::to_string(reads) +
              " numbers a step but the series has " + std::to_string(count) + " columns: " +
              columns + "; choose them with --columns, in the order that the encoder reads");
}

std::int64_t shortest(const RunConfig& config) {
  return config.variable_lengths ? (config.window + 1) / 2 : 0;
}

}  // namespace

std::string absolute_path(const std::string& data) {
  return std::filesystem::absolute(data).lexically_normal().string();
}

Series read_data(const std::string& path, const RunConfig& config) {
  return read_series(path, config.columns, missing_of(config.missing));
}

RunConfig complete(RunConfig config, std::int64_t epochs, const Series& series) {
  config.columns = series.names;
  config.model.inputs = series.channels();
  config.digest = digest_of(series);
  const Split parts = split(series, config.validation, config.test);
  const Standardizer standardizer(parts.train);
  config.mean = standardizer.mean();
  config.sd = standardizer.sd();
  if (auto& given = config.model.given) {
    require_columns(*given, config);
    given->mean = config.mean;
    given->sd = config.sd;
  }
  const Data data(series, config);
  const std::int64_t count = data.train.shape()[0];
  TrainOptions& t = config.train;
  t.steps_per_epoch = (count - 1) / config.batch + 1;
  if (epochs > 0) t.steps = epochs * t.steps_per_epoch;
  if (data.validation) t.validate_every = std::min(t.steps_per_epoch, t.steps);
  return config;
}

void require_same_data(const RunConfig& config, const Series& series, const std::string& path) {
  if (digest_of(series) != config.digest)
    throw Error(path + " is not the series that the run began with; name that one, or start anew");
}

Data::Data(const Series& series, const RunConfig& config)
    : parts(split(series, config.validation, config.test)),
      standardizer(config.mean, config.sd),
      train(windows_of("training", parts.train, standardizer, config)),
      validation(windows_of("validation", parts.validation, standardizer, config)),
      test(windows_of("test", parts.test, standardizer, config)) {}

Score evaluate(const Model& model, const Tensor& windows, const RunConfig& config) {
  return unroll::evaluate(
      model.reconstruction, windows,
      {.dtype = config.dtype, .shortest = shortest(config), .device = model.parameters->device()});
}

TrainResult train(Model& model, const Data& data, const RunConfig& config,
                  const std::string& directory,
                  const std::function<void(const StepReport&)>& progress,
                  const std::atomic<bool>* stop) {
  Trainer trainer(model.reconstruction, *model.parameters, config.train);
  trainer.set_directory(directory);
  trainer.set_progress(progress);
  trainer.set_stop(stop);
  if (data.validation)
    trainer.set_validation([&] { return evaluate(model, data.validation, config).mse(); });
  if (has_checkpoint(directory)) trainer.resume();
  Batches batches(data.train, {.size = config.batch, .seed = config.seed, .dtype = config.dtype});
  const TrainResult result = trainer.run([&](std::int64_t step) {
    Batch batch = batches.get(step / batches.count(), step % batches.count());
    if (config.variable_lengths) {
      Random random(config.seed, kLengthStream + static_cast<std::uint64_t>(step));
      batch.lengths = random_lengths(random, batch.x.shape()[1], shortest(config), config.window);
    }
    return batch;
  });
  if (!result.interrupted && result.state.has_best)
    copy_into(model.parameters->mutable_flat(), result.state.best_parameters);
  return result;
}

}  // namespace unroll::cli
