// The unroll command as its users meet it: what it writes, what it says, how it fails, how it goes
// on after it was stopped.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/csv.h"
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

// AddressSanitizer says a line of its own where it refuses memory.
std::string without_sanitizer(std::string text) {
  const std::size_t at = text.find("==WARNING: AddressSanitizer failed to allocate");
  if (at == std::string::npos) return text;
  const std::size_t line = text.rfind('\n', at) + 1;  // 0 where it is the first
  return text.erase(line, text.find('\n', at) + 1 - line);
}

Finished unroll_command(const Arguments& arguments) {
  Finished done = Process(UNROLL_COMMAND, arguments).wait();
  done.err = without_sanitizer(done.err);
  return done;
}

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

constexpr const char* kRunFiles[] = {"config.json", "checkpoint.safetensors", "model.safetensors",
                                     "metrics.csv"};

class Cli : public ::testing::Test {
 protected:
  // Two waves of 300 steps, and a column of text.
  std::string waves() {
    const std::string path = folder / "waves.csv";
    std::string text = "day,a,b\n";
    for (int t = 0; t < 300; t++)
      text += "d" + std::to_string(t) + "," + csv_number(20 + 3 * std::sin(0.3 * t)) + "," +
              csv_number(std::cos(0.17 * t)) + "\n";
    testing::write_bytes(path, text);
    return path;
  }

  // A small quick run.
  Arguments training(const std::string& out, const Arguments& more = {}) {
    return Arguments{"train", waves(),     "--window", "12",    "--hidden",
                     "6",     "--threads", "1",        "--out", folder / out} +
           more;
  }

  void expect_same_run(const std::string& a, const std::string& b) {
    for (const char* file : kRunFiles)
      EXPECT_EQ(read_bytes(folder / a + "/" + file), read_bytes(folder / b + "/" + file)) << file;
  }

  // One line on stderr that begins with "unroll: " and holds the texts.
  static void expect_failure(const Finished& done, int code, const Arguments& texts) {
    EXPECT_EQ(done.code, code) << done.out << done.err;
    EXPECT_EQ(done.err.rfind("unroll: ", 0), 0u) << done.err;
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    for (const std::string& text : texts)
      EXPECT_NE(done.err.find(text), std::string::npos)
          << "'" << text << "' is not in: " << done.err;
  }

  testing::TemporaryFolder folder;
};

TEST_F(Cli, VersionAndHelp) {
  const Finished version = unroll_command({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out.rfind("unroll 0.", 0), 0u) << version.out;
  for (const Arguments& command : std::vector<Arguments>{{},
                                                         {"train"},
                                                         {"reconstruct"},
                                                         {"compare"},
                                                         {"info"},
                                                         {"study"},
                                                         {"study", "t1"},
                                                         {"study", "claims"},
                                                         {"study", "t2"},
                                                         {"study", "t3"},
                                                         {"study", "t4"},
                                                         {"study", "t5"},
                                                         {"collide"},
                                                         {"decode-tokens"},
                                                         {"capacity"},
                                                         {"invert"},
                                                         {"identify"}}) {
    const Finished help = unroll_command(command + Arguments{"--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_NE(help.out.find("Example"), std::string::npos) << help.out;
    EXPECT_EQ(help.err, "");
  }
}

TEST_F(Cli, AnInstructionSetThatIsNotThereIsNamed) {
  const char* before = std::getenv("UNROLL_ISA");
  const std::string kept = before ? before : "";
  ::setenv("UNROLL_ISA", "mmx", 1);
  const Finished done = unroll_command({"--version"});
  ::setenv("UNROLL_ISA", kept.c_str(), 1);  // empty is as good as none
  expect_failure(done, 1, {"UNROLL_ISA: 'mmx' is not available", "baseline"});
}

TEST_F(Cli, TrainsAndReconstructs) {
  const Finished train =
      unroll_command(training("run", {"--model", "decoder", "--epochs", "3", "--orthogonal"}));
  ASSERT_EQ(train.code, 0) << train.err;
  EXPECT_NE(train.out.find("held-out NMSE"), std::string::npos) << train.out;
  EXPECT_EQ(train.out.find('\r'), std::string::npos) << "no terminal, no redrawing";
  EXPECT_EQ(train.out.find('\x1b'), std::string::npos);

  const std::string back = folder / "back.csv", plot = folder / "back.svg";
  const Finished done = unroll_command(
      {"reconstruct", folder / "run", folder / "waves.csv", "--out", back, "--plot", plot});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("overall"), std::string::npos);
  const CsvTable table = read_csv(back);
  EXPECT_EQ(table.names, (Arguments{"step", "a", "a_reconstruction", "b", "b_reconstruction"}));
  EXPECT_EQ(table.values.shape(), (Shape{300, 5}));
  EXPECT_DOUBLE_EQ(table.values.item({7, 1}), 20 + 3 * std::sin(0.3 * 7));
  EXPECT_NEAR(table.values.item({150, 2}), 20, 6) << "in its own units";
  const std::string svg = read_bytes(plot);
  EXPECT_EQ(svg.rfind("<svg ", 0), 0u);
  EXPECT_NE(svg.find("</svg>"), std::string::npos);
}

TEST_F(Cli, EveryModelOfEveryCellTrains) {
  const Arguments models = {"autoencoder-last", "autoencoder",      "autoencoder-all", "decoder",
                            "decoder-repeat",   "decoder-reversed", "attention"};
  const Arguments cells = {"linear", "tanh", "relu", "lstm", "gru"};
  for (std::size_t m = 0; m < models.size(); m++)
    for (std::size_t c = 0; c < cells.size(); c++) {
      if ((m + c) % 3 != 0) continue;  // a third of the pairs, with every model and every cell
      const std::string out = models[m] + "-" + cells[c];
      const Finished done = unroll_command(training(
          out, {"--model", models[m], "--cell", cells[c], "--steps", "2", "--variable-lengths"}));
      ASSERT_EQ(done.code, 0) << out << done.err;
      const Finished back = unroll_command(
          {"reconstruct", folder / out, folder / "waves.csv", "--out", folder / "back.csv"});
      ASSERT_EQ(back.code, 0) << out << back.err;
    }
}

TEST_F(Cli, OddSizes) {
  for (const Arguments& sizes :
       std::vector<Arguments>{{"--window", "1", "--hidden", "1"},
                              {"--batch", "100000"},
                              {"--stride", "100000"},
                              {"--validation", "0", "--test", "0"},
                              {"--dtype", "float64", "--clip", "0", "--patience", "1"}}) {
    const std::string out = "odd" + sizes[0];
    Arguments all = {"train", waves(), "--steps", "3", "--out", folder / out};
    const Finished done = unroll_command(all + sizes);
    EXPECT_EQ(done.code, 0) << sizes[0] << ": " << done.err;
  }
}

TEST_F(Cli, ANpySeries) {
  write_npy(folder / "x.npy", read_csv(waves()).values);
  const Finished done = unroll_command({"train", folder / "x.npy", "--columns", "1", "--window",
                                        "8", "--steps", "3", "--out", folder / "run"});
  ASSERT_EQ(done.code, 0) << done.err;
  const Finished back = unroll_command(
      {"reconstruct", folder / "run", folder / "x.npy", "--out", folder / "back.csv"});
  EXPECT_EQ(back.code, 0) << back.err;
}

TEST_F(Cli, BadUsage) {
  const std::string data = waves(), out = folder / "run";
  expect_failure(unroll_command({}), 2, {"--help"});
  expect_failure(unroll_command({"trian"}), 2, {"trian", "train"});
  expect_failure(unroll_command({"train", data}), 2, {"--out"});
  expect_failure(unroll_command({"train", "--out", out}), 2, {"DATA"});
  const std::vector<Arguments> bad = {
      {"--hidden", "0"},  {"--hidden", "-3"},      {"--window", "1.5"},   {"--epochs", "0"},
      {"--lr", "nan"},    {"--lr", "0"},           {"--threads", "0"},    {"--seed", "-1"},
      {"--model", "foo"}, {"--validation", "1.5"}, {"--missing", "skip"}, {"--dtype", "float16"}};
  for (const Arguments& option : bad)
    expect_failure(unroll_command(Arguments{"train", data, "--out", out} + option), 2, option);
  expect_failure(unroll_command({"train", data, "--out", out, "--steps", "3", "--epochs", "2"}), 2,
                 {"--steps", "--epochs"});
  expect_failure(unroll_command({"study", "t1", "--task", "foo"}), 2, {"foo", "lorenz"});
  expect_failure(unroll_command({"train", data, "--out", data}), 2, {"is a file"});
  EXPECT_FALSE(fs::exists(out)) << "nothing is made in vain";
}

TEST_F(Cli, BadData) {
  const std::string data = waves(), out = folder / "run";
  const auto train = [&](const std::string& path, const Arguments& more = {}) {
    return unroll_command(Arguments{"train", path, "--out", out} + more);
  };
  const auto file = [&](const char* name, const std::string& text) {
    testing::write_bytes(folder / name, text);
    return folder / name;
  };
  expect_failure(train(folder / "none.csv"), 1, {"none.csv", "does not exist"});
  expect_failure(train(data, {"--columns", "c"}), 1, {"'c'", "'a'"});
  expect_failure(train(data, {"--window", "1000"}), 1, {"window of 1000", "--window"});
  expect_failure(train(file("empty.csv", "")), 1, {"empty.csv"});
  expect_failure(train(file("one.csv", "a\n1\n")), 1, {"1 steps"});
  std::string constant = "a,b\n", holes = "a\n";
  for (int i = 0; i < 200; i++) {
    constant += "5," + std::to_string(i % 7) + "\n";
    holes += i == 20 ? "NA\n" : std::to_string(i % 7) + "\n";
  }
  expect_failure(train(file("constant.csv", constant), {"--window", "5"}), 1, {"'a'"});
  expect_failure(train(file("holes.csv", holes), {"--window", "5"}), 1, {"holes.csv:22"});
  expect_failure(train(data, {"--hidden", "1000000"}), 1, {"memory", "--hidden"});
  EXPECT_FALSE(fs::exists(out)) << "nothing is made in vain";
  EXPECT_EQ(
      train(folder / "holes.csv", {"--window", "5", "--missing", "interpolate", "--steps", "2"})
          .code,
      0);
  expect_failure(unroll_command({"info", folder / "nothing"}), 1, {"nothing"});
  expect_failure(unroll_command({"info", folder.path().string()}), 1, {"config.json"});
  expect_failure(unroll_command({"reconstruct", folder / "nothing", data, "--out", out + ".csv"}),
                 1, {"config.json"});
}

// The first step of this rate leads where no loss is finite: that is no checkpoint to keep.
TEST_F(Cli, DivergenceNamesTheStepAndKeepsNoBadCheckpoint) {
  const Finished done = unroll_command(training(
      "run", {"--lr", "1e18", "--clip", "0", "--epochs", "50", "--checkpoint-every", "1"}));
  expect_failure(done, 1, {"step 2", "batch 2", "lower learning rate"});
  EXPECT_FALSE(fs::exists(folder / "run/checkpoint.safetensors"));
}

TEST_F(Cli, ReconstructWritesOverNothingThatItReads) {
  ASSERT_EQ(unroll_command(training("run", {"--steps", "3"})).code, 0);
  const std::string run = folder / "run", data = folder / "waves.csv", back = folder / "back.csv";
  const std::string series = read_bytes(data), model = read_bytes(run + "/model.safetensors");
  const auto reconstruct = [&](const Arguments& more) {
    return unroll_command(Arguments{"reconstruct", run, data} + more);
  };
  expect_failure(reconstruct({"--out", data}), 2, {"--out", "the series itself"});
  expect_failure(reconstruct({"--out", (folder / "./waves.csv")}), 2, {"the series itself"});
  expect_failure(reconstruct({"--out", run + "/model.safetensors"}), 2, {"belongs to the run"});
  expect_failure(reconstruct({"--out", back, "--plot", run + "/config.json"}), 2, {"--plot"});
  expect_failure(reconstruct({"--out", back, "--plot", back}), 2, {"--out and --plot"});
  EXPECT_EQ(read_bytes(data), series);
  EXPECT_EQ(read_bytes(run + "/model.safetensors"), model);
}

TEST_F(Cli, NamesOfColumns) {
  const auto train = [&](const std::string& text) {
    testing::write_bytes(folder / "names.csv", text + "\n1,2\n3,5\n4,4\n");
    return unroll_command({"train", folder / "names.csv", "--window", "1", "--steps", "1", "--test",
                           "0", "--validation", "0", "--out", folder / "named"});
  };
  expect_failure(train("a,a"), 1, {"names.csv", "more than one column 'a'"});
  expect_failure(train("a,\xe9"), 1, {"names.csv", "column 1", "UTF-8"});
  EXPECT_FALSE(fs::exists(folder / "named"));
}

TEST_F(Cli, AConfigThatSaysNonsenseIsRefusedByName) {
  ASSERT_EQ(unroll_command(training("run", {"--steps", "2"})).code, 0);
  const std::string path = folder / "run/config.json", good = read_bytes(path);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const std::size_t at = text.find("\"" + from + "\": ");
    text.replace(at, text.find_first_of(",\n", at) - at, "\"" + from + "\": " + to);
    testing::write_bytes(path, text);
    return unroll_command({"train", "--resume", "--out", folder / "run"});
  };
  for (const auto& [key, value] :
       std::vector<std::pair<const char*, const char*>>{{"steps_per_epoch", "0"},
                                                        {"seed", "3.5"},
                                                        {"inputs", "null"},
                                                        {"missing", "\"x\""},
                                                        {"final_fraction", "-1"},
                                                        {"format", "true"},
                                                        {"window", "\"w\""}})
    expect_failure(with(key, value), 1, {"config.json", key});
  testing::write_bytes(path, good.substr(0, good.size() / 2));
  expect_failure(unroll_command({"info", folder / "run"}), 1, {"config.json", "JSON"});
}

TEST_F(Cli, ResumesFromAnotherFolder) {
  const Finished done = unroll_command(training("run", {"--steps", "2"}));
  ASSERT_EQ(done.code, 0);
  EXPECT_NE(read_bytes(folder / "run/config.json").find("\"data\": \"/"), std::string::npos);
}

TEST_F(Cli, ARunIsNeitherOverwrittenNorChanged) {
  ASSERT_EQ(unroll_command(training("run", {"--epochs", "2"})).code, 0);
  const std::string run = folder / "run", before = read_bytes(run + "/model.safetensors");
  expect_failure(unroll_command(training("run")), 2, {"--resume", "--out"});
  expect_failure(unroll_command({"train", "--resume", "--out", folder / "none"}), 2, {"--resume"});
  expect_failure(unroll_command({"train", "--resume", "--out", run, "--hidden", "7"}), 2,
                 {"--hidden 7", "6"});
  expect_failure(unroll_command({"train", "--resume", "--out", run, "--epochs", "3"}), 2,
                 {"--epochs 3"});
  testing::write_bytes(folder / "other.csv", "a,b\n1,2\n3,4\n");
  expect_failure(unroll_command({"train", folder / "other.csv", "--resume", "--out", run}), 1,
                 {"other.csv", "not the series"});
  EXPECT_EQ(unroll_command({"train", "--resume", "--out", run, "--hidden", "6"}).code, 0);
  EXPECT_EQ(read_bytes(run + "/model.safetensors"), before);
}

// Large enough that the recurrent kernels, attention and products share their work.
TEST_F(Cli, ThreadsDoNotChangeABit) {
  for (const char* threads : {"1", "2"}) {
    const Finished done = unroll_command(
        {"train", waves(), "--model", "attention", "--variable-lengths", "--window", "24",
         "--hidden", "48", "--epochs", "2", "--threads", threads, "--out", folder / threads});
    ASSERT_EQ(done.code, 0) << done.err;
  }
  expect_same_run("1", "2");
}

// Killed when only the first of the three runs was there: the others have their own cells.
TEST_F(Cli, CompareResumesWithoutTheOtherRuns) {
  const auto compare = [&](const std::string& out, const Arguments& more) {
    const Finished done = unroll_command(Arguments{"compare", "--out", folder / out} + more);
    ASSERT_EQ(done.code, 0) << done.err;
  };
  const Arguments options = {waves(), "--window", "12", "--hidden", "4", "--steps", "20"};
  compare("whole", options);
  compare("killed", options);
  for (const char* model : {"decoder", "attention"})
    fs::remove_all(folder / ("killed/" + std::string(model)));
  compare("killed", {"--resume"});
  for (const char* model : {"autoencoder", "decoder", "attention"})
    expect_same_run(std::string("whole/") + model, std::string("killed/") + model);
}

// Killed at several moments, among them within the first steps, resumed each time.
TEST_F(Cli, KilledAndResumedEndsInTheSameBits) {
  const Arguments options = {"--model", "decoder", "--epochs", "200", "--checkpoint-every", "3"};
  ASSERT_EQ(unroll_command(training("whole", options)).code, 0);
  const std::string out = folder / "killed";
  Arguments next = training("killed", options);
  int kills = 0;
  for (int wait_ms : {5, 25, 60, 110, 40, 80, 15, 150}) {
    Process process(UNROLL_COMMAND, next);
    std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
    if (process.is_running()) kills++;
    process.kill(SIGKILL);
    process.wait();
    if (fs::exists(out + "/config.json")) next = {"train", "--out", out, "--resume"};
  }
  EXPECT_GT(kills, 2);
  testing::write_bytes(out + "/metrics.csv.tmp.1.0", "left behind");
  ASSERT_EQ(unroll_command(next).code, 0);
  expect_same_run("whole", "killed");
  EXPECT_FALSE(fs::exists(out + "/metrics.csv.tmp.1.0"));
}

TEST_F(Cli, CtrlCSavesAndSaysHowToGoOn) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string out = "stopped" + std::to_string(signal);
    Process process(UNROLL_COMMAND, Arguments{"train", waves(), "--window", "12", "--hidden", "32",
                                              "--steps", "1000000", "--out", folder / out});
    ASSERT_TRUE(testing::eventually([&] { return !process.out().empty(); }));
    process.kill(signal);
    const Finished done = process.wait();
    expect_failure(done, 1, {"unroll train --out", "--resume", "step"});
    EXPECT_TRUE(fs::exists(folder / out + "/checkpoint.safetensors"));
    const Finished info = unroll_command({"info", folder / out});
    EXPECT_NE(info.out.find("unfinished"), std::string::npos) << info.out;
    EXPECT_EQ(unroll_command(
                  {"reconstruct", folder / out, folder / "waves.csv", "--out", folder / "back.csv"})
                  .code,
              0)
        << "the best model so far";
  }
}

TEST_F(Cli, OneTrainingAtATimeInAFolder) {
  Process first(UNROLL_COMMAND, Arguments{"train", waves(), "--window", "12", "--steps", "1000000",
                                          "--out", folder / "run"});
  ASSERT_TRUE(testing::eventually([&] { return !first.out().empty(); }));
  expect_failure(unroll_command({"train", "--out", folder / "run", "--resume"}), 1, {"another"});
}

TEST_F(Cli, Info) {
  ASSERT_EQ(unroll_command(training("run", {"--model", "attention", "--steps", "3"})).code, 0);
  const Finished run = unroll_command({"info", folder / "run"});
  EXPECT_EQ(run.code, 0) << run.err;
  for (const char* text : {"attention", "lstm", "parameters", "none", "step 3 of 3", "finished"})
    EXPECT_NE(run.out.find(text), std::string::npos) << text << " is not in: " << run.out;
  const Finished model = unroll_command({"info", folder / "run/model.safetensors"});
  for (const char* text : {"encoder.weight_ih_l0", "F32", "[24,2]", "bytes", "format: pt"})
    EXPECT_NE(model.out.find(text), std::string::npos) << text << " is not in: " << model.out;
  const Finished csv = unroll_command({"info", folder / "waves.csv"});
  for (const char* text : {"300 rows", "2 columns", "0 missing", "day"})
    EXPECT_NE(csv.out.find(text), std::string::npos) << text << " is not in: " << csv.out;
  write_npy(folder / "x.npy", zeros({3, 4}));
  const Finished npy = unroll_command({"info", folder / "x.npy"});
  EXPECT_NE(npy.out.find("[3,4]"), std::string::npos) << npy.out;
  fs::resize_file(folder / "x.npy", fs::file_size(folder / "x.npy") - 1);
  expect_failure(unroll_command({"info", folder / "x.npy"}), 1, {"x.npy", "is truncated"});
}

TEST_F(Cli, StudyT1WritesItsRows) {
  const std::string json = folder / "t1.json";
  const Finished done =
      unroll_command({"study", "t1", "--task", "sines,iid", "--model", "autoencoder", "--cell",
                      "linear", "--seeds", "2", "--steps", "3", "--json", json});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("autoencoder-linear"), std::string::npos) << done.out;
  const nlohmann::json rows = nlohmann::json::parse(read_bytes(json)).at("rows");
  ASSERT_EQ(rows.size(), 2u);
  for (const auto& row : rows) {
    EXPECT_EQ(row.size(), 7u);
    EXPECT_EQ(row.at("model"), "autoencoder-linear");
    EXPECT_TRUE(row.at("nmse_mean").is_number() && row.at("nmse_sd").is_number());
    EXPECT_TRUE(row.at("seconds").is_number() && row.at("stuck").is_number_integer());
    EXPECT_EQ(row.at("seeds"), 2);
  }
  EXPECT_EQ(rows[0].at("task"), "sines");
  expect_failure(unroll_command({"study", "t1", "--json", folder / "none/t1.json"}), 1, {"none"});
}

TEST_F(Cli, StudyT2WritesItsRows) {
  const std::string json = folder / "t2.json";
  const Finished done = unroll_command(
      {"study", "t2", "--cell", "gru", "--seeds", "2", "--steps", "3", "--json", json});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("FAIL"), std::string::npos) << done.out;
  const nlohmann::json rows = nlohmann::json::parse(read_bytes(json)).at("rows");
  ASSERT_EQ(rows.size(), 5u);
  for (const auto& row : rows) {
    EXPECT_EQ(row.size(), 9u);
    EXPECT_EQ(row.at("cell"), "gru");
    EXPECT_EQ(row.at("bound"), std::max(0.0, 1 - row.at("n_h").get<double>() / 32));
    EXPECT_GT(row.at("worst"), row.at("nmse"));
    EXPECT_FALSE(row.at("pass").get<bool>());
  }
  expect_failure(unroll_command({"study", "t2", "--cell", "relu"}), 2, {"relu", "gru"});
}

TEST_F(Cli, CompareShowsEveryModelBesidePca) {
  const std::string out = folder / "comparison";
  const Arguments command = {"compare", waves(),   "--window", "12",    "--hidden",
                             "4",       "--steps", "20",       "--out", out};
  const Finished done = unroll_command(command);
  ASSERT_EQ(done.code, 0) << done.err;
  for (const char* text : {"mean predictor", "PCA with 4 numbers", "PCA with 8 numbers",
                           "autoencoder", "decoder", "attention", "none"})
    EXPECT_NE(done.out.find(text), std::string::npos) << text << " is not in: " << done.out;
  const CsvTable table = read_csv(out + "/reconstructions.csv");
  EXPECT_EQ(table.values.shape(), (Shape{30, 9}));
  EXPECT_EQ(table.values.item({0, 0}), 270) << "steps of the series";
  EXPECT_EQ(read_bytes(out + "/reconstructions.svg").rfind("<svg ", 0), 0u);
  expect_failure(unroll_command(command), 2, {"--resume"});
  const Finished again = unroll_command({"compare", "--out", out, "--resume"});
  EXPECT_EQ(again.code, 0) << again.err;
}

TEST_F(Cli, StdoutThatIsClosedOrFull) {
  const std::string data = waves(), program = UNROLL_COMMAND;
  const auto shell = [&](const std::string& line) {
    return Process("/bin/sh", {"-c", program + " info " + data + line}).wait();
  };
  EXPECT_EQ(shell(" >&-").code, 0);
  if (fs::exists("/dev/full")) expect_failure(shell(" >/dev/full"), 1, {"stdout"});
  const Finished gone =
      Process("/bin/sh", {"-c", "(" + program + " info " + data + "; echo code $? >&2) | true"})
          .wait();
  EXPECT_NE(gone.err.find("code 0"), std::string::npos) << gone.err;
}

}  // namespace
}  // namespace unroll

#endif  // UNROLL_COMMAND
