// unroll identify and unroll invert as their users meet them: files in, files and a verdict out.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "autograd/ops.h"
#include "core/view.h"
#include "inversion/observation.h"
#include "io/npy.h"
#include "io/safetensors.h"
#include "tests/process.h"

#ifdef UNROLL_COMMAND

namespace unroll {
namespace {

namespace fs = std::filesystem;
using testing::Finished;
using testing::Process;
using testing::read_bytes;
using Arguments = std::vector<std::string>;
using nlohmann::json;

constexpr Dtype f64 = Dtype::float64;

Finished unroll_command(const Arguments& arguments) {
  return Process(UNROLL_COMMAND, arguments).wait();
}

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class CliInversion : public ::testing::Test {
 protected:
  // Weights of an encoder under w.safetensors, its input, and its outputs under y.npy.
  void make(const EncoderSizes& sizes, std::int64_t T, std::int64_t N, const std::string& seen,
            Dtype dtype = f64) {
    Random random(4, 5);
    const Encoder encoder(sizes, random);
    Safetensors file{.tensors = encoder.tensors(), .metadata = {}};
    for (NamedTensor& t : file.tensors) t.name = "encoder." + t.name;
    write_safetensors(folder / "w.safetensors", file);
    x = random.normal({T, N, sizes.I}, 0, 1, f64);
    const Facts facts(encoder, observation(seen), T);
    Tensor y = facts(x, {});
    if (facts.observation().outputs == Seen::all || facts.observation().outputs == Seen::every)
      y = contiguous_copy(
          view::transpose(view::reshape(y, {N, facts.steps_seen(), facts.width()}), 0, 1));
    write_npy(folder / "y.npy", cast_copy(y, dtype));
  }

  Arguments inverting(const Arguments& more = {}) const {
    return Arguments{"invert",         "--weights",      folder / "w.safetensors",
                     "--outputs",      folder / "y.npy", "--out",
                     folder / "x.npy", "--threads",      "1"} +
           more;
  }

  Arguments identifying(const Arguments& more = {}) const {
    return Arguments{"identify", "--weights", folder / "w.safetensors", "--threads", "1"} + more;
  }

  json read_json(const char* name) const { return json::parse(read_bytes(folder / name)); }
  double error() const {
    return amax(abs(cast_copy(read_npy(folder / "x.npy"), f64) - x), {0, 1, 2}).item();
  }

  // One line on stderr that begins with "unroll: " and holds the texts; nothing was written.
  void expect_failure(const Finished& done, int code, const Arguments& texts) const {
    EXPECT_EQ(done.code, code) << done.out << done.err;
    EXPECT_EQ(done.err.rfind("unroll: ", 0), 0u) << done.err;
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    for (const std::string& text : texts)
      EXPECT_NE(done.err.find(text), std::string::npos)
          << "'" << text << "' is not in: " << done.err;
    EXPECT_FALSE(fs::exists(folder / "x.npy"));
  }

  testing::TemporaryFolder folder;
  Tensor x;
};

TEST_F(CliInversion, EveryOutputGivesTheInputBackInBothTypes) {
  for (const Dtype dtype : {f64, Dtype::float32}) {
    make({.cell = Cell::lstm, .I = 3, .H = 10, .layers = 2}, 12, 2, "all", dtype);
    const Finished done = unroll_command(inverting({"--json", folder / "v.json"}));
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_NE(done.out.find("LSTM, 2 layers, I 3, H 10"), std::string::npos) << done.out;
    EXPECT_NE(done.out.find("2 recovered"), std::string::npos) << done.out;
    EXPECT_EQ(read_npy(folder / "x.npy").dtype(), dtype);
    const json all = read_json("v.json");
    EXPECT_EQ(all["verdict"], "recovered");
    EXPECT_EQ(all["steps"], 12);
    ASSERT_EQ(all["sequences"].size(), 2u);
    EXPECT_EQ(all["sequences"][0]["rank"], 36);
    EXPECT_EQ(all["sequences"][1]["bound"].size(), 12u);
    EXPECT_LT(error(), dtype == f64 ? 1e-10 : 1e-4);
    EXPECT_LE(error(), all["error_bound"].get<double>());
  }
}

TEST_F(CliInversion, ALastStateNeedsItsSteps) {
  make({.cell = Cell::tanh, .I = 1, .H = 16}, 6, 1, "final");
  expect_failure(unroll_command(inverting({"--observe", "final"})), 2, {"final", "--steps T"});
  const Finished done = unroll_command(inverting({"--observe", "final", "--steps", "6", "--json",
                                                  folder / "v.json", "--plot", folder / "v.svg"}));
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(read_json("v.json")["verdict"], "recovered") << done.out;
  EXPECT_LE(error(), read_json("v.json")["error_bound"].get<double>());
  EXPECT_EQ(read_bytes(folder / "v.svg").rfind("<svg ", 0), 0u);
}

TEST_F(CliInversion, WhatIsNotDeterminedIsSaidAndIsNoFailure) {
  make({.cell = Cell::gru, .I = 2, .H = 4}, 5, 1, "final");
  const Finished done = unroll_command(
      inverting({"--observe", "final", "--steps", "5", "--json", folder / "v.json"}));
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("1 ambiguous"), std::string::npos) << done.out;
  const json all = read_json("v.json");
  EXPECT_TRUE(all["error_bound"].is_null()) << "JSON has no infinity";
  EXPECT_LT(all["sequences"][0]["other"]["difference"].get<double>(), 1e-9);
}

TEST_F(CliInversion, AReadoutInEitherForm) {
  make({.cell = Cell::tanh, .I = 2, .H = 8}, 6, 1, "all");
  Random random(9);
  const Tensor C = random.normal({5, 8}, 0, 1, f64);
  write_npy(folder / "c.npy", C);
  write_npy(folder / "y.npy", matmul(read_npy(folder / "y.npy"), view::transpose(C, 0, 1)));
  for (const Arguments& form : {Arguments{"--observe", "readout:" + folder / "c.npy"},
                                Arguments{"--observe", "all", "--readout", folder / "c.npy"}}) {
    const Finished done = unroll_command(inverting(form));
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_NE(done.out.find("1 recovered"), std::string::npos) << done.out;
    EXPECT_LT(error(), 1e-9);
  }
}

TEST_F(CliInversion, LengthsAStartAndAPrior) {
  make({.cell = Cell::tanh, .I = 2, .H = 8}, 7, 2, "all");
  const std::vector<std::int64_t> lengths = {7, 3};
  write_npy(folder / "l.npy", from_values<std::int64_t>(lengths, {2}));
  write_npy(folder / "s.npy", x);
  const Finished done =
      unroll_command(inverting({"--lengths", folder / "l.npy", "--start", folder / "s.npy"}));
  ASSERT_EQ(done.code, 0) << done.err;
  const Tensor found = read_npy(folder / "x.npy");
  EXPECT_NEAR(found.item({2, 1, 0}), x.item({2, 1, 0}), 1e-10);
  EXPECT_EQ(found.item({3, 1, 0}), 0) << "padding";

  make({.cell = Cell::linear, .I = 1, .H = 3}, 6, 1, "final");
  Random random(3);
  write_npy(folder / "p.npy", random.normal({40, 6, 1}, 0, 1, f64));
  const Finished prior = unroll_command(
      inverting({"--observe", "final", "--steps", "6", "--prior", folder / "p.npy"}));
  ASSERT_EQ(prior.code, 0) << prior.err;
  fs::remove(folder / "x.npy");
  expect_failure(unroll_command(inverting(
                     {"--observe", "final", "--steps", "5", "--prior", folder / "p.npy"})),
                 1, {"p.npy", "[40,6]", "5 unknowns"});
}

TEST_F(CliInversion, WhatDoesNotFitIsOneLine) {
  make({.cell = Cell::lstm, .I = 3, .H = 10}, 4, 2, "all");
  expect_failure(unroll_command({"invert"}), 2, {"--weights"});
  expect_failure(unroll_command(inverting({"--observe", "some"})), 2, {"some", "every:K"});
  expect_failure(unroll_command(inverting({"--restarts", "-1"})), 2, {"--restarts"});
  expect_failure(unroll_command(inverting({"--noise", "-1"})), 2, {"--noise"});
  expect_failure(unroll_command(inverting({"--steps", "9"})), 1, {"[4,2,10]", "[9,N,10]"});
  expect_failure(unroll_command(inverting({"--observe", "every:8", "--steps", "4"})), 1,
                 {"every 8th of 4 steps"});
  expect_failure(unroll_command(inverting({"--h0", folder / "y.npy"})), 1, {"--h0", "[4,2,10]"});
  expect_failure(unroll_command(inverting({"--lengths", folder / "y.npy"})), 1,
                 {"y.npy", "whole numbers"});
  expect_failure(unroll_command(inverting({"--start", folder / "y.npy"})), 1,
                 {"start is [4,2,10]", "[4,2,3]"});
  expect_failure(unroll_command(inverting({"--json", folder / "none/v.json"})), 1, {"none"});

  write_npy(folder / "y.npy", zeros({4, 2, 7}, f64));
  expect_failure(unroll_command(inverting()), 1, {"outputs are [4,2,7]", "[4,N,10]"});
  write_npy(folder / "y.npy", full({4, 2, 10}, std::numeric_limits<double>::quiet_NaN(), f64));
  expect_failure(unroll_command(inverting()), 1, {"y.npy", "NaN"});
  write_npy(folder / "y.npy", zeros({0, 2, 10}, f64));
  expect_failure(unroll_command(inverting()), 1, {"[0,2,10]"});
  write_safetensors(folder / "w.safetensors",
                    {.tensors = {{"weight", zeros({3, 3}, f64)}}, .metadata = {}});
  expect_failure(unroll_command(inverting()), 1, {"w.safetensors"});
  expect_failure(unroll_command(identifying({"--steps", "3"})), 1, {"w.safetensors"});
}

TEST_F(CliInversion, NothingThatIsReadIsWrittenOver) {
  make({.cell = Cell::tanh, .I = 2, .H = 8}, 4, 1, "all");
  const std::string y = folder / "y.npy", w = folder / "w.safetensors";
  const std::string outputs = read_bytes(y), weights = read_bytes(w);
  const auto invert_to = [&](const std::string& out, const Arguments& more = {}) {
    return unroll_command(Arguments{"invert", "--weights", w, "--outputs", y, "--out", out} + more);
  };
  expect_failure(invert_to(y), 2, {"--out", "is read by this command"});
  expect_failure(invert_to(folder / "./w.safetensors"), 2, {"--out"});
  expect_failure(invert_to(folder / "x.npy", {"--json", folder / "x.npy"}), 2,
                 {"--out and --json"});
  expect_failure(invert_to(folder / "x.npy", {"--plot", w}), 2, {"--plot"});
  EXPECT_EQ(read_bytes(y), outputs);
  EXPECT_EQ(read_bytes(w), weights);
  EXPECT_EQ(folder.entries(), 2) << "nothing is left behind";
}

// A search that would take minutes.
TEST_F(CliInversion, CtrlCEndsALongSearchInOneLine) {
  make({.cell = Cell::gru, .I = 1, .H = 32}, 30, 1, "final");
  write_npy(folder / "y.npy", full({1, 32}, 0.99, f64));
  Process process(UNROLL_COMMAND, inverting({"--observe", "final", "--steps", "30", "--restarts",
                                             "1000000", "--json", folder / "v.json"}));
  EXPECT_FALSE(testing::eventually([&] { return !process.is_running(); }, 100));
  process.kill(SIGINT);
  expect_failure(process.wait(), 1, {"stopped before the end"});
  EXPECT_EQ(folder.entries(), 2) << "weights and outputs";
}

TEST_F(CliInversion, IdentifySaysWhetherALastStateIsEnough) {
  make({.cell = Cell::tanh, .I = 1, .H = 16}, 4, 1, "all");
  const Finished done =
      unroll_command(identifying({"--steps", "8", "--observe", "final", "--json", folder / "i.json",
                                  "--plot", folder / "i.svg"}));
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("determined"), std::string::npos) << done.out;
  EXPECT_NE(done.out.find("float32"), std::string::npos) << done.out;
  const json all = read_json("i.json");
  EXPECT_EQ(all["rank"], 8);
  EXPECT_EQ(all["unknowns"], 8);
  EXPECT_TRUE(all["determined"].get<bool>());
  EXPECT_EQ(all["singular_values"].size(), 8u);
  EXPECT_EQ(all["gain"].size(), 8u);
  EXPECT_EQ(all["saturation"].size(), 8u);
  EXPECT_EQ(all["digits"].size(), 4u);
  EXPECT_TRUE(all["inverse_radius"].is_null());
  EXPECT_EQ(read_bytes(folder / "i.svg").rfind("<svg ", 0), 0u);

  const Finished less = unroll_command(
      identifying({"--steps", "20", "--observe", "final", "--json", folder / "i.json"}));
  ASSERT_EQ(less.code, 0) << less.err;
  EXPECT_NE(less.out.find("not determined: 16 facts"), std::string::npos) << less.out;
  EXPECT_EQ(read_json("i.json")["rank"], 16);
  EXPECT_FALSE(read_json("i.json")["determined"].get<bool>());
}

TEST_F(CliInversion, IdentifyAtAnInput) {
  make({.cell = Cell::tanh, .I = 2, .H = 8}, 6, 2, "all");
  write_npy(folder / "in.npy", x);
  const Finished done =
      unroll_command(identifying({"--input", folder / "in.npy", "--json", folder / "i.json"}));
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(read_json("i.json")["steps"], 6);
  EXPECT_GT(read_json("i.json")["inverse_radius"].get<double>(), 0);
  expect_failure(unroll_command(identifying()), 2, {"--steps", "--input"});
  expect_failure(unroll_command(identifying({"--steps", "5", "--input", folder / "in.npy"})), 2,
                 {"--steps 5", "6 steps"});
  expect_failure(unroll_command(identifying({"--steps", "0"})), 2, {"--steps"});
  expect_failure(unroll_command(identifying({"--steps", "4", "--observe", "final-cell"})), 1,
                 {"final-cell", "LSTM"});
  expect_failure(unroll_command(identifying({"--steps", "4", "--json", folder / "w.safetensors"})),
                 2, {"--json", "is read"});
}

// Every number of two reports, to `tolerance` of the larger one or to 1e-9, and every word but the
// reasons, which hold residuals.
void expect_same_report(const json& a, const json& b, double tolerance,
                        const std::string& at = "") {
  if (a.is_number() && b.is_number()) {
    const double x = a, y = b, size = std::max(std::abs(x), std::abs(y));
    EXPECT_LE(std::abs(x - y), std::max(tolerance * size, 1e-9)) << at;
  } else if (a.is_structured() && b.is_structured()) {
    const json one = a.flatten(), other = b.flatten();
    ASSERT_EQ(one.size(), other.size()) << at;
    for (const auto& [key, value] : one.items())
      if (!key.ends_with("/reason"))
        expect_same_report(value, other.value(key, json()), tolerance, key);
  } else {
    EXPECT_EQ(a, b) << at;
  }
}

TEST_F(CliInversion, ADeviceGivesTheSameReports) {
  if (!is_available(Device::sim())) GTEST_SKIP() << why_unavailable(Device::sim());
  make({.cell = Cell::lstm, .I = 1, .H = 4}, 3, 2, "all", Dtype::float32);
  // Noise far above the rounding of either device, which is measured for each type.
  const Arguments last = {"--steps", "3", "--observe", "final", "--noise", "1e-4"};
  const std::vector<Arguments> commands = {
      inverting(), identifying(last + Arguments{"--inputs", "1"}),
      Arguments{"collide", "--weights", folder / "w.safetensors", "--distance", "0.5"} +
          Arguments{"--steps", "5", "--observe", "final", "--out", folder / "c.npz"}};
  for (const Arguments& command : commands) {
    SCOPED_TRACE(command[0]);
    json reports[2];
    Tensor inputs[2];
    for (const int there : {0, 1}) {
      const Finished done = unroll_command(
          command + Arguments{"--json", folder / "r.json", "--device", there ? "sim" : "cpu"});
      ASSERT_EQ(done.code, 0) << done.err;
      reports[there] = read_json("r.json");
      if (command[0] == "invert") inputs[there] = cast_copy(read_npy(folder / "x.npy"), f64);
    }
    expect_same_report(reports[1], reports[0], 1e-4);
    if (command[0] != "invert") continue;
    EXPECT_LE(amax(abs(inputs[1] - inputs[0]), {0, 1, 2}).item(), 1e-5);
  }
}

TEST_F(CliInversion, ADeviceThatCannotBeUsedIsOneLine) {
  make({.cell = Cell::tanh, .I = 1, .H = 4}, 3, 1, "all");
  const Arguments collide = {"collide", "--weights", folder / "w.safetensors", "--steps", "3"};
  for (const Arguments& command : {inverting(), identifying({"--steps", "3"}), collide}) {
    SCOPED_TRACE(command[0]);
    expect_failure(unroll_command(command + Arguments{"--device", "gpu"}), 2,
                   {"--device", "'gpu' is no device"});
    const Arguments cuda = {"--device", "cuda:100"};
    expect_failure(unroll_command(command + cuda), 2, {"--device", "cuda:100"});
    if (is_available(Device::cuda())) continue;
    expect_failure(unroll_command(command + Arguments{"--device", "cuda"}), 2,
                   {"--device", why_unavailable(Device::cuda())});
  }
  for (const char* command : {"capacity", "decode-tokens"})
    expect_failure(
        unroll_command({command, "--weights", folder / "w.safetensors", "--device", "cpu"}), 2,
        {"--device", command});
}

}  // namespace
}  // namespace unroll

#endif  // UNROLL_COMMAND
