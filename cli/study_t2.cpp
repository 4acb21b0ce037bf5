// unroll study t2: one real number per hidden unit.
#include <memory>

#include "cli/signals.h"
#include "cli/study.h"
#include "models/t2.h"

namespace unroll::cli {
namespace {

struct Arguments {
  T2Options options;
  std::vector<std::string> cells;
  std::string json;
  std::int64_t seeds = 1;
};

nlohmann::json json_of(const T2Row& row) {
  return {{"cell", name(row.cell)}, {"n_h", row.hidden},  {"bound", row.bound},
          {"nmse", row.nmse},       {"worst", row.worst}, {"tolerance", row.tolerance},
          {"pass", row.pass},       {"seeds", row.seeds}, {"seconds", row.seconds}};
}

std::string table_of(const std::vector<T2Row>& rows) {
  std::vector<std::vector<std::string>> lines = {
      {"cell", "hidden", "bound", "NMSE", "worst seed", "allowed", "seconds", "result"}};
  for (const T2Row& row : rows)
    lines.push_back({name(row.cell), std::to_string(row.hidden), number(row.bound),
                     number(row.nmse), number(row.worst), number(row.bound + row.tolerance),
                     number(row.seconds), row.pass ? "pass" : "FAIL"});
  return table(lines);
}

void run_study(Arguments& arguments) {
  T2Options& options = arguments.options;
  if (arguments.seeds > 100000) throw UsageError("--seeds is above 100000");
  options.seeds = static_cast<int>(arguments.seeds);
  if (!arguments.cells.empty()) options.cells.clear();
  for (const std::string& cell : arguments.cells) options.cells.push_back(cell_type(cell));
  const auto rows = run_table<T2Row>(arguments.json, json_of, [&](const StudyProgress& show) {
    return run_t2(options, show, stop_on_signals());
  });
  print("NMSE of 32 random numbers recalled from the last state after 4 blank steps, seeds: " +
        std::to_string(options.seeds) + "\n\n" + table_of(rows));
}

}  // namespace

void add_study_t2(Command& study) {
  const auto a = std::make_shared<Arguments>();
  Command t2 = study.subcommand("t2", "one real number per hidden unit: how much a state holds");
  t2.list("--cell", a->cells, "cells; default all", {"tanh", "gru", "lstm"});
  t2.whole("--seeds", a->seeds, 1, "runs of each cell and size");
  t2.seed("--seed", a->options.first_seed, "the first seed");
  t2.whole("--steps", a->options.steps, 1, "training steps of a run");
  t2.text("--json", a->json, "also write the rows to this file");
  t2.threads();
  t2.footer("Example:\n  unroll study t2 --seeds 3 --json t2.json");
  t2.on_run([a] { run_study(*a); });
}

}  // namespace unroll::cli
