// unroll compare: the three models of the founding question and principal components on one series.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>

#include "cli/command.h"
#include "cli/plot.h"
#include "cli/rebuild.h"
#include "cli/run.h"
#include "cli/run_folder.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "cli/training_options.h"
#include "core/parallel.h"
#include "core/view.h"
#include "io/atomic_file.h"
#include "io/csv.h"
#include "models/pca.h"

namespace unroll::cli {
namespace {

namespace fs = std::filesystem;

constexpr ModelKind kKinds[] = {ModelKind::autoencoder, ModelKind::decoder, ModelKind::attention};

std::string in(const std::string& directory, const std::string& name) {
  return (fs::path(directory) / name).string();
}

// One model of the comparison: its run, in a folder of its own.
struct Entry {
  RunConfig config;
  std::string directory;
  std::unique_ptr<Model> model;
  TrainResult result;
  std::optional<Score> score;  // on the held-out windows
  double seconds = 0;
};

// Trains all entries, as many at a time as there are threads, each on one thread: models this small
// do not share well, and no result depends on it.
class Training {
 public:
  Training(std::vector<Entry>& entries, const Data& data)
      : entries_(entries), data_(data), stop_(stop_on_signals()) {
    for (const Entry& entry : entries) total_ += entry.config.train.steps;
  }

  void run() {
    progress_.emplace(stderr, total_);
    run_jobs(entries_.size(), [this](std::size_t i) { train_one(entries_[i]); });
    progress_.reset();
  }

 private:
  void train_one(Entry& entry) {
    const auto start = std::chrono::steady_clock::now();
    std::int64_t before = 0;
    const auto progress = [&](const StepReport& report) {
      done_ += report.step - before;  // a resumed run begins further on
      before = report.step;
      show(report, entry);
    };
    entry.result = train(*entry.model, data_, entry.config, entry.directory, progress, stop_);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    entry.seconds = spent.count();
  }

  void show(const StepReport& report, const Entry& entry) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    const std::int64_t done = done_;
    if (lock.owns_lock() && progress_->is_due(done))
      progress_->show(done,
                      std::string(name(entry.config.model.kind)) + " loss " + number(report.loss));
  }

  std::vector<Entry>& entries_;
  const Data& data_;
  const std::atomic<bool>* stop_;
  std::int64_t total_ = 0;
  std::optional<Progress> progress_;
  std::atomic<std::int64_t> done_{0};
  std::mutex mutex_;
};

// The training mean of every window: what standardised zeros are.
double mean_nmse(const Tensor& windows) {
  Score score(windows.shape()[2]);
  score.add(zeros(windows.shape(), Dtype::float64), windows);
  return score.nmse();
}

double pca_nmse(const Pca& pca, const Tensor& windows) {
  Score score(windows.shape()[2]);
  score.add(pca.reconstruct(windows), windows);
  return score.nmse();
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", seconds);
  return text;
}

std::string scores(const std::vector<Entry>& entries, const Data& data) {
  const std::int64_t H = entries[0].config.model.hidden;
  const std::int64_t numbers = data.train.shape()[1] * data.train.shape()[2];
  std::vector<std::vector<std::string>> rows = {
      {"model", "bottleneck", "NMSE", "parameters", "seconds"}};
  rows.push_back({"mean predictor", "0", number(mean_nmse(data.test)), "", ""});
  for (const std::int64_t k : {H, 2 * H}) {
    const std::int64_t kept = std::min(k, numbers);
    const Pca pca(data.train, kept);
    rows.push_back({"PCA with " + std::to_string(kept) + " numbers", std::to_string(kept),
                    number(pca_nmse(pca, data.test)), "", ""});
  }
  for (const Entry& entry : entries) {
    const std::int64_t bottleneck = entry.model->reconstruction.bottleneck();
    rows.push_back({name(entry.config.model.kind),
                    bottleneck < 0 ? "none" : std::to_string(bottleneck),
                    number(entry.score->nmse()), std::to_string(entry.model->parameters->size()),
                    seconds_text(entry.seconds)});
  }
  return table(rows);
}

// The held-out part through every model, in its own units.
struct HeldOut {
  std::int64_t first = 0;  // its first step in the series
  Tensor original;         // [T,C]
  std::vector<Tensor> rebuilt;
};

HeldOut held_out(const std::vector<Entry>& entries, const Data& data) {
  HeldOut out{.first = data.parts.train.steps() + data.parts.validation.steps(),
              .original = contiguous_copy(data.parts.test.values)};
  const Tensor x = data.standardizer.apply(out.original);
  for (const Entry& entry : entries)
    out.rebuilt.push_back(data.standardizer.invert(rebuild(*entry.model, x, entry.config)));
  return out;
}

void write_table(const std::string& path, const std::vector<Entry>& entries, const HeldOut& h) {
  const std::int64_t T = h.original.shape()[0], C = h.original.shape()[1];
  const auto models = static_cast<std::int64_t>(entries.size());
  std::vector<std::string> names = {"step"};
  Tensor rows = empty({T, 1 + C * (1 + models)}, Dtype::float64);
  Tensor steps = view::select(rows, 1, 0);
  copy_into(steps, arange(T, Dtype::float64, static_cast<double>(h.first)));
  int at = 1;
  const auto put = [&](const std::string& name, const Tensor& from, std::int64_t c) {
    names.push_back(name);
    Tensor to = view::select(rows, 1, at++);
    copy_into(to, view::select(from, 1, c));
  };
  for (std::int64_t c = 0; c < C; c++) {
    const std::string& column = entries[0].config.columns[static_cast<std::size_t>(c)];
    put(column, h.original, c);
    for (std::size_t i = 0; i < entries.size(); i++)
      put(column + "_" + name(entries[i].config.model.kind), h.rebuilt[i], c);
  }
  write_csv(path, rows, names);
}

// As many whole windows as are still easy to see.
std::int64_t steps_shown(const RunConfig& config, std::int64_t T) {
  const std::int64_t windows = std::max<std::int64_t>(1, 120 / config.window);
  return std::min(T, windows * config.window);
}

void write_plot(const std::string& path, const std::vector<Entry>& entries, const HeldOut& h) {
  const RunConfig& config = entries[0].config;
  const std::int64_t C = h.original.shape()[1];
  const std::int64_t shown = steps_shown(config, h.original.shape()[0]);
  const auto column = [&](const Tensor& values, std::int64_t c) {
    const Tensor part = view::slice(view::select(values, 1, c), 0, 0, shown);
    return to_vector<double>(contiguous_copy(part));
  };
  Plot plot{.title = "Can an RNN give its input back?",
            .subtitle = fs::path(config.data).filename().string() + ", held out: windows of " +
                        std::to_string(config.window) + " steps, " +
                        std::to_string(config.model.hidden) + " hidden units",
            .x_label = "step of the series",
            .first_x = static_cast<double>(h.first),
            .mark_every = config.window,
            .columns = static_cast<int>(std::min<std::int64_t>(C, 3))};
  for (std::size_t i = 0; i < entries.size(); i++)
    for (std::int64_t c = 0; c < C; c++) {
      const std::string model = name(entries[i].config.model.kind);
      const std::string& channel = config.columns[static_cast<std::size_t>(c)];
      plot.panels.push_back(
          {.title = model + ": " + channel + ", NMSE " + number(entries[i].score->nmse(c)),
           .curves = {{"original", 0, column(h.original, c)},
                      {model, static_cast<int>(i) + 1, column(h.rebuilt[i], c)}},
           .axis = static_cast<int>(c)});
    }
  write_file(path, to_svg(plot));
}

// The runs, new or, to resume, those that are there, beside those that were not begun.
std::vector<Entry> make_entries(const TrainingOptions& options, Series& series) {
  std::vector<Entry> entries;
  if (!options.resume()) options.require_sense();
  RunConfig asked = options.config();
  std::string data = options.data();
  for (const ModelKind kind : kKinds) {
    Entry entry;
    entry.directory = in(options.out(), name(kind));
    const bool there = options.resume() && fs::exists(in(entry.directory, "config.json"));
    RunFolder::check(entry.directory, there);
    if (there) {
      entry.config = load_config(entry.directory);
      options.require_agreement(entry.config, entry.directory);
      if (data.empty()) data = entry.config.data;
    } else if (data.empty()) {
      options.require_data();
    }
    entries.push_back(std::move(entry));
  }
  asked.data = absolute_path(data);
  const bool resumed = !entries[0].config.digest.empty();
  series = read_data(data, resumed ? entries[0].config : asked);
  const RunConfig fresh = resumed ? entries[0].config : complete(asked, options.epochs(), series);
  for (std::size_t i = 0; i < entries.size(); i++) {
    RunConfig& config = entries[i].config;
    if (config.digest.empty()) {
      config = fresh;
      config.model.kind = kKinds[i];
      config.model.cell.reset();  // each its own default, not that of the model found first
    }
    require_same_data(config, series, data);
  }
  return entries;
}

void run_compare(const TrainingOptions& options) {
  Series series;
  std::vector<Entry> entries = make_entries(options, series);
  const Data data(series, entries[0].config);
  if (!data.test) throw UsageError("--test 0 leaves nothing to compare on");
  std::vector<std::unique_ptr<RunFolder>> folders;
  for (Entry& entry : entries) {
    const bool there = fs::exists(in(entry.directory, "config.json"));
    folders.push_back(std::make_unique<RunFolder>(entry.directory, there));
    if (!there) save_config(entry.directory, entry.config);
    entry.model = std::make_unique<Model>(entry.config);
  }
  Training(entries, data).run();
  for (const Entry& entry : entries)
    if (entry.result.interrupted)
      throw Error("stopped before the end, with checkpoints; go on with: unroll compare --out " +
                  in_shell(options.out()) + " --resume");

  for (Entry& entry : entries) entry.score = evaluate(*entry.model, data.test, entry.config);
  const HeldOut h = held_out(entries, data);
  write_table(in(options.out(), "reconstructions.csv"), entries, h);
  write_plot(in(options.out(), "reconstructions.svg"), entries, h);
  print("NMSE on " + std::to_string(data.test.shape()[0]) +
        " held-out windows (0: exact, 1: as good as their mean)\n\n" + scores(entries, data) +
        "\nwritten: " + in(options.out(), "reconstructions.svg") + " and .csv\n");
}

}  // namespace

void add_compare(Command& unroll) {
  Command command = unroll.subcommand(
      "compare", "train autoencoder, decoder and attention on a series, beside PCA");
  RunConfig config;
  config.model.hidden = 16;
  config.train.checkpoint_seconds = 10;
  const auto options = std::make_shared<TrainingOptions>(command, config);
  command.footer(
      "PCA keeps as many numbers as the autoencoder's bottleneck (--hidden) and as the decoder's\n"
      "(twice that). Each model is a run of unroll train in a folder of its own under --out.\n\n"
      "Example:\n"
      "  unroll compare weather.csv --columns temp_max,temp_min --hidden 16 --out comparison");
  command.on_run([options] { run_compare(*options); });
}

}  // namespace unroll::cli
