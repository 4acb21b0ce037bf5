// Several adjacent numbers of a thread, moved 16 bytes at a time: fewer and wider requests than one
// number each.
//
//   Pack<T> p = load_pack(x, i, count, whole);      // x[i] .. x[i + 3] of float, zeros beyond count
//   store_pack(y, i, count, p, whole);
//
// `whole` says that every array lies at a multiple of 16 bytes (aligned(x)) and i at a multiple of
// the pack; else, and where the array ends within the pack, numbers are moved one by one.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

namespace unroll::UNROLL_GPU {

// What 16 bytes hold, as a type that one instruction moves.
template <class T>
struct WideWord;
template <>
struct WideWord<float> {
  using type = float4;
  static constexpr int count = 4;
  static __device__ void unpack(const type& w, float* to) {
    to[0] = w.x, to[1] = w.y, to[2] = w.z, to[3] = w.w;
  }
  static __device__ type packed(const float* p) { return make_float4(p[0], p[1], p[2], p[3]); }
};
template <>
struct WideWord<double> {
  using type = double2;
  static constexpr int count = 2;
  static __device__ void unpack(const type& w, double* to) { to[0] = w.x, to[1] = w.y; }
  static __device__ type packed(const double* p) { return make_double2(p[0], p[1]); }
};

template <class T, int size = WideWord<T>::count>
struct Pack {
  T at[size];
};

/// Whether wide words can be moved at p; null can be anything.
inline bool aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

template <class T, int size = WideWord<T>::count>
__device__ Pack<T, size> load_pack(const T* x, std::int64_t i, std::int64_t count, bool whole) {
  using Word = WideWord<T>;
  Pack<T, size> pack;
  if (whole && i + size <= count) {
    for (int j = 0; j < size; j += Word::count) {
      const typename Word::type word = *reinterpret_cast<const typename Word::type*>(x + i + j);
      Word::unpack(word, pack.at + j);
    }
  } else {
    for (int j = 0; j < size; j++) pack.at[j] = i + j < count ? x[i + j] : T(0);
  }
  return pack;
}

template <class T, int size>
__device__ void store_pack(T* y, std::int64_t i, std::int64_t count, const Pack<T, size>& pack,
                           bool whole) {
  using Word = WideWord<T>;
  if (whole && i + size <= count) {
    for (int j = 0; j < size; j += Word::count) {
      *reinterpret_cast<typename Word::type*>(y + i + j) = Word::packed(pack.at + j);
    }
  } else {
    for (int j = 0; j < size; j++)
      if (i + j < count) y[i + j] = pack.at[j];
  }
}

}  // namespace unroll::UNROLL_GPU
