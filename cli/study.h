// The tables of unroll study, and what they share.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/terminal.h"
#include "io/atomic_file.h"
#include "models/study.h"

namespace unroll::cli {

void add_study_t1(Command& study);
void add_study_t2(Command& study);
void add_study_t3(Command& study);
void add_study_t4(Command& study);
void add_study_t5(Command& study);
void add_study_claims(Command& study);

/// The rows that `run` makes, with its progress on stderr; also written to the file `json`, unless
/// that is empty, as {"rows": [json_of(row), ...]}.
template <class Row, class Run>
std::vector<Row> run_table(const std::string& json, nlohmann::json (*json_of)(const Row&),
                           Run&& run) {
  // The folder is tried before the work, not after it.
  if (!json.empty()) AtomicFile("study", json);
  std::optional<Progress> progress;
  const std::vector<Row> rows = run([&](std::int64_t done, std::int64_t total) {
    if (!progress) progress.emplace(stderr, total);
    if (progress->is_due(done)) progress->show(done, "");
  });
  progress.reset();
  if (json.empty()) return rows;
  nlohmann::json all = nlohmann::json::array();
  for (const Row& row : rows) all.push_back(json_of(row));
  write_file(json, nlohmann::json{{"rows", all}}.dump(2) + "\n");
  return rows;
}

}  // namespace unroll::cli
