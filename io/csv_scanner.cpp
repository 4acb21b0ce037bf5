#include "io/csv_scanner.h"

#include <algorithm>
#include <string_view>

#include "core/error.h"

namespace unroll::detail {
namespace {

constexpr std::size_t kBuffer = 1 << 16;
constexpr std::size_t kLongestRecord = 1 << 24;
constexpr std::size_t kMostFields = 8192;

}  // namespace

CsvScanner::CsvScanner(InputFile& file, char delimiter)
    : file_(file),
      delimiter_(delimiter),
      buffer_(std::min<std::uint64_t>(kBuffer, file.size() + 1), '\0') {
  rewind();
  if (delimiter_ == 0) deduce_delimiter();
}

void CsvScanner::rewind() {
  file_.seek(0);
  line_ = column_ = 1;
  fill();
  if (std::string_view(buffer_.data(), used_).starts_with("\xef\xbb\xbf")) at_ = 3;
}

bool CsvScanner::fill() {
  at_ = 0;
  used_ = file_.read_some(buffer_.data(), buffer_.size());
  return used_ > 0;
}

// Looks at the first line with something in it, outside quotes.
void CsvScanner::deduce_delimiter() {
  bool in_quotes = false, tab = false, semicolon = false, seen = false;
  for (std::size_t i = at_; i < used_; i++) {
    const char c = buffer_[i];
    if (c == '"') in_quotes = !in_quotes;
    if (in_quotes) continue;
    const bool line_end = c == '\n' || c == '\r';
    if (line_end && seen) break;
    seen |= !line_end;
    tab |= c == '\t';
    semicolon |= c == ';';
  }
  delimiter_ = tab ? '\t' : semicolon ? ';' : ',';
}

// A line break comes out as '\n' in each of its three forms.
int CsvScanner::get() {
  const int c = peek();
  if (c == kEnd) return c;
  at_++;
  column_++;
  if (c == 0) fail({line_, column_ - 1}, "a zero byte: this is not text; save the file as UTF-8");
  if (c != '\n' && c != '\r') return c;
  if (c == '\r' && peek() == '\n') at_++;
  line_++;
  column_ = 1;
  return '\n';
}

bool CsvScanner::at_line_end() {
  const int c = peek();
  return c == kEnd || c == '\n' || c == '\r';
}

void CsvScanner::skip_spaces() {
  while ((peek() == ' ' || peek() == '\t') && peek() != static_cast<unsigned char>(delimiter_))
    get();
}

bool CsvScanner::next() {
  do {  // blank lines
    skip_spaces();
    if (peek() == kEnd) return false;
  } while (at_line_end() && get() == '\n');
  record_.clear();
  fields_.clear();
  bool more = true;
  while (more) {
    read_field();
    more = peek() == static_cast<unsigned char>(delimiter_);
    get();  // the delimiter, or the end of the line
  }
  return true;
}

void CsvScanner::read_field() {
  skip_spaces();
  const CsvPlace place{line_, column_};
  if (fields_.size() == kMostFields)
    fail(place, "more than " + std::to_string(kMostFields) + " columns; save wide tables as npy");
  const std::size_t begin = record_.size();
  if (peek() == '"') {
    read_quoted(place);
  } else {
    read_plain();
    while (record_.size() > begin && (record_.back() == ' ' || record_.back() == '\t'))
      record_.pop_back();
  }
  check_length(place);
  fields_.push_back({place.line, static_cast<std::uint32_t>(place.column),
                     static_cast<std::uint32_t>(begin),
                     static_cast<std::uint32_t>(record_.size() - begin)});
}

void CsvScanner::check_length(const CsvPlace& place) const {
  if (record_.size() > kLongestRecord)
    fail(place, "a row of more than " + std::to_string(kLongestRecord) +
                    " bytes; is a quote or a line break missing?");
}

void CsvScanner::read_quoted(const CsvPlace& place) {
  get();
  for (;;) {
    const int c = get();
    if (c == kEnd) fail(place, "a quote that does not end");
    if (c != '"') {
      record_ += static_cast<char>(c);
    } else if (peek() == '"') {
      get();
      record_ += '"';
    } else {
      break;
    }
    check_length(place);
  }
  skip_spaces();
  if (!at_line_end() && peek() != static_cast<unsigned char>(delimiter_))
    fail(place, "text behind the closing quote; double the quotes inside a quoted field");
}

// Up to the delimiter or the end of the line, as much at once as the buffer holds.
void CsvScanner::read_plain() {
  while (peek() != kEnd) {
    const std::size_t start = at_;
    while (at_ < used_ && buffer_[at_] != delimiter_ && buffer_[at_] != '\n' &&
           buffer_[at_] != '\r' && buffer_[at_] != '\0')
      at_++;
    record_.append(buffer_, start, at_ - start);
    column_ += at_ - start;
    if (record_.size() > kLongestRecord) return;
    if (at_ == used_) continue;
    if (buffer_[at_] == '\0') get();  // throws
    return;
  }
}

void CsvScanner::fail(const CsvPlace& place, const std::string& what) const {
  unroll::fail(file_.op(), file_.path() + ":" + std::to_string(place.line) + ":" +
                               std::to_string(place.column) + ": " + what);
}

}  // namespace unroll::detail
