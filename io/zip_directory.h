// What a zip archive holds, and that it is sound. For io/npz.cpp.
//
// Format: PKWARE's APPNOTE 6.3 (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT), with
// zip64 and data descriptors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/input_file.h"

namespace unroll::detail {

struct ZipEntry {
  std::string name;
  std::uint64_t data = 0;        // where its bytes begin in the file
  std::uint64_t compressed = 0;  // how many they are
  std::uint64_t size = 0;        // of the member
  std::uint32_t crc = 0;         // of the member
  std::uint16_t method = 0;      // 0: stored, 8: deflate
  std::uint16_t flags = 0;
};

/// Reads the central directory and checks it against the archive. Throws Error, naming the file and
/// the member, where the archive is truncated or split; where its directory, a local header or a
/// data descriptor is malformed or disagrees with another; where members overlap or bytes belong to
/// none; and where a member states more bytes than deflate can give (1032 for each).
std::vector<ZipEntry> read_zip_directory(InputFile& file);

}  // namespace unroll::detail
