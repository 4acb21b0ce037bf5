// unroll study t4: how often the input comes back from a last state alone.
#include <cmath>
#include <memory>

#include "cli/claim_rows.h"
#include "cli/study.h"
#include "inversion/claims_invert.h"

namespace unroll::cli {
namespace {

struct Arguments {
  std::string json;
  std::uint64_t seed = 1;
};

std::string init_of(const T4Row& row) {
  if (!row.orthogonal) return "PyTorch";
  return row.cell == Cell::lstm ? "orthogonal, forget bias 1" : "orthogonal";
}

std::string table_of(const std::vector<T4Row>& rows) {
  std::vector<std::vector<std::string>> lines = {
      {"cell", "start of weights", "T", "cond", "LM", "with starts", "L-BFGS", "Adam"}};
  for (const T4Row& row : rows) {
    const auto rate = [&](std::int64_t n) {
      return std::to_string(n) + "/" + std::to_string(row.seeds);
    };
    lines.push_back({name(row.cell), init_of(row), std::to_string(row.T), number(row.condition),
                     rate(row.lm), rate(row.multistart), rate(row.lbfgs), rate(row.adam)});
  }
  return table(lines);
}

std::string json_text(const std::vector<T4Row>& rows) {
  nlohmann::json all = nlohmann::json::array();
  for (const T4Row& row : rows)
    all.push_back(
        {{"cell", name(row.cell)},
         {"orthogonal", row.orthogonal},
         {"T", row.T},
         // JSON has no infinity
         {"condition", std::isfinite(row.condition) ? nlohmann::json(row.condition) : nullptr},
         {"seeds", row.seeds},
         {"lm", row.lm},
         {"multistart", row.multistart},
         {"lbfgs", row.lbfgs},
         {"adam", row.adam}});
  return nlohmann::json{{"rows", all}}.dump(2) + "\n";
}

void run(const Arguments& a) {
  if (!a.json.empty()) AtomicFile("study", a.json);  // tried before the work, not after it
  std::vector<T4Row> rows;
  with_claims(a.seed, [&](const ClaimContext& context) { rows = run_t4(context); });
  if (!a.json.empty()) write_file(a.json, json_text(rows));
  print("Inputs that came back from the last h alone, I 1, H 32 (error below 1e-6)\n\n" +
        table_of(rows));
}

}  // namespace

void add_study_t4(Command& study) {
  const auto a = std::make_shared<Arguments>();
  Command t4 = study.subcommand("t4", "inputs back from a last state, by cell, length and solver");
  t4.seed("--seed", a->seed, "of networks, inputs and starts");
  t4.text("--json", a->json, "also write the rows to this file");
  t4.threads();
  t4.footer("Example:\n  unroll study t4 --json t4.json");
  t4.on_run([a] { run(*a); });
}

}  // namespace unroll::cli
