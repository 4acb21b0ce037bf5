// Cases that other programs made, driven by their index files.
//
//   TEST(FormatsConformance, EachCaseOfTheIndex) {
//     conformance::run("formats", [](const conformance::Case& c) {
//       if (c.entry["op"] == "Foo") return conformance::skip("Foo is not supported");
//       return value_is_right ? conformance::pass() : conformance::fail("why");
//     });
//   }
//
// UNROLL_CONFORMANCE names a folder with any of pytorch/, onnx/ and formats/, each with an
// index.json: a list of objects, whose "file" lies in that folder. Where the variable is not set
// the test is skipped; a folder with none of the three is a failure. Each suite prints one line
// `formats: 3 passed, 0 failed, 1 skipped` and each case that it did not pass, with the reason.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace unroll::conformance {

struct Case {
  std::string name;            // the index's "file"
  std::filesystem::path path;  // of that file
  nlohmann::json entry;        // all that the index says of it
};

struct Outcome {
  enum class Kind { passed, failed, skipped } kind;
  std::string reason;
};

Outcome pass();
Outcome fail(std::string reason);
Outcome skip(std::string reason);

using Judge = std::function<Outcome(const Case&)>;

/// What came of each case of one index, in its order.
struct Report {
  struct Line {
    std::string name;
    Outcome outcome;
  };
  std::vector<Line> lines;

  int count(Outcome::Kind kind) const;
  /// "formats: 3 passed, 0 failed, 1 skipped"
  std::string summary(const std::string& suite) const;
};

/// Judges each case of `folder`/index.json; an exception out of `judge` is a failed case. Throws
/// std::runtime_error where the index is missing, malformed or empty.
Report judge_all(const std::filesystem::path& folder, const Judge& judge);

/// The cases of a folder's index. Throws as judge_all.
std::vector<Case> read_index(const std::filesystem::path& folder);

/// Runs one suite inside a test, with the rules at the top of this page.
void run(const std::string& suite, const Judge& judge);

/// The same for a folder that is given instead of the environment's; nullptr: not set.
void run(const char* folder, const std::string& suite, const Judge& judge);

}  // namespace unroll::conformance
