// Writes zip archives whose bytes depend on nothing but their members. For io/npz.cpp.
//
//   ZipWriter zip(file);                 // an AtomicFile
//   zip.add("a.npy", {header, data});    // its content in parts
//   zip.finish();                        // then file.commit()
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "io/atomic_file.h"

namespace unroll::detail {

class ZipWriter {
 public:
  /// `zip64`: use its fields also where no size needs them.
  explicit ZipWriter(AtomicFile& file, bool zip64 = false) : file_(file), zip64_(zip64) {}

  /// Appends a member. A compressed one is held in memory, compressed, until it is written.
  void add(const std::string& name, std::initializer_list<std::string_view> parts, bool compress);
  /// Appends the central directory.
  void finish();

 private:
  struct Member {
    std::string name;
    std::uint64_t begin, compressed, size;
    std::uint32_t crc;
    bool deflated;
  };

  void put(std::string_view bytes);
  bool is_wide(const Member& member) const;
  static std::string common_fields(const Member& member, bool wide);

  AtomicFile& file_;
  const bool zip64_;
  std::uint64_t at_ = 0;
  std::vector<Member> members_;
};

}  // namespace unroll::detail
