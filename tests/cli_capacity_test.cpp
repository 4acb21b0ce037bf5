// unroll capacity and study t3 as their users meet them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "autograd/ops.h"
#include "io/npy.h"
#include "io/safetensors.h"
#include "models/encoder.h"
#include "tests/process.h"

#ifdef UNROLL_COMMAND

namespace unroll {
namespace {

using testing::Finished;
using Arguments = std::vector<std::string>;

class CliCapacity : public ::testing::Test {
 protected:
  static Finished run(const Arguments& arguments) {
    return testing::Process(UNROLL_COMMAND, arguments).wait();
  }
  nlohmann::json json(const std::string& file) {
    return nlohmann::json::parse(testing::read_bytes(folder / file));
  }
  std::string weights(const EncoderSizes& sizes) {
    Random random(3);
    const std::string path = folder / "w.safetensors";
    std::vector<NamedTensor> tensors = Encoder(sizes, random).tensors();
    for (NamedTensor& t : tensors) t.name = "encoder.rnn." + t.name;
    write_safetensors(path, {tensors, {}});
    return path;
  }
  static void expect_failure(const Arguments& arguments, int code, const std::string& text) {
    const Finished done = run(arguments);
    EXPECT_EQ(done.code, code) << done.out << done.err;
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    EXPECT_NE(done.err.find(text), std::string::npos) << done.err;
  }

  testing::TemporaryFolder folder;
};

TEST_F(CliCapacity, ADrawnReservoirIsMeasuredInEveryWay) {
  const Finished done =
      run({"capacity", "--N", "50", "--kind", "gaussian", "--steps", "3000", "--lags", "80",
           "--json", folder / "m.json", "--plot", folder / "m.svg"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("gaussian reservoir: linear RNN, I 1, H 50"), std::string::npos);
  EXPECT_NE(done.out.find("(failed)"), std::string::npos) << done.out;
  EXPECT_NE(done.out.find("warning: jaeger, naive: "), std::string::npos) << done.out;
  const nlohmann::json measures = json("m.json").at("measures");
  EXPECT_EQ(measures.size(), 7u);
  EXPECT_NEAR(measures.at("jaeger").at("total").get<double>(), 50, 1e-6);
  EXPECT_EQ(measures.at("jaeger").at("warning"), "");
  EXPECT_LT(measures.at("jaeger_naive").at("total").get<double>(), 49);
  EXPECT_NE(measures.at("jaeger_naive").at("warning"), "");
  EXPECT_NEAR(measures.at("fisher").at("basis_total").get<double>(), 50, 1e-8);
  EXPECT_EQ(measures.at("profile").at("r2").size(), 80u);
  EXPECT_EQ(measures.at("lyapunov").at("exponents").size(), 50u);
  for (const auto& each : measures)
    EXPECT_TRUE(each.contains("rank") && each.contains("condition"));
  EXPECT_NE(testing::read_bytes(folder / "m.svg").find("m_k by lag"), std::string::npos);
}

TEST_F(CliCapacity, WeightsAreMeasuredInTheWaysThatApply) {
  const std::string path = weights({.cell = Cell::lstm, .I = 2, .H = 6, .layers = 2});
  const Finished done = run({"capacity", "--weights", path, "--steps", "1000", "--lags", "20"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("LSTM, 2 layers, I 2, H 6"), std::string::npos) << done.out;
  for (const char* text : {"sampled", "profile", "lyapunov", "left out: jaeger", "left out: fisher",
                           "left out: information"})
    EXPECT_NE(done.out.find(text), std::string::npos) << text << " is not in: " << done.out;
  expect_failure({"capacity", "--weights", path, "--measure", "fisher"}, 1, "sampled or profile");
  expect_failure({"capacity", "--weights", path, "--cell", "gru"}, 1, "no gru");
  expect_failure({"capacity", "--weights", path, "--prefix", "x."}, 1, "x.weight_ih_l0");
}

TEST_F(CliCapacity, AttentionsShareIsOfARun) {
  const Tensor x = sin(arange(400, Dtype::float64, 0, .3));
  write_npy(folder / "x.npy", x);
  const Finished trained = run({"train", folder / "x.npy", "--model", "attention", "--window", "8",
                                "--hidden", "4", "--epochs", "3", "--out", folder / "run"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const Finished done = run({"capacity", "--run", folder / "run", "--json", folder / "a.json"});
  ASSERT_EQ(done.code, 0) << done.err;
  const nlohmann::json share = json("a.json").at("measures").at("attention");
  EXPECT_GE(share.at("share").get<double>(), 0);
  EXPECT_LE(share.at("share").get<double>(), 1);
  EXPECT_EQ(share.at("rank"), 4);
}

TEST_F(CliCapacity, BadRequestsAreOneLine) {
  expect_failure({"capacity", "--kind", "rings"}, 2, "gaussian");
  expect_failure({"capacity", "--measure", "jaeger,all"}, 2, "stands alone");
  expect_failure({"capacity", "--weights", "w", "--N", "3"}, 2, "--N is of a drawn reservoir");
  expect_failure({"capacity", "--cell", "gru"}, 2, "--weights, which is missing");
  expect_failure({"capacity", "--run", "r", "--measure", "jaeger"}, 2, "attention's share alone");
  expect_failure({"capacity", "--json", "m", "--plot", "m"}, 2, "same file");
  expect_failure({"capacity", "--rho", "1.1", "--measure", "jaeger"}, 1, "spectral radius is 1.1");
  expect_failure({"capacity", "--rho", "1.1", "--measure", "fisher"}, 1, "spectral radius");
  expect_failure({"capacity", "--json", folder / "none/m.json"}, 1, "none");
  expect_failure({"capacity", "--weights", folder / "none.npz"}, 1, "none.npz");
}

TEST_F(CliCapacity, HelpHasExamples) {
  for (const Arguments& command :
       std::vector<Arguments>{{"capacity", "--help"}, {"study", "t3", "--help"}}) {
    const Finished help = run(command);
    EXPECT_EQ(help.code, 0);
    EXPECT_NE(help.out.find("Example"), std::string::npos) << help.out;
  }
  expect_failure({"study", "t3", "--json", folder / "none/t3.json"}, 1, "none");
}

}  // namespace
}  // namespace unroll

#endif  // UNROLL_COMMAND
