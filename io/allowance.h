// The memory that a reader may use, for inputs of which each byte could cost many. For io/*.cpp.
//
//   Allowance allowance(text.size());                    // so much was read
//   if (!allowance.take(sizeof(Entry))) refuse(...);
#pragma once

#include <cstddef>
#include <cstdint>

namespace unroll::detail {

class Allowance {
 public:
  /// 4 bytes for each byte read, and 1 MB less what buffers take.
  explicit Allowance(std::uint64_t read) noexcept : left_(4 * read + (1u << 20) - (3u << 16)) {}

  /// Counts an allocation; false where it is not allowed.
  bool take(std::uint64_t bytes) noexcept {
    if (bytes > left_) return false;
    left_ -= bytes;
    return true;
  }
  /// Counts a text that a std::string holds.
  bool take_text(std::size_t length) noexcept { return length < 16 || take(length + 1); }

 private:
  std::uint64_t left_;
};

}  // namespace unroll::detail
