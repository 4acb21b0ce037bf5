// Element types, chosen at run time, and the one switch from a run-time type to a C++ type.
//
//   with_real(x.dtype(), [&](auto real) { using Real = decltype(real);
//   kernel<Real>(x.data<Real>()); });
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/error.h"

namespace unroll {

enum class Dtype : std::uint8_t { float32, float64, int64, boolean };

/// "float32", "float64", "int64" or "bool".
const char* name(Dtype dtype) noexcept;

/// Bytes of one element.
constexpr std::size_t size_of(Dtype dtype) noexcept {
  return dtype == Dtype::float32 ? 4 : dtype == Dtype::boolean ? 1 : 8;
}

constexpr bool is_real(Dtype dtype) noexcept {
  return dtype == Dtype::float32 || dtype == Dtype::float64;
}

template <class T>
constexpr Dtype dtype_of() noexcept {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> ||
                    std::is_same_v<T, std::int64_t> || std::is_same_v<T, bool>,
                "a tensor holds float, double, int64_t or bool");
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

/// Calls f with a value of the C++ type that stores `dtype`.
template <class F>
decltype(auto) with_dtype(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::float32: return f(float{});
    case Dtype::float64: return f(double{});
    case Dtype::int64: return f(std::int64_t{});
    case Dtype::boolean: break;
  }
  return f(bool{});
}

}  // namespace unroll
