// Claims as pieces of work that run side by side, each with random numbers of its own.
//
//   Claim claim{14, "a ring of 50", "N", "1e-6",
//               {[](Random& random) { return Findings{near("MC", measure(random), 50, 1e-6)}; }}};
//   ClaimRows rows = run_claims("memory", {claim}, context);
//
// Results depend on the seed alone, not on the number of threads.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/random.h"
#include "inversion/claims.h"

namespace UNROLL_API unroll {
namespace claims {

/// One number of a claim: what was measured, and whether it is as claimed.
struct Finding {
  std::string what;
  double measured = 0;
  bool holds = false;
};
using Findings = std::vector<Finding>;

/// It holds within the tolerance.
Finding near(const std::string& what, double measured, double expected, double tolerance);
/// It holds from `least` on.
Finding at_least(const std::string& what, double measured, double least);
/// It holds up to `most`.
Finding at_most(const std::string& what, double measured, double most);

/// The mean of the numbers of that name.
double mean_of(const Findings& findings, const std::string& what);
/// Each name once, with its mean; it holds where each did.
Findings means(const Findings& findings);

struct Claim {
  int number;
  std::string setup, expected, tolerance;
  /// What is measured, each piece with its own random numbers.
  std::vector<std::function<Findings(Random&)>> pieces;
  std::function<Findings(const Findings&)> judge = {};  // of all pieces together; empty: as found
};

/// One row for each claim, in their order: it passes where everything holds. Pieces run on as many
/// threads as there are. Throws Error when the context's `stop` becomes true.
ClaimRows run_claims(const std::string& subject, const std::vector<Claim>& claims,
                     const ClaimContext& context);

}  // namespace claims
}  // namespace unroll
