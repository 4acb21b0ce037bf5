// Small arithmetic on counts and sizes. Only for hot kernel files, which include no standard header
// that emits code.
#pragma once

#include <cstdint>

namespace unroll::UNROLL_ISA_NS {

inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
inline std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
// To a multiple of `step`.
inline std::int64_t rounded_up(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}

}  // namespace unroll::UNROLL_ISA_NS
