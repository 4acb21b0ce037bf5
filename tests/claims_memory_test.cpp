// The rows of the claims on memory, and the runner of claims.
#include "inversion/claims_memory.h"

#include <gtest/gtest.h>

#include "core/parallel.h"
#include "inversion/claim_runner.h"
#include "tests/testing.h"

namespace unroll {
namespace {

using namespace claims;

TEST(ClaimRunner, ARowPassesWhereEverythingHolds) {
  const auto draw = [](Random& random) { return Findings{near("u", random.uniform(), .5, .5)}; };
  const auto wrong = [](Random&) { return Findings{at_most("e", 2, 1), at_least("f", 2, 1)}; };
  const std::vector<Claim> claims = {{3, "setup", "expected", "tolerance", {draw, draw}, means},
                                     {5, "", "", "", {draw, wrong}}};
  std::string last;
  const ClaimContext context{.seed = 7, .progress = [&](const std::string& line) { last = line; }};
  const ClaimRows rows = run_claims("test", claims, context);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].claim, 3);
  EXPECT_TRUE(rows[0].pass);
  EXPECT_EQ(rows[0].tolerance, "tolerance");
  const double mean = (Random(7, 3 << 16).uniform() + Random(7, (3 << 16) + 1).uniform()) / 2;
  EXPECT_NEAR(std::stod(rows[0].measured.substr(2)), mean, 1e-5) << rows[0].measured;
  EXPECT_FALSE(rows[1].pass);
  EXPECT_NE(rows[1].measured.find("e 2 (!), f 2"), std::string::npos) << rows[1].measured;
  EXPECT_EQ(last, "test: 4 of 4 measurements");
  const std::atomic<bool> stop = true;
  EXPECT_ERROR(run_claims("test", claims, {.stop = &stop}), "stopped");
}

}  // namespace
}  // namespace unroll
