// Every row of op_cases on the devices that are not the CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

struct OpRows {
  std::string op;
  std::vector<const OpCase*> rows;
};
void PrintTo(const OpRows& rows, std::ostream* out) { *out << rows.op; }

std::vector<OpRows> rows_by_op() {
  std::vector<OpRows> all;
  for (const OpCase& c : op_cases()) {
    auto at = std::find_if(all.begin(), all.end(), [&](const OpRows& r) { return r.op == c.op; });
    if (at == all.end()) at = all.insert(all.end(), {c.op, {}});
    at->rows.push_back(&c);
  }
  return all;
}

class Op : public ::testing::TestWithParam<OpRows> {
 protected:
  void run(Device device) const {
    if (!is_available(device)) GTEST_SKIP() << name(device) << " is " << why_unavailable(device);
    for (const OpCase* row : GetParam().rows) {
      SCOPED_TRACE("row " + row->name());
      try {
        EXPECT_EQ(check_device(*row, device), "");
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
      }
    }
  }
};

TEST_P(Op, Sim) { run(Device::sim()); }
TEST_P(Op, Cuda) { run(Device::cuda()); }

INSTANTIATE_TEST_SUITE_P(, Op, ::testing::ValuesIn(rows_by_op()),
                         [](const auto& rows) { return rows.param.op; });

}  // namespace
}  // namespace unroll::testing
