// The memory that a reader may use, for inputs of which each byte could cost many. For io/*.cpp.
//
//   Allowance allowance(text.size());                    // so much was read
//   if (!allowance.take(sizeof(Entry))) refuse(...);
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace unroll::detail {

class Allowance {
 public:
  /// 4 bytes for each byte read, and 1 MB less what buffers take.
  explicit Allowance(std::uint64_t read) noexcept : left_(4 * read + (1u << 20) - (3u << 16)) {}

  /// Counts what is read later.
  void read(std::uint64_t bytes) noexcept { left_ += 4 * bytes; }
  /// Counts an allocation; false where it is not allowed, and then nothing more is.
  bool take(std::uint64_t bytes) noexcept {
    const bool allowed = bytes <= left_;
    left_ = allowed ? left_ - bytes : 0;
    return allowed;
  }

 private:
  std::uint64_t left_;
};

/// Bytes of the longest string of a JSON text.
inline std::size_t longest_json_string(std::string_view text) noexcept {
  std::size_t longest = 0, start = 0;
  bool inside = false;
  for (std::size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\')
      i++;
    else if (text[i] == '"') {
      if (inside) longest = longest < i - start ? i - start : longest;
      inside = !inside;
      start = i;
    }
  }
  return inside && longest < text.size() - start ? text.size() - start : longest;
}

/// What a JSON parser holds in its buffers, which grow by doubling, and a key of its caller's.
inline std::uint64_t json_buffers(std::string_view text) noexcept {
  return 6 * std::uint64_t{longest_json_string(text)};
}

}  // namespace unroll::detail
