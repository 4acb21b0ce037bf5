// unroll study: the tables of the laboratory. t1 compares the reconstruction models on four tasks.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/command.h"
#include "cli/signals.h"
#include "cli/study_t5.h"
#include "cli/terminal.h"
#include "cli/training_options.h"
#include "io/atomic_file.h"
#include "models/generators.h"
#include "models/t1.h"

namespace unroll::cli {
namespace {

struct Arguments {
  T1Options options;
  std::vector<std::string> models;
  std::string json;
  std::int64_t seeds = 3;
};

using Rows = std::vector<T1Row>;

// The names of a member, each once, in order.
std::vector<std::string> distinct(const Rows& rows, std::string T1Row::*member) {
  std::vector<std::string> names;
  for (const T1Row& row : rows)
    if (std::find(names.begin(), names.end(), row.*member) == names.end())
      names.push_back(row.*member);
  return names;
}

std::string cell_text(const T1Row& row) {
  std::string text = number(row.nmse_mean);
  if (row.seeds - row.stuck > 1) text += " +- " + number(row.nmse_sd);
  if (row.stuck > 0)
    text += " (" + std::to_string(row.stuck) + "/" + std::to_string(row.seeds) + " stuck)";
  return text;
}

std::string table_of(const Rows& rows) {
  const std::vector<std::string> tasks = distinct(rows, &T1Row::task);
  std::vector<std::vector<std::string>> lines = {{"model"}};
  lines[0].insert(lines[0].end(), tasks.begin(), tasks.end());
  lines[0].push_back("seconds");
  for (const std::string& model : distinct(rows, &T1Row::model)) {
    std::vector<std::string> line = {model};
    double seconds = 0;
    for (const std::string& task : tasks) {
      const auto row = std::find_if(rows.begin(), rows.end(), [&](const T1Row& r) {
        return r.model == model && r.task == task;
      });
      line.push_back(row == rows.end() ? "" : cell_text(*row));
      if (row != rows.end()) seconds += row->seconds;
    }
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", seconds);
    line.emplace_back(text);
    lines.push_back(line);
  }
  return table(lines);
}

std::string json_of(const Rows& rows) {
  nlohmann::json all = nlohmann::json::array();
  for (const T1Row& row : rows)
    all.push_back({{"model", row.model},
                   {"task", row.task},
                   {"nmse_mean", row.nmse_mean},
                   {"nmse_sd", row.nmse_sd},
                   {"stuck", row.stuck},
                   {"seconds", row.seconds},
                   {"seeds", row.seeds}});
  return nlohmann::json{{"rows", all}}.dump(2) + "\n";
}

void run_study(Arguments& arguments) {
  T1Options& options = arguments.options;
  if (arguments.seeds > 100000) throw UsageError("--seeds is above 100000");
  options.seeds = static_cast<int>(arguments.seeds);
  for (const std::string& model : arguments.models) options.models.push_back(model_kind(model));
  const bool has_autoencoder =
      options.models.empty() || std::find(options.models.begin(), options.models.end(),
                                          ModelKind::autoencoder) != options.models.end();
  if (options.cell && !has_autoencoder)
    throw UsageError("--cell is the autoencoder's, which --model leaves out");
  // The folder is tried before the work, not after it.
  if (!arguments.json.empty()) AtomicFile("study", arguments.json);
  std::optional<Progress> progress;
  const auto show = [&](std::int64_t done, std::int64_t total) {
    if (!progress) progress.emplace(stderr, total);
    if (progress->is_due(done)) progress->show(done, "");
  };
  const Rows rows = run_t1(options, show, stop_on_signals());
  progress.reset();
  if (!arguments.json.empty()) write_file(arguments.json, json_of(rows));
  print("NMSE on held-out sequences: mean +- sd over " + std::to_string(options.seeds) +
        " seeds (0: exact, 1: as good as the mean)\n\n" + table_of(rows));
}

void add_t1(Command& study) {
  const auto a = std::make_shared<Arguments>();
  T1Options& options = a->options;
  Command t1 = study.subcommand("t1", "the reconstruction models on four tasks");
  t1.list("--task", options.tasks, "tasks; default all", Task::names());
  t1.list("--model", a->models, "models; default all", model_names());
  t1.choice(
      "--cell", cell_names(),
      [&options](const std::string& text) { options.cell = cell_type(text); },
      "the autoencoder's cell instead of tanh");
  t1.whole("--seeds", a->seeds, 1, "runs of each model on each task");
  t1.seed("--seed", options.first_seed, "the first seed");
  t1.whole("--steps", options.steps, 1, "training steps of a run");
  t1.flag("--orthogonal", options.init.orthogonal, "start recurrent weights orthogonal");
  t1.text("--json", a->json, "also write the rows to this file");
  t1.threads();
  t1.footer(
      "Example:\n"
      "  unroll study t1 --task lorenz --model decoder,attention --seeds 1 --json t1.json");
  t1.on_run([a] { run_study(*a); });
}

}  // namespace

void add_study(Command& unroll) {
  Command study = unroll.subcommand("study", "the tables of the laboratory");
  study.footer("Example:\n  unroll study t1 --seeds 3 --json t1.json");
  add_t1(study);
  add_study_t5(study);
}

}  // namespace unroll::cli
