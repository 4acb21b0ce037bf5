// unroll collide, decode-tokens and study t5 as their users meet them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "autograd/ops.h"
#include "inversion/certificate.h"
#include "inversion/tokens.h"
#include "io/npy.h"
#include "io/npz.h"
#include "io/safetensors.h"
#include "tests/process.h"

#ifdef UNROLL_COMMAND

namespace unroll {
namespace {

using testing::Finished;
using Arguments = std::vector<std::string>;
constexpr Dtype f64 = Dtype::float64;

class CliCertify : public ::testing::Test {
 protected:
  Encoder encoder(const EncoderSizes& sizes, const std::string& file,
                  const std::string& prefix = {}, const std::vector<NamedTensor>& more = {}) {
    const Encoder drawn(sizes, random);
    std::vector<NamedTensor> tensors = more;
    for (const NamedTensor& each : drawn.tensors())
      tensors.push_back({prefix + each.name, each.tensor});
    write_safetensors(folder / file, {tensors, {}});
    return drawn;
  }

  static Finished run(const Arguments& arguments) {
    return testing::Process(UNROLL_COMMAND, arguments).wait();
  }
  nlohmann::json json(const std::string& file) {
    return nlohmann::json::parse(testing::read_bytes(folder / file));
  }
  static void expect_failure(const Finished& done, int code, const std::string& text) {
    EXPECT_EQ(done.code, code) << done.out << done.err;
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    EXPECT_NE(done.err.find(text), std::string::npos) << done.err;
  }

  testing::TemporaryFolder folder;
  Random random{5};
};

TEST_F(CliCertify, CollideWritesACertificate) {
  encoder({.cell = Cell::lstm, .I = 1, .H = 8}, "w.safetensors", "encoder.rnn.");
  const Tensor x = random.normal({24, 1}, 0, 1, f64);
  write_npy(folder / "x.npy", x);
  const Finished done =
      run({"collide", "--weights", folder / "w.safetensors", "--input", folder / "x.npy",
           "--observe", "final", "--out", folder / "c.npz", "--json", folder / "c.json"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("rank of the Jacobian  8 of 24"), std::string::npos) << done.out;
  EXPECT_NE(done.out.find("ambiguous: two inputs, one output"), std::string::npos) << done.out;
  EXPECT_TRUE(check_certificate(folder / "c.npz").found);
  EXPECT_EQ(to_vector<double>(read_npz(folder / "c.npz", "x")), to_vector<double>(x));
  const nlohmann::json found = json("c.json");
  EXPECT_TRUE(found["found"]);
  EXPECT_GE(found["input_distance"], 2);
  EXPECT_LT(found["output_distance"], 1e-10);
  EXPECT_EQ(found["kind"], "surface");
}

TEST_F(CliCertify, CollideSaysWhatItDidNotFind) {
  encoder({.cell = Cell::gru, .I = 2, .H = 8}, "w.safetensors");
  const Finished done =
      run({"collide", "--weights", folder / "w.safetensors", "--steps", "4", "--starts", "5",
           "--out", folder / "c.npz", "--json", folder / "c.json"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("proves nothing"), std::string::npos) << done.out;
  EXPECT_FALSE(std::filesystem::exists(folder / "c.npz"));
  EXPECT_FALSE(json("c.json")["found"]);
}

TEST_F(CliCertify, BadInputGetsOneLine) {
  encoder({.cell = Cell::gru, .I = 2, .H = 4}, "w.safetensors");
  const std::string w = folder / "w.safetensors";
  write_npy(folder / "x.npy", ones({5, 3}, f64));
  write_npy(folder / "nan.npy", full({5, 2}, NAN, f64));
  write_npy(folder / "c.npy", ones({1, 3}, f64));
  const Arguments collide = {"collide", "--weights", w};
  const auto with = [&](Arguments more) {
    more.insert(more.begin(), collide.begin(), collide.end());
    return run(more);
  };
  expect_failure(with({}), 2, "--steps");
  expect_failure(with({"--steps", "3", "--observe", "some"}), 2, "every:K");
  expect_failure(with({"--steps", "3", "--c0", folder / "x.npy"}), 2, "LSTM");
  expect_failure(with({"--steps", "3", "--h0", folder / "x.npy", "--unknown-start"}), 2,
                 "contradict");
  expect_failure(with({"--steps", "3", "--h0", folder / "x.npy"}), 1, "[1,N,4]");
  expect_failure(with({"--input", folder / "x.npy"}), 1, "[5,1,3]");
  expect_failure(with({"--input", folder / "nan.npy"}), 1, "NaN");
  expect_failure(with({"--steps", "3", "--observe", "readout:" + (folder / "c.npy")}), 1, "[M,4]");
  expect_failure(with({"--steps", "3", "--observe", "final-cell"}), 1, "use final");
  expect_failure(with({"--steps", "3", "--cell", "lstm"}), 1, "gates");
}

TEST_F(CliCertify, DecodesTokensOfANamedEmbedding) {
  const Tensor table = random.normal({50, 4}, 0, 1, f64);
  const Encoder lm = encoder({.cell = Cell::lstm, .I = 4, .H = 12}, "lm.safetensors", "rnn.",
                             {{"emb.weight", table}});
  const Tensor tokens = random.integers({20, 3}, 0, 50);
  const Tensor y = lm(embedding(table, tokens)).y;
  write_npy(folder / "y.npy", cast_copy(y, Dtype::float32));
  const Arguments decode = {"decode-tokens",  "--weights", folder / "lm.safetensors", "--embedding",
                            "emb.weight",     "--outputs", folder / "y.npy",          "--out",
                            folder / "t.npy", "--json",    folder / "t.json"};
  const Finished done = run(decode);
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("recovered"), std::string::npos) << done.out;
  EXPECT_EQ(to_vector<std::int64_t>(read_npy(folder / "t.npy")), to_vector<std::int64_t>(tokens));
  EXPECT_TRUE(json("t.json")["exact"]);
  Arguments misspelt = decode;
  misspelt[4] = "embed";
  expect_failure(run(misspelt), 1, "emb.weight");
}

TEST_F(CliCertify, DecodesLastStatesByCensus) {
  const Encoder gru = encoder({.cell = Cell::gru, .I = 3, .H = 8}, "gru.safetensors");
  const Tensor table = random.normal({6, 3}, 0, 1, f64), tokens = random.integers({4, 1}, 0, 6);
  write_npy(folder / "e.npy", table);
  write_npy(folder / "h.npy", reshape(gru(embedding(table, tokens)).last.h, {8}));
  const Finished done = run({"decode-tokens", "--weights", folder / "gru.safetensors",
                             "--embedding", folder / "e.npy", "--outputs", folder / "h.npy",
                             "--observe", "final", "--steps", "4", "--out", folder / "t.npy"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(to_vector<std::int64_t>(read_npy(folder / "t.npy")), to_vector<std::int64_t>(tokens));

  const Arguments census = {"decode-tokens", "--weights",       folder / "gru.safetensors",
                            "--census",      "--vocabulary",    "4",
                            "--json",        folder / "c.json", "--steps"};
  Arguments few = census, many = census;
  few.push_back("5");
  many.push_back("50");
  ASSERT_EQ(run(few).code, 0);
  EXPECT_EQ(json("c.json")["sequences"], 1024);
  EXPECT_EQ(json("c.json")["distinct"]["float64"], 1024);
  EXPECT_GT(json("c.json")["smallest_gap"], 0);
  expect_failure(run(many), 1, "at most 10 steps");
  expect_failure(run(census), 2, "--steps");
  expect_failure(run({"decode-tokens", "--weights", folder / "gru.safetensors"}), 2, "--embedding");
}

TEST_F(CliCertify, StudyT5) {
  const Finished done = run({"study", "t5", "--json", folder / "t5.json", "--seed", "2"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("3 of 3 pass"), std::string::npos) << done.out;
  const nlohmann::json all = json("t5.json");
  ASSERT_EQ(all["rows"].size(), 3U);
  for (const char* key : {"claim", "setup", "expected", "measured", "tolerance", "pass"})
    EXPECT_TRUE(all["rows"][0].contains(key)) << key;
  EXPECT_EQ(all["digits"][0]["capacity"], 24);
}

}  // namespace
}  // namespace unroll

#endif
