// unroll study claims: everything that is known of the laboratory's subject, measured again.
#include <algorithm>
#include <memory>

#include "cli/claim_rows.h"
#include "cli/study.h"
#include "inversion/claims_certify.h"
#include "inversion/claims_invert.h"
#include "inversion/claims_memory.h"

namespace unroll::cli {
namespace {

struct Arguments {
  std::string json;
  std::uint64_t seed = 1;
};

ClaimRows measure_all(const ClaimContext& context) {
  ClaimRows rows = invert_claims(context);
  for (const ClaimRow& row : certify_claims(context)) rows.push_back(row);
  for (const ClaimRow& row : memory_claims(context)) rows.push_back(row);
  std::stable_sort(rows.begin(), rows.end(),
                   [](const ClaimRow& a, const ClaimRow& b) { return a.claim < b.claim; });
  return rows;
}

void run_claims(const Arguments& a) {
  if (!a.json.empty()) AtomicFile("study", a.json);  // tried before the work, not after it
  ClaimRows rows;
  with_claims(a.seed, [&](const ClaimContext& context) { rows = measure_all(context); });
  if (!a.json.empty()) write_file(a.json, nlohmann::json{{"rows", json_of(rows)}}.dump(2) + "\n");
  print("Running an RNN backwards: what is known, and what was measured now\n\n" + text_of(rows));
}

}  // namespace

void add_study_claims(Command& study) {
  const auto a = std::make_shared<Arguments>();
  Command claims =
      study.subcommand("claims", "what is known of running RNNs backwards, measured again");
  claims.seed("--seed", a->seed, "of networks, inputs and starts");
  claims.text("--json", a->json, "also write the rows to this file");
  claims.threads();
  claims.footer("Example:\n  unroll study claims --json claims.json");
  claims.on_run([a] { run_claims(*a); });
}

}  // namespace unroll::cli
