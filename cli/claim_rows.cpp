#include "cli/claim_rows.h"

#include <algorithm>
#include <cstdio>

#include "cli/signals.h"

namespace unroll::cli {

std::string text_of(const ClaimRows& rows) {
  std::string text;
  for (const ClaimRow& row : rows)
    text += "claim " + std::to_string(row.claim) + "  " + (row.pass ? "pass" : "FAIL") +
            "\n  setup      " + row.setup + "\n  expected   " + row.expected + "\n  measured   " +
            row.measured + "\n  tolerance  " + row.tolerance + "\n\n";
  const auto passed = std::count_if(rows.begin(), rows.end(), [](const auto& r) { return r.pass; });
  return text + std::to_string(passed) + " of " + std::to_string(rows.size()) + " pass\n";
}

nlohmann::json json_of(const ClaimRows& rows) {
  nlohmann::json all = nlohmann::json::array();
  for (const ClaimRow& row : rows)
    all.push_back({{"claim", row.claim},
                   {"setup", row.setup},
                   {"expected", row.expected},
                   {"measured", row.measured},
                   {"tolerance", row.tolerance},
                   {"pass", row.pass}});
  return all;
}

void with_claims(std::uint64_t seed, const std::function<void(const ClaimContext&)>& measure) {
  const auto say = [](const std::string& what) { std::fprintf(stderr, "%s\n", what.c_str()); };
  measure({.seed = seed, .progress = say, .stop = stop_on_signals()});
}

}  // namespace unroll::cli
