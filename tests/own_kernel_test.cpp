// What is measured with, bench/: own kernels are refused where they are wrong, works where the
// reference differs, and times are those of the calls.
#include "bench/own_kernel.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

#include "autograd/ops.h"
#include "examples/own_kernel/my_lstm.h"
#include "tests/testing.h"

namespace unroll {
namespace {

using bench::Pass;
using bench::Size;
using Args = LstmForward<float>;

const std::vector<Size> kTiny = {{1, 1, 1, 1}, {3, 4, 5, 7}};
const bench::Turns kFast{.rounds = 2, .batch = 1e-4};

void expect_refused(const bench::LstmForwardKernel& kernel, const std::string& why) {
  try {
    bench::try_lstm_forward("bad", kernel, kTiny, kFast);
    ADD_FAILURE() << "passed, though " << why;
  } catch (const Error& error) {
    const std::string what = error.what();
    EXPECT_NE(what.find("bad at N,T,I,H "), std::string::npos) << what;
    EXPECT_NE(what.find(why), std::string::npos) << what;
  }
}

TEST(OwnKernel, OneOfTheContractPassesAndIsTimed) {
  for (const auto& kernel : {bench::LstmForwardKernel(my_lstm_forward),
                             bench::LstmForwardKernel(cpu::lstm_forward<float>)}) {
    const auto rows = bench::try_lstm_forward("good", kernel, kTiny, kFast);
    ASSERT_EQ(rows.size(), kTiny.size());
    for (const bench::KernelRow& row : rows) {
      EXPECT_LE(row.error, bench::tolerance);
      EXPECT_GT(row.ms, 0);
      EXPECT_GT(row.ours_ms, 0);
    }
  }
}

TEST(OwnKernel, OneThatIsWrongIsRefused) {
  const auto last = [](const LstmShape& s) { return (s.T + 1) * s.N * s.H - 1; };
  expect_refused([](const LstmShape&, const Args&) {}, "is wrong");
  expect_refused(
      [&](const LstmShape& s, const Args& p) {
        my_lstm_forward(s, p);
        p.h[last(s)] += 1e-4f;
      },
      "is wrong");
  expect_refused(
      [&](const LstmShape& s, const Args& p) {
        my_lstm_forward(s, p);
        p.c[last(s)] = std::numeric_limits<float>::quiet_NaN();
      },
      "is wrong");
  expect_refused(
      [](const LstmShape& s, Args p) {  // without a bias
        const std::vector<float> none(std::size_t(4 * s.H));
        p.b_hh = none.data();
        my_lstm_forward(s, p);
      },
      "is wrong");
  expect_refused(
      [](const LstmShape& s, const Args& p) {
        my_lstm_forward(s, p);
        p.h[0] += 1;
      },
      "initial state, was written");
}

TEST(OwnKernel, OneThatForgetsItsPackedWeightsIsRefused) {
  expect_refused(
      [](const LstmShape& s, const Args& p) {
        if (p.packs) my_lstm_forward(s, p);
      },
      "call with packed weights is wrong");
}

TEST(BenchWork, EveryOpAgreesWithItsReference) {
  for (const std::string& op : bench::op_names())
    for (const Pass pass : {Pass::forward, Pass::step}) {
      const bench::Work work = bench::make_work(op, pass, {2, 3, 4, 5});
      Tensors got = work.results();
      const bench::Reference reference = work.reference();
      EXPECT_LE(reference.error_of(got), bench::tolerance) << op;
      EXPECT_GT(got.size(), pass == Pass::step ? 2u : 0u) << op;
      for (Tensor& each : got) {
        const Tensor right = each;
        each = right * 1.001;
        EXPECT_GT(reference.error_of(got), bench::tolerance) << op;
        each = right;
      }
      got.pop_back();
      EXPECT_GT(reference.error_of(got), bench::tolerance) << op << ": one is missing";
    }
}

TEST(BenchWork, CancelledSumsAreNotCalledWrong) {
  const std::pair<const char*, Size> cases[] = {{"matmul", {1, 1, 518, 1}},
                                                {"lstm", {1, 40, 1, 1}},
                                                {"rnn", {1, 40, 1, 1}},
                                                {"attention", {1, 1, 1, 64}}};
  for (const auto& [op, size] : cases)
    for (const Pass pass : {Pass::forward, Pass::step}) {
      const bench::Work work = bench::make_work(op, pass, size);
      EXPECT_LE(work.reference().error_of(work.results()), bench::tolerance) << op;
    }
}

TEST(BenchReference, ErrorsArePartsOfWhatRoundingDoes) {
  // 1e6 - 1e6 + 1: float32 keeps no more than 0.06 of 1e6.
  const Tensor x = from_values<float>({1e6f, -1e6f, 1}, {3});
  const bench::Reference reference(
      {x}, [](const Tensors& inputs) { return Tensors{sum(inputs[0], {0}, true)}; });
  const auto error = [&](float got) { return reference.error_of({full({1}, got)}); };
  EXPECT_EQ(error(1), 0);
  EXPECT_LE(error(1.06f), bench::tolerance);
  EXPECT_GT(error(1000), bench::tolerance);
  EXPECT_GT(error(std::numeric_limits<float>::quiet_NaN()), 1e300);
  EXPECT_GT(reference.error_of({full({2}, 1.0f)}), 1e300);
}

TEST(BenchWork, OperationsAreThoseOfTheProducts) {
  const Size size{2, 3, 4, 5};
  const auto flops = [&](const char* op, Pass pass) {
    return bench::make_work(op, pass, size).flops;
  };
  EXPECT_EQ(flops("lstm", Pass::forward), 2 * 6 * 20 * 9);
  EXPECT_EQ(flops("lstm", Pass::step), 3 * 2 * 6 * 20 * 9);
  EXPECT_EQ(flops("gru", Pass::forward), 2 * 6 * 15 * 9);
  EXPECT_EQ(flops("rnn", Pass::forward), 2 * 6 * 5 * 9);
  EXPECT_EQ(flops("attention", Pass::forward), 4 * 2 * 4 * 9 * 5);
  EXPECT_EQ(flops("matmul", Pass::forward), 2 * 6 * 4 * 5);
}

TEST(BenchWork, TheCheckCountsInTheMemory) {
  const Size size{8, 100, 64, 128};
  for (const std::string& op : bench::op_names()) {
    const double forward = bench::bytes_of(op, Pass::forward, size);
    EXPECT_GT(forward, 8e5) << op;
    EXPECT_GE(bench::bytes_of(op, Pass::step, size), forward) << op;
  }
  // 27 bytes of tape per 4 bytes of gates, at least.
  EXPECT_GT(bench::bytes_of("lstm", Pass::step, size), 27.0 * 8 * 100 * 4 * 128);
}

TEST(BenchWork, SizesOutOfRangeAreRefused) {
  const std::int64_t big = std::int64_t{1} << 40;
  for (const std::string& op : bench::op_names()) {
    EXPECT_THROW(bench::require_size(op, {0, 1, 1, 1}), Error) << op;
    EXPECT_THROW(bench::require_size(op, {1, 1, 1, -1}), Error) << op;
    EXPECT_THROW(bench::require_size(op, {big, big, big, big}), Error) << op;
    EXPECT_THROW(bench::require_size(op, {1, big, 1, 1}), Error) << op;
    for (const Size& size : bench::usual_sizes(op)) EXPECT_NO_THROW(bench::require_size(op, size));
  }
  EXPECT_THROW(bench::require_size("nothing", {1, 1, 1, 1}), Error);
}

TEST(BenchTurns, TimesAreThoseOfTheCalls) {
  const auto sleeps = [](int ms) {
    return [ms] { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); };
  };
  const auto seconds = bench::time_in_turns({sleeps(2), sleeps(8)}, {.rounds = 3, .batch = 0.01});
  ASSERT_EQ(seconds.size(), 2u);
  EXPECT_GE(seconds[0], 2e-3);
  EXPECT_GE(seconds[1], 8e-3);
  EXPECT_LT(seconds[0], seconds[1]);
}

TEST(BenchTurns, NoRoundIsAnError) {
  for (const bench::Turns& turns :
       {bench::Turns{.rounds = 0}, {.rounds = -1}, {.batch = 0}, {.batch = std::nan("")}}) {
    EXPECT_THROW(bench::time_in_turns({[] {}}, turns), Error);
    EXPECT_THROW(bench::try_lstm_forward("mine", my_lstm_forward, kTiny, turns), Error);
  }
}

TEST(BenchTurns, TheyStopWhenAsked) {
  const std::atomic<bool> stop{true};
  EXPECT_THROW(bench::time_in_turns({[] {}}, {.stop = &stop}), Error);
}

}  // namespace
}  // namespace unroll
