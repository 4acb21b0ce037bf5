// Training on another device: the demonstration's, against the CPU's, parameter by parameter.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "models/model.h"
#include "models/series.h"
#include "models/trainer.h"
#include "models/windows.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

#ifndef UNROLL_TRAINING_STEPS
#define UNROLL_TRAINING_STEPS 20
#endif
constexpr std::int64_t kSteps = UNROLL_TRAINING_STEPS;

// As scripts/demo.sh says, with the data that it reads.
RunConfig demo(ModelKind kind) {
  RunConfig config;
  config.model.kind = kind;
  config.model.inputs = 2;
  config.model.hidden = 16;
  config.model.init.orthogonal = true;
  config.model.init.forget_bias = 1;
  config.train.steps = kSteps;
  config.train.lr = 0.005;
  return config;
}

Tensor demo_windows(const RunConfig& config) {
  const Series series =
      read_series(std::string(UNROLL_SOURCE_DIR) + "/examples/data/seattle-weather.csv",
                  {"temp_max", "temp_min"});
  const Split parts = split(series, config.validation, config.test);
  const Standardizer standardizer(parts.train);
  return sliding_windows(standardizer.apply(parts.train.values), config.window);
}

// The parameters after kSteps steps.
std::vector<NamedTensor> trained(const RunConfig& config, Device device) {
  Model model(config);
  model.move_to(device);
  Batches batches(demo_windows(config), {.size = config.batch, .seed = config.seed});
  Trainer trainer(model.reconstruction, *model.parameters, config.train);
  trainer.run([&](std::int64_t step) {
    return batches.get(step / batches.count(), step % batches.count());
  });
  std::vector<NamedTensor> all;
  for (std::size_t i = 0; i < model.parameters->names().size(); i++)
    all.push_back(
        {model.parameters->names()[i], on_device(model.parameters->tensors()[i], Device::cpu())});
  return all;
}

void expect_as_on_the_cpu(ModelKind kind, Device device) {
  if (!is_available(device)) GTEST_SKIP() << name(device) << " is " << why_unavailable(device);
  const RunConfig config = demo(kind);
  const auto here = trained(config, Device::cpu()), there = trained(config, device);
  ASSERT_EQ(here.size(), there.size());
  for (std::size_t i = 0; i < here.size(); i++) {
    SCOPED_TRACE(here[i].name);
    EXPECT_LE(difference(there[i].tensor, here[i].tensor), 1e-4);
  }
}

TEST(TrainingOnSim, OfADecoderIsTheCpus) {
  expect_as_on_the_cpu(ModelKind::decoder, Device::sim());
}
TEST(TrainingOnSim, OfAnAutoencoderIsTheCpus) {
  expect_as_on_the_cpu(ModelKind::autoencoder, Device::sim());
}
TEST(TrainingOnSim, WithAttentionIsTheCpus) {
  expect_as_on_the_cpu(ModelKind::attention, Device::sim());
}
TEST(TrainingOnCuda, OfADecoderIsTheCpus) {
  expect_as_on_the_cpu(ModelKind::decoder, Device::cuda());
}

}  // namespace
}  // namespace unroll::testing
