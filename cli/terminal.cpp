#include "cli/terminal.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

#include "core/error.h"

namespace unroll::cli {
namespace {

int output_error = 0;  // errno of the first write to stdout that failed

bool is_terminal(std::FILE* stream) {
  const char* kind = std::getenv("TERM");
  return ::isatty(::fileno(stream)) && kind && std::strcmp(kind, "dumb") != 0;
}

std::size_t terminal_width(std::FILE* stream) {
  winsize size{};
  if (::ioctl(::fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
  return size.ws_col;
}

// Characters on the screen of UTF-8 text.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

void print(const std::string& text) {
  if (output_error != 0) return;
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!written || std::fflush(stdout) != 0) output_error = errno != 0 ? errno : EIO;
}

void check_output() {
  if (output_error != 0 && output_error != EPIPE)
    throw Error(std::string("stdout cannot be written: ") + std::strerror(output_error));
}

std::string number(double value) {
  if (std::isnan(value)) return "n/a";
  if (value == std::floor(value) && std::abs(value) < 1e5)
    return std::to_string(static_cast<long long>(value));
  char text[32];
  const double size = std::abs(value);
  const char* format = size >= 1e5 || (size > 0 && size < 1e-3) ? "%.2e"
                       : size < 100                             ? "%.4f"
                                                                : "%.1f";
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string duration(double seconds) {
  const auto total = static_cast<long long>(std::min(std::max(seconds, 0.0), 1e9) + 0.5);
  char text[48];
  if (total >= 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", total / 3600, total / 60 % 60,
                  total % 60);
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", total / 60, total % 60);
  return text;
}

std::string shortened(std::string text) {
  constexpr std::size_t most = 100;
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (text[end] & 0xC0) == 0x80) end--;  // no half of a character
  return text.substr(0, end) + "...";
}

std::string in_shell(const std::string& text) {
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("_-./+=:,@%").find(char(c)) != std::string_view::npos;
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), plain)) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); i++) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], width(row[i]));
    }
  std::string text;
  for (std::size_t r = 0; r < rows.size(); r++) {
    std::string line;
    for (std::size_t i = 0; i < rows[r].size(); i++) {
      const std::string gap(widths[i] - width(rows[r][i]), ' ');
      line += (i ? "  " : "") + (i == 0 ? rows[r][i] + gap : gap + rows[r][i]);
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    text += line + "\n";
    if (r > 0) continue;
    std::size_t whole = 2 * (widths.size() - 1);
    for (const std::size_t w : widths) whole += w;
    text += std::string(whole, '-') + "\n";
  }
  return text;
}

Progress::Progress(std::FILE* stream, std::int64_t total, std::int64_t done)
    : stream_(stream),
      terminal_(is_terminal(stream)),
      total_(std::max<std::int64_t>(total, 1)),
      first_(done),
      tenth_(10 * done / total_),
      start_(Clock::now()),
      last_(start_) {}

bool Progress::is_due(std::int64_t done) const {
  if (!terminal_ && done < total_ && 10 * done / total_ > tenth_) return true;
  const std::chrono::duration<double> since = Clock::now() - last_;
  return since.count() >= (terminal_ ? 0.1 : 30);
}

std::string Progress::line(std::int64_t done, const std::string& note) const {
  const std::chrono::duration<double> spent = Clock::now() - start_;
  const double rate = static_cast<double>(done - first_) / std::max(spent.count(), 1e-9);
  char speed[64] = "";
  if (done > first_)
    std::snprintf(speed, sizeof speed, "  %.*f steps/s  ", rate < 10 ? 2 : 0, rate);
  std::string text = "step " + std::to_string(done) + "/" + std::to_string(total_);
  text += note.empty() ? "" : "  " + note;
  if (done > first_ && rate > 0)
    text += speed + duration(static_cast<double>(total_ - done) / rate) + " left";
  return text;
}

void Progress::show(std::int64_t done, const std::string& note) {
  std::string text = line(done, note);
  if (terminal_) {
    text = "\r\x1b[K" + text.substr(0, terminal_width(stream_) - 1);
    shown_ = true;
  } else {
    text += "\n";
  }
  last_ = Clock::now();
  tenth_ = 10 * done / total_;
  if (stream_ == stdout) return print(text);
  std::fputs(text.c_str(), stream_);
  std::fflush(stream_);
}

void Progress::clear() {
  if (!shown_) return;
  shown_ = false;
  std::fputs("\r\x1b[K", stream_);
  std::fflush(stream_);
}

}  // namespace unroll::cli
