// Files that appear whole or not at all.
//
//   AtomicFile file("write_npy", path);  // a temporary name in the folder of `path`
//   file.write(bytes, count);
//   file.commit();                       // synced, renamed to `path`, folder synced
//
// A reader sees the old content or the new one, never a mixture, also after a crash or a loss of
// power; an existing file keeps its permissions. Without commit() (an exception, say) the temporary
// file is removed and `path` is as it was; only a killed process leaves `path`.tmp.PID.N
// behind. What is no regular file (a pipe, /dev/stdout) cannot be renamed over and is written
// directly.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/export.h"

namespace UNROLL_API unroll {

/// A file that appears whole or not at all.
class AtomicFile {
 public:
  /// Throws Error, naming `op` and the path, where the folder is missing or not writable or where
  /// `path` is a folder. A symbolic link is followed: what it points to is replaced.
  AtomicFile(const char* op, std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends. Throws Error where the device is full or fails.
  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Makes the content durable and visible under the path. Call it once, last.
  void commit();

 private:
  void open_temporary(unsigned mode);
  void flush();
  void put(const char* data, std::size_t bytes);
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void fail_with_errno(const std::string& what) const;

  const char* op_;
  std::string path_;       // as the caller gave it, for messages
  std::string target_;     // symbolic links resolved
  std::string temporary_;  // empty: written directly
  std::string buffer_;
  int descriptor_ = -1;
};

/// Writes a whole small file so.
void write_file(const std::string& path, std::string_view content);

}  // namespace unroll
