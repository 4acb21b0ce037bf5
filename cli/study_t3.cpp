// unroll study t3: memory theory, claims 14 to 19.
#include "cli/study.h"

#include <memory>

#include "cli/claim_rows.h"
#include "cli/terminal.h"
#include "inversion/claims_memory.h"
#include "io/atomic_file.h"

namespace unroll::cli {
namespace {

struct Arguments {
  std::string json;
  std::uint64_t seed = 1;
};

void run_t3(const Arguments& a) {
  if (!a.json.empty()) AtomicFile("study", a.json);  // tried before the work, not after it
  ClaimRows rows;
  with_claims(a.seed, [&](const ClaimContext& context) { rows = memory_theory_claims(context); });
  if (!a.json.empty()) write_file(a.json, nlohmann::json{{"rows", json_of(rows)}}.dump(2) + "\n");
  print("Memory of recurrent networks against theory\n\n" + text_of(rows));
}

}  // namespace

void add_study_t3(Command& study) {
  const auto a = std::make_shared<Arguments>();
  Command t3 = study.subcommand("t3", "memory of recurrent networks against theory");
  t3.seed("--seed", a->seed, "of the networks and inputs");
  t3.text("--json", a->json, "also write the rows to this file");
  t3.threads();
  t3.footer("Example:\n  unroll study t3 --json t3.json");
  t3.on_run([a] { run_t3(*a); });
}

}  // namespace unroll::cli
