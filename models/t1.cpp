#include "models/t1.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "autograd/ops.h"
#include "core/parallel.h"
#include "models/generators.h"
#include "models/trainer.h"

namespace unroll {
namespace {

constexpr double kLearningRate = 3e-3;
constexpr std::int64_t kHeldOut = 1000;
constexpr double kStuck = 0.99;

struct Variant {
  ModelKind kind;
  std::optional<Cell> cell;
};

struct Job {
  std::size_t row;
  Variant variant;
  const Task* task;
  std::uint64_t seed;
};

struct Outcome {
  double nmse = 0, seconds = 0;
  bool stuck = false;
};

// Streams of random numbers of a run's seed.
constexpr std::uint64_t kInitStream = 1, kDataStream = 3;

// Held-out sequences of different lengths for the attention model, full ones for the others.
Batch make_batch(const Tensor& x, ModelKind kind, Random& random) {
  if (kind != ModelKind::attention) return {x, {}};
  const std::int64_t T = x.shape()[0], N = x.shape()[1];
  return {x, random_lengths(random, N, std::max<std::int64_t>(1, T / 2), T)};
}

class Run {
 public:
  Run(const T1Options& options, const Job& job)
      : options_(options), job_(job), model_(parameters_, model_options(options, job)) {
    Random random(job.seed, kInitStream);
    model_.reset(random);
    Random lengths(99, 2);
    held_out_ = make_batch(job.task->held_out(kHeldOut, options.window), job.variant.kind, lengths);
    const Tensor target = model_.target(held_out_.x, held_out_.lengths);
    scale_ = mean_predictor_loss(target);
  }

  Outcome train(const std::function<void()>& after_step) {
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t check = std::min<std::int64_t>(1000, options_.steps * 2 / 5);
    Trainer trainer(model_, parameters_, {.steps = options_.steps, .lr = kLearningRate});
    Outcome outcome;
    trainer.set_progress([&](const StepReport& report) {
      if (report.step == check) outcome.stuck = nmse() >= kStuck;
      after_step();
    });
    Random data(job_.seed, kDataStream);
    trainer.run([&](std::int64_t) {
      const Tensor x = job_.task->batch(data, options_.batch, options_.window);
      return make_batch(x, job_.variant.kind, data);
    });
    outcome.nmse = nmse();
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    outcome.seconds = spent.count();
    return outcome;
  }

 private:
  static ModelOptions model_options(const T1Options& options, const Job& job) {
    return {.kind = job.variant.kind,
            .cell = job.variant.cell,
            .inputs = job.task->channels(),
            .hidden = options.hidden,
            .init = options.init};
  }

  double nmse() const {
    const NoTape none;
    return model_.loss(held_out_.x, held_out_.lengths).item() / scale_;
  }

  // What predicting each channel's mean over the held-out set would score.
  double mean_predictor_loss(const Tensor& target) const {
    const std::int64_t T = target.shape()[0], N = target.shape()[1];
    const Lengths lengths = T == options_.window ? held_out_.lengths : Lengths();
    const Tensor mask = to(length_mask(lengths, T, N), target.dtype());
    const Tensor mean = sum(target * mask, {0, 1}, true) / sum(mask);
    return masked_mse(expand(mean, target.shape()), target, lengths).item();
  }

  const T1Options& options_;
  const Job& job_;
  Parameters parameters_;
  Reconstruction model_;
  Batch held_out_;
  double scale_ = 1;
};

std::vector<Variant> variants(const T1Options& options) {
  std::vector<Variant> all;
  const std::vector<ModelKind> kinds = options.models.empty() ? all_model_kinds() : options.models;
  for (ModelKind kind : kinds) {
    const bool other_cell = kind == ModelKind::autoencoder && options.cell;
    all.push_back({kind, other_cell ? options.cell : std::nullopt});
  }
  if (options.models.empty() && !options.cell)
    all.push_back({ModelKind::autoencoder, Cell::linear});
  return all;
}

T1Row summary(T1Row row, const std::vector<Outcome>& outcomes) {
  std::vector<double> kept;
  for (const Outcome& o : outcomes) {
    row.seconds += o.seconds;
    row.stuck += o.stuck;
    if (!o.stuck) kept.push_back(o.nmse);
  }
  if (kept.empty())
    for (const Outcome& o : outcomes) kept.push_back(o.nmse);
  row.seeds = static_cast<int>(outcomes.size());
  const MeanSd nmse = mean_sd(kept);
  row.nmse_mean = nmse.mean;
  row.nmse_sd = nmse.sd;
  return row;
}

}  // namespace

std::string t1_name(ModelKind kind, std::optional<Cell> cell) {
  const std::string base = name(kind);
  return cell && *cell != default_cell(kind) ? base + "-" + name(*cell) : base;
}

std::vector<T1Row> run_t1(const T1Options& options, const StudyProgress& progress,
                          const std::atomic<bool>* stop) {
  if (options.seeds < 1 || options.steps < 1) fail("study", "seeds and steps must be at least 1");
  std::vector<std::unique_ptr<Task>> tasks;
  for (const std::string& name : options.tasks.empty() ? Task::names() : options.tasks)
    tasks.push_back(std::make_unique<Task>(name));
  std::vector<T1Row> rows;
  std::vector<Job> jobs;
  for (const Variant& variant : variants(options))
    for (const auto& task : tasks) {
      for (int s = 0; s < options.seeds; s++)
        jobs.push_back({rows.size(), variant, task.get(), options.first_seed + s});
      rows.push_back({.model = t1_name(variant.kind, variant.cell), .task = task->name()});
    }
  StepCounter counter(static_cast<std::int64_t>(jobs.size()) * options.steps, progress, stop);
  std::vector<Outcome> outcomes(jobs.size());
  run_jobs(jobs.size(), [&](std::size_t i) {
    outcomes[i] = Run(options, jobs[i]).train([&] { counter.after_step(); });
  });
  for (std::size_t r = 0; r < rows.size(); r++) {
    std::vector<Outcome> mine;
    for (std::size_t j = 0; j < jobs.size(); j++)
      if (jobs[j].row == r) mine.push_back(outcomes[j]);
    rows[r] = summary(rows[r], mine);
  }
  return rows;
}

}  // namespace unroll
