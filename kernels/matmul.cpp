#include "kernels/matmul.h"

#include "kernels/parallel_loop.h"
#include "kernels/product.h"
#include "kernels/simd.h"

namespace unroll::UNROLL_ISA_NS {

template <class T>
std::size_t matmul_slot_bytes(const MatmulShape&) noexcept {
  return 0;
}

template <class T>
std::size_t matmul_scratch(const MatmulShape&) noexcept {
  return 0;
}

template <class T>
void matmul(const MatmulShape& s, const MatmulArgs<T>& args) noexcept {
  const T alpha = T(s.alpha), beta = T(s.beta);
  for_each_index(s.batch * s.M, s.batch * s.M * s.N * s.K / 8, [&](std::int64_t i) {
    const std::int64_t n = i / s.M, m = i % s.M;
    const T* a = args.a + n * s.a_batch + m * s.a_row;
    const T* b = args.b + n * s.b_batch;
    T* c = args.c + n * s.c_batch + m * s.c_row;
    for (std::int64_t j = 0; j < s.N; j++) {
      T sum = T(0);
      for (std::int64_t k = 0; k < s.K; k++) sum += a[k * s.a_col] * b[k * s.b_row + j * s.b_col];
      c[j] = beta == T(0) ? alpha * sum : alpha * sum + beta * c[j];
    }
  });
}

template std::size_t matmul_slot_bytes<float>(const MatmulShape&) noexcept;
template std::size_t matmul_slot_bytes<double>(const MatmulShape&) noexcept;
template std::size_t matmul_scratch<float>(const MatmulShape&) noexcept;
template std::size_t matmul_scratch<double>(const MatmulShape&) noexcept;
template void matmul<float>(const MatmulShape&, const MatmulArgs<float>&) noexcept;
template void matmul<double>(const MatmulShape&, const MatmulArgs<double>&) noexcept;

}  // namespace unroll::UNROLL_ISA_NS
