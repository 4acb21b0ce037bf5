// The bytes of one member of a zip archive. For io/npz.cpp.
#pragma once

#include <memory>

#include "io/byte_source.h"
#include "io/zip_directory.h"

namespace unroll::detail {

/// Reads a member from its beginning. The file must outlive it and may serve other members in
/// between. A compressed member is inflated twice: first in steps, only to see that all of it is
/// sound, so that nothing is ever allocated for bytes that it only claims to hold.
class ZipMember final : public ByteSource {
 public:
  /// Throws Error, naming file and member, where it is encrypted, compressed in a way other than
  /// deflate, or corrupt.
  ZipMember(InputFile& file, const ZipEntry& entry);
  ~ZipMember() override;

  std::uint64_t left() const noexcept override { return entry_.size - done_; }
  void read(void* target, std::size_t bytes) override;

  /// Reads what is left. Throws Error where the checksum or the size does not agree.
  void finish();

 private:
  struct Inflater;

  void rewind();
  void read_stored(void* target, std::size_t bytes);
  void read_inflated(void* target, std::size_t bytes);
  bool inflate_step();
  void check_end_of_deflate();

  InputFile& file_;
  const ZipEntry entry_;
  std::unique_ptr<Inflater> inflater_;  // none: stored
  std::uint64_t done_ = 0;              // bytes of the member
  std::uint64_t taken_ = 0;             // bytes of the file
  std::uint32_t crc_ = 0;
};

}  // namespace unroll::detail
