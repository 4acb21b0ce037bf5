// float16 and bfloat16: how they are stored, and the way from and to double.
//
//   const Float16 h = to_float16(0.1);         // nearest, ties to even
//   double x = to_double(h);                   // 0.0999755859375, exact
//
// Two types for storage: nothing is computed in them. Every value of either is a float and a
// double, so widening is exact; narrowing rounds once, also from float and int64, whatever the
// path. Subnormals, infinities and signed zeros are kept; a NaN stays one, quiet, with the bits of
// its payload that fit. Pure functions.
#pragma once

#include <bit>
#include <cstdint>

#include "core/export.h"

namespace UNROLL_API unroll {

/// IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction.
struct Float16 {
  std::uint16_t bits;
};

/// The upper half of a binary32: sign, 8 bits of exponent, 7 of fraction.
struct Bfloat16 {
  std::uint16_t bits;
};

namespace detail {

// From double to a sign, `exponent_bits` and `fraction_bits`, 16 in all.
template <int exponent_bits, int fraction_bits>
constexpr std::uint16_t narrow(double value) noexcept {
  static_assert(exponent_bits + fraction_bits == 15);
  constexpr int bias = (1 << (exponent_bits - 1)) - 1;
  constexpr std::uint64_t infinity = ((std::uint64_t{1} << exponent_bits) - 1) << fraction_bits;
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const std::uint64_t sign = bits >> 48 & 0x8000, magnitude = bits & ~(std::uint64_t{1} << 63);
  if (magnitude >= std::uint64_t{0x7ff} << 52) {
    const std::uint64_t payload = (bits & ((std::uint64_t{1} << 52) - 1)) >> (52 - fraction_bits);
    const std::uint64_t quiet = std::uint64_t{1} << (fraction_bits - 1);
    const bool nan = magnitude > std::uint64_t{0x7ff} << 52;
    return static_cast<std::uint16_t>(sign | infinity | (nan ? quiet | payload : 0));
  }
  // The value is significand * 2^(exponent - 52); what stays is a whole number of 2^(least), which
  // is `drop` bits above the significand's last.
  const int biased = static_cast<int>(magnitude >> 52);
  const int exponent = (biased == 0 ? 1 : biased) - 1023;
  const std::uint64_t fraction = magnitude & ((std::uint64_t{1} << 52) - 1);
  const std::uint64_t significand = biased == 0 ? fraction : fraction | std::uint64_t{1} << 52;
  const bool normal = exponent >= 1 - bias;
  const int drop = 52 - fraction_bits + (normal ? 0 : 1 - bias - exponent);
  if (drop > 54) return static_cast<std::uint16_t>(sign);  // less than half of the least subnormal
  std::uint64_t kept = significand >> drop;
  const std::uint64_t rest = significand & ((std::uint64_t{1} << drop) - 1);
  const std::uint64_t half = std::uint64_t{1} << (drop - 1);
  if (rest > half || (rest == half && (kept & 1))) kept++;
  // The leading bit of a normal number counts as one exponent, and so does a carry into it.
  if (normal) kept += static_cast<std::uint64_t>(exponent + bias - 1) << fraction_bits;
  return static_cast<std::uint16_t>(sign | (kept < infinity ? kept : infinity));
}

}  // namespace detail

/// The nearest number of the type, ties to even; beyond the largest: infinity.
constexpr Float16 to_float16(double x) noexcept { return {detail::narrow<5, 10>(x)}; }
constexpr Bfloat16 to_bfloat16(double x) noexcept { return {detail::narrow<8, 7>(x)}; }

/// Exact, as every number of the type is a double.
constexpr double to_double(Bfloat16 b) noexcept {
  return std::bit_cast<float>(std::uint32_t{b.bits} << 16);
}

constexpr double to_double(Float16 h) noexcept {
  const std::uint32_t sign = std::uint32_t{h.bits & 0x8000u} << 16;
  const std::uint32_t exponent = h.bits >> 10 & 31u, fraction = h.bits & 1023u;
  if (exponent == 0) {  // zero and subnormals: fraction * 2^-24
    const double value = static_cast<double>(fraction) * 0x1p-24;
    return sign ? -value : value;
  }
  const std::uint32_t wide = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

/// A double that rounds to each of the types above as x does: x itself or, where it has more than
/// 53 bits, its neighbour with an odd last bit, which lies on no halfway point of theirs.
constexpr double odd_double(std::int64_t x) noexcept {
  constexpr std::int64_t lost = (1 << 11) - 1, exact = std::int64_t{1} << 53;
  if ((-exact <= x && x <= exact) || (x & lost) == 0) return static_cast<double>(x);
  return static_cast<double>((x & ~lost) | (lost + 1));
}

}  // namespace unroll
