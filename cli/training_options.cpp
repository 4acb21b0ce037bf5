#include "cli/training_options.h"

#include "cli/run.h"
#include "io/csv.h"

namespace unroll::cli {
namespace {

std::string text_of(std::int64_t value) { return std::to_string(value); }
std::string text_of(std::uint64_t value) { return std::to_string(value); }
std::string text_of(bool value) { return value ? "on" : "off"; }
std::string text_of(double value) { return csv_number(value); }
std::string text_of(const std::string& value) { return value; }
std::string text_of(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : ",") + value;
  return text;
}

// How to say a member of a config, or of one of its parts.
template <class Member>
auto value_of(Member RunConfig::*member) {
  return [member](const RunConfig& config) { return text_of(config.*member); };
}
template <class Part, class Member>
auto value_of(Part RunConfig::*part, Member Part::*member) {
  return [=](const RunConfig& config) { return text_of(config.*part.*member); };
}

}  // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const ModelKind kind : all_model_kinds()) names.emplace_back(name(kind));
  return names;
}

std::vector<std::string> cell_names() {
  std::vector<std::string> names;
  for (const Cell cell : all_cells()) names.emplace_back(name(cell));
  return names;
}

TrainingOptions::TrainingOptions(Command command, RunConfig config)
    : command_(command), config_(std::move(config)) {
  command_.argument("DATA", data_, "series: csv, or npy [T] or [T,C]; not needed beside --resume",
                    Need::optional);
  command_.text("--out", out_, "folder to write to; made if it is missing", Need::required);
  command_.flag("--resume", resume_, "go on with what is in --out, whose config.json decides all");
  add_series();
  add_start();
  add_schedule();
  command_.threads();
}

void TrainingOptions::add_series() {
  RunConfig& c = config_;
  command_.list("--columns", c.columns, "columns to use; default: all that hold numbers");
  settings_.push_back({"--columns", value_of(&RunConfig::columns)});
  command_.choice(
      "--missing", {"error", "drop", "interpolate"},
      [&c](const std::string& text) { c.missing = text; },
      "missing values in a csv: refuse them (default), drop their rows, or interpolate");
  settings_.push_back({"--missing", value_of(&RunConfig::missing)});
  command_.whole("--window", c.window, 1, "steps in a window");
  settings_.push_back({"--window", value_of(&RunConfig::window)});
  command_.whole("--stride", c.stride, 1, "steps from one window to the next");
  settings_.push_back({"--stride", value_of(&RunConfig::stride)});
  command_.flag("--variable-lengths", c.variable_lengths,
                "windows of random length, half of --window to all of it");
  settings_.push_back({"--variable-lengths", value_of(&RunConfig::variable_lengths)});
  command_.real("--validation", c.validation, 0, 0.99,
                "fraction of the series by which the best model is chosen");
  settings_.push_back({"--validation", value_of(&RunConfig::validation)});
  command_.real("--test", c.test, 0, 0.99, "fraction of the series, its end, held out for scoring");
  settings_.push_back({"--test", value_of(&RunConfig::test)});
}

void TrainingOptions::add_start() {
  command_.whole("--hidden", config_.model.hidden, 1, "hidden units");
  settings_.push_back({"--hidden", value_of(&RunConfig::model, &ModelOptions::hidden)});
  command_.flag("--orthogonal", config_.model.init.orthogonal,
                "start recurrent weights orthogonal; default: as PyTorch");
  settings_.push_back(
      {"--orthogonal", [](const RunConfig& c) { return text_of(c.model.init.orthogonal); }});
  command_.real("--forget-bias", config_.model.init.forget_bias, -1e6, 1e6,
                "added to the LSTM's forget gate at the start");
  settings_.push_back(
      {"--forget-bias", [](const RunConfig& c) { return text_of(c.model.init.forget_bias); }});
  command_.seed("--seed", config_.seed, "of the start, the shuffling and the lengths");
  settings_.push_back({"--seed", value_of(&RunConfig::seed)});
  command_.choice(
      "--dtype", {"float32", "float64"},
      [this](const std::string& text) {
        config_.dtype = text == "float64" ? Dtype::float64 : Dtype::float32;
      },
      "of parameters and data; default float32");
  settings_.push_back({"--dtype", [](const RunConfig& c) { return std::string(name(c.dtype)); }});
}

void TrainingOptions::add_schedule() {
  TrainOptions& t = config_.train;
  const auto setting = [this](const char* name, auto member) {
    settings_.push_back({name, value_of(&RunConfig::train, member)});
  };
  command_.whole("--epochs", epochs_, 1, "passes over the training windows");
  command_.whole("--steps", t.steps, 1, "training steps, instead of --epochs");
  command_.exclude("--steps", "--epochs");
  setting("--steps", &TrainOptions::steps);
  command_.whole("--batch", config_.batch, 1, "windows in a batch");
  settings_.push_back({"--batch", value_of(&RunConfig::batch)});
  command_.real("--lr", t.lr, 1e-12, 1e300,
                "learning rate of Adam, falling to 1 % of it as a cosine");
  setting("--lr", &TrainOptions::lr);
  command_.real("--clip", t.clip, 0, 1e300, "largest norm of the gradient; 0: no limit");
  setting("--clip", &TrainOptions::clip);
  command_.whole("--patience", t.patience, 0,
                 "stop after so many epochs without a better model; 0 (default): never");
  setting("--patience", &TrainOptions::patience);
  command_.whole("--checkpoint-every", t.checkpoint_every, 0,
                 "steps from one checkpoint to the next; there is also one every 10 s");
  setting("--checkpoint-every", &TrainOptions::checkpoint_every);
}

void TrainingOptions::add_model() {
  command_.device(device_);
  command_.choice(
      "--model", model_names(),
      [this](const std::string& text) { config_.model.kind = model_kind(text); },
      "the model; default autoencoder");
  settings_.push_back(
      {"--model", [](const RunConfig& c) { return std::string(name(c.model.kind)); }});
  command_.choice(
      "--cell", cell_names(),
      [this](const std::string& text) { config_.model.cell = cell_type(text); },
      "recurrent cell; default tanh for the autoencoders, lstm for the others");
  settings_.push_back({"--cell", [](const RunConfig& c) {
                         return std::string(
                             name(c.model.cell.value_or(default_cell(c.model.kind))));
                       }});
  command_.whole("--code", config_.model.code, 1,
                 "numbers in the code of autoencoder-last; default --hidden");
  settings_.push_back({"--code", value_of(&RunConfig::model, &ModelOptions::code)});
  add_encoder();
}

void TrainingOptions::add_encoder() {
  EncoderOrigin& encoder = config_.encoder;
  command_.text("--encoder", encoder.file,
                "weights of a trained RNN, LSTM or GRU to learn a decoder for: safetensors or npz");
  settings_.push_back({"--encoder", [](const RunConfig& c) {
                         return c.encoder.file.empty() ? "no encoder"
                                                       : absolute_path(c.encoder.file);
                       }});
  command_.flag("--freeze", encoder.frozen, "leave the weights of --encoder as they are");
  settings_.push_back({"--freeze", value_of(&RunConfig::encoder, &EncoderOrigin::frozen)});
  command_.text("--encoder-prefix", encoder.prefix,
                "of the names in --encoder, 'encoder.rnn.' say; default: found");
  settings_.push_back({"--encoder-prefix", value_of(&RunConfig::encoder, &EncoderOrigin::prefix)});
  command_.choice(
      "--encoder-cell", cell_names(), [&encoder](const std::string& text) { encoder.cell = text; },
      "tanh, relu or linear for an RNN in --encoder; default tanh");
  settings_.push_back({"--encoder-cell", value_of(&RunConfig::encoder, &EncoderOrigin::cell)});
}

RunConfig TrainingOptions::with_encoder() const {
  RunConfig config = config_;
  EncoderOrigin& from = config.encoder;
  if (from.file.empty()) return config;
  EncoderHints hints;
  if (command_.is_given("--encoder-prefix")) hints.prefix = from.prefix;
  if (!from.cell.empty()) hints.cell = cell_type(from.cell);
  const Encoder encoder = Encoder::load(from.file, hints);
  from.file = absolute_path(from.file);
  from.cell = name(encoder.sizes().cell);
  if (!command_.is_given("--cell")) config.model.cell = encoder.sizes().cell;
  if (!command_.is_given("--hidden")) config.model.hidden = encoder.sizes().H;
  config.model.given = GivenEncoder{.encoder = encoder, .frozen = from.frozen};
  return config;
}

void TrainingOptions::require_agreement(const RunConfig& config,
                                        const std::string& directory) const {
  const auto refuse = [&](const std::string& option, const std::string& asked,
                          const std::string& there) {
    throw UsageError(option + " " + asked + " contradicts " + directory +
                     "/config.json, which says " + there +
                     "; leave the option out to resume, or take another --out");
  };
  for (const Setting& setting : settings_) {
    if (!command_.is_given(setting.name)) continue;
    const std::string asked = setting.value(config_), there = setting.value(config);
    if (asked != there) refuse(setting.name, asked, there);
  }
  const std::int64_t per_epoch = config.train.steps_per_epoch;
  if (command_.is_given("--epochs") && epochs_ * per_epoch != config.train.steps)
    refuse("--epochs", text_of(epochs_),
           text_of(config.train.steps) + " steps of " + text_of(per_epoch) + " an epoch");
}

void TrainingOptions::require_sense() const {
  if (config_.validation + config_.test >= 1)
    throw UsageError(
        "--validation and --test leave nothing to train on: their sum must be below 1");
  if (config_.model.code && config_.model.kind != ModelKind::autoencoder_last)
    throw UsageError(std::string("--code is of autoencoder-last; ") + name(config_.model.kind) +
                     " has a code of --hidden numbers");
  const EncoderOrigin& encoder = config_.encoder;
  if (encoder.file.empty() && (encoder.frozen || !encoder.prefix.empty() || !encoder.cell.empty()))
    throw UsageError(
        "--freeze, --encoder-prefix and --encoder-cell are of a given encoder: add --encoder");
}

void TrainingOptions::require_data() const {
  if (data_.empty()) throw UsageError("DATA is missing: name the csv or npy file to train on");
}

std::int64_t TrainingOptions::epochs() const { return command_.is_given("--steps") ? 0 : epochs_; }

}  // namespace unroll::cli
