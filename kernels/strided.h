// An iteration space over strided operands: what every elementwise and copying kernel walks.
//
//   Strided s{.rank = 2, .size = {3, 4}, .stride = {{4, 1}, {1, 0}}};   // y[3,4] dense, x[3]
//   broadcast along the columns
//
// Plain data, owns nothing. Operand 0 is the output, operands 1.. are the inputs in the order in
// which the kernel's struct of pointers names them. Kernels merge adjacent axes and drop axes of
// size 1 themselves, so the caller passes shapes as they are; a dense operand becomes one flat
// loop.
#pragma once

#include <cstdint>

namespace unroll {

inline constexpr int max_rank = 8;
inline constexpr int max_operands = 4;

// Only the first `rank` entries mean anything. The arrays have no initialisers, since clearing them
// would cost more than a small op: `Strided s;` leaves them alone, `Strided s{};` clears them.
struct Strided {
  int rank = 0;                 // 0 is a scalar: one element
  std::int64_t size[max_rank];  // the shape of the output; a size of 0 makes the kernel a no-op
  std::int64_t stride[max_operands][max_rank];  // in elements; 0 repeats an input along that axis
};

}  // namespace unroll
