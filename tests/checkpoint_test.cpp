// What a run leaves in its folder: everything comes back, and what does not fit is refused by name.
#include "models/checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>

#include "io/safetensors.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

RunConfig some_config() {
  RunConfig c;
  c.model = {.kind = ModelKind::attention,
             .cell = Cell::gru,
             .inputs = 2,
             .hidden = 7,
             .code = 3,
             .init = {.orthogonal = true, .forget_bias = 1.5}};
  c.train = {.steps = 11,
             .steps_per_epoch = 4,
             .lr = 0.1,
             .final_fraction = 0.3,
             .clip = 0.7,
             .validate_every = 5,
             .patience = 6,
             .checkpoint_every = 8,
             .checkpoint_seconds = 2.5};
  c.columns = {"temp, \"max\"", "größte"};
  c.mean = {0.1, -1e300};
  c.sd = {1.0 / 3, 5e-324};
  c.window = 9;
  c.batch = 3;
  c.stride = 2;
  c.variable_lengths = true;
  c.validation = 0.25;
  c.test = 0.125;
  c.dtype = Dtype::float64;
  c.seed = std::numeric_limits<std::uint64_t>::max();
  c.data = "a b.csv";
  c.digest = "00ff";
  c.missing = "drop";
  return c;
}

TEST(Checkpoint, ConfigComesBack) {
  testing::TemporaryFolder folder;
  const std::string directory = folder.path().string();
  const RunConfig c = some_config();
  save_config(directory, c);
  const std::string text = testing::read_bytes(folder / "config.json");
  const RunConfig d = load_config(directory);
  EXPECT_EQ(d.model.kind, c.model.kind);
  EXPECT_EQ(d.model.cell, c.model.cell);
  EXPECT_EQ(d.model.hidden, 7);
  EXPECT_EQ(d.train.checkpoint_seconds, 2.5);
  EXPECT_EQ(d.columns, c.columns);
  EXPECT_EQ(d.mean, c.mean);
  EXPECT_EQ(d.sd, c.sd);
  EXPECT_EQ(d.seed, c.seed);
  EXPECT_EQ(d.dtype, c.dtype);
  EXPECT_EQ(d.stride, 2);
  save_config(directory, d);
  EXPECT_EQ(testing::read_bytes(folder / "config.json"), text) << "every member is in it";
}

TEST(Checkpoint, ABadConfigIsRefused) {
  testing::TemporaryFolder folder;
  const std::string directory = folder.path().string(), path = folder / "config.json";
  EXPECT_ERROR(load_config(directory), "config.json", "folder of a training run");
  testing::write_bytes(path, "{\"model\":");
  EXPECT_ERROR(load_config(directory), "config.json", "JSON");
  testing::write_bytes(path, "[]");
  EXPECT_ERROR(load_config(directory), "config.json", "is no object");
  RunConfig c = some_config();
  c.sd.pop_back();
  save_config(directory, c);
  EXPECT_ERROR(load_config(directory), "config.json", "sd");
  c = some_config();
  save_config(directory, c);
  std::string text = testing::read_bytes(path);
  text.replace(text.find("attention"), 9, "attendant");
  testing::write_bytes(path, text);
  EXPECT_ERROR(load_config(directory), "attendant");
  for (const auto& [from, to, message] :
       {std::array{"\"format\": 1", "\"format\": 2", "has format 2; this program reads format 1"},
        std::array{"\"float64\"", "\"float16\"", "dtype float16"}}) {
    save_config(directory, c);
    text = testing::read_bytes(path);
    text.replace(text.find(from), std::string(from).size(), to);
    testing::write_bytes(path, text);
    EXPECT_ERROR(load_config(directory), "config.json", message);
  }
}

struct Made {
  explicit Made(std::int64_t hidden = 3, Dtype dtype = Dtype::float32)
      : parameters(dtype), model(parameters, {.inputs = 2, .hidden = hidden}), adam(parameters) {
    Random random(5);
    model.reset(random);
  }
  Parameters parameters;
  Reconstruction model;
  Adam adam;
};

TEST(Checkpoint, StateComesBackToTheBit) {
  testing::TemporaryFolder folder;
  const std::string directory = folder.path().string();
  EXPECT_FALSE(has_checkpoint(directory));
  Made made;
  fill(made.parameters.mutable_gradients(), 0.25);
  made.adam.step(0.1);
  TrainState state{.step = 4,
                   .finished = true,
                   .has_best = true,
                   .best = 1.0 / 3,
                   .best_step = 2,
                   .stale = 1,
                   .best_parameters = Random(1).normal({made.parameters.size()})};
  save_checkpoint(directory, made.parameters, made.adam.state(), state);
  EXPECT_TRUE(has_checkpoint(directory));
  EXPECT_EQ(folder.entries(), 1) << "no temporary file stays";

  Made other;
  fill(other.parameters.mutable_flat(), 0);
  OptimizerState optimizer;
  const TrainState back = load_checkpoint(directory, other.parameters, optimizer);
  EXPECT_EQ(to_vector<float>(other.parameters.flat()), to_vector<float>(made.parameters.flat()));
  EXPECT_EQ(back.step, 4);
  EXPECT_TRUE(back.finished && back.has_best);
  EXPECT_EQ(back.best, state.best);
  EXPECT_EQ(back.best_step, 2);
  EXPECT_EQ(back.stale, 1);
  EXPECT_EQ(to_vector<float>(back.best_parameters), to_vector<float>(state.best_parameters));
  other.adam.restore(optimizer);
  const std::string before = testing::read_bytes(folder / "checkpoint.safetensors");
  save_checkpoint(directory, other.parameters, other.adam.state(), back);
  EXPECT_EQ(testing::read_bytes(folder / "checkpoint.safetensors"), before);
}

TEST(Checkpoint, OfAnotherModelOrTornIsRefused) {
  testing::TemporaryFolder folder;
  const std::string directory = folder.path().string(), path = folder / "checkpoint.safetensors";
  Made made(3), wider(4);
  save_checkpoint(directory, made.parameters, made.adam.state(), {});
  OptimizerState optimizer;
  EXPECT_ERROR(load_checkpoint(directory, wider.parameters, optimizer), "checkpoint.safetensors",
               "encoder.weight_ih_l0", "[3,2]", "[4,2]");
  const std::string bytes = testing::read_bytes(path);
  for (const std::size_t cut :
       {std::size_t{0}, std::size_t{7}, bytes.size() / 2, bytes.size() - 1}) {
    testing::write_bytes(path, bytes.substr(0, cut));
    EXPECT_ERROR(load_checkpoint(directory, made.parameters, optimizer), "checkpoint.safetensors");
  }
  save_model(path, made.parameters);
  EXPECT_ERROR(load_checkpoint(directory, made.parameters, optimizer), "no checkpoint");
}

TEST(Checkpoint, AnOptimisersStateByItself) {
  const testing::TemporaryFolder folder;
  const std::string path = folder / "adam.safetensors";
  const OptimizerState state{{{"exp_avg", full({3}, 0.1)}, {"exp_avg_sq", full({3}, 0.2)}}, 12345};
  save_optimizer(path, "adam", state);
  const OptimizerState back = load_optimizer(path, "adam");
  EXPECT_EQ(back.steps, 12345);
  ASSERT_EQ(back.entries.size(), 2u);
  for (std::size_t i = 0; i < 2; i++) {
    EXPECT_EQ(back.entries[i].name, state.entries[i].name);
    EXPECT_EQ(to_vector<float>(back.entries[i].values), to_vector<float>(state.entries[i].values));
  }
  EXPECT_ERROR(load_optimizer(path, "radam"), path, "state of adam, not of radam");
  Safetensors file = read_safetensors(path);
  file.tensors.back().tensor = scalar(-1, Dtype::int64);
  write_safetensors(path, file);
  EXPECT_ERROR(load_optimizer(path, "adam"), path, "no number of steps");
  write_safetensors(path, {file.tensors, {}});
  EXPECT_ERROR(load_optimizer(path, "adam"), path, "no state of an optimiser");
}

TEST(Checkpoint, ModelsConvertBetweenDtypes) {
  testing::TemporaryFolder folder;
  const std::string path = folder / "model.safetensors";
  Made narrow(3), wide(3, Dtype::float64);
  save_model(path, narrow.parameters);
  fill(wide.parameters.mutable_flat(), 0);
  load_model(path, wide.parameters);
  const auto a = to_vector<float>(narrow.parameters.flat());
  const auto b = to_vector<double>(wide.parameters.flat());
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
  const Safetensors file = read_safetensors(path);
  EXPECT_EQ(file.metadata.at("format"), "pt") << "as Python's package expects";
  EXPECT_EQ(file.tensors.size(), narrow.parameters.names().size());
}

TEST(Checkpoint, ModelOfTheBestParameters) {
  testing::TemporaryFolder folder;
  Made made;
  const Tensor best = Random(1).normal({made.parameters.size()});
  save_model(folder / "model.safetensors", made.parameters, best);
  load_model(folder / "model.safetensors", made.parameters);
  EXPECT_EQ(to_vector<float>(made.parameters.flat()), to_vector<float>(best));
  EXPECT_ERROR(load_model(folder / "none.safetensors", made.parameters), "none.safetensors");
}

}  // namespace
}  // namespace unroll
