// Comma-separated values: a table of numbers with names above it.
//
//   CsvTable table = read_csv("weather.csv", {.columns = {"temp_max", "temp_min"}});
//   table.values;                        // [rows, 2], float64
//   write_csv("out.csv", table.values, table.names);
//   CsvStream stream("large.csv");       // a file larger than the memory
//   while (Tensor block = stream.next(4096)) ...
//
// Read: commas, semicolons or tabs; a header or none; quoted fields with delimiters, line breaks
// and doubled quotes in them; LF, CRLF and CR; a byte-order mark; blank lines (skipped). An empty
// field, NA, N/A, NaN, null and None, in any case, are missing values. Errors name
// file:line:column. Written: RFC 4180 with LF. Numbers use the decimal point, whatever the locale,
// and as few digits as give the same number when read back. A row may have 8192 columns and 16 MB.
// The functions are thread-safe; a stream belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace UNROLL_API unroll {

namespace detail {
class CsvRows;
}

/// What becomes of a missing value in a column that is read.
enum class Missing : std::uint8_t {
  error,       // refuse it
  drop,        // leave out its row
  interpolate  // on the line between its neighbours in the column; at an end, the nearest value
};

/// Whether the first row holds names.
enum class CsvHeader : std::uint8_t { deduce, present, absent };

/// What to read, and how.
struct CsvOptions {
  /// Columns to read, in this order: names, or numbers from 0 where there is no header. Empty:
  /// every column of numbers; a column whose first value is not a number counts as text and is
  /// skipped.
  std::vector<std::string> columns = {};
  Missing missing = Missing::error;
  /// Deduced: the first row is a header where it holds no number at all, or text above a number.
  CsvHeader header = CsvHeader::deduce;
  /// 0: deduced from the first row: a tab where it has one, else ';' where it has one, else ','.
  char delimiter = 0;
};

/// A table of numbers.
struct CsvTable {
  Tensor values;                   // [rows, columns], float64, all finite
  std::vector<std::string> names;  // of the columns; "0", "1", ... without a header
  std::vector<std::string>
      skipped;               // the columns of text or without a value that were not asked for
  std::int64_t missing = 0;  // values interpolated, or rows dropped
};

/// Reads a table, in two passes over the file. Throws Error, naming file, line and column, for a
/// row with more or fewer fields than the first, a quote that does not end, a bad or infinite
/// number, a missing value where it is not allowed; for a column that does not exist, is named
/// twice or holds text; and where no number is left.
CsvTable read_csv(const std::string& path, const CsvOptions& options = {});

/// The rows of a table in blocks, for files that need not fit into memory: of the text, one row is
/// held. The file is read once when this is made, so that errors come first and the number of rows
/// is known, and once more for the rows; it must not change in between.
class CsvStream {
 public:
  /// Throws Error as read_csv, and where the options ask for interpolation, which needs all rows.
  explicit CsvStream(const std::string& path, const CsvOptions& options = {});
  ~CsvStream();
  CsvStream(CsvStream&&) noexcept;
  CsvStream& operator=(CsvStream&&) noexcept;

  /// Of the columns, and of those of text that are left out.
  const std::vector<std::string>& names() const noexcept { return names_; }  // as in CsvTable
  const std::vector<std::string>& skipped() const noexcept { return skipped_; }
  std::int64_t rows() const noexcept { return count_; }       // that next() gives in all
  std::int64_t dropped() const noexcept { return dropped_; }  // rows with a missing value

  /// The next rows, at most `rows` >= 1 of them: [count, columns], float64. Undefined at the end.
  Tensor next(std::int64_t rows);
  /// Goes back to the first row.
  void rewind();

 private:
  std::unique_ptr<detail::CsvRows> rows_;
  std::vector<std::string> names_, skipped_;
  std::int64_t count_ = 0, given_ = 0, dropped_ = 0;
};

/// Writes [rows] or [rows, columns] under a header of names (none where `names` is empty), whole or
/// not at all. Throws Error for another rank, another number of names, or where the file cannot be
/// written. NaN is written as nan, which reads as missing.
void write_csv(const std::string& path, const Tensor& values,
               const std::vector<std::string>& names = {});

/// A field's text, in quotes where it needs them.
std::string csv_field(std::string_view text);
/// The fewest digits that read back as the same number.
std::string csv_number(double value);

}  // namespace unroll
