// What the machine can do at best, each figure measured in milliseconds (0.3 s on a busy machine):
// the arithmetic of its registers, and the bytes that pass through each level of its memory.
//
//   const double flops = fma_peak(Dtype::float32, 2);                    // FLOP/s of 2 threads
//   const double bytes = bandwidth(Traffic::copy, 24 << 20, 1);          // bytes per second
//
// Both run on the instruction set in use (kernels/isa.h). Each figure is the best of many short
// trials. bandwidth() keeps it, so asking again costs nothing; fma_peak() tries again each time and
// keeps the best, since a neighbour on the machine may halve what one moment shows. Not for several
// threads at once.
#pragma once

#include <cstddef>

#include "core/dtype.h"

namespace unroll::bench {

/// What a loop does with each number of its arrays.
enum class Traffic {
  read,    // sum += a[i]
  write,   // out[i] = x
  copy,    // out[i] = a[i]
  add,     // out[i] = a[i] + b[i]
  update,  // out[i] = out[i] x
};

/// FLOP/s of independent chains of multiply-adds in registers; a multiply-add counts two. The best
/// so far: never less than before. dtype: float32 or float64.
double fma_peak(Dtype dtype, int threads);

/// Bytes per second, read and written together, of a loop over `bytes` bytes of arrays in all, a
/// share of them for each thread. Where stores past the caches are faster, with those.
double bandwidth(Traffic traffic, std::size_t bytes, int threads);

/// "read", "write" and so on.
const char* name_of(Traffic traffic);

}  // namespace unroll::bench
