#include "io/csv_rows.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

namespace unroll::detail {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

bool is_missing(std::string_view text) {
  static constexpr std::array<std::string_view, 5> words = {"na", "n/a", "nan", "null", "none"};
  if (text.empty()) return true;
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return std::equal(text.begin(), text.end(), word.begin(), word.end(),
                      [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
  });
}

// Of a number that is no double: whether it is too close to 0, rather than too large. Then the
// place of its first digit and its exponent tell, whichever way it is written.
bool is_tiny(std::string_view text) {
  const std::size_t mark = std::min(text.find_first_of("eE"), text.size());
  const std::string_view digits = text.substr(0, mark);
  std::int64_t exponent = 0;
  if (mark < text.size()) {
    const bool plus = text[mark + 1] == '+';
    const auto [end, error] =
        std::from_chars(text.data() + mark + 1 + plus, text.data() + text.size(), exponent);
    if (error != std::errc()) return text[mark + 1] == '-';
  }
  const std::size_t point = std::min(digits.find('.'), digits.size());
  const std::size_t first = digits.find_first_of("123456789");
  return exponent + static_cast<std::int64_t>(point) - static_cast<std::int64_t>(first) < 0;
}

// A finite number that fills the whole text, rounded to the nearest double: 1e-400 is 0, and 1e400
// is none.
std::optional<double> number_in(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size()) return {};
  if (error == std::errc::result_out_of_range && is_tiny(text)) return text[0] == '-' ? -0.0 : 0.0;
  if (error != std::errc() || !std::isfinite(value)) return {};
  return value;
}

}  // namespace

CsvRows::CsvRows(const char* op, const std::string& path, const CsvOptions& options)
    : options_(options), file_(op, path), scanner_(file_, options.delimiter) {
  if (options_.delimiter == '"' || options_.delimiter == '\n' || options_.delimiter == '\r')
    file_.fail("a quote or a line break cannot be the delimiter");
  if (!scanner_.next()) file_.fail("is empty; a table needs at least one row");
  begin();
  choose_columns();
  rewind();
  while (scanner_.next()) survey_row();
  if (rows_ == 0) file_.fail("has a header but no rows");
  finish_survey();
  rewind();
}

// Learns names and kinds from the first record, and from the second whether the first is a header.
void CsvRows::begin() {
  columns_.reserve(scanner_.size());
  for (std::size_t i = 0; i < scanner_.size(); i++) {
    const std::string_view text = scanner_.text(i);
    Column& column = columns_.emplace_back();
    column.has_number = number_in(text).has_value();
    column.has_text = !column.has_number && !is_missing(text);
    column.name = text;
  }
  header_ = options_.header == CsvHeader::deduce ? deduce_header()
                                                 : options_.header == CsvHeader::present;
  for (std::size_t i = 0; i < columns_.size(); i++)
    if (!header_ || columns_[i].name.empty()) columns_[i].name = std::to_string(i);
  for (std::size_t i = 0; i < columns_.size(); i++)
    if (!is_utf8(columns_[i].name))
      file_.fail("the name of column " + std::to_string(i) +
                 " is not UTF-8; save the file as UTF-8");
}

bool CsvRows::deduce_header() {
  const bool second = scanner_.next();
  bool any_number = false, any_text = false, text_above_number = false;
  for (std::size_t i = 0; i < columns_.size(); i++) {
    any_number |= columns_[i].has_number;
    any_text |= columns_[i].has_text;
    text_above_number |= columns_[i].has_text && second && i < scanner_.size() &&
                         number_in(scanner_.text(i)).has_value();
  }
  return text_above_number || (any_text && !any_number);
}

void CsvRows::choose_columns() {
  for (const std::string& name : options_.columns) {
    const auto is_it = [&](const Column& column) { return column.name == name; };
    const auto count = std::count_if(columns_.begin(), columns_.end(), is_it);
    if (count == 0)
      file_.fail("has no column " + in_quotes(name) + "; " +
                 (header_ ? "it has " : "it has no header, and its columns are ") + all_names());
    if (count > 1) file_.fail("has " + std::to_string(count) + " columns " + in_quotes(name));
    const auto it = std::find_if(columns_.begin(), columns_.end(), is_it);
    if (std::exchange(it->wanted, true))
      file_.fail("column " + in_quotes(name) + " is asked for twice");
    chosen_.push_back(static_cast<std::size_t>(it - columns_.begin()));
  }
}

std::string CsvRows::all_names() const {
  std::string list;
  for (std::size_t i = 0; i < columns_.size() && i < 20; i++)
    list += (i ? ", " : "") + in_quotes(columns_[i].name);
  return list + (columns_.size() > 20 ? ", ..." : "");
}

void CsvRows::rewind() {
  scanner_.rewind();
  if (header_) scanner_.next();
}

void CsvRows::check_width() const {
  if (scanner_.size() != columns_.size())
    scanner_.fail(scanner_.place(scanner_.size() - 1),
                  "this row has " + std::to_string(scanner_.size()) +
                      " fields, but the first has " + std::to_string(columns_.size()));
}

void CsvRows::survey_row() {
  check_width();
  bool complete = true;
  for (std::size_t i = 0; i < columns_.size(); i++)
    if (chosen_.empty() || columns_[i].wanted) complete &= survey_value(columns_[i], i);
  rows_++;
  kept_ += complete;
}

// False where a value is missing in a column of numbers.
bool CsvRows::survey_value(Column& column, std::size_t i) {
  if (column.kind == Column::Kind::text) return true;
  if (is_missing(scanner_.text(i))) {
    if (column.missing++ == 0) column.first_missing = scanner_.place(i);
    return column.kind == Column::Kind::unknown;
  }
  if (!number_in(scanner_.text(i))) {
    refuse_value(column, i);
    return true;
  }
  // A column that turns out to be of numbers was missing in each row so far.
  if (std::exchange(column.kind, Column::Kind::numbers) == Column::Kind::unknown) kept_ = 0;
  return true;
}

void CsvRows::refuse_value(Column& column, std::size_t i) const {
  if (column.kind == Column::Kind::unknown && !column.wanted) {
    column.kind = Column::Kind::text;
    return;
  }
  const std::string what =
      in_quotes(scanner_.text(i)) + " in column " + in_quotes(column.name) +
      (column.kind == Column::Kind::unknown
           ? " is not a number: a column of text or dates cannot be read"
           : " is not a finite number (missing values are empty, NA, NaN or null)");
  scanner_.fail(scanner_.place(i), what);
}

void CsvRows::finish_survey() {
  if (chosen_.empty()) {
    for (std::size_t i = 0; i < columns_.size(); i++)
      if (columns_[i].kind == Column::Kind::numbers) chosen_.push_back(i);
    if (chosen_.empty()) file_.fail("has no column of numbers; its columns are " + all_names());
  }
  for (const std::size_t i : chosen_) {
    const Column& column = columns_[i];
    if (column.kind != Column::Kind::numbers)
      file_.fail("column " + in_quotes(column.name) + " holds no number, only missing values");
    if (column.missing > 0 && options_.missing == Missing::error)
      scanner_.fail(column.first_missing,
                    "missing value in column " + in_quotes(column.name) +
                        "; drop such rows, interpolate, or leave the column out");
  }
  if (count() == 0) file_.fail("has a missing value in each row: none is left");
}

std::int64_t CsvRows::missing() const noexcept {
  if (options_.missing == Missing::drop) return rows_ - kept_;
  std::int64_t sum = 0;
  for (const std::size_t i : chosen_) sum += columns_[i].missing;
  return sum;
}

std::vector<std::string> CsvRows::take_names() {
  std::vector<std::string> names;
  names.reserve(chosen_.size());
  for (const std::size_t i : chosen_) names.push_back(std::move(columns_[i].name));
  return names;
}

std::vector<std::string> CsvRows::take_skipped() {
  std::vector<std::string> names;
  if (!options_.columns.empty()) return names;
  for (Column& column : columns_)
    if (column.kind != Column::Kind::numbers) names.push_back(std::move(column.name));
  return names;
}

void CsvRows::read(double* to, std::int64_t rows) {
  while (rows > 0) {
    if (!scanner_.next()) file_.fail("has changed while it was read");
    check_width();
    if (!give_row(to)) continue;
    to += chosen_.size();
    rows--;
  }
}

// False where the row is dropped.
bool CsvRows::give_row(double* to) const {
  for (const std::size_t i : chosen_) {
    const std::string_view text = scanner_.text(i);
    const std::optional<double> value = number_in(text);
    if (!value && options_.missing == Missing::drop) return false;
    if (!value && (options_.missing == Missing::error || !is_missing(text)))
      file_.fail("has changed while it was read");
    *to++ = value.value_or(kMissing);
  }
  return true;
}

}  // namespace unroll::detail
