// Splits a file of comma-separated values into records of fields. For io/csv.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "io/input_file.h"

namespace unroll::detail {

struct CsvField {
  std::string text;  // without quotes and without spaces around it
  std::uint64_t line = 1, column = 1;
};

class CsvScanner {
 public:
  /// `delimiter` 0: deduced from the first record. The file must outlive this.
  CsvScanner(InputFile& file, char delimiter);

  /// Reads the next record that is not a blank line; false at the end of the file.
  bool next();
  /// Of the current record. Valid up to next().
  const std::vector<CsvField>& fields() const noexcept { return fields_; }

  /// Throws Error("read_csv: file:line:column: what").
  [[noreturn]] void fail(const CsvField& place, const std::string& what) const;

 private:
  static constexpr int kEnd = -1;

  int peek() { return at_ < used_ || fill() ? static_cast<unsigned char>(buffer_[at_]) : kEnd; }
  int get();
  bool fill();
  bool at_line_end();
  void deduce_delimiter();
  void skip_spaces();
  void read_field(CsvField& field);
  void read_quoted(CsvField& field);
  void read_plain(CsvField& field);

  InputFile& file_;
  char delimiter_;
  std::string buffer_;
  std::size_t at_ = 0, used_ = 0;
  std::uint64_t line_ = 1, column_ = 1;
  std::vector<CsvField> fields_;
};

}  // namespace unroll::detail
