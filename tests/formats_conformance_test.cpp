// The readers of io/ against good and malformed files that other programs made.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "io/npy.h"
#include "io/npz.h"
#include "io/safetensors.h"
#include "tests/conformance.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

using conformance::Case;
using conformance::Outcome;
using unroll::testing::TemporaryFolder;
using unroll::testing::write_bytes;

std::string read_whole_npz(const Case& c) {
  const std::string path = c.path.string();
  const std::vector<NpzEntry> list = list_npz(path);
  const std::vector<NamedTensor> all = read_npz(path);
  if (all.size() != list.size()) return "lists other arrays than it reads";
  for (std::size_t i = 0; i < list.size(); i++) {
    if (list[i].name != all[i].name || Shape(list[i].array.shape) != all[i].tensor.shape())
      return "lists another array than " + all[i].name;
    if (to_string(read_npz(path, all[i].name)) != to_string(all[i].tensor))
      return "values of " + all[i].name;
  }
  if (!c.entry.contains("arrays")) return "";
  const auto& arrays = c.entry["arrays"];
  if (arrays.size() != list.size()) return "holds " + std::to_string(list.size()) + " arrays";
  for (const NpzEntry& entry : list)
    if (!arrays.contains(entry.name) || arrays[entry.name][0] != entry.array.dtype ||
        arrays[entry.name][1] != entry.array.shape)
      return "dtype or shape of " + entry.name;
  return "";
}

// Reads all of a file; says what disagrees with the index, or nothing.
std::string read_whole(const Case& c) {
  const std::string path = c.path.string();
  if (c.path.extension() == ".npz") return read_whole_npz(c);
  if (c.path.extension() == ".npy") {
    const Tensor x = read_npy(path);
    const NpyInfo info = inspect_npy(path);
    const auto shape = c.entry.value("shape", info.shape);
    if (Shape(shape) != x.shape() || shape != info.shape) return "shape " + to_string(x.shape());
    return "";
  }
  const SafetensorsList list = list_safetensors(path);
  const Safetensors all = read_safetensors(path);
  if (all.tensors.size() != list.entries.size()) return "lists other tensors than it reads";
  for (const SafetensorsEntry& entry : list.entries) {
    if (Shape(entry.shape) != all[entry.name].shape()) return "shape of " + entry.name;
    const Tensor single = read_safetensors(path, entry.name);
    if (to_string(single) != to_string(all[entry.name])) return "values of " + entry.name;
  }
  return "";
}

// A type that a reader does not hold may be refused where the index says so, by its name.
bool may_refuse(const Case& c, const std::string& message) {
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  const std::string why = c.entry.value("why", "");
  return (has(why, "by name") || has(why, "name it")) &&
         (has(message, "dtype") || has(message, "method")) && has(message, "not supported");
}

Outcome judge_format(const Case& c) {
  const std::string kind = c.path.extension().string();
  if (kind != ".npy" && kind != ".npz" && kind != ".safetensors")
    return conformance::skip("files " + kind + " are not read");
  const std::string expect = c.entry.value("expect", "");
  if (expect != "accept" && expect != "reject" && expect != "policy")
    return conformance::fail("the index expects '" + expect + "', not accept, reject or policy");
  try {
    const std::string wrong = read_whole(c);
    if (!wrong.empty()) return conformance::fail("read wrongly: " + wrong);
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.find(c.path.filename().string()) == std::string::npos)
      return conformance::fail("the error does not name the file: " + message);
    if (expect == "accept" && !may_refuse(c, message))
      return conformance::fail("refused: " + message);
    return conformance::pass();
  }
  return expect == "reject" ? conformance::fail("accepted: " + c.entry.value("why", ""))
                            : conformance::pass();
}

TEST(FormatsConformance, EachCaseOfTheIndex) { conformance::run("formats", judge_format); }

// ---- the harness itself can fail

class ConformanceHarness : public ::testing::Test {
 protected:
  void make(const std::string& index) {
    std::filesystem::create_directories(folder_.path() / "formats");
    write_bytes(folder_ / "formats/index.json", index);
    write_npy(folder_ / "formats/good.npy", ones({2, 3}));
    write_bytes(folder_ / "formats/bad.npy", "no array");
    write_bytes(folder_ / "formats/old.pickle", "");
  }
  conformance::Report judge() {
    return conformance::judge_all(folder_.path() / "formats", judge_format);
  }
  TemporaryFolder folder_;
};

TEST_F(ConformanceHarness, CountsWhatPassesFailsAndIsSkipped) {
  make(R"([{"file":"good.npy","expect":"accept","shape":[2,3]},
           {"file":"bad.npy","expect":"reject"},
           {"file":"bad.npy","expect":"policy"},
           {"file":"old.pickle","expect":"accept"}])");
  EXPECT_EQ(judge().summary("formats"), "formats: 3 passed, 0 failed, 1 skipped");
}

TEST_F(ConformanceHarness, EachKindOfFailureIsSeen) {
  make(R"([{"file":"good.npy","expect":"reject"},
           {"file":"bad.npy","expect":"accept"},
           {"file":"bad.npy","expect":"accept","why":"small readers reject by name"},
           {"file":"good.npy","expect":"accept","shape":[3,2]},
           {"file":"good.npy","expect":"perhaps"},
           {"file":"absent.npy","expect":"reject"}])");
  const conformance::Report report = judge();
  EXPECT_EQ(report.summary("x"), "x: 0 passed, 6 failed, 0 skipped");
  for (const auto& line : report.lines) EXPECT_FALSE(line.outcome.reason.empty()) << line.name;
}

TEST_F(ConformanceHarness, AnExceptionOfTheJudgeIsAFailedCase) {
  make(R"([{"file":"good.npy"}])");
  const auto report =
      conformance::judge_all(folder_.path() / "formats", [](const Case&) -> Outcome { throw 1; });
  EXPECT_EQ(report.count(Outcome::Kind::failed), 1);
}

TEST_F(ConformanceHarness, AMalformedIndexThrows) {
  for (const char* index : {"", "[]", "{}", "[1]", R"([{"fil":"a"}])", R"([{"file":1}])"}) {
    make(index);
    EXPECT_THROW(judge(), std::runtime_error) << index;
  }
}

TEST_F(ConformanceHarness, AFolderWithoutSuitesIsAFailure) {
  const std::string path = folder_.path().string();  // nothing in it
  static const char* folder;
  folder = path.c_str();
  EXPECT_FATAL_FAILURE(conformance::run(folder, "formats", judge_format), "holds none of");
}

TEST_F(ConformanceHarness, AFailedCaseFailsTheTest) {
  make(R"([{"file":"good.npy","expect":"reject"}])");
  const std::string path = folder_.path().string();
  static const char* folder;
  folder = path.c_str();
  ::testing::internal::CaptureStdout();  // not to be taken for the real summary
  EXPECT_NONFATAL_FAILURE(conformance::run(folder, "formats", judge_format),
                          "failed good.npy: accepted");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "formats: 0 passed, 1 failed, 0 skipped\n");
}

}  // namespace
}  // namespace unroll
