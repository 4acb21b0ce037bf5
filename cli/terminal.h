// Output: text to stdout that survives a closed pipe, tables, and progress.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace unroll::cli {

/// Writes to stdout at once. A reader that has gone is no error: the text is dropped. Any other
/// failure is kept for check_output().
void print(const std::string& text);
/// Throws Error where stdout could not be written, on a full disk say.
void check_output();

/// Few digits, for people: "0.0123", "1.40e-05"; "n/a" for NaN.
std::string number(double value);
/// "1:05" or "2:03:04".
std::string duration(double seconds);

/// One line of at most 100 bytes without control characters, as names from files may hold.
std::string shortened(std::string text);
/// In quotes where a shell would take it for more than a word.
std::string in_shell(const std::string& text);

/// Rows of text in aligned columns under a header and a rule; the first column to the left, the
/// others to the right.
std::string table(const std::vector<std::vector<std::string>>& rows);

/// How far a long job is. On a terminal one line that is redrawn; elsewhere a line each 10 % and
/// each half minute. Not thread-safe.
class Progress {
 public:
  /// `done` of `total` steps are behind us already. The stream must outlive this.
  Progress(std::FILE* stream, std::int64_t total, std::int64_t done = 0);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// True where a line would be shown now; cheap.
  bool is_due(std::int64_t done) const;
  /// Shows "step 40/100  <note>  120 steps/s  0:03 left".
  void show(std::int64_t done, const std::string& note);
  /// Removes the line from the terminal, so that something else can be printed.
  void clear();
  bool on_terminal() const noexcept { return terminal_; }

 private:
  using Clock = std::chrono::steady_clock;
  std::string line(std::int64_t done, const std::string& note) const;

  std::FILE* stream_;
  bool terminal_, shown_ = false;
  std::int64_t total_, first_, tenth_;
  Clock::time_point start_, last_;
};

}  // namespace unroll::cli
