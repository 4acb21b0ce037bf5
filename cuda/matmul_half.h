// The matrix product of float16 and bfloat16 operands, for kernels that store them: by tensor cores
// where the tiles are not thin, summed up in float, written as float. The shape, and all that is
// said of it, is that of kernels/matmul.h.
//
//   matmul_half<Float16>(shape, {.a = a, .b = b, .c = c, .scratch = scratch});
#pragma once

#include "core/half.h"
#include "cuda/backend.h"
#include "kernels/matmul.h"

namespace unroll {

template <class Half>
struct HalfMatmulArgs {
  const Half *a, *b;
  float* c;
  void* scratch;  // matmul_half_scratch(shape) bytes
};

namespace UNROLL_GPU {

std::size_t matmul_half_scratch(const MatmulShape&) noexcept;

// C = alpha A B + beta C. Half: Float16, Bfloat16.
template <class Half>
void matmul_half(const MatmulShape&, const HalfMatmulArgs<Half>&) noexcept;

}  // namespace UNROLL_GPU
}  // namespace unroll
