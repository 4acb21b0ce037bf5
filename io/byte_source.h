// Bytes that come one after the other and whose number is known: a file, or a member of an archive.
//
//   if (wanted > source.left()) source.fail("is truncated");
//   source.read(header, 10);                // exactly 10 bytes or an Error
//
// What a reader of this folder allocates follows what is there, not what an input claims: by the
// end of a call the reader has never held more than 4 bytes for each byte that the call has read or
// inflated, and 1 MB. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "core/error.h"

namespace UNROLL_API unroll {

/// Bytes that are read once, from the first to the last.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  /// Bytes up to the end: they exist.
  virtual std::uint64_t left() const noexcept = 0;
  /// Reads exactly `bytes` bytes. Throws Error where fewer are left.
  virtual void read(void* target, std::size_t bytes) = 0;
  /// Throws Error("op: path: what").
  [[noreturn]] void fail(const std::string& what) const { unroll::fail(op_, name_ + ": " + what); }

 protected:
  /// Every error names `op` and `name`, say a path.
  ByteSource(const char* op, std::string name) : op_(op), name_(std::move(name)) {}

  const char* op_;
  std::string name_;
};

}  // namespace unroll
