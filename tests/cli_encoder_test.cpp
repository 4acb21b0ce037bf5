// unroll train --encoder: a decoder for a given encoder, from the first file to the last.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "io/csv.h"
#include "io/npz.h"
#include "io/safetensors.h"
#include "models/model.h"
#include "tests/process.h"

#ifdef UNROLL_COMMAND

namespace unroll {
namespace {

namespace fs = std::filesystem;
using testing::Finished;
using testing::Process;
using testing::read_bytes;
using Arguments = std::vector<std::string>;

constexpr const char* kFiles[] = {"config.json", "checkpoint.safetensors", "model.safetensors",
                                  "metrics.csv", "encoder.safetensors"};

class CliEncoder : public ::testing::Test {
 protected:
  std::string waves() {
    const std::string path = folder / "waves.csv";
    std::string text = "a,b\n";
    for (int t = 0; t < 300; t++)
      text += csv_number(2 + std::sin(0.3 * t)) + "," + csv_number(std::cos(0.17 * t)) + "\n";
    testing::write_bytes(path, text);
    return path;
  }

  // Under PyTorch's names in a larger model; float32, as most are.
  std::string weights(const EncoderSizes& sizes, const std::string& file = "w.safetensors") {
    Random random(4);
    std::vector<NamedTensor> tensors = Encoder(sizes, random).tensors();
    for (NamedTensor& each : tensors)
      each = {"encoder.rnn." + each.name, cast_copy(each.tensor, Dtype::float32)};
    tensors.push_back({"head.weight", ones({2, 2})});
    if (file.ends_with(".npz"))
      write_npz(folder / file, tensors);
    else
      write_safetensors(folder / file, {.tensors = tensors, .metadata = {}});
    return folder / file;
  }

  Finished train(const std::string& out, const Arguments& more, const char* epochs = "4") {
    Arguments all = {"train", waves(),    "--window", "12",    "--threads",
                     "1",     "--epochs", epochs,     "--out", folder / out};
    all.insert(all.end(), more.begin(), more.end());
    return Process(UNROLL_COMMAND, all).wait();
  }

  static void expect_failure(const Finished& done, int code, const Arguments& texts) {
    EXPECT_EQ(done.code, code) << done.out << done.err;
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    for (const std::string& text : texts)
      EXPECT_NE(done.err.find(text), std::string::npos)
          << "'" << text << "' is not in: " << done.err;
  }

  // The loss of the first and of the last step.
  std::pair<double, double> losses(const std::string& out) {
    const CsvTable table = read_csv(folder / out + "/metrics.csv", {.columns = {"loss"}});
    return {table.values.item({0, 0}), table.values.item({table.values.shape()[0] - 1, 0})};
  }

  testing::TemporaryFolder folder;
};

const EncoderSizes kLstm{.cell = Cell::lstm, .I = 2, .H = 6};
const EncoderSizes kDeep{
    .cell = Cell::lstm, .I = 2, .H = 5, .layers = 2, .bidirectional = true, .projection = 3};

TEST_F(CliEncoder, FrozenItStaysAsItIsAndTheDecoderLearns) {
  for (const EncoderSizes& sizes : {kLstm, kDeep}) {
    const std::string file = weights(sizes), out = sizes.projection ? "deep" : "flat";
    const Finished done =
        train(out, {"--encoder", file, "--freeze", "--model", "decoder", "--lr", "0.02"}, "60");
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_NE(done.out.find("frozen"), std::string::npos) << done.out;
    EXPECT_LT(losses(out).second, 0.7 * losses(out).first);
    const Safetensors model = read_safetensors(folder / out + "/model.safetensors");
    const Safetensors copy = read_safetensors(folder / out + "/encoder.safetensors");
    for (const NamedTensor& each : Encoder::load(file).tensors()) {
      const auto expected = to_vector<double>(each.tensor);
      EXPECT_EQ(to_vector<double>(copy[each.name]), expected) << each.name;
      EXPECT_EQ(to_vector<double>(model["encoder." + each.name]), expected) << each.name;
    }
    fs::remove(file);  // the run needs it no more
    for (const char* command : {"info", "reconstruct"}) {
      Arguments all = {command, folder / out};
      if (all[0] == "reconstruct") all.insert(all.end(), {waves(), "--out", folder / "back.csv"});
      const Finished next = Process(UNROLL_COMMAND, all).wait();
      EXPECT_EQ(next.code, 0) << next.err;
    }
    const Model decoder = Model::open(folder / out);
    EXPECT_EQ(decoder.reconstruction.options().given->encoder.sizes().I, 2);
  }
}

TEST_F(CliEncoder, WithoutFreezeItIsFineTuned) {
  const std::string file = weights({.cell = Cell::gru, .I = 2, .H = 4}, "w.npz");
  const Finished done = train("run", {"--encoder", file, "--model", "attention"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("fine-tuned"), std::string::npos) << done.out;
  const Safetensors model = read_safetensors(folder / "run/model.safetensors");
  EXPECT_NE(to_vector<double>(model["encoder.weight_hh_l0"]),
            to_vector<double>(Encoder::load(file).tensors()[1].tensor));
  EXPECT_EQ(model["decoder.weight_hh_l0"].shape(), (Shape{12, 4})) << "as the encoder's";
}

TEST_F(CliEncoder, EveryModelTrains) {
  const std::string file = weights({.cell = Cell::relu, .I = 2, .H = 4, .layers = 2});
  for (const ModelKind kind : all_model_kinds()) {
    const Finished done = train(
        name(kind), {"--encoder", file, "--freeze", "--encoder-cell", "relu", "--encoder-prefix",
                     "encoder.rnn.", "--model", name(kind), "--cell", "lstm", "--hidden", "3"});
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_NE(done.out.find("relu RNN, 2 layers"), std::string::npos) << done.out;
  }
}

TEST_F(CliEncoder, KilledAndResumedEndsInTheSameBits) {
  for (const char* freeze : {"--freeze", "--orthogonal"}) {
    const std::string file = weights(kDeep), name = freeze + 2;
    const Arguments options = {"--encoder", file,      freeze, "--model",
                               "decoder",   "--steps", "400",  "--checkpoint-every",
                               "3"};
    const auto start = [&](const std::string& out) {
      Arguments all = {"train", waves(), "--window", "12", "--out", folder / out};
      all.insert(all.end(), options.begin(), options.end());
      return all;
    };
    ASSERT_EQ(Process(UNROLL_COMMAND, start(name)).wait().code, 0);
    const std::string out = folder / name + "-killed";
    Arguments next = start(name + "-killed");
    for (const int wait_ms : {30, 60, 120}) {
      Process process(UNROLL_COMMAND, next);
      std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
      process.kill(SIGKILL);
      process.wait();
      if (fs::exists(out + "/config.json")) next = {"train", "--out", out, "--resume"};
    }
    const Finished done = Process(UNROLL_COMMAND, next).wait();
    ASSERT_EQ(done.code, 0) << done.err;
    for (const char* each : kFiles)
      EXPECT_EQ(read_bytes(folder / name + "/" + each), read_bytes(out + "/" + each)) << each;
  }
}

TEST_F(CliEncoder, WhatDoesNotFitIsOneLine) {
  const std::string file = weights({.cell = Cell::lstm, .I = 3, .H = 4});
  const auto fails = [&](int code, const Arguments& more, const Arguments& texts) {
    expect_failure(train("run", more), code, texts);
  };
  fails(1, {"--encoder", file}, {"reads 3 numbers", "2 columns: a,b", "--columns"});
  fails(1, {"--encoder", folder / "none.safetensors"}, {"none.safetensors"});
  fails(1, {"--encoder", waves()}, {"waves.csv"});
  fails(1, {"--encoder", file, "--encoder-prefix", "x."}, {"x.weight_ih_l0"});
  fails(1, {"--encoder", file, "--encoder-cell", "gru"}, {"no gru"});
  fails(2, {"--encoder", file, "--encoder-cell", "rnn"}, {"rnn", "tanh"});
  fails(2, {"--freeze"}, {"--freeze", "add --encoder"});
  EXPECT_FALSE(fs::exists(folder / "run")) << "nothing is made in vain";

  const std::string good = weights(kLstm, "good.safetensors");
  ASSERT_EQ(train("run", {"--encoder", good, "--freeze"}).code, 0);
  const auto resume = [&](const Arguments& more) {
    Arguments all = {"train", "--resume", "--out", folder / "run"};
    all.insert(all.end(), more.begin(), more.end());
    return Process(UNROLL_COMMAND, all).wait();
  };
  EXPECT_EQ(resume({"--encoder", good, "--freeze"}).code, 0);
  expect_failure(resume({"--encoder", file}), 2, {"--encoder", "contradicts", "good.safetensors"});
  testing::write_bytes(folder / "run/encoder.safetensors", "{");
  expect_failure(resume({}), 1, {"encoder.safetensors"});
}

}  // namespace
}  // namespace unroll

#endif  // UNROLL_COMMAND
