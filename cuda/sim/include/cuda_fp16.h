// Stands in for CUDA's header of this name: float16, computed in float and rounded.
#pragma once

#include <cuda_runtime.h>

#include "core/half.h"

#define UNROLL_SIM_HALF(type, storage, round)                                       \
  struct type {                                                                     \
    unroll::storage value;                                                          \
    type() = default;                                                               \
    type(float x) : value(unroll::round(x)) {}                                      \
    operator float() const { return static_cast<float>(unroll::to_double(value)); } \
  };                                                                                \
  struct alignas(4) type##2 {                                                       \
    type x, y;                                                                      \
  };                                                                                \
  inline type operator+(type a, type b) { return float(a) + float(b); }             \
  inline type operator-(type a, type b) { return float(a) - float(b); }             \
  inline type operator*(type a, type b) { return float(a) * float(b); }             \
  inline type operator/(type a, type b) { return float(a) / float(b); }

UNROLL_SIM_HALF(__half, Float16, to_float16)
using half = __half;
using half2 = __half2;

inline __half __float2half(float x) { return __half(x); }
inline __half __float2half_rn(float x) { return __half(x); }
inline float __half2float(__half x) { return float(x); }
inline __half2 __floats2half2_rn(float x, float y) { return {__half(x), __half(y)}; }
inline float2 __half22float2(__half2 v) { return {float(v.x), float(v.y)}; }
