// Walking a Strided space in flat blocks. Only for hot kernel files: everything lives in their
// namespace.
//
//   const Strided s = merged(shape.space, 2);
//   for_each_block(element_count(s), cost, [&](std::int64_t begin, int n) {
//     T buffer[block_size];
//     const T* x = read_block(s, 1, args.x, begin, n, buffer);     // n adjacent elements, wherever
//     they came from
//     ...
//   });
//
// An operand that is dense is used where it lies; any other one passes through a buffer in the
// first-level cache. So a kernel has one inner loop, over adjacent elements, and what it computes
// cannot depend on the strides.
#pragma once

#include <cstdint>

#include "kernels/parallel_loop.h"
#include "kernels/strided.h"

namespace unroll::UNROLL_ISA_NS {

inline constexpr int block_size = 512;

// How many elements the space has.
static inline std::int64_t element_count(const Strided& s) {
  std::int64_t n = 1;
  for (int d = 0; d < s.rank; d++) n *= s.size[d];
  return n;
}

// Called once per kernel or block, from very many kernels: inlining it would only cost time to
// compile.
#define UNROLL_OUT_OF_LINE [[maybe_unused]] static __attribute__((noinline))

// The same space with axes of size 1 dropped and neighbours merged wherever one stride spans both,
// in all operands.
UNROLL_OUT_OF_LINE Strided merged(const Strided& s, int operands) {
  if (s.rank == 0 || (s.rank == 1 && s.size[0] != 1)) return s;
  Strided r;
  for (int d = 0; d < s.rank; d++) {
    if (s.size[d] == 1) continue;
    bool joins = r.rank > 0;
    for (int k = 0; joins && k < operands; k++) {
      joins = r.stride[k][r.rank - 1] == s.stride[k][d] * s.size[d];
    }
    const int to = joins ? r.rank - 1 : r.rank++;
    r.size[to] = joins ? r.size[to] * s.size[d] : s.size[d];
    for (int k = 0; k < operands; k++) r.stride[k][to] = s.stride[k][d];
  }
  return r;
}

// How many elements there are if all operands are dense, which is so common that it has a short
// way; else -1.
static inline std::int64_t flat_count(const Strided& s, int operands) {
  std::int64_t n = 1;
  for (int d = s.rank - 1; d >= 0; d--) {
    for (int k = 0; k < operands; k++) {
      if (s.stride[k][d] != n && s.size[d] != 1) return -1;
    }
    n *= s.size[d];
  }
  return n;
}

enum class Layout { dense, constant, strided };

UNROLL_OUT_OF_LINE Layout layout_of(const Strided& s, int operand) {
  bool dense = true, constant = true;
  std::int64_t expected = 1;
  for (int d = s.rank - 1; d >= 0; d--) {
    dense = dense && s.stride[operand][d] == expected;
    constant = constant && s.stride[operand][d] == 0;
    expected *= s.size[d];
  }
  return constant ? Layout::constant : dense ? Layout::dense : Layout::strided;
}

// Calls run(offset, stride, n) for each stretch of the innermost axis within elements begin ..
// begin+n-1.
template <class Run>
static inline void for_each_run(const Strided& s, int operand, std::int64_t begin, int n, Run run) {
  std::int64_t at[max_rank];
  std::int64_t offset = 0;
  for (int d = s.rank - 1; d >= 0; d--) {
    at[d] = begin % s.size[d];
    begin /= s.size[d];
    offset += at[d] * s.stride[operand][d];
  }
  const int last = s.rank - 1;
  const std::int64_t stride = s.stride[operand][last];
  while (n > 0) {
    const std::int64_t left = s.size[last] - at[last];
    const int count = left < n ? int(left) : n;
    run(offset, stride, count);
    n -= count;
    at[last] += count;
    offset += count * stride;
    for (int d = last; d > 0 && at[d] == s.size[d]; d--) {
      offset += s.stride[operand][d - 1] - s.size[d] * s.stride[operand][d];
      at[d] = 0;
      at[d - 1]++;
    }
  }
}

// Elements begin .. begin+n-1 of an operand, adjacent: where they lie, or gathered into buffer.
template <class T>
UNROLL_OUT_OF_LINE const T* read_block(const Strided& s, int operand, Layout layout, const T* base,
                                       std::int64_t begin, int n, T* buffer) {
  if (layout == Layout::dense) return base + begin;
  if (layout == Layout::constant) {
    for (int i = 0; i < n; i++) buffer[i] = *base;
    return buffer;
  }
  T* to = buffer;
  for_each_run(s, operand, begin, n, [&](std::int64_t offset, std::int64_t stride, int count) {
    const T* from = base + offset;
    if (stride == 1) {
      for (int i = 0; i < count; i++) to[i] = from[i];
    } else if (stride == 0) {
      const T x = *from;
      for (int i = 0; i < count; i++) to[i] = x;
    } else {
      for (int i = 0; i < count; i++) to[i] = from[i * stride];
    }
    to += count;
  });
  return buffer;
}

// The way back: spreads n adjacent elements over the places begin .. begin+n-1 of operand 0.
template <class T>
UNROLL_OUT_OF_LINE void write_block(const Strided& s, T* base, std::int64_t begin, int n,
                                    const T* buffer) {
  for_each_run(s, 0, begin, n, [&](std::int64_t offset, std::int64_t stride, int count) {
    T* to = base + offset;
    for (int i = 0; i < count; i++) to[i * stride] = buffer[i];
    buffer += count;
  });
}

// Calls body(begin, n) for consecutive blocks of at most block_size elements; cost is the work of
// one element, in additions.
template <class Body>
static inline void for_each_block(std::int64_t total, int cost, Body body) {
  const std::int64_t blocks = (total + block_size - 1) / block_size;
  for_each_index(blocks, total * cost, [&](std::int64_t i) {
    const std::int64_t begin = i * block_size, left = total - begin;
    body(begin, left < block_size ? int(left) : block_size);
  });
}

}  // namespace unroll::UNROLL_ISA_NS
