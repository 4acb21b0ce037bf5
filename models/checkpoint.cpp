#include "models/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/view.h"
#include "io/atomic_file.h"
#include "io/safetensors.h"
#include "models/weights.h"

namespace unroll {

using Json = nlohmann::json;

namespace {

constexpr const char* kConfig = "config.json";
constexpr int kFormat = 1;  // of config.json
constexpr const char* kModel = "model.safetensors";
constexpr const char* kEncoder = "encoder.safetensors";
constexpr const char* kCheckpoint = "checkpoint.safetensors";
constexpr const char* kOptimizer = "optimizer.";
constexpr const char* kBest = "best.parameters";
constexpr const char* kSteps = "steps";  // of an optimiser by itself

std::string in(const std::string& directory, const char* file) {
  return (std::filesystem::path(directory) / file).string();
}

Json parse(const std::string& path, const std::string& text) {
  try {
    return Json::parse(text);
  } catch (const Json::exception&) {
    fail("load", path + " is not valid JSON; restore the file, or train anew");
  }
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("load", path + " cannot be read; is this the folder of a training run?");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Json to_json(const ModelOptions& m) {
  return {{"kind", name(m.kind)},
          {"cell", name(m.cell.value_or(default_cell(m.kind)))},
          {"inputs", m.inputs},
          {"hidden", m.hidden},
          {"code", m.code},
          {"orthogonal", m.init.orthogonal},
          {"forget_bias", m.init.forget_bias}};
}

// The members of an object of config.json; an Error names the one that is not as it should be.
class Members {
 public:
  Members(std::string path, const Json& object) : path_(std::move(path)), object_(object) {}

  template <class T>
  void get(const char* key, T& to) const {
    const auto found = object_.find(key);
    if (found == object_.end()) refuse(std::string("has no ") + key);
    // A fraction is no whole number, and true is no number.
    const bool whole = std::is_integral_v<T> && !std::is_same_v<T, bool>;
    if ((whole && !found->is_number_integer()) || (found->is_boolean() && !std::is_same_v<T, bool>))
      refuse(std::string(key) + " is " + found->dump() + ", which is not of its type");
    try {
      found->get_to(to);
    } catch (const Json::exception&) {
      refuse(std::string(key) + " is " + found->dump() + ", which is not of its type");
    }
  }
  template <class T>
  T get(const char* key) const {
    T value{};
    get(key, value);
    return value;
  }
  Members object(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end() || !found->is_object()) refuse(std::string("has no ") + key);
    return {path_, *found};
  }
  void require(bool good, const char* key) const {
    if (!good)
      refuse(std::string(key) + " is " + object_.at(key).dump() + ", which is out of range");
  }
  [[noreturn]] void refuse(const std::string& what) const {
    fail("load", path_ + ": " + what + "; restore the file, or train anew");
  }

 private:
  std::string path_;
  const Json& object_;
};

ModelOptions model_from(const Members& j) {
  ModelOptions m;
  m.kind = model_kind(j.get<std::string>("kind"));
  m.cell = cell_type(j.get<std::string>("cell"));
  j.get("inputs", m.inputs);
  j.get("hidden", m.hidden);
  j.get("code", m.code);
  j.get("orthogonal", m.init.orthogonal);
  j.get("forget_bias", m.init.forget_bias);
  return m;
}

Json to_json(const EncoderOrigin& e) {
  return {{"file", e.file}, {"prefix", e.prefix}, {"cell", e.cell}, {"frozen", e.frozen}};
}

EncoderOrigin origin_from(const Members& j) {
  EncoderOrigin e;
  j.get("file", e.file);
  j.get("prefix", e.prefix);
  j.get("cell", e.cell);
  j.get("frozen", e.frozen);
  return e;
}

bool equal(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const NamedTensor& x, const NamedTensor& y) {
                      return x.name == y.name && x.tensor.dtype() == y.tensor.dtype() &&
                             x.tensor.shape() == y.tensor.shape() &&
                             to_vector<double>(x.tensor) == to_vector<double>(y.tensor);
                    });
}

// Without a config.json beside it the file may be what a killed process left, or anybody's own.
void save_encoder(const std::string& directory, const Encoder& encoder) {
  const std::string path = in(directory, kEncoder);
  if (std::filesystem::exists(path) && !equal(read_safetensors(path).tensors, encoder.tensors()))
    throw Error(path + " is there already and is another encoder; take another folder");
  write_safetensors(path, {.tensors = encoder.tensors(), .metadata = {{"format", "pt"}}});
}

Json to_json(const TrainOptions& t) {
  return {{"steps", t.steps},
          {"steps_per_epoch", t.steps_per_epoch},
          {"lr", t.lr},
          {"final_fraction", t.final_fraction},
          {"clip", t.clip},
          {"validate_every", t.validate_every},
          {"patience", t.patience},
          {"checkpoint_every", t.checkpoint_every},
          {"checkpoint_seconds", t.checkpoint_seconds}};
}

TrainOptions train_from(const Members& j) {
  TrainOptions t;
  j.get("steps", t.steps);
  j.get("steps_per_epoch", t.steps_per_epoch);
  j.get("lr", t.lr);
  j.get("final_fraction", t.final_fraction);
  j.get("clip", t.clip);
  j.get("validate_every", t.validate_every);
  j.get("patience", t.patience);
  j.get("checkpoint_every", t.checkpoint_every);
  j.get("checkpoint_seconds", t.checkpoint_seconds);
  j.require(t.steps >= 1, "steps");
  j.require(t.steps_per_epoch >= 1, "steps_per_epoch");
  j.require(t.lr >= 0, "lr");
  j.require(t.final_fraction >= 0, "final_fraction");
  j.require(t.clip >= 0, "clip");
  j.require(t.validate_every >= 0, "validate_every");
  j.require(t.patience >= 0, "patience");
  j.require(t.checkpoint_every >= 0, "checkpoint_every");
  return t;
}

}  // namespace

void save_config(const std::string& directory, const RunConfig& c) {
  Json j{{"format", kFormat},
         {"model", to_json(c.model)},
         {"train", to_json(c.train)},
         {"columns", c.columns},
         {"mean", c.mean},
         {"sd", c.sd},
         {"window", c.window},
         {"batch", c.batch},
         {"stride", c.stride},
         {"variable_lengths", c.variable_lengths},
         {"validation", c.validation},
         {"test", c.test},
         {"dtype", name(c.dtype)},
         {"seed", c.seed},
         {"data", c.data},
         {"digest", c.digest},
         {"missing", c.missing}};
  if (c.model.given) {
    save_encoder(directory, c.model.given->encoder);
    j["encoder"] = to_json(c.encoder);
  }
  // A path need not be UTF-8, which JSON must be.
  write_file(in(directory, kConfig), j.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

RunConfig load_config(const std::string& directory) {
  const std::string path = in(directory, kConfig);
  const Json json = parse(path, read_text(path));
  const Members j(path, json);
  if (!json.is_object()) j.refuse("is no object");
  if (const auto format = j.get<std::int64_t>("format"); format != kFormat)
    fail("load", path + " has format " + std::to_string(format) + "; this program reads format " +
                     std::to_string(kFormat));
  RunConfig c;
  c.model = model_from(j.object("model"));
  c.train = train_from(j.object("train"));
  j.get("columns", c.columns);
  j.get("mean", c.mean);
  j.get("sd", c.sd);
  j.get("window", c.window);
  j.get("batch", c.batch);
  j.get("stride", c.stride);
  j.get("variable_lengths", c.variable_lengths);
  j.get("validation", c.validation);
  j.get("test", c.test);
  const auto dtype = j.get<std::string>("dtype");
  c.dtype = dtype == name(Dtype::float64) ? Dtype::float64 : Dtype::float32;
  if (dtype != name(c.dtype)) fail("load", path + ": dtype " + dtype + " is no real type");
  j.get("digest", c.digest);
  j.get("seed", c.seed);
  j.get("data", c.data);
  j.get("missing", c.missing);
  j.require(c.window >= 1, "window");
  j.require(c.batch >= 1, "batch");
  j.require(c.stride >= 1, "stride");
  j.require(c.missing == "error" || c.missing == "drop" || c.missing == "interpolate", "missing");
  if (c.columns.size() != c.mean.size() || c.columns.size() != c.sd.size() ||
      c.model.inputs != static_cast<std::int64_t>(c.columns.size()))
    fail("load", path + ": columns, mean, sd and inputs do not fit each other");
  if (json.contains("encoder")) {
    c.encoder = origin_from(j.object("encoder"));
    const EncoderHints hints{.prefix = "", .cell = cell_type(c.encoder.cell)};
    c.model.given =
        GivenEncoder{Encoder::load(in(directory, kEncoder), hints), c.encoder.frozen, c.mean, c.sd};
  }
  return c;
}

void save_checkpoint(const std::string& directory, const Parameters& parameters,
                     const OptimizerState& optimizer, const TrainState& state) {
  Safetensors file;
  for (std::size_t i = 0; i < parameters.names().size(); i++)
    file.tensors.push_back({parameters.names()[i], parameters.tensors()[i]});
  for (const auto& entry : optimizer.entries)
    file.tensors.push_back({kOptimizer + entry.name, entry.values});
  if (state.has_best) file.tensors.push_back({kBest, state.best_parameters});
  const Json j{{"step", state.step},
               {"finished", state.finished},
               {"has_best", state.has_best},
               {"best", state.best},
               {"best_step", state.best_step},
               {"stale", state.stale},
               {"optimizer_steps", optimizer.steps}};
  file.metadata = {{"format", "pt"}, {"unroll.state", j.dump()}};
  write_safetensors(in(directory, kCheckpoint), file);
}

TrainState load_checkpoint(const std::string& directory, Parameters& parameters,
                           OptimizerState& optimizer) {
  const std::string path = in(directory, kCheckpoint);
  const Safetensors file = read_safetensors(path);
  const auto text = file.metadata.find("unroll.state");
  if (text == file.metadata.end()) fail("load", path + " is no checkpoint of unroll train");
  const Json j = parse(path, text->second);
  TrainState state;
  try {
    j.at("step").get_to(state.step);
    j.at("finished").get_to(state.finished);
    j.at("has_best").get_to(state.has_best);
    j.at("best").get_to(state.best);
    j.at("best_step").get_to(state.best_step);
    j.at("stale").get_to(state.stale);
    j.at("optimizer_steps").get_to(optimizer.steps);
  } catch (const Json::exception& e) {
    fail("load", path + " lacks something: " + e.what());
  }
  assign_weights(path, file.tensors, parameters);
  optimizer.entries.clear();
  const std::string prefix = kOptimizer;
  for (const auto& [name, tensor] : file.tensors)
    if (name.starts_with(prefix)) optimizer.entries.push_back({name.substr(prefix.size()), tensor});
  if (state.has_best) {
    state.best_parameters = file[kBest];
    if (!(state.best_parameters.shape() == parameters.flat().shape()))
      fail("load", path + ": " + kBest + " does not fit the model");
  }
  return state;
}

void load_best(const std::string& directory, Parameters& parameters) {
  const std::string best = in(directory, kModel);
  if (std::filesystem::exists(best)) return load_model(best, parameters);
  if (!has_checkpoint(directory))
    throw Error(directory + " has neither model.safetensors nor a checkpoint yet; train first: " +
                "unroll train --out " + directory + " --resume");
  OptimizerState ignored;
  const TrainState state = load_checkpoint(directory, parameters, ignored);
  if (state.has_best) copy_into(parameters.mutable_flat(), state.best_parameters);
}

bool has_checkpoint(const std::string& directory) {
  return std::filesystem::exists(in(directory, kCheckpoint));
}

void save_optimizer(const std::string& path, const std::string& kind, const OptimizerState& state) {
  Safetensors file;
  file.metadata = {{"unroll.optimizer", kind}};
  for (const auto& [name, values] : state.entries) file.tensors.push_back({name, values});
  file.tensors.push_back({kSteps, scalar(state.steps, Dtype::int64)});
  write_safetensors(path, file);
}

OptimizerState load_optimizer(const std::string& path, const std::string& kind) {
  const Safetensors file = read_safetensors(path);
  const auto saved = file.metadata.find("unroll.optimizer");
  if (saved == file.metadata.end()) fail("load", path + " is no state of an optimiser");
  if (saved->second != kind)
    fail("load", path + " is the state of " + saved->second + ", not of " + kind);
  OptimizerState state;
  const Tensor& steps = file[kSteps];
  if (steps.dtype() != Dtype::int64 || steps.numel() != 1 || steps.item() < 0)
    fail("load", path + ": " + kSteps + " is no number of steps");
  state.steps = static_cast<std::int64_t>(steps.item());
  for (const auto& [name, tensor] : file.tensors)
    if (name != kSteps) state.entries.push_back({name, tensor});
  return state;
}

void save_model(const std::string& path, const Parameters& parameters, const Tensor& flat,
                const std::vector<NamedTensor>& constants) {
  Safetensors file;
  file.metadata = {{"format", "pt"}};
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < parameters.names().size(); i++) {
    const Tensor& current = parameters.tensors()[i];
    const Tensor values =
        flat ? view::strided(flat, current.shape(), current.strides(), offset) : current;
    file.tensors.push_back({parameters.names()[i], values});
    offset += current.numel();
  }
  file.tensors.insert(file.tensors.end(), constants.begin(), constants.end());
  write_safetensors(path, file);
}

void load_model(const std::string& path, Parameters& parameters) {
  assign_weights(path, read_safetensors(path).tensors, parameters);
}

}  // namespace unroll
