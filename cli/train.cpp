// unroll train: fits a reconstruction model to a series, into a folder that can be resumed.
#include <memory>

#include "cli/command.h"
#include "cli/run.h"
#include "cli/run_folder.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "cli/training_options.h"

namespace unroll::cli {
namespace {

std::string plural(std::int64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string count_of(const Tensor& windows) {
  return std::to_string(windows ? windows.shape()[0] : 0);
}

std::string encoder_line(const RunConfig& config) {
  const auto& given = config.model.given;
  if (!given) return "";
  return "encoder " + given->encoder.describe() + (given->frozen ? ", frozen" : ", fine-tuned") +
         ", of " + config.encoder.file + "\n";
}

std::string describe(const RunConfig& config, const Model& model, const Data& data) {
  std::string columns;
  for (const std::string& name : config.columns) columns += (columns.empty() ? "" : ", ") + name;
  const std::int64_t bottleneck = model.reconstruction.bottleneck();
  return std::string(name(config.model.kind)) + ", " +
         name(config.model.cell.value_or(default_cell(config.model.kind))) + " " +
         std::to_string(config.model.hidden) + ", " +
         plural(model.parameters->size(), "parameter") + ", bottleneck " +
         (bottleneck < 0 ? "none" : plural(bottleneck, "number")) + "\n" + encoder_line(config) +
         columns + ": windows of " + plural(config.window, "step") + ", " + count_of(data.train) +
         " to train on, " + count_of(data.validation) + " for validation, " + count_of(data.test) +
         " held out\n";
}

std::string note_of(const StepReport& report, const RunConfig& config) {
  const std::int64_t epoch = (report.step - 1) / config.train.steps_per_epoch + 1;
  std::string text = "epoch " + std::to_string(epoch) + "  loss " + number(report.loss);
  if (report.validated) text += "  validation " + number(report.validation);
  return text;
}

// The progress line, with the newest validation in it.
class Reporter {
 public:
  Reporter(const RunConfig& config, std::int64_t done)
      : config_(config), progress_(stdout, config.train.steps, done) {}

  void operator()(const StepReport& report) {
    if (report.validated) validation_ = "  validation " + number(report.validation);
    if (!progress_.is_due(report.step)) return;
    StepReport shown = report;
    shown.validated = false;
    progress_.show(report.step, note_of(shown, config_) + validation_);
  }

  void clear() { progress_.clear(); }

 private:
  const RunConfig& config_;
  Progress progress_;
  std::string validation_;
};

std::int64_t steps_done(const RunConfig& config, const std::string& directory) {
  if (!has_checkpoint(directory)) return 0;
  Model scratch(config);
  OptimizerState ignored;
  return load_checkpoint(directory, *scratch.parameters, ignored).step;
}

void report(const TrainResult& result, const Model& model, const Data& data,
            const RunConfig& config, const std::string& directory) {
  std::string text = "trained " + plural(result.state.step, "step");
  if (result.early_stopped)
    text += ", stopped early: no better model in " + plural(config.train.patience, "validation");
  if (result.state.has_best)
    text += "; best validation loss " + number(result.state.best) + " after step " +
            std::to_string(result.state.best_step);
  text += "\n";
  if (data.test) {
    const Score score = evaluate(model, data.test, config);
    text += "held-out NMSE " + number(score.nmse());
    if (config.columns.size() > 1)
      for (std::size_t c = 0; c < config.columns.size(); c++)
        text += (c ? ", " : " (") + shortened(config.columns[c]) + " " +
                number(score.nmse(static_cast<std::int64_t>(c)));
    text += config.columns.size() > 1 ? ")\n" : "\n";
  }
  print(text + "the model is in " + directory + "\n");
}

void run_train(const TrainingOptions& options) {
  const std::string& directory = options.out();
  RunFolder::check(directory, options.resume());
  RunConfig config;
  if (options.resume()) {
    config = load_config(directory);
    options.require_agreement(config, directory);
  } else {
    options.require_data();
    options.require_sense();
    config = options.with_encoder();
    config.data = absolute_path(options.data());
  }
  const std::string path = options.data().empty() ? config.data : options.data();
  const Series series = read_data(path, config);
  if (options.resume())
    require_same_data(config, series, path);
  else
    config = complete(config, options.epochs(), series);
  const Data data(series, config);
  Model model(config);
  model.move_to(options.device());

  const std::atomic<bool>* stop = stop_on_signals();
  const RunFolder folder(directory, options.resume());
  if (!options.resume()) save_config(directory, config);
  const std::int64_t done = steps_done(config, directory);
  print(describe(config, model, data));
  if (options.resume())
    print("resuming after step " + std::to_string(done) + " of " +
          std::to_string(config.train.steps) + "\n");

  Reporter reporter(config, done);
  const TrainResult result = train(
      model, data, config, directory, [&](const StepReport& r) { reporter(r); }, stop);
  reporter.clear();
  if (result.interrupted)
    throw Error("stopped after step " + std::to_string(result.state.step) + " of " +
                std::to_string(config.train.steps) + ", with a checkpoint; go on with: unroll " +
                "train --out " + in_shell(directory) + " --resume");
  report(result, model, data, config, directory);
}

}  // namespace

void add_train(Command& unroll) {
  Command train = unroll.subcommand("train", "fit a reconstruction model to a series");
  RunConfig config;
  config.model.hidden = 64;
  config.train.checkpoint_seconds = 10;
  const auto options = std::make_shared<TrainingOptions>(train, config);
  options->add_model();
  train.footer(
      "Examples:\n"
      "  unroll train weather.csv --columns temp_max,temp_min --window 24 --model decoder \\\n"
      "      --hidden 16 --epochs 100 --orthogonal --out run\n"
      "  unroll train weather.csv --encoder lstm.safetensors --freeze --model decoder --out run\n"
      "  unroll train --out run --resume          # after Ctrl-C, a crash or kill -9");
  train.on_run([options] { run_train(*options); });
}

}  // namespace unroll::cli
