// Element types, chosen at run time, and the one switch from a run-time type to a C++ type. float16
// and bfloat16 are for storage: they are converted with to(), read and written, and nothing else.
//
//   with_real(x.dtype(), [&](auto real) { using Real = decltype(real);
//   kernel<Real>(x.data<Real>()); });
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/error.h"
#include "core/half.h"

namespace UNROLL_API unroll {

/// The type of a tensor's elements.
enum class Dtype : std::uint8_t { float32, float64, int64, boolean, float16, bfloat16 };

/// "float32", "float64", "int64", "bool", "float16" or "bfloat16".
const char* name(Dtype dtype) noexcept;

/// Bytes of one element.
constexpr std::size_t size_of(Dtype dtype) noexcept {
  switch (dtype) {
    case Dtype::boolean: return 1;
    case Dtype::float16:
    case Dtype::bfloat16: return 2;
    case Dtype::float32: return 4;
    default: return 8;
  }
}

/// What can be computed with and differentiated.
constexpr bool is_real(Dtype dtype) noexcept {
  return dtype == Dtype::float32 || dtype == Dtype::float64;
}

/// What is only stored.
constexpr bool is_half(Dtype dtype) noexcept {
  return dtype == Dtype::float16 || dtype == Dtype::bfloat16;
}

/// The type whose elements are C++'s T: float, double, int64_t, bool, Float16 or Bfloat16.
template <class T>
constexpr Dtype dtype_of() noexcept {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> ||
                    std::is_same_v<T, std::int64_t> || std::is_same_v<T, bool> ||
                    std::is_same_v<T, Float16> || std::is_same_v<T, Bfloat16>,
                "a tensor holds float, double, int64_t, bool, Float16 or Bfloat16");
  if constexpr (std::is_same_v<T, Float16>) return Dtype::float16;
  if constexpr (std::is_same_v<T, Bfloat16>) return Dtype::bfloat16;
  if constexpr (std::is_same_v<T, float>) return Dtype::float32;
  if constexpr (std::is_same_v<T, double>) return Dtype::float64;
  if constexpr (std::is_same_v<T, std::int64_t>) return Dtype::int64;
  return Dtype::boolean;
}

/// Calls f(float{}) or f(double{}). Throws Error for the other types: they are never computed with.
template <class F>
decltype(auto) with_real(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::float32: return f(float{});
    case Dtype::float64: return f(double{});
    default:
      fail("dtype", std::string("expected float32 or float64 but got ") + name(dtype) +
                        "; convert with to()");
  }
}

/// Calls f with a float, double, int64 or bool. Throws Error for the half types.
template <class F>
decltype(auto) with_dtype(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::float32: return f(float{});
    case Dtype::float64: return f(double{});
    case Dtype::int64: return f(std::int64_t{});
    case Dtype::boolean: return f(bool{});
    default: fail("dtype", std::string(name(dtype)) + " is only stored; convert with to()");
  }
}

/// Calls f with a value of the C++ type that stores `dtype`, half types included.
template <class F>
decltype(auto) with_stored(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::float16: return f(Float16{});
    case Dtype::bfloat16: return f(Bfloat16{});
    default: return with_dtype(dtype, f);
  }
}

}  // namespace unroll
