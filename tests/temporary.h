// A folder of one test's own, and whole files as strings.
//
//   TemporaryFolder folder;
//   write_bytes(folder / "x.npy", "...");
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace unroll::testing {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "unroll-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw Error("cannot make a temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

  /// How many entries the folder has: a test of files that must not stay behind.
  int entries() const {
    int count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path_)) count++;
    return count;
  }

 private:
  std::filesystem::path path_;
};

inline void write_bytes(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The message of the unroll::Error that `f` throws; a failure of the test where it throws none.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    const std::string what = error.what();
    EXPECT_EQ(what.find('\n'), std::string::npos) << "not one line: " << what;
    return what;
  }
  ADD_FAILURE() << "no unroll::Error";
  return "";
}

}  // namespace unroll::testing

/// The statement throws an unroll::Error whose message contains each of the texts.
#define EXPECT_ERROR(statement, ...)                                                        \
  do {                                                                                      \
    const std::string error_text = ::unroll::testing::error_of([&] { (void)(statement); }); \
    for (const std::string& expected_text : std::vector<std::string>{__VA_ARGS__})          \
      EXPECT_NE(error_text.find(expected_text), std::string::npos)                          \
          << "'" << expected_text << "' is not in: " << error_text;                         \
  } while (false)
