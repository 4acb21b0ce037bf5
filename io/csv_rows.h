// The rows of a file of comma-separated values, read twice: first to learn what it holds and that
// all of it is sound, then to give its numbers. No more than one row is held. For io/csv.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/csv.h"
#include "io/csv_scanner.h"
#include "io/input_file.h"

namespace unroll::detail {

class CsvRows {
 public:
  /// Reads the whole file once. Throws Error as read_csv does.
  CsvRows(const char* op, const std::string& path, const CsvOptions& options);

  std::int64_t count() const noexcept { return options_.missing == Missing::drop ? kept_ : rows_; }
  std::int64_t columns() const noexcept { return static_cast<std::int64_t>(chosen_.size()); }
  std::int64_t missing() const noexcept;  // rows dropped, or values to be interpolated
  std::vector<std::string> take_names();
  std::vector<std::string> take_skipped();

  /// Gives the next `rows` rows, of those that are left, row-major; a missing value is NaN.
  void read(double* to, std::int64_t rows);
  /// Goes back to the first row.
  void rewind();

 private:
  struct Column {
    enum class Kind : std::uint8_t { unknown, numbers, text };

    std::string name;
    Kind kind = Kind::unknown;
    bool wanted = false;
    bool has_number = false, has_text = false;  // in the first record
    std::int64_t missing = 0;
    CsvPlace first_missing;
  };

  void begin();
  bool deduce_header();
  void choose_columns();
  std::string all_names() const;
  void check_width() const;
  void survey_row();
  bool survey_value(Column& column, std::size_t i);
  void refuse_value(Column& column, std::size_t i) const;
  void finish_survey();
  bool give_row(double* to) const;

  const CsvOptions options_;
  InputFile file_;
  CsvScanner scanner_;
  bool header_ = false;
  std::vector<Column> columns_;
  std::vector<std::size_t> chosen_;
  std::int64_t rows_ = 0, kept_ = 0;  // kept: with a value in each column of numbers
};

}  // namespace unroll::detail
