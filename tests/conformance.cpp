#include "tests/conformance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <utility>

namespace unroll::conformance {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSuites[] = {"pytorch", "onnx", "formats"};

bool holds_any_suite(const fs::path& folder) {
  return std::any_of(std::begin(kSuites), std::end(kSuites), [&](const char* suite) {
    return fs::is_regular_file(folder / suite / "index.json");
  });
}

// One line, whatever a message says.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

Outcome judge_one(const Case& c, const Judge& judge) {
  if (!fs::is_regular_file(c.path)) return fail("the index names a file that is not there");
  try {
    return judge(c);
  } catch (const std::exception& error) {
    return fail(std::string("threw: ") + error.what());
  } catch (...) {
    return fail("threw something that is no std::exception");
  }
}

}  // namespace

Outcome pass() { return {Outcome::Kind::passed, ""}; }
Outcome fail(std::string reason) { return {Outcome::Kind::failed, std::move(reason)}; }
Outcome skip(std::string reason) { return {Outcome::Kind::skipped, std::move(reason)}; }

int Report::count(Outcome::Kind kind) const {
  return static_cast<int>(std::count_if(
      lines.begin(), lines.end(), [&](const Line& line) { return line.outcome.kind == kind; }));
}

std::string Report::summary(const std::string& suite) const {
  return suite + ": " + std::to_string(count(Outcome::Kind::passed)) + " passed, " +
         std::to_string(count(Outcome::Kind::failed)) + " failed, " +
         std::to_string(count(Outcome::Kind::skipped)) + " skipped";
}

std::vector<Case> read_index(const fs::path& folder) {
  const fs::path index = folder / "index.json";
  std::ifstream file(index);
  const nlohmann::json json = nlohmann::json::parse(file, nullptr, false);
  if (json.is_discarded() || !json.is_array() || json.empty())
    throw std::runtime_error(index.string() + " is not a JSON list with cases");
  std::vector<Case> cases;
  for (const nlohmann::json& entry : json) {
    const auto name = entry.is_object() ? entry.find("file") : entry.end();
    if (name == entry.end() || !name->is_string())
      throw std::runtime_error(index.string() + " has an entry without a \"file\"");
    cases.push_back({*name, folder / name->get<std::string>(), entry});
  }
  return cases;
}

Report judge_all(const fs::path& folder, const Judge& judge) {
  Report report;
  for (const Case& c : read_index(folder)) report.lines.push_back({c.name, judge_one(c, judge)});
  return report;
}

void run(const std::string& suite, const Judge& judge) {
  run(std::getenv("UNROLL_CONFORMANCE"), suite, judge);
}

void run(const char* folder, const std::string& suite, const Judge& judge) {
  if (!folder || !*folder)
    GTEST_SKIP() << suite << ": skipped, UNROLL_CONFORMANCE does not name a folder of cases";
  if (!holds_any_suite(folder))
    FAIL() << folder << " holds none of pytorch/, onnx/ and formats/ with an index.json";
  const fs::path here = fs::path(folder) / suite;
  if (!fs::is_regular_file(here / "index.json"))
    GTEST_SKIP() << suite << ": skipped, " << folder << " has no " << suite << "/index.json";
  Report report;
  ASSERT_NO_THROW(report = judge_all(here, judge));
  for (const auto& [name, outcome] : report.lines) {
    if (outcome.kind == Outcome::Kind::failed)
      ADD_FAILURE() << suite << ": failed " << name << ": " << outcome.reason;
    if (outcome.kind == Outcome::Kind::skipped)
      std::cout << suite << ": skipped " << name << ": " << one_line(outcome.reason) << "\n";
  }
  std::cout << report.summary(suite) << std::endl;
}

}  // namespace unroll::conformance
