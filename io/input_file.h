// A file that is read from its beginning, with its true size at hand and clear errors.
//
//   InputFile file("read_npy", path);       // Error: does not exist, is a folder, permission, ...
//   file.read(header, 10);                  // exactly 10 bytes or an Error
//   if (wanted > file.left()) file.fail("is truncated");
//
// The readers of this folder check each size that a file states against left() before they allocate
// or read anything of that size. Owns the descriptor. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "io/byte_source.h"

namespace UNROLL_API unroll {

/// A regular file, opened for reading.
class InputFile final : public ByteSource {
 public:
  /// Opens a regular file for the operation `op`, which every error names with the path. Throws
  /// Error where it cannot be opened or is something else than a regular file.
  InputFile(const char* op, std::string path);
  ~InputFile() override;

  /// What every error names.
  const char* op() const noexcept { return op_; }
  const std::string& path() const noexcept { return name_; }
  std::uint64_t size() const noexcept { return size_; }          // bytes, when it was opened
  std::uint64_t position() const noexcept { return position_; }  // bytes read or skipped
  std::uint64_t left() const noexcept override { return size_ - position_; }

  /// Reads exactly `bytes` bytes. Throws Error where the file has fewer left.
  void read(void* target, std::size_t bytes) override;
  /// Reads what is there, at most `bytes`; 0 at the end of the file.
  std::size_t read_some(void* target, std::size_t bytes);
  /// Goes to an absolute position <= size().
  void seek(std::uint64_t position);

 private:
  int descriptor_ = -1;
  std::uint64_t size_ = 0, position_ = 0;
};

/// A text from a file made fit for a one-line message: in single quotes, control characters
/// escaped, cut after 60 bytes.
std::string in_quotes(std::string_view text);
/// Whether it is well-formed UTF-8.
bool is_utf8(std::string_view text);

}  // namespace unroll
