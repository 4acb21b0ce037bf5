#include "models/t2.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "autograd/ops.h"
#include "core/parallel.h"
#include "core/view.h"
#include "models/init.h"
#include "models/reconstruction.h"
#include "models/score.h"
#include "models/trainer.h"

namespace unroll {
namespace {

constexpr std::int64_t kNumbers = 32, kBlank = 4;
constexpr std::int64_t kBatch = 128, kTest = 4000;
constexpr double kLearningRate = 1e-2, kLastRate = 1e-5;

// Streams of random numbers of a run's seed.
constexpr std::uint64_t kInitStream = 1, kDataStream = 2, kTestStream = 3;

struct Job {
  std::size_t row;
  Cell cell;
  std::int64_t hidden;
  std::uint64_t seed;
};

struct Outcome {
  double nmse = 0, seconds = 0;
};

// v [N,kNumbers], then nothing: [1 + kBlank,N,kNumbers].
Tensor followed_by_blanks(const Tensor& v) {
  Tensor x = zeros({1 + kBlank, v.shape()[0], kNumbers});
  Tensor first = view::select(x, 0, 0);
  copy_into(first, v);
  return x;
}

// Normal vectors whitened: their second moments are exactly the identity. So the bound holds for
// these very vectors and not only on average, around which plain draws scatter by .002.
Tensor test_vectors(Random& random) {
  Tensor v = zeros({kTest, kNumbers});
  init::orthogonal(v, random, std::sqrt(static_cast<double>(kTest)));
  return v;
}

Tensor vectors(const Tensor& x) { return view::slice(x, 0, 0, 1); }

class Memory {
 public:
  explicit Memory(const Job& job)
      : job_(job),
        rnn_(parameters_, "rnn", job.cell, kNumbers, job.hidden),
        readout_(parameters_, "readout", job.hidden, kNumbers) {
    Random random(job.seed, kInitStream);
    rnn_.reset(random, {.orthogonal = job.cell == Cell::tanh,
                        .forget_bias = job.cell == Cell::lstm ? 1.0 : 0.0});
    readout_.reset(random);
  }

  Outcome train(std::int64_t steps, StepCounter& counter) {
    const auto start = std::chrono::steady_clock::now();
    Trainer trainer(
        [this](const Batch& batch) { return mse_loss(recalled(batch.x), vectors(batch.x)); },
        parameters_,
        {.steps = steps, .lr = kLearningRate, .final_fraction = kLastRate / kLearningRate});
    trainer.set_progress([&](const StepReport&) { counter.after_step(); });
    Random data(job_.seed, kDataStream);
    trainer.run([&](std::int64_t) {
      return Batch{followed_by_blanks(data.normal({kBatch, kNumbers})), {}};
    });
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    return {nmse(), spent.count()};
  }

 private:
  // [1,N,kNumbers], from the last state alone.
  Tensor recalled(const Tensor& x) const { return readout_(rnn_(x, {}).state.h); }

  double nmse() const {
    const NoTape none;
    Random random(job_.seed, kTestStream);
    const Tensor x = followed_by_blanks(test_vectors(random));
    Score score(kNumbers);
    score.add(recalled(x), vectors(x));
    return score.nmse();
  }

  const Job& job_;
  Parameters parameters_;
  Recurrent rnn_;
  Linear readout_;
};

// With a unit for each number and none to spare, the last few are learned slowly.
double tolerance(Cell cell, std::int64_t hidden) {
  if (hidden != kNumbers) return 0.006;
  return cell == Cell::lstm ? 0.05 : 0.012;
}

T2Row empty_row(Cell cell, std::int64_t hidden) {
  const double share = static_cast<double>(hidden) / kNumbers;
  return {.cell = cell,
          .hidden = hidden,
          .bound = std::max(0.0, 1 - share),
          .tolerance = tolerance(cell, hidden)};
}

void add(T2Row& row, const Outcome& outcome) {
  const double total = row.nmse * row.seeds + outcome.nmse;
  row.worst = std::max(row.worst, outcome.nmse);
  row.seconds += outcome.seconds;
  row.seeds++;
  row.nmse = total / row.seeds;
  row.pass = row.worst <= row.bound + row.tolerance;
}

}  // namespace

std::vector<T2Row> run_t2(const T2Options& options, const StudyProgress& progress,
                          const std::atomic<bool>* stop) {
  if (options.seeds < 1 || options.steps < 1) fail("study", "seeds and steps must be at least 1");
  std::vector<T2Row> rows;
  std::vector<Job> jobs;
  for (const Cell cell : options.cells)
    for (const std::int64_t hidden : options.hidden) {
      for (int s = 0; s < options.seeds; s++)
        jobs.push_back({rows.size(), cell, hidden, options.first_seed + s});
      rows.push_back(empty_row(cell, hidden));
    }
  // The longest first, so that no thread is left with one at the end.
  std::stable_sort(jobs.begin(), jobs.end(),
                   [](const Job& a, const Job& b) { return a.hidden > b.hidden; });
  StepCounter counter(static_cast<std::int64_t>(jobs.size()) * options.steps, progress, stop);
  std::vector<Outcome> outcomes(jobs.size());
  run_jobs(jobs.size(),
           [&](std::size_t i) { outcomes[i] = Memory(jobs[i]).train(options.steps, counter); });
  for (std::size_t i = 0; i < jobs.size(); i++) add(rows[jobs[i].row], outcomes[i]);
  return rows;
}

}  // namespace unroll
