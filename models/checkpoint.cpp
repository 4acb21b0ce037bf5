#include "models/checkpoint.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/view.h"
#include "io/atomic_file.h"
#include "io/safetensors.h"

namespace unroll {

using Json = nlohmann::json;

namespace {

constexpr const char* kConfig = "config.json";
constexpr int kFormat = 1;  // of config.json
constexpr const char* kCheckpoint = "checkpoint.safetensors";
constexpr const char* kOptimizer = "optimizer.";
constexpr const char* kBest = "best.parameters";

std::string in(const std::string& directory, const char* file) {
  return (std::filesystem::path(directory) / file).string();
}

Json parse(const std::string& path, const std::string& text) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& e) {
    fail("load", path + " is not valid JSON: " + e.what());
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

ModelOptions model_from(const Json& j) {
  ModelOptions m;
  m.kind = model_kind(j.at("kind").get<std::string>());
  m.cell = cell_type(j.at("cell").get<std::string>());
  j.at("inputs").get_to(m.inputs);
  j.at("hidden").get_to(m.hidden);
  j.at("code").get_to(m.code);
  j.at("orthogonal").get_to(m.init.orthogonal);
  j.at("forget_bias").get_to(m.init.forget_bias);
  return m;
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

TrainOptions train_from(const Json& j) {
  TrainOptions t;
  j.at("steps").get_to(t.steps);
  j.at("steps_per_epoch").get_to(t.steps_per_epoch);
  j.at("lr").get_to(t.lr);
  j.at("final_fraction").get_to(t.final_fraction);
  j.at("clip").get_to(t.clip);
  j.at("validate_every").get_to(t.validate_every);
  j.at("patience").get_to(t.patience);
  j.at("checkpoint_every").get_to(t.checkpoint_every);
  j.at("checkpoint_seconds").get_to(t.checkpoint_seconds);
  return t;
}

// Writes `source`, of any real dtype, into parameter `name`.
void assign(const std::string& path, const std::string& name, Tensor target, const Tensor& source) {
  if (!(source.shape() == target.shape()))
    fail("load", path + ": " + name + " is " + to_string(source.shape()) + " but the model has " +
                     to_string(target.shape()));
  if (!is_real(source.dtype())) fail("load", path + ": " + name + " holds no real numbers");
  copy_into(target, cast_copy(source, target.dtype()));
}

void assign_all(const std::string& path, const Safetensors& file, Parameters& parameters) {
  for (std::size_t i = 0; i < parameters.names().size(); i++) {
    const std::string& name = parameters.names()[i];
    const Tensor* source = file.find(name);
    if (!source) fail("load", path + " has no tensor " + name + "; is it of another model?");
    assign(path, name, parameters.tensors()[i], *source);
  }
}

}  // namespace

void save_config(const std::string& directory, const RunConfig& c) {
  const Json j{{"format", kFormat},
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
  write_file(in(directory, kConfig), j.dump(2) + "\n");
}

RunConfig load_config(const std::string& directory) {
  const std::string path = in(directory, kConfig);
  const Json j = parse(path, read_text(path));
  RunConfig c;
  try {
    if (const int format = j.at("format").get<int>(); format != kFormat)
      fail("load", path + " has format " + std::to_string(format) + "; this program reads format " +
                       std::to_string(kFormat));
    c.model = model_from(j.at("model"));
    c.train = train_from(j.at("train"));
    j.at("columns").get_to(c.columns);
    j.at("mean").get_to(c.mean);
    j.at("sd").get_to(c.sd);
    j.at("window").get_to(c.window);
    j.at("batch").get_to(c.batch);
    j.at("stride").get_to(c.stride);
    j.at("variable_lengths").get_to(c.variable_lengths);
    j.at("validation").get_to(c.validation);
    j.at("test").get_to(c.test);
    const std::string dtype = j.at("dtype").get<std::string>();
    c.dtype = dtype == name(Dtype::float64) ? Dtype::float64 : Dtype::float32;
    if (dtype != name(c.dtype)) fail("load", path + ": dtype " + dtype + " is no real type");
    j.at("digest").get_to(c.digest);
    j.at("seed").get_to(c.seed);
    j.at("data").get_to(c.data);
    j.at("missing").get_to(c.missing);
  } catch (const Json::exception& e) {
    fail("load", path + " lacks something: " + e.what());
  }
  if (c.columns.size() != c.mean.size() || c.columns.size() != c.sd.size() ||
      c.model.inputs != static_cast<std::int64_t>(c.columns.size()) || c.window < 1 ||
      c.batch < 1 || c.stride < 1)
    fail("load", path + ": columns, mean, sd and inputs do not fit each other");
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
  assign_all(path, file, parameters);
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

bool has_checkpoint(const std::string& directory) {
  return std::filesystem::exists(in(directory, kCheckpoint));
}

void save_model(const std::string& path, const Parameters& parameters, const Tensor& flat) {
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
  write_safetensors(path, file);
}

void load_model(const std::string& path, Parameters& parameters) {
  assign_all(path, read_safetensors(path), parameters);
}

}  // namespace unroll
