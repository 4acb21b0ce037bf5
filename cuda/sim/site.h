// A place in a source, for reports. As a default argument it is the place of the call:
//
//   void __syncthreads(Site site = Site::here());
//
// std::source_location would say the same; clang 14 has none.
#pragma once

namespace unroll::sim {

/// File and line; the file's name lives as long as the program.
struct Site {
  const char* file = "";
  int line = 0;

  /// Where this is called or, inside a default argument, where that is used.
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
  /// One file has one address within a kernel's translation unit.
  friend constexpr bool operator==(const Site& a, const Site& b) {
    return a.line == b.line && a.file == b.file;
  }
};

}  // namespace unroll::sim
