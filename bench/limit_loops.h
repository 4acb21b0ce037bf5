// The loops behind bench/limits.h, compiled once per instruction set as the hot kernels are.
//
//   cpu::fma_loop<float>({.rounds = 1000}, {.sink = &x});
//   cpu::stream_loop<float>({.traffic = Traffic::copy, .count = n}, {.a = a, .out = out});
#pragma once

#include <cstdint>

#include "bench/limits.h"

namespace unroll {
namespace bench {

struct FmaShape {
  std::int64_t rounds;  // each of fma_chains vector multiply-adds that do not wait for each other
};
template <class T>
struct FmaArgs {
  T* sink;  // receives a number that depends on all of them
};

struct StreamShape {
  Traffic traffic;
  std::int64_t count;        // numbers per array, a multiple of stream_step
  std::int64_t passes = 1;   // over the same arrays
  bool past_caches = false;  // stores do not fill the caches
};
template <class T>
struct StreamArgs {
  const T *a = nullptr, *b = nullptr;  // aligned to 64, as all
  T* out = nullptr;
  T* sink = nullptr;
};

inline constexpr std::int64_t stream_step = 128;

}  // namespace bench

namespace cpu {

// Floating-point operations done. T: float, double.
template <class T>
double fma_loop(const bench::FmaShape&, const bench::FmaArgs<T>&) noexcept;

// Bytes read and written, as the program sees them. T: float.
template <class T>
double stream_loop(const bench::StreamShape&, const bench::StreamArgs<T>&) noexcept;

}  // namespace cpu
}  // namespace unroll
