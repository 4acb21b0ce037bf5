// Several adjacent numbers of a thread, moved 16 bytes at a time: fewer and wider requests than one
// number each.
//
//   const Alignment how = alignment_of<T>({x, y});              // on the host
//   ...
//   const std::int64_t i = thread * WideWord<T>::count - how.lead;
//   Pack<T> p = load_pack(x, i, count, how.whole);              // x[i] .. x[i + 3] of float
//   store_pack(y, i, count, p, how.whole);
//
// Packs begin at multiples of 16 bytes, so the first may begin before its array, and the last may
// end behind it: what is outside is not touched, and reads as 0. Arrays that lie differently in
// their 16 bytes are moved number by number.
#pragma once

#include <cstdint>
#include <initializer_list>

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

/// How arrays of T that are walked together lie: whole if all lie alike, `lead` numbers behind a
/// multiple of 16 bytes.
struct Alignment {
  bool whole;
  int lead;
};

/// Of the arrays that are there: null lies in any way.
template <class T>
Alignment alignment_of(std::initializer_list<const T*> arrays) {
  int offset = -1;
  for (const T* p : arrays) {
    if (!p) continue;
    const int own = int(reinterpret_cast<std::uintptr_t>(p) % sizeof(typename WideWord<T>::type));
    if (offset >= 0 && own != offset) return {false, 0};
    offset = own;
  }
  return {true, offset > 0 ? offset / int(sizeof(T)) : 0};
}

template <class T, int size = WideWord<T>::count>
__device__ Pack<T, size> load_pack(const T* x, std::int64_t i, std::int64_t count, bool whole) {
  using Word = WideWord<T>;
  Pack<T, size> pack;
  if (whole && i >= 0 && i + size <= count) {
#pragma unroll
    for (int j = 0; j < size; j += Word::count) {
      const typename Word::type word = *reinterpret_cast<const typename Word::type*>(x + i + j);
      Word::unpack(word, pack.at + j);
    }
  } else {
#pragma unroll
    for (int j = 0; j < size; j++) {
      const std::int64_t at = i + j;
      pack.at[j] = at >= 0 && at < count ? x[at] : T(0);
    }
  }
  return pack;
}

template <class T, int size>
__device__ void store_pack(T* y, std::int64_t i, std::int64_t count, const Pack<T, size>& pack,
                           bool whole) {
  using Word = WideWord<T>;
  if (whole && i >= 0 && i + size <= count) {
#pragma unroll
    for (int j = 0; j < size; j += Word::count) {
      *reinterpret_cast<typename Word::type*>(y + i + j) = Word::packed(pack.at + j);
    }
  } else {
#pragma unroll
    for (int j = 0; j < size; j++) {
      const std::int64_t at = i + j;
      if (at >= 0 && at < count) y[at] = pack.at[j];
    }
  }
}

}  // namespace unroll::UNROLL_GPU
