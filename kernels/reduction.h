// Reductions along one axis: sum, product, extremes and where they are.
//
//   cpu::reduce<float>(ReduceShape::dense(Reduce::sum, 1, rows, columns), {.x = x, .y =
//   column_sums}); cpu::reduce<float>(ReduceShape::dense(Reduce::max, rows, columns, 1), {.x = x,
//   .y = row_max, .index = row_argmax});
//
// An input is seen as [outer, count, inner] with any strides; the output is dense [outer, inner].
// All functions are noexcept, allocate nothing and are safe to call from several threads on
// distinct outputs.
//
// Sums are pairwise (error grows with log(count)) in an order fixed by the shape alone, so they are
// the same bits for any number of threads.
#pragma once

#include <cstdint>

#include "kernels/backends.h"

namespace unroll {

enum class Reduce : std::uint8_t {
  sum,   // of nothing: 0
  prod,  // of nothing: 1
  max,   // of nothing: the lowest value, index -1
  min,   // of nothing: the highest value, index -1
};

struct ReduceShape {
  Reduce op;
  std::int64_t outer, count, inner;
  std::int64_t stride_outer, stride_count, stride_inner;  // of x, in elements; 0 repeats
  bool last = false;  // the index of an extreme is that of the last of equals

  // The shape of a dense x.
  static constexpr ReduceShape dense(Reduce op, std::int64_t outer, std::int64_t count,
                                     std::int64_t inner) {
    return {op, outer, count, inner, count * inner, inner, 1};
  }
};
template <class T>
struct ReduceArgs {
  const T* x;                     // [outer, count, inner], strided
  T* y;                           // [outer, inner]; may be null when only the index is wanted
  std::int64_t* index = nullptr;  // [outer, inner]: for max and min where the extreme is, the first
                                  // of equals (see `last`); or null
};

namespace cpu {

// y = op of x over the middle axis. A NaN makes every result NaN, and argmax and argmin point at
// the first NaN (as PyTorch). T: float, double, int64.
template <class T>
void reduce(const ReduceShape&, const ReduceArgs<T>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU(reduce, void, ReduceShape, ReduceArgs)
}  // namespace unroll
