// unroll study t1: the reconstruction models on four tasks.
#include <algorithm>
#include <memory>

#include "cli/signals.h"
#include "cli/study.h"
#include "cli/training_options.h"
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

nlohmann::json json_of(const T1Row& row) {
  return {{"model", row.model},     {"task", row.task},   {"nmse_mean", row.nmse_mean},
          {"nmse_sd", row.nmse_sd}, {"stuck", row.stuck}, {"seconds", row.seconds},
          {"seeds", row.seeds}};
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
  const Rows rows = run_table<T1Row>(arguments.json, json_of, [&](const StudyProgress& show) {
    return run_t1(options, show, stop_on_signals());
  });
  print("NMSE on held-out sequences: mean +- sd over " + std::to_string(options.seeds) +
        " seeds (0: exact, 1: as good as the mean)\n\n" + table_of(rows));
}

}  // namespace

void add_study_t1(Command& study) {
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

}  // namespace unroll::cli
