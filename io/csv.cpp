#include "io/csv.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "io/atomic_file.h"
#include "io/csv_scanner.h"
#include "io/input_file.h"

namespace unroll {
namespace {

using detail::CsvField;
using detail::CsvScanner;

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

bool is_missing(std::string_view text) {
  static constexpr std::array<std::string_view, 5> words = {"na", "n/a", "nan", "null", "none"};
  if (text.empty()) return true;
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return std::equal(text.begin(), text.end(), word.begin(), word.end(),
                      [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
  });
}

// A finite number that fills the whole text.
std::optional<double> number_in(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

struct Column {
  enum class Kind { unknown, numbers, text };

  std::string name;
  bool wanted = false;
  Kind kind = Kind::unknown;
  std::vector<double> values;  // NaN where missing
  CsvField first_missing;
  bool has_missing = false;
};

class Reader {
 public:
  Reader(const std::string& path, const CsvOptions& options)
      : options_(options), file_("read_csv", path), scanner_(file_, options.delimiter) {}

  CsvTable read() {
    if (!scanner_.next()) file_.fail("is empty; a table needs at least one row");
    const std::vector<CsvField> first = scanner_.fields();
    bool more = scanner_.next();
    const bool header = has_header(first, more ? &scanner_.fields() : nullptr);
    name_columns(first, header);
    choose_columns(header);
    if (!header) read_row(first);
    for (; more; more = scanner_.next()) read_row(scanner_.fields());
    if (rows_ == 0) file_.fail("has a header but no rows");
    return finish();
  }

 private:
  bool has_header(const std::vector<CsvField>& first, const std::vector<CsvField>* second) const {
    if (options_.header != CsvHeader::deduce) return options_.header == CsvHeader::present;
    bool any_number = false, any_text = false, text_above_number = false;
    for (std::size_t i = 0; i < first.size(); i++) {
      const bool number = number_in(first[i].text).has_value();
      const bool text = !number && !is_missing(first[i].text);
      any_number |= number;
      any_text |= text;
      text_above_number |=
          text && second && i < second->size() && number_in((*second)[i].text).has_value();
    }
    return text_above_number || (any_text && !any_number);
  }

  void name_columns(const std::vector<CsvField>& first, bool header) {
    columns_.resize(first.size());
    for (std::size_t i = 0; i < first.size(); i++)
      columns_[i].name = header && !first[i].text.empty() ? first[i].text : std::to_string(i);
  }

  void choose_columns(bool header) {
    for (const std::string& name : options_.columns) {
      const auto is_it = [&](const Column& column) { return column.name == name; };
      const auto count = std::count_if(columns_.begin(), columns_.end(), is_it);
      if (count == 0)
        file_.fail("has no column " + in_quotes(name) + "; " +
                   (header ? "it has " : "it has no header, and its columns are ") + all_names());
      if (count > 1) file_.fail("has " + std::to_string(count) + " columns " + in_quotes(name));
      const auto it = std::find_if(columns_.begin(), columns_.end(), is_it);
      if (std::exchange(it->wanted, true))
        file_.fail("column " + in_quotes(name) + " is asked for twice");
      chosen_.push_back(static_cast<std::size_t>(it - columns_.begin()));
    }
  }

  std::string all_names() const {
    std::string list;
    for (std::size_t i = 0; i < columns_.size() && i < 20; i++)
      list += (i ? ", " : "") + in_quotes(columns_[i].name);
    return list + (columns_.size() > 20 ? ", ..." : "");
  }

  void read_row(const std::vector<CsvField>& fields) {
    if (fields.size() != columns_.size())
      scanner_.fail(fields.back(), "this row has " + std::to_string(fields.size()) +
                                       " fields, but the first has " +
                                       std::to_string(columns_.size()));
    for (std::size_t i = 0; i < fields.size(); i++)
      if (chosen_.empty() || columns_[i].wanted) read_value(columns_[i], fields[i]);
    rows_++;
  }

  void read_value(Column& column, const CsvField& field) {
    if (column.kind == Column::Kind::text) return;
    if (is_missing(field.text)) {
      if (!std::exchange(column.has_missing, true)) column.first_missing = field;
      column.values.push_back(kMissing);
      return;
    }
    const std::optional<double> value = number_in(field.text);
    if (!value) return refuse_value(column, field);
    column.kind = Column::Kind::numbers;
    column.values.push_back(*value);
  }

  void refuse_value(Column& column, const CsvField& field) {
    if (column.kind == Column::Kind::unknown && !column.wanted) {
      column.kind = Column::Kind::text;
      column.values = {};
      return;
    }
    const std::string what = in_quotes(field.text) + " in column " + in_quotes(column.name);
    if (column.kind == Column::Kind::unknown)
      scanner_.fail(field, what + " is not a number: a column of text or dates cannot be read");
    scanner_.fail(field,
                  what + " is not a finite number (missing values are empty, NA, NaN or null)");
  }

  CsvTable finish() {
    CsvTable table;
    if (chosen_.empty()) {
      for (std::size_t i = 0; i < columns_.size(); i++)
        if (columns_[i].kind == Column::Kind::numbers)
          chosen_.push_back(i);
        else
          table.skipped.push_back(columns_[i].name);
      if (chosen_.empty()) file_.fail("has no column of numbers; its columns are " + all_names());
    }
    for (const std::size_t i : chosen_) {
      Column& column = columns_[i];
      if (column.kind != Column::Kind::numbers)
        file_.fail("column " + in_quotes(column.name) + " holds no number, only missing values");
      table.names.push_back(column.name);
      if (!column.has_missing) continue;
      if (options_.missing == Missing::error)
        scanner_.fail(column.first_missing,
                      "missing value in column " + in_quotes(column.name) +
                          "; drop such rows, interpolate, or leave the column out");
      if (options_.missing == Missing::interpolate) table.missing += interpolate(column.values);
    }
    table.missing += collect(table.values);
    return table;
  }

  // Returns how many values were filled in. There is at least one number.
  static std::int64_t interpolate(std::vector<double>& values) {
    const std::size_t count = values.size();
    std::int64_t filled = 0;
    std::size_t before = count;  // the last number seen; count: none yet
    for (std::size_t i = 0; i < count; i++) {
      if (!std::isnan(values[i])) {
        before = i;
        continue;
      }
      std::size_t after = i;
      while (after < count && std::isnan(values[after])) after++;
      for (std::size_t gap = i; gap < after; gap++, filled++) {
        if (before == count)
          values[gap] = values[after];
        else if (after == count)
          values[gap] = values[before];
        else
          values[gap] =
              std::lerp(values[before], values[after],
                        static_cast<double>(gap - before) / static_cast<double>(after - before));
      }
      i = after - 1;
    }
    return filled;
  }

  // Copies the rows without a missing value; returns how many others there were.
  std::int64_t collect(Tensor& values) {
    std::vector<std::size_t> kept;
    kept.reserve(rows_);
    for (std::size_t row = 0; row < rows_; row++)
      if (std::none_of(chosen_.begin(), chosen_.end(),
                       [&](std::size_t i) { return std::isnan(columns_[i].values[row]); }))
        kept.push_back(row);
    if (kept.empty()) file_.fail("has a missing value in each row: none is left");
    values =
        empty({static_cast<std::int64_t>(kept.size()), static_cast<std::int64_t>(chosen_.size())},
              Dtype::float64);
    double* out = values.mutable_data<double>();
    for (const std::size_t row : kept)
      for (const std::size_t i : chosen_) *out++ = columns_[i].values[row];
    return static_cast<std::int64_t>(rows_ - kept.size());
  }

  const CsvOptions& options_;
  InputFile file_;
  CsvScanner scanner_;
  std::vector<Column> columns_;
  std::vector<std::size_t> chosen_;
  std::size_t rows_ = 0;
};

template <class T>
std::string shortest(T value) {
  if (value != value) return "nan";  // never "-nan"
  char text[40];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

}  // namespace

CsvTable read_csv(const std::string& path, const CsvOptions& options) {
  if (options.delimiter == '"' || options.delimiter == '\n' || options.delimiter == '\r')
    fail("read_csv", "a quote or a line break cannot be the delimiter");
  return Reader(path, options).read();
}

std::string csv_number(double value) { return shortest(value); }

std::string csv_field(std::string_view text) {
  const bool plain = text.find_first_of(",;\t\"\r\n") == std::string_view::npos &&
                     (text.empty() || (text.front() != ' ' && text.back() != ' '));
  if (plain) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

void write_csv(const std::string& path, const Tensor& values,
               const std::vector<std::string>& names) {
  if (!values || values.rank() < 1 || values.rank() > 2)
    fail("write_csv", path + ": values must be [rows] or [rows, columns]" +
                          (values ? ", not " + to_string(values.shape()) : ""));
  const std::int64_t columns = values.rank() == 2 ? values.shape()[1] : 1;
  if (!names.empty() && static_cast<std::int64_t>(names.size()) != columns)
    fail("write_csv", path + ": " + std::to_string(names.size()) + " names for " +
                          std::to_string(columns) + " columns");
  AtomicFile file("write_csv", path);
  std::string line;
  for (std::size_t i = 0; i < names.size(); i++) line += (i ? "," : "") + csv_field(names[i]);
  if (!names.empty()) file.write(line + "\n");
  const Tensor dense = contiguous_copy(values);
  with_dtype(dense.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* value = dense.data<T>();
    for (std::int64_t row = 0; row < dense.shape()[0]; row++) {
      line.clear();
      for (std::int64_t i = 0; i < columns; i++, value++) {
        if (i) line += ',';
        if constexpr (std::is_same_v<T, bool>)
          line += *value ? '1' : '0';
        else
          line += shortest(*value);
      }
      file.write(line += '\n');
    }
  });
  file.commit();
}

}  // namespace unroll
