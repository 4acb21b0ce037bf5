#include "io/csv_scanner.h"

#include <algorithm>
#include <string_view>

#include "core/error.h"

namespace unroll::detail {
namespace {

constexpr std::size_t kBuffer = 1 << 18;

}  // namespace

CsvScanner::CsvScanner(InputFile& file, char delimiter)
    : file_(file),
      delimiter_(delimiter),
      buffer_(std::min<std::uint64_t>(kBuffer, file.size() + 1), '\0') {
  fill();
  if (std::string_view(buffer_.data(), used_).substr(0, 3) == "\xef\xbb\xbf") at_ = 3;
  if (delimiter_ == 0) deduce_delimiter();
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
  if (c == 0)
    fail({.text = "", .line = line_, .column = column_ - 1},
         "a zero byte: this is not text; save the file as UTF-8");
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
  std::size_t count = 0;
  bool more = true;
  while (more) {
    if (count == fields_.size()) fields_.emplace_back();
    read_field(fields_[count++]);
    more = peek() == static_cast<unsigned char>(delimiter_);
    get();  // the delimiter, or the end of the line
  }
  fields_.resize(count);
  return true;
}

void CsvScanner::read_field(CsvField& field) {
  field.text.clear();
  skip_spaces();
  field.line = line_;
  field.column = column_;
  if (peek() == '"')
    read_quoted(field);
  else
    read_plain(field);
}

void CsvScanner::read_quoted(CsvField& field) {
  get();
  for (;;) {
    const int c = get();
    if (c == kEnd) fail(field, "a quote that does not end");
    if (c != '"') {
      field.text += static_cast<char>(c);
    } else if (peek() == '"') {
      get();
      field.text += '"';
    } else {
      break;
    }
  }
  skip_spaces();
  if (!at_line_end() && peek() != static_cast<unsigned char>(delimiter_))
    fail(field, "text behind the closing quote; double the quotes inside a quoted field");
}

void CsvScanner::read_plain(CsvField& field) {
  while (!at_line_end() && peek() != static_cast<unsigned char>(delimiter_))
    field.text += static_cast<char>(get());
  while (!field.text.empty() && (field.text.back() == ' ' || field.text.back() == '\t'))
    field.text.pop_back();
}

void CsvScanner::fail(const CsvField& place, const std::string& what) const {
  unroll::fail("read_csv", file_.path() + ":" + std::to_string(place.line) + ":" +
                               std::to_string(place.column) + ": " + what);
}

}  // namespace unroll::detail
