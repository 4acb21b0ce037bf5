// Splits a file of comma-separated values into records of fields. For io/csv.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/input_file.h"

namespace unroll::detail {

struct CsvPlace {
  std::uint64_t line = 1, column = 1;
};

class CsvScanner {
 public:
  /// `delimiter` 0: deduced from the first record. The file must outlive this.
  CsvScanner(InputFile& file, char delimiter);

  /// Reads the next record that is not a blank line; false at the end of the file. Throws Error,
  /// naming the place, for a quote that does not end or has text behind it, a zero byte, a record
  /// of more than 16 MB or 8192 fields.
  bool next();
  /// Goes back to the beginning.
  void rewind();

  /// Of the current record; valid up to next().
  std::size_t size() const noexcept { return fields_.size(); }
  /// A field without its quotes and without spaces around it.
  std::string_view text(std::size_t i) const noexcept {
    return std::string_view(record_).substr(fields_[i].begin, fields_[i].length);
  }
  CsvPlace place(std::size_t i) const noexcept { return {fields_[i].line, fields_[i].column}; }

  /// Throws Error("op: file:line:column: what").
  [[noreturn]] void fail(const CsvPlace& place, const std::string& what) const;

 private:
  static constexpr int kEnd = -1;

  struct Field {
    std::uint64_t line;
    std::uint32_t column, begin, length;
  };

  int peek() { return at_ < used_ || fill() ? static_cast<unsigned char>(buffer_[at_]) : kEnd; }
  int get();
  bool fill();
  bool at_line_end();
  void deduce_delimiter();
  void skip_spaces();
  void read_field();
  void read_quoted(const CsvPlace& place);
  void read_plain();
  void check_length(const CsvPlace& place) const;

  InputFile& file_;
  char delimiter_;
  std::string buffer_;
  std::size_t at_ = 0, used_ = 0;
  std::uint64_t line_ = 1, column_ = 1;
  std::string record_;  // the texts of its fields, one after the other
  std::vector<Field> fields_;
};

}  // namespace unroll::detail
