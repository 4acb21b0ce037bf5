// Blocks of an output too large to be read from the caches. Only for hot kernel files.
//
//   const bool past = goes_past_caches(y, count, x == y);
//   for_each_filled_block(count, cost, past, [&](std::int64_t at, int n) {
//     fill_block(y + at, n, past, [&](T* to) { run(n, x + at, to); });
//   });
//
// An ordinary store first reads the line that it overwrites: a third of the traffic of a copy.
#pragma once

#include "kernels/strided_loop.h"
#include "kernels/vector_loop_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Outputs from here on would push themselves out of the last cache before anyone reads them.
inline constexpr std::int64_t past_caches_bytes = 16 << 20;

// Whether `count` numbers at y are stored past the caches; an output in place is there already.
template <class T>
static inline bool goes_past_caches(const T* y, std::int64_t count, bool in_place) {
  const bool whole = reinterpret_cast<std::uintptr_t>(y) % UNROLL_SIMD_BYTES == 0;
  return whole && !in_place && count * std::int64_t(sizeof(T)) >= past_caches_bytes;
}

// Calls fill with where n <= block_size numbers belong: at y, or on their way there.
template <class T, class Fill>
static inline void fill_block(T* y, int n, bool past_caches, Fill fill) {
  if constexpr (sizeof(T) > 1 && T(0.5) != T(0)) {
    if (past_caches) {
      using S = Simd<T>;
      T block[block_size];
      fill(block);
      int i = 0;
      for (; i + S::lanes <= n; i += S::lanes) S::stream(y + i, S::load(block + i));
      if (i < n) S::store_n(y + i, S::load_n(block + i, n - i), n - i);
      return;
    }
  }
  fill(y);
}

// for_each_block for blocks that are filled so. Each thread ends its stores piece by piece: doing
// so for every block would hold up what follows.
template <class Body>
static inline void for_each_filled_block(std::int64_t total, int cost, bool past_caches,
                                         Body body) {
  const std::int64_t piece = past_caches ? 64 * block_size : block_size;
  for_each_index((total + piece - 1) / piece, total * cost, [&](std::int64_t i) {
    const std::int64_t last = total < (i + 1) * piece ? total : (i + 1) * piece;
    for (std::int64_t begin = i * piece; begin < last; begin += block_size) {
      const std::int64_t left = last - begin;
      body(begin, left < block_size ? int(left) : block_size);
    }
    if (past_caches) Simd<float>::end_stream();
  });
}

}  // namespace unroll::UNROLL_ISA_NS
