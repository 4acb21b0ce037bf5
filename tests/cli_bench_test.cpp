// unroll bench as its users meet it.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "tests/process.h"

#ifdef UNROLL_COMMAND

namespace unroll {
namespace {

using nlohmann::json;
using testing::Finished;
using testing::Process;
using Arguments = std::vector<std::string>;

Finished bench(const Arguments& more) {
  Arguments all = {"bench"};
  all.insert(all.end(), more.begin(), more.end());
  return Process(UNROLL_COMMAND, all).wait();
}

void expect_failure(const Finished& done, int code, const std::string& text) {
  EXPECT_EQ(done.code, code) << done.out << done.err;
  EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
  EXPECT_NE(done.err.find(text), std::string::npos) << done.err;
  EXPECT_EQ(done.out, "");
}

TEST(CliBench, EveryOpAsJson) {
  const Finished done = bench({"--op", "lstm,gru,rnn,attention,matmul", "--size", "2,6,3,5",
                               "--threads", "2", "--rounds", "2", "--json"});
  ASSERT_EQ(done.code, 0) << done.err;
  const json all = json::parse(done.out);
  EXPECT_TRUE(all.at("version").is_string());
  EXPECT_TRUE(all.at("isa").is_string());
  EXPECT_NE(all.at("processor").get<std::string>(), "");
  const double peak = all.at("peak_gflops").get<double>();
  EXPECT_GT(peak, 0);
  ASSERT_EQ(all.at("rows").size(), 10u);
  for (const json& row : all["rows"]) {
    EXPECT_EQ(row.at("size"), json({2, 6, 3, 5}));
    EXPECT_EQ(row.at("threads"), 2);
    EXPECT_GT(row.at("ms").get<double>(), 0);
    EXPECT_LT(row.at("error").get<double>(), 2e-5);
    const double gflops = row.at("gflops").get<double>();
    EXPECT_NEAR(row.at("percent_of_peak").get<double>(), 100 * gflops / peak, 1e-9 * gflops);
  }
  EXPECT_EQ(all["rows"][0].at("op"), "lstm");
  EXPECT_EQ(all["rows"][0].at("pass"), "forward");
  EXPECT_EQ(all["rows"][1].at("pass"), "step");
  const double flops = 2.0 * 12 * 20 * 8;
  EXPECT_NEAR(all["rows"][0]["gflops"].get<double>() * all["rows"][0]["ms"].get<double>(),
              flops / 1e6, 1e-9 * flops);
}

TEST(CliBench, ATable) {
  const Finished done =
      bench({"--pass", "step", "--size", "1,4,3,5", "--threads", "1", "--rounds", "1"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.err, "");
  for (const char* text : {"threads 1", "% of peak", "step", "1,4,3,5"})
    EXPECT_NE(done.out.find(text), std::string::npos) << text << ": " << done.out;
  EXPECT_EQ(done.out.find("forward"), std::string::npos) << done.out;
}

TEST(CliBench, CancelledSumsAreNotCalledWrong) {
  for (const auto& [ops, size] :
       {std::pair{"matmul", "1,1,518,1"}, std::pair{"lstm,rnn", "1,40,1,1"}}) {
    const Finished done = bench({"--op", ops, "--size", size, "--rounds", "1", "--threads", "1"});
    EXPECT_EQ(done.code, 0) << done.err;
  }
}

TEST(CliBench, MoreMemoryThanThereIsIsBadUsage) {
  const auto limited = [](const std::string& arguments) {
    return Process("/bin/sh",
                   {"-c", "ulimit -v 4000000; \"$1\" " + arguments, "sh", UNROLL_COMMAND})
        .wait();
  };
  if (limited("--version").code != 0) GTEST_SKIP() << "sanitizers reserve more";
  const Finished done = limited("bench --size 4000,1000,16,16");
  expect_failure(done, 2, "GB are free: ask for a smaller --size");
  EXPECT_NE(done.err.find("with its check in float64"), std::string::npos) << done.err;
}

TEST(CliBench, MoreThreadsThanProcessorsAreNamed) {
  const Finished done =
      bench({"--size", "1,2,3,4", "--pass", "forward", "--rounds", "1", "--threads", "1000000"});
  EXPECT_EQ(done.code, 0);
  EXPECT_NE(done.err.find("--threads 1000000: "), std::string::npos) << done.err;
}

TEST(CliBench, JsonNeedsAStdout) {
  const Finished done =
      Process("/bin/sh", {"-c", "\"$1\" bench --size 1,2,3,4 --json >&-", "sh", UNROLL_COMMAND})
          .wait();
  expect_failure(done, 1, "has no stdout");
}

TEST(CliBench, BadUsageIsOneLine) {
  for (const char* size : {"", "1,2,3", "1,2,3,4,5", "1,2,3,0", "-1,2,3,4", "1,2,3,x", "1,,2,3",
                           "1.5,2,3,4", "99999999999999999999,1,1,1", "1,2,3,4,"})
    expect_failure(bench({"--size", size}), 2, "--size");
  expect_failure(bench({"--size", "1000000,1000000,1,1"}), 2, "too large");
  expect_failure(bench({"--op", "attention", "--size", "1,100000,1,1"}), 2, "too large");
  expect_failure(bench({"--threads", "0"}), 2, "0 is not a whole number from 1");
  expect_failure(bench({"--op", "convolution"}), 2, "there is no convolution");
  expect_failure(bench({"--pass", "backward"}), 2, "there is no backward");
  expect_failure(bench({"--rounds", "0"}), 2, "--rounds");
  expect_failure(bench({"--rounds", "1001"}), 2, "--rounds");
  expect_failure(bench({"lstm"}), 2, "lstm");
}

// The first rows are done soon; the last would take a minute.
TEST(CliBench, CtrlCKeepsTheRowsThatAreDone) {
  const Arguments slow = {"bench",    "--op", "rnn",       "--pass", "forward",
                          "--rounds", "50",   "--threads", "1"};
  Process text(UNROLL_COMMAND, slow);
  const auto lines = [&] {
    const std::string out = text.out();
    return std::count(out.begin(), out.end(), '\n');
  };
  EXPECT_TRUE(testing::eventually([&] { return lines() >= 5; }));  // four of the header
  text.kill(SIGINT);
  const Finished done = text.wait();
  EXPECT_EQ(done.code, 1);
  EXPECT_EQ(done.err, "unroll: bench: stopped before the end\n");
  EXPECT_NE(done.out.find("1,20,10,20"), std::string::npos) << done.out;
  EXPECT_EQ(done.out.find("16,1000,32,64"), std::string::npos) << done.out;
}

TEST(CliBench, CtrlCLeavesWholeJson) {
  Process process(UNROLL_COMMAND,
                  {"bench", "--size", "1,2,3,4", "--rounds", "1000", "--threads", "1", "--json"});
  EXPECT_FALSE(testing::eventually([&] { return !process.is_running(); }, 100));
  process.kill(SIGINT);
  const Finished done = process.wait();
  EXPECT_EQ(done.code, 1) << done.err;
  EXPECT_EQ(json::parse(done.out).at("rows"), json::array());
}

TEST(CliBench, TheHelpTellsOfIt) {
  const Finished done = Process(UNROLL_COMMAND, {"--help"}).wait();
  EXPECT_EQ(done.code, 0);
  EXPECT_NE(done.out.find("unroll bench --op"), std::string::npos) << done.out;
}

}  // namespace
}  // namespace unroll

#endif
