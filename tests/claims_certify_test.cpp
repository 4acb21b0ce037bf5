// Claims about proofs and precision: they hold, at a seed that is not the default.
#include "inversion/claims_certify.h"

#include "inversion/claims_tools.h"
#include "tests/testing.h"

namespace unroll {
namespace {

TEST(ClaimsCertify, Hold) {
  const ClaimRows rows = certify_claims({.seed = 77}, {4, 5, 6, 7, 24, 26, 28});
  ASSERT_EQ(rows.size(), 7U);
  for (const ClaimRow& row : rows) {
    EXPECT_TRUE(row.pass) << row.claim << ": " << row.measured;
    EXPECT_FALSE(row.setup.empty() || row.expected.empty() || row.tolerance.empty()) << row.claim;
  }
  EXPECT_EQ(certify_claims({.seed = 77}, {5})[0].measured, rows[1].measured);
}

TEST(ClaimsCertify, SayWhatTheyAreAndStop) {
  std::vector<std::string> said;
  const std::atomic<bool> stop = true;
  EXPECT_ERROR(certify_claims({.progress = [&](const std::string& text) { said.push_back(text); },
                               .stop = &stop},
                              {26}),
               "stopped");
  EXPECT_EQ(said, (std::vector<std::string>{"claim 26"}));
  EXPECT_ERROR(certify_claims({}, {3}), "claim 3");
}

TEST(ClaimsCertify, T5HasItsRows) {
  const T5 t5 = run_t5({});
  ASSERT_EQ(t5.tanh.size(), 2U);
  ASSERT_EQ(t5.rounding.size(), 18U);
  for (const T5Digits& row : t5.digits)
    EXPECT_TRUE(row.capacity == 0 || row.measured == row.capacity) << row.V;
  for (const T5Rounding& row : t5.rounding) {
    if (row.predicted < 1e-3) {
      EXPECT_NEAR(row.measured / row.predicted, 1, 0.05) << row.T << name(row.dtype);
    }
  }
}

TEST(ClaimsTools, TheIntervalOfARate) {
  EXPECT_NEAR(claims::highest_rate(0, 10), 0.2775, 1e-3);  // Wilson's own formula by hand
  EXPECT_NEAR(claims::highest_rate(8, 10), 0.9433, 1e-3);
  EXPECT_EQ(claims::median({3, 1, 2}), 2);
  EXPECT_EQ(claims::median({4, 1, 2, 3}), 2.5);
}

}  // namespace
}  // namespace unroll
