// What the fuzz targets share: an input as a file, and the rule of memory.
//
//   fuzz::File file(data, size);
//   fuzz::call(file, [&] { read_npy(file.path()); });
//
// call() aborts, as libFuzzer expects of a finding, where the reader throws anything else than an
// unroll::Error of one line that names the file, or where it has held more than 4 bytes for each
// byte that it has read or inflated by its end, and 1 MB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace fuzz {

/// A file in memory that exists as long as this.
class File {
 public:
  File(const std::uint8_t* data, std::size_t size);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  const std::string& path() const { return path_; }

 private:
  int descriptor_;
  std::string path_;
};

/// True where the reader did not throw.
bool call(const File& file, const std::function<void()>& reader);

/// Aborts with a message.
[[noreturn]] void finding(const std::string& what);

/// Checksums of zip members: the true ones, or 0 for all, so that inputs reach what lies behind.
void pretend_checksums_are_zero(bool pretend);

}  // namespace fuzz
