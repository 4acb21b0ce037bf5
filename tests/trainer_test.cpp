// Training: the schedule, stopping, the guard against NaN, and resuming to the last bit.
#include "models/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/parallel.h"
#include "tests/teams.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

using testing::read_bytes;

// A small run whose batches are a function of the step.
struct Training {
  explicit Training(TrainOptions options, const std::string& directory = "", int hidden = 5)
      : model(parameters, {.kind = ModelKind::decoder, .inputs = 2, .hidden = hidden}),
        trainer(model, parameters, options) {
    Random random(3);
    model.reset(random);
    trainer.set_directory(directory);
    trainer.set_progress([this](const StepReport& r) { reports.push_back(r); });
  }

  static Batch batch(std::int64_t step, std::int64_t N = 8) {
    Random random(9, static_cast<std::uint64_t>(step));
    const Tensor x = random.normal({6, N, 2});
    return {x, random_lengths(random, N, 3, 6)};
  }

  void validate() {
    trainer.set_validation([this] { return model.loss(batch(1000000).x).item(); });
  }

  TrainResult run() {
    return trainer.run([](std::int64_t step) { return batch(step); });
  }

  Parameters parameters;
  Reconstruction model;
  Trainer trainer;
  std::vector<StepReport> reports;
};

TEST(Trainer, FollowsTheScheduleAndLearns) {
  Training run({.steps = 300, .lr = 1e-2, .final_fraction = 0.1});
  const TrainResult result = run.run();
  EXPECT_EQ(result.state.step, 300);
  EXPECT_TRUE(result.state.finished);
  EXPECT_FALSE(result.interrupted);
  EXPECT_FALSE(result.state.has_best);
  ASSERT_EQ(run.reports.size(), 300u);
  EXPECT_DOUBLE_EQ(run.reports[0].lr, 1e-2);
  EXPECT_NEAR(run.reports[150].lr, 1e-3 + 0.5 * 9e-3, 1e-12);
  EXPECT_NEAR(run.reports[299].lr, 1e-3, 1e-6);
  EXPECT_LT(run.reports[299].loss, run.reports[0].loss);
}

TEST(Trainer, ClipsTheGradient) {
  Training free({.steps = 1, .clip = 0}), clipped({.steps = 1, .clip = 1e-3});
  EXPECT_DOUBLE_EQ(free.run().last.gradient_norm, clipped.run().last.gradient_norm);
  EXPECT_GT(free.reports[0].gradient_norm, 1e-3) << "before clipping";
  EXPECT_NEAR(gradient_norm(clipped.parameters), 1e-3, 1e-6);
}

TEST(Trainer, KeepsTheBestOfTheValidations) {
  testing::TemporaryFolder folder;
  Training run({.steps = 10, .validate_every = 2}, folder.path().string());
  const double script[] = {5, 3, 4, 6, 7};
  int calls = 0;
  std::vector<float> best;
  run.trainer.set_validation([&] {
    if (calls == 1) best = to_vector<float>(run.parameters.flat());
    return script[calls++];
  });
  const TrainResult result = run.run();
  EXPECT_EQ(calls, 5);
  EXPECT_EQ(result.state.best, 3);
  EXPECT_EQ(result.state.best_step, 4);
  EXPECT_EQ(to_vector<float>(result.state.best_parameters), best);
  Parameters saved;
  Reconstruction model(saved, run.model.options());
  load_model(folder / "model.safetensors", saved);
  EXPECT_EQ(to_vector<float>(saved.flat()), best);
}

TEST(Trainer, StopsWithoutImprovement) {
  Training run({.steps = 100, .validate_every = 2, .patience = 3});
  int calls = 0;
  run.trainer.set_validation([&] { return calls++ == 0 ? 1.0 : 2.0; });
  const TrainResult result = run.run();
  EXPECT_TRUE(result.early_stopped);
  EXPECT_EQ(result.state.step, 8);
}

TEST(Trainer, NotFiniteNamesStepAndBatchAndKeepsTheCheckpoint) {
  testing::TemporaryFolder folder;
  Training run({.steps = 100, .steps_per_epoch = 4, .checkpoint_every = 3}, folder.path().string());
  const auto poisoned = [](std::int64_t step) {
    Batch batch = Training::batch(step);
    if (step == 9) fill(batch.x, std::nan(""));
    return batch;
  };
  EXPECT_ERROR(run.trainer.run(poisoned), "the loss is NaN", "step 10", "epoch 3, batch 2",
               "last good checkpoint");
  OptimizerState optimizer;
  // Whether the parameters after step 9 are good was never seen.
  EXPECT_EQ(load_checkpoint(folder.path().string(), run.parameters, optimizer).step, 6);
  EXPECT_TRUE(std::isfinite(run.model.loss(Training::batch(6).x).item()));

  Training validated({.steps = 4, .validate_every = 2});
  validated.trainer.set_validation([] { return std::nan(""); });
  EXPECT_ERROR(validated.run(), "validation loss", "step 2");
}

constexpr const char* kFiles[] = {"checkpoint.safetensors", "model.safetensors", "metrics.csv"};

TEST(Trainer, ResumedFromAnyStepEndsInTheSameBits) {
  const TrainOptions options{
      .steps = 12, .steps_per_epoch = 4, .validate_every = 4, .checkpoint_every = 5};
  testing::TemporaryFolder whole;
  Training uninterrupted(options, whole.path().string());
  uninterrupted.validate();
  uninterrupted.run();
  for (std::int64_t stop_at = 1; stop_at < 12; stop_at++) {
    testing::TemporaryFolder folder;
    std::atomic<bool> stop{false};
    Training first(options, folder.path().string());
    first.validate();
    first.trainer.set_stop(&stop);
    first.trainer.set_progress([&](const StepReport& r) { stop = r.step >= stop_at; });
    const TrainResult interrupted = first.run();
    ASSERT_TRUE(interrupted.interrupted);
    ASSERT_EQ(interrupted.state.step, stop_at);
    // What a kill leaves behind: rows beyond the checkpoint, the last one torn.
    const std::string metrics = folder / "metrics.csv";
    testing::write_bytes(metrics, read_bytes(metrics) + "77,0.5,0.1,1,\n1");
    Training second(options, folder.path().string());
    second.validate();
    second.trainer.resume();
    second.run();
    for (const char* file : kFiles)
      ASSERT_EQ(read_bytes(folder / file), read_bytes(whole / file)) << file << stop_at;
  }
}

TEST(Trainer, ResumingWhatIsFinishedChangesNothing) {
  testing::TemporaryFolder folder;
  const TrainOptions options{.steps = 3};
  Training first(options, folder.path().string());
  first.run();
  const std::string before = read_bytes(folder / "checkpoint.safetensors");
  std::filesystem::remove(folder / "model.safetensors");  // killed just before it was written
  Training second(options, folder.path().string());
  second.trainer.resume();
  second.run();
  EXPECT_TRUE(second.reports.empty());
  EXPECT_EQ(read_bytes(folder / "checkpoint.safetensors"), before);
  EXPECT_TRUE(std::filesystem::exists(folder / "model.safetensors"));
}

TEST(Trainer, ThreadsDoNotChangeABit) {
  const int threads = num_threads();
  const std::int64_t teams = testing::teams_started();
  std::vector<std::vector<float>> results;
  for (const int count : {1, 2, 3}) {
    set_num_threads(count);
    Training run({.steps = 5}, "", 64);
    run.trainer.run([](std::int64_t step) { return Training::batch(step, 64); });
    results.push_back(to_vector<float>(run.parameters.flat()));
  }
  set_num_threads(threads);
  EXPECT_TRUE(teams < 0 || testing::teams_started() > teams + 2 * 5 * 4) << "both of its layers";
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Trainer, CheckpointsByTime) {
  testing::TemporaryFolder folder;
  Training run({.steps = 3, .checkpoint_seconds = 1e-9}, folder.path().string());
  std::vector<bool> there;
  run.trainer.set_progress(
      [&](const StepReport&) { there.push_back(has_checkpoint(folder.path().string())); });
  run.run();
  EXPECT_EQ(there, (std::vector<bool>{false, true, true}));
}

TEST(Trainer, Errors) {
  EXPECT_ERROR(Training({.steps = -1}), "steps");
  testing::TemporaryFolder folder;
  Training run({.steps = 1}, folder.path().string());
  EXPECT_ERROR(run.trainer.resume(), "checkpoint.safetensors");
}

}  // namespace
}  // namespace unroll
