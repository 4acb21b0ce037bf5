// Matrix product of strided operands: C[b] = alpha A[b] B[b] + beta C[b].
//
//   MatmulShape shape = MatmulShape::dense(M, N, K);           // C[M,N] = A[M,K] B[K,N], all
//   row-major cpu::matmul<float>(shape, {.a = a, .b = b, .c = c, .scratch =
//   pool(cpu::matmul_scratch<float>(shape))});
//
// A transpose is a swap of two strides. All functions are noexcept, allocate nothing and are safe
// to call from several threads on distinct outputs. Inside a parallel region they run on the
// calling thread alone.
//
// Each element of C is one sum over k in an order fixed by the shape, so the result is the same
// bits for any number of threads. C must not overlap A or B.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backends.h"

namespace unroll {

struct MatmulShape {
  std::int64_t M, N, K;       // C is [M,N], A is [M,K], B is [K,N]
  std::int64_t a_row, a_col;  // strides in elements: A(m,k) = a[m a_row + k a_col]; 0 repeats
  std::int64_t b_row, b_col;  // B(k,n) = b[k b_row + n b_col]; 0 repeats
  std::int64_t c_row;         // C(m,n) = c[m c_row + n]
  std::int64_t batch = 1;     // independent products
  std::int64_t a_batch = 0, b_batch = 0,
               c_batch = 0;  // strides between them; 0 shares an operand (never C)
  double alpha = 1;
  double beta = 0;  // 0 writes C without reading it, so it may hold anything

  // All operands dense and row-major.
  static constexpr MatmulShape dense(std::int64_t M, std::int64_t N, std::int64_t K) {
    return {.M = M, .N = N, .K = K, .a_row = K, .a_col = 1, .b_row = N, .b_col = 1, .c_row = N};
  }
};

template <class T>
struct MatmulArgs {
  const T* a;
  const T* b;
  T* c;
  void* scratch;  // matmul_scratch(shape) bytes, aligned to 64; may be null when that is 0
};

namespace cpu {

// Bytes of scratch that matmul needs for this shape on the calling thread, with its present number
// of threads (omp_get_max_threads). T: float, double.
template <class T>
std::size_t matmul_scratch(const MatmulShape&) noexcept;

// C = alpha A B + beta C. T: float, double.
template <class T>
void matmul(const MatmulShape&, const MatmulArgs<T>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU_SHAPE(matmul_scratch, std::size_t, MatmulShape)
UNROLL_ON_GPU(matmul, void, MatmulShape, MatmulArgs)
}  // namespace unroll
