// The harness: every row of op_cases against every check, and a proof that the checks can fail.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "autograd/record.h"
#include "core/parallel.h"
#include "tests/op_cases.h"
#include "tests/testing.h"

namespace unroll::testing {

/// All rows of one op: a test is named by its op, a failure says the row.
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
  void run(std::string (*check)(const OpCase&)) const {
    for (const OpCase* row : GetParam().rows) EXPECT_EQ(check(*row), "") << "row " << row->name();
  }
};

TEST_P(Op, Value) { run(check_value); }
TEST_P(Op, Strided) { run(check_strided); }
TEST_P(Op, Threads) { run(check_threads); }
TEST_P(Op, Gradcheck) { run(check_gradients); }
TEST_P(Op, Directions) { run(check_directions); }
TEST_P(Op, SecondOrder) { run(check_second_order); }
TEST_P(Op, Backward) { run(check_backward); }
TEST_P(Op, Footprint) { run(check_footprint); }

INSTANTIATE_TEST_SUITE_P(, Op, ::testing::ValuesIn(rows_by_op()),
                         [](const auto& rows) { return rows.param.op; });

// The names of the functions that autograd/ops.h declares, but for operators.
std::set<std::string> ops_of_the_headers() {
  const std::regex declaration(R"(^Tensors? (\w+)\()");
  std::set<std::string> ops;
  std::string line;
  for (const char* file : {"/autograd/ops.h", "/autograd/losses.h"}) {
    std::ifstream header(std::string(UNROLL_SOURCE_DIR) + file);
    while (std::getline(header, line)) {
      std::smatch match;
      if (std::regex_search(line, match, declaration) && match[1] != "operator")
        ops.insert(match[1]);
    }
  }
  return ops;
}

TEST(OpCases, EveryOpOfTheHeadersHasARow) {
  std::set<std::string> rows;
  for (const OpCase& c : op_cases()) rows.insert(c.op);
  const std::set<std::string> ops = ops_of_the_headers();
  for (const std::string& op : ops)
    EXPECT_TRUE(rows.count(op)) << op << " has no row in tests/op_cases_*.cpp";
  EXPECT_GT(ops.size(), 90u);
}

// In code quotes, with its arguments or alone.
bool is_documented(const std::string& op, const std::string& page) {
  return std::regex_search(page, std::regex("`" + op + "[`(]"));
}

TEST(OpCases, EveryOpOfTheHeadersIsInTheTables) {
  std::ifstream file(std::string(UNROLL_SOURCE_DIR) + "/docs/ops.md");
  const std::string page(std::istreambuf_iterator<char>(file), {});
  for (const std::string& op : ops_of_the_headers())
    EXPECT_TRUE(is_documented(op, page)) << op << " is not in docs/ops.md";
  EXPECT_FALSE(is_documented("no_such_op", page));
}

TEST(OpCases, NamesAreUnique) {
  std::set<std::string> names;
  for (const OpCase& c : op_cases()) EXPECT_TRUE(names.insert(c.name()).second) << c.name();
}

// ---- the checks can fail: y = x^2 with one thing wrong at a time

struct Wrong {
  double value = 1, pull = 1, push = 1;
  bool drops_second_order = false, drops_directions = false;
};

struct WrongSquareRule {
  static constexpr const char* name = "wrong_square";
  Tensor x;
  Wrong wrong;
  auto saved() const { return std::tie(x); }

  Tensor slope() const {
    if (!wrong.drops_second_order) return x * 2.0;
    const NoTape none;
    return x * 2.0;
  }
  void pull(Pullback& s) const {
    Tensor d = s.cotangent() * slope() * wrong.pull;
    if (wrong.drops_directions && d.rank() > x.rank()) d = expand(slice(d, 0, 0, 1), d.shape());
    s.add(0, d);
  }
  void push(Pushforward& s) const { s.set(0, s.tangent(0) * slope() * wrong.push); }
};

OpCase wrong_case(const Wrong& wrong) {
  return {.op = "wrong_square",
          .inputs = {normal({3, 4})},
          .f =
              [wrong](const Tensors& x) {
                Tensor y;
                {
                  const NoTape none;
                  y = x[0] * x[0] * wrong.value;
                }
                if (is_recording()) record(WrongSquareRule{x[0], wrong}, {&x[0]}, {&y});
                return y;
              },
          .reference = [](const Arrays& x) { return map(x[0], [](double v) { return v * v; }); }};
}

TEST(OpChecks, ARightRulePasses) {
  const OpCase c = wrong_case({});
  for (const auto& check : {check_value, check_strided, check_gradients, check_directions,
                            check_second_order, check_backward, check_footprint})
    EXPECT_EQ(check(c), "");
}

TEST(OpChecks, AValueOffByATenthOfAPercentFails) {
  EXPECT_NE(check_value(wrong_case({.value = 1.001})).find("value"), std::string::npos);
}

TEST(OpChecks, APullbackOffByATenthOfAPercentFails) {
  const std::string wrong = check_gradients(wrong_case({.pull = 1.001}));
  EXPECT_NE(wrong.find("pullback"), std::string::npos) << wrong;
  EXPECT_NE(wrong.find("u.(Jv)"), std::string::npos) << wrong;
  EXPECT_EQ(wrong.find("pushforward"), std::string::npos) << wrong;
}

TEST(OpChecks, APushforwardOffByATenthOfAPercentFails) {
  const std::string wrong = check_gradients(wrong_case({.push = 0.999}));
  EXPECT_NE(wrong.find("pushforward"), std::string::npos) << wrong;
  EXPECT_EQ(wrong.find("pullback"), std::string::npos) << wrong;
}

TEST(OpChecks, ARuleWhoseSweepIsNotDifferentiableFails) {
  EXPECT_NE(check_second_order(wrong_case({.drops_second_order = true})), "");
}

TEST(OpChecks, ARuleThatMixesDirectionsFails) {
  EXPECT_NE(check_directions(wrong_case({.drops_directions = true})), "");
}

TEST(OpChecks, ADerivativeThatDependsOnTheThreadsFails) {
  OpCase c = wrong_case({});
  c.large = {Shape{3, 4}};
  c.f = [](const Tensors& x) { return x[0] * (1 + 1e-15 * num_threads()); };
  EXPECT_NE(check_threads(c), "");
}

TEST(OpChecks, AKeptByteFails) {
  static Tensors kept;
  OpCase c = wrong_case({});
  c.f = [](const Tensors& x) {
    kept.push_back(x[0] * 2.0);
    return x[0] * 2.0;
  };
  EXPECT_NE(check_footprint(c), "");
  kept.clear();
}

// A kernel that writes into the flat gradients instead of adding.
struct OverwritingRule {
  static constexpr const char* name = "overwriting";
  auto saved() const { return std::tie(); }
  void pull(Pullback& s) const {
    auto target = s.target(0, s.cotangent().shape(), s.cotangent().dtype());
    copy_into(target.tensor, s.cotangent());
    s.add(0, target.tensor);
  }
  void push(Pushforward& s) const { s.set(0, s.tangent(0)); }
};

TEST(OpChecks, AGradientThatIsOverwrittenFails) {
  OpCase c = wrong_case({});
  c.f = [](const Tensors& x) {
    Tensor y = contiguous_copy(x[0] * 1.0);
    if (is_recording()) record(OverwritingRule{}, {&x[0]}, {&y});
    return y;
  };
  EXPECT_NE(check_backward(c), "");
}

}  // namespace unroll::testing
