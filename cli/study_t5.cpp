// unroll study t5: capacity against precision.
#include <cmath>
#include <memory>

#include "cli/claim_rows.h"
#include "cli/study.h"
#include "cli/terminal.h"
#include "inversion/claims_certify.h"
#include "io/atomic_file.h"

namespace unroll::cli {
namespace {

struct Arguments {
  std::string json;
  std::uint64_t seed = 1;
};

using Lines = std::vector<std::vector<std::string>>;

std::string tanh_table(const T5& t5) {
  Lines lines = {{"saturation", "tanh", "worst ulp", "error / bound", "h = 1 from", "if exact"}};
  for (const T5Tanh& row : t5.tanh)
    for (const bool engine : {false, true}) {
      const TanhQuality& q = engine ? row.engine : row.library;
      lines.push_back({name(row.dtype), engine ? "unroll" : "libm", number(q.ulps),
                       number(q.bound_ratio), number(q.saturates_at),
                       number(row.saturation_point)});
    }
  return table(lines);
}

std::string rounding_table(const T5& t5) {
  Lines lines = {{"only h_T, tanh H32 I1", "T", "kept as", "cond", "error predicted", "measured"}};
  for (const T5Rounding& row : t5.rounding)
    lines.push_back({row.orthogonal ? "orthogonal" : "PyTorch", std::to_string(row.T),
                     name(row.dtype), number(row.condition), number(row.predicted),
                     number(row.measured)});
  return table(lines);
}

std::string digits_table(const T5& t5) {
  Lines lines = {{"tokens in one number", "type", "floor(bits / log2 V)", "read back"}};
  for (const T5Digits& row : t5.digits)
    lines.push_back({"V = " + std::to_string(row.V), name(row.dtype),
                     row.capacity ? std::to_string(row.capacity) : "not dyadic",
                     std::to_string(row.measured)});
  return table(lines);
}

nlohmann::json json_of(const TanhQuality& q) {
  return {{"ulps", q.ulps}, {"bound_ratio", q.bound_ratio}, {"saturates_at", q.saturates_at}};
}

nlohmann::json json_of(const T5& t5, const ClaimRows& rows) {
  nlohmann::json all = {{"rows", cli::json_of(rows)}};
  for (const T5Tanh& row : t5.tanh)
    all["tanh"].push_back({{"dtype", name(row.dtype)},
                           {"saturation_point", row.saturation_point},
                           {"libm", json_of(row.library)},
                           {"unroll", json_of(row.engine)}});
  for (const T5Rounding& row : t5.rounding)
    all["rounding"].push_back({{"orthogonal", row.orthogonal},
                               {"T", row.T},
                               {"dtype", name(row.dtype)},
                               {"condition", row.condition},
                               {"predicted", row.predicted},
                               {"measured", row.measured}});
  for (const T5Digits& row : t5.digits)
    all["digits"].push_back({{"V", row.V},
                             {"dtype", name(row.dtype)},
                             {"capacity", row.capacity},
                             {"measured", row.measured}});
  return all;
}

void run_study(const Arguments& a) {
  // The folder is tried before the work, not after it.
  if (!a.json.empty()) AtomicFile("study", a.json);
  T5 t5;
  ClaimRows rows;
  with_claims(a.seed, [&](const ClaimContext& context) {
    t5 = run_t5(context);
    rows = certify_claims(context, {6, 24, 28});
  });
  if (!a.json.empty()) write_file(a.json, json_of(t5, rows).dump(2) + "\n");
  print(tanh_table(t5) + "\n" + rounding_table(t5) + "\n" + digits_table(t5) + "\n" +
        text_of(rows));
}

}  // namespace

void add_study_t5(Command& study) {
  const auto a = std::make_shared<Arguments>();
  Command t5 = study.subcommand("t5", "capacity against precision: what rounding leaves");
  t5.seed("--seed", a->seed, "of weights and inputs");
  t5.text("--json", a->json, "also write the tables and the rows of claims 6, 24, 28 to this file");
  t5.threads();
  t5.footer("Example:\n  unroll study t5 --json t5.json");
  t5.on_run([a] { run_study(*a); });
}

}  // namespace unroll::cli
