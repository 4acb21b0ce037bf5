// The mask of dropout: a factor for each element, 0 with probability p and else 1 / (1 - p)
// (Hinton et al. 2012, scaled so that the mean stays).
//
//   cpu::dropout_mask<float>({.count = n, .p = 0.5, .seed = 7}, {.y = mask});
//
// Element i is a function of (seed, stream, counter) and i alone: word i % 4 of the Philox block
// counter + i / 4, dropped where it is below p 2^32. So a mask is never kept: who needs it again
// makes it again. noexcept, allocates nothing, the same bits for any number of threads.
#pragma once

#include <cstdint>

#include "kernels/backends.h"

namespace unroll {

struct DropoutShape {
  std::int64_t count;  // elements
  double p;            // in [0,1]
  std::uint64_t seed, stream = 0, counter = 0;
  std::int64_t blocks() const { return (count + 3) / 4; }  // what the counter moves on by
};
template <class T>
struct DropoutArgs {
  T* y;  // [count]
};

namespace cpu {

// T: float, double.
template <class T>
void dropout_mask(const DropoutShape&, const DropoutArgs<T>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU(dropout_mask, void, DropoutShape, DropoutArgs)
}  // namespace unroll
