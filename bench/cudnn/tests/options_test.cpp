#include "bench/cudnn/options.h"

#include <gtest/gtest.h>

namespace unroll::bench {
namespace {

Options parsed(const std::vector<std::string>& arguments) {
  return parse_options(arguments, Device::cuda());
}

std::string refusal(const std::vector<std::string>& arguments) {
  try {
    parsed(arguments);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Options, DefaultsAreEverything) {
  const Options options = parsed({});
  EXPECT_EQ(options.ops.size(), 3u);
  EXPECT_EQ(options.passes.size(), 2u);
  EXPECT_EQ(options.precisions.size(), 4u);
  EXPECT_EQ(options.variable.size(), 2u);
  EXPECT_EQ(options.sizes.size(), 6u + 1 + 32);
  EXPECT_EQ(options.runs, 30);
  EXPECT_EQ(options.device, Device::cuda());
}

TEST(Options, TheSimulatorGetsTinySizesAndOneRun) {
  const Options options = parsed({"--device", "sim", "--quick"});
  for (const Size& size : options.sizes) EXPECT_LE(size.N * size.T * size.H, 100);
  EXPECT_EQ(options.runs, 1);
  EXPECT_EQ(parsed({"--runs", "5", "--device", "sim"}).runs, 5);
}

TEST(Options, EachIsTaken) {
  const Options options =
      parsed({"--op",          "gru,lstm",  "--pass",   "step",    "--dtype",
              "tf32,bfloat16", "--lengths", "variable", "--size",  "8,100,64,128",
              "--size",        "flashrnn",  "--runs",   "7",       "--device",
              "cuda:2",        "--json",    "a",        "--cudnn", "b"});
  EXPECT_EQ(options.ops, (std::vector<std::string>{"gru", "lstm"}));
  EXPECT_EQ(options.passes, std::vector<Pass>{Pass::step});
  EXPECT_EQ(options.precisions, (std::vector<Precision>{Precision::tf32, Precision::bfloat16}));
  EXPECT_EQ(options.variable, std::vector<bool>{true});
  ASSERT_EQ(options.sizes.size(), 2u);
  EXPECT_EQ(text_of(options.sizes[0]), "8,100,64,128");
  EXPECT_EQ(text_of(options.sizes[1]), "16,1024,768,768");
  EXPECT_EQ(options.runs, 7);
  EXPECT_EQ(options.device, Device::cuda(2));
  EXPECT_EQ(options.json, "a");
  EXPECT_EQ(options.cudnn, "b");
  EXPECT_EQ(parsed({"--quick"}).sizes.size(), 2u);
  EXPECT_TRUE(parsed({"--help"}).help);
}

TEST(Options, WhatIsWrongIsNamed) {
  EXPECT_EQ(refusal({"--opp", "lstm"}), "there is no option --opp; see --help");
  EXPECT_EQ(refusal({"--op"}), "--op needs a value");
  EXPECT_EQ(refusal({"--op", "lstm,"}), "--op: '' is none of lstm, gru, rnn");
  EXPECT_EQ(refusal({"--pass", "backward"}), "--pass: 'backward' is none of forward, step");
  EXPECT_EQ(refusal({"--dtype", "float64"}),
            "--dtype: 'float64' is none of float32, tf32, float16, bfloat16");
  EXPECT_EQ(refusal({"--lengths", "some"}), "--lengths: 'some' is none of full, variable");
  EXPECT_NE(refusal({"--size", "1,2,3"}).find("--size 1,2,3: neither N,T,I,H"), std::string::npos);
  EXPECT_NE(refusal({"--size", "100000,100000,1,1"}).find("too large"), std::string::npos);
  EXPECT_EQ(refusal({"--runs", "0"}), "--runs 0 is no whole number from 1 to 100000");
  EXPECT_NE(refusal({"--device", "gpu"}).find("'gpu' is no device"), std::string::npos);
  EXPECT_NE(refusal({"--device", "cpu"}).find("cpu is no GPU"), std::string::npos);
}

}  // namespace
}  // namespace unroll::bench
