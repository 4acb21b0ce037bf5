// The harness on the simulator: what it measures is checked, and what is wrong is told.
#include "bench/cudnn/beside_cudnn.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "bench/cudnn/cudnn_run.h"
#include "bench/cudnn/gpu.h"
#include "bench/reference.h"
#include "core/device_memory.h"
#include "core/view.h"

namespace unroll::bench {
namespace {

Options on_sim(const std::vector<std::string>& arguments) {
  return parse_options(arguments, Device::sim());
}

std::vector<Row> measured(const Options& options, const std::vector<Contender>& contenders) {
  return measure(options, contenders, [](const Row&) {});
}

// Exit status of the program, and what it printed.
struct Program {
  int status;
  std::string out, err;
};
Program run(std::vector<std::string> arguments, const std::vector<Contender>& own = {}) {
  arguments.insert(arguments.begin(), "cudnn_bench");
  std::vector<char*> argv;
  for (std::string& each : arguments) argv.push_back(each.data());
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const int status = beside_cudnn(int(argv.size()), argv.data(), own, Device::sim());
  std::string out = ::testing::internal::GetCapturedStdout();
  return {status, out, ::testing::internal::GetCapturedStderr()};
}

// The kernel of a user: h and c of another kernel's run, times a factor.
GpuLstmForward scaled(double factor) {
  return [factor](const LstmShape& s, const LstmForward<float>& p) {
    sim::lstm_forward<float>(s, p);
    if (factor == 1) return;
    const std::int64_t numbers = s.N * s.H;
    Tensor h = empty({numbers}, Dtype::float32);
    device_memory::download(Device::sim(), h.mutable_raw_data(), p.h_n,
                            std::size_t(numbers) * sizeof(float));
    h = h * factor;
    device_memory::upload(Device::sim(), p.h_n, h.raw_data(), std::size_t(numbers) * sizeof(float));
  };
}

TEST(BesideCudnn, OurKernelsAreRightInEveryOpPassAndLength) {
  const std::vector<Row> rows = measured(on_sim({"--dtype", "float32"}), {unroll_contender()});
  ASSERT_EQ(rows.size(), 3u * 2 * 2 * 2);
  for (const Row& row : rows) {
    EXPECT_EQ(row.status, Status::timed) << text_of(row.problem) << ": " << row.reason;
    EXPECT_LE(row.error, tolerance) << text_of(row.problem);
    EXPECT_GT(row.ms, 0);
    EXPECT_EQ(row.ratio, 1);
  }
}

TEST(BesideCudnn, OurHalfKernelsAreRightInEveryPassAndLength) {
  const std::vector<Row> rows =
      measured(on_sim({"--op", "lstm,gru", "--dtype", "float16,bfloat16"}), {unroll_contender()});
  ASSERT_EQ(rows.size(), 2u * 2 * 2 * 2 * 2);
  for (const Row& row : rows) {
    EXPECT_EQ(row.status, Status::timed) << text_of(row.problem) << ": " << row.reason;
    EXPECT_LE(row.error, tolerance_of(row.problem.precision)) << text_of(row.problem);
    EXPECT_GT(row.error, 0) << text_of(row.problem);
  }
}

TEST(BesideCudnn, TypesWithoutKernelsSaySo) {
  for (const char* type : {"tf32", "float16"}) {
    const std::vector<Row> rows = measured(
        on_sim({"--op", "rnn", "--dtype", type, "--size", "1,2,3,4"}), {unroll_contender()});
    ASSERT_EQ(rows.size(), 2u * 2);
    for (const Row& row : rows) {
      EXPECT_EQ(row.status, Status::not_supported);
      EXPECT_EQ(row.reason, std::string("no kernels of rnn in ") + type);
    }
  }
}

TEST(BesideCudnn, AnOwnKernelStandsBesideOurs) {
  const auto options = on_sim({"--op", "lstm", "--dtype", "float32", "--size", "2,3,4,5"});
  const std::vector<Row> rows =
      measured(options, {unroll_contender(), lstm_forward_contender("mine", scaled(1))});
  ASSERT_EQ(rows.size(), 2u * 2 * 2);
  for (const Row& row : rows) {
    const Problem& p = row.problem;
    const bool takes = row.contender == "unroll" || (p.pass == Pass::forward && !p.variable);
    EXPECT_EQ(row.status, takes ? Status::timed : Status::not_supported) << text_of(p);
  }
}

TEST(BesideCudnn, AWrongOwnKernelIsNotTimedAndFailsTheProgram) {
  const std::vector<std::string> asked = {"--op",    "lstm",      "--pass", "forward", "--dtype",
                                          "float32", "--lengths", "full",   "--size",  "2,3,4,5"};
  const Contender right = lstm_forward_contender("mine", scaled(1));
  EXPECT_EQ(run(asked, {right}).status, 0);
  const Contender off = lstm_forward_contender("mine", scaled(1.001));
  const Program program = run(asked, {off});
  EXPECT_EQ(program.status, 1);
  EXPECT_NE(program.out.find("wrong: off by more"), std::string::npos) << program.out;
  const std::vector<Row> rows = measured(on_sim(asked), {off});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].status, Status::wrong);
  EXPECT_EQ(rows[0].ms, 0);
}

TEST(BesideCudnn, AKernelThatWritesNothingIsWrong) {
  const Contender lazy =
      lstm_forward_contender("lazy", [](const LstmShape&, const LstmForward<float>&) {});
  const std::vector<Row> rows = measured(
      on_sim({"--op", "lstm", "--pass", "forward", "--dtype", "float32", "--lengths", "full"}),
      {lazy});
  ASSERT_FALSE(rows.empty());
  for (const Row& row : rows) EXPECT_EQ(row.status, Status::wrong);
}

TEST(BesideCudnn, TheDeviceIsNotThere) {
  const Program program = run({"--device", "cuda:100"});
  EXPECT_EQ(program.status, 77);
  EXPECT_EQ(program.out, "");
  EXPECT_EQ(std::count(program.err.begin(), program.err.end(), '\n'), 1) << program.err;
  EXPECT_NE(program.err.find("--device sim"), std::string::npos) << program.err;
}

TEST(BesideCudnn, TheSimulatorClaimsNoSpeed) {
  const Program program = run({"--op", "rnn", "--dtype", "float32", "--size", "1,1,1,1"});
  EXPECT_EQ(program.status, 0) << program.err;
  EXPECT_NE(program.out.find("say nothing of a GPU"), std::string::npos) << program.out;
  EXPECT_NE(program.out.find("| ms of the simulator |"), std::string::npos) << program.out;
  EXPECT_NE(program.out.find("| - | - | - | - | - |"), std::string::npos) << program.out;
}

TEST(BesideCudnn, ACudnnThatIsNotThereIsNamed) {
  const CudnnContenders none = cudnn_contenders("/no/such.so");
  EXPECT_TRUE(none.all.empty());
  EXPECT_EQ(none.what.find("no cuDNN: "), 0u) << none.what;
}

TEST(BesideCudnn, NoCudnnGetsTheSimulatorsMemory) {
  const Program program =
      run({"--op", "rnn", "--dtype", "float32", "--size", "1,1,1,1", "--cudnn", "libcudnn.so.9"});
  EXPECT_EQ(program.status, 0) << program.err;
  EXPECT_NE(program.out.find("; cuDNN needs a GPU\n"), std::string::npos) << program.out;
}

TEST(BesideCudnn, AFileThatCannotBeWrittenIsAnError) {
  const Program program = run({"--op", "rnn", "--dtype", "float32", "--size", "1,1,1,1", "--json",
                               "/no/such/folder/rows.json"});
  EXPECT_EQ(program.status, 1);
  EXPECT_NE(program.err.find("/no/such/folder/rows.json"), std::string::npos) << program.err;
  EXPECT_EQ(program.out.find("| rnn |"), std::string::npos) << program.out;  // said before the rows
}

TEST(BesideCudnn, TheKernelsOfTheCeilingsAreRight) {
  const Ceilings ceilings = ceilings_of(Device::sim());  // throws where one is not
  EXPECT_EQ(ceilings.copy, 0);
  EXPECT_EQ(ceilings.float16, 0);
}

TEST(BesideCudnn, TimedCallsAreAsManyAsAskedFor) {
  int calls = 0;
  EXPECT_EQ(seconds_of_calls(
                Device::sim(), [&] { calls++; }, 7)
                .size(),
            7u);
  EXPECT_EQ(calls, 7);
}

TEST(Problem, OperationsAndBytesByHand) {
  const Problem forward{.op = "gru", .size = {2, 5, 3, 4}};
  EXPECT_EQ(rows_of(forward), 10);
  EXPECT_EQ(flops_of(forward), 2.0 * 10 * 12 * (3 + 4));
  // x 30, weights 12 (3 + 4), biases 24, y 40, h_n 8
  EXPECT_EQ(bytes_of(forward), 4.0 * (30 + 84 + 24 + 40 + 8));
  Problem step{
      .op = "lstm", .pass = Pass::step, .precision = Precision::float16, .size = {2, 5, 3, 4}};
  EXPECT_EQ(flops_of(step), 3 * 2.0 * 10 * 16 * (3 + 4));
  // forward 30 + 112 + 32 + 40 + 16; reads 80 + 30 + 112; writes 30 + 112 + 32
  EXPECT_EQ(bytes_of(step), 2.0 * (30 + 112 + 32 + 40 + 16 + 80 + 30 + 112 + 30 + 112 + 32));
  step.variable = true;  // lengths 5 and 5 - 7919 % 3 = 3
  EXPECT_EQ(rows_of(step), 8);
}

TEST(Problem, LengthsAreFromHalfToAll) {
  const Problem problem{.op = "rnn", .size = {50, 9, 1, 1}, .variable = true};
  const Inputs inputs(problem);
  EXPECT_EQ(inputs.lengths.longest(), 9);
  for (const std::int64_t length : inputs.lengths.values()) EXPECT_GE(length, 5);
  EXPECT_LT(inputs.lengths.total(), 50 * 9);
  EXPECT_FALSE(Inputs({.op = "rnn", .size = {50, 9, 1, 1}}).lengths);
}

TEST(Problem, TheCotangentOfPaddingIsZero) {
  const Inputs inputs({.op = "rnn", .size = {3, 5, 1, 2}, .variable = true});
  const float* const dy = inputs.dy.data<float>();
  int zeros = 0;
  for (std::int64_t t = 0; t < 5; t++)
    for (std::int64_t n = 0; n < 3; n++)
      for (std::int64_t u = 0; u < 2; u++) {
        const bool padding = t >= inputs.lengths.values()[std::size_t(n)];
        EXPECT_EQ(dy[(t * 3 + n) * 2 + u] == 0, padding) << t << ", " << n;
        zeros += padding;
      }
  EXPECT_GT(zeros, 0);
}

TEST(Problem, HalfTypesHoldTheInputs) {
  const Inputs inputs({.op = "lstm", .precision = Precision::bfloat16, .size = {2, 3, 4, 5}});
  const Inputs whole({.op = "lstm", .size = {2, 3, 4, 5}});
  for (const Tensor& x : inputs.layer)
    EXPECT_EQ(error_of({to(to(x, Dtype::bfloat16), Dtype::float32)}, {x}), 0);
  const double rounding = error_of(inputs.layer, whole.layer);
  EXPECT_GT(rounding, 1e-4);
  EXPECT_LT(rounding, 1e-2);
}

TEST(Problem, TheReferenceOfASequenceDoesNotDependOnItsPadding) {
  const Problem problem{.op = "gru", .pass = Pass::step, .size = {2, 4, 2, 3}, .variable = true};
  const Inputs inputs(problem);
  Inputs other(problem);
  Tensor& x = other.layer[0];
  const std::int64_t length = inputs.lengths.values()[1];
  ASSERT_LT(length, 4);
  x.mutable_data<float>()[(3 * 2 + 1) * 2] += 1;
  EXPECT_EQ(error_of(reference(problem, other), reference(problem, inputs)), 0);
}

}  // namespace
}  // namespace unroll::bench
