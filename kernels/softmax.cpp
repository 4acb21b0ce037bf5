#include "kernels/softmax.h"

#include "kernels/parallel_loop.h"
#include "kernels/softmax_row_simd.h"

namespace unroll::UNROLL_ISA_NS {

template <class T>
void softmax(const SoftmaxShape& s, const SoftmaxArgs<T>& args) noexcept {
  for_each_index(s.rows, s.rows * s.n * 4, [&](std::int64_t row) {
    const T* x = args.x + row * s.n;
    T* y = args.y + row * s.n;
    s.log ? log_softmax_row(x, y, s.n) : softmax_row(x, y, s.n);
  });
}

template <SoftmaxMap kind, class T>
static void linear(const SoftmaxShape& s, const SoftmaxLinear<T>& args) {
  const std::int64_t rows = s.directions * s.rows;
  const T beta = T(args.beta);
  for_each_index(rows, rows * s.n * 4, [&](std::int64_t i) {
    const std::int64_t row = i % s.rows;
    softmax_linear_row<kind>(args.y + row * s.n, args.u + i * s.n, args.v + i * s.n, s.n, beta);
  });
}

template <class T>
void softmax_pull(const SoftmaxShape& s, const SoftmaxLinear<T>& args) noexcept {
  if (s.log) return linear<SoftmaxMap::log_pull>(s, args);
  linear<SoftmaxMap::both>(s, args);
}

template <class T>
void softmax_push(const SoftmaxShape& s, const SoftmaxLinear<T>& args) noexcept {
  if (s.log) return linear<SoftmaxMap::log_push>(s, args);
  linear<SoftmaxMap::both>(s, args);
}

#define UNROLL_INSTANTIATE(T)                                                           \
  template void softmax<T>(const SoftmaxShape&, const SoftmaxArgs<T>&) noexcept;        \
  template void softmax_pull<T>(const SoftmaxShape&, const SoftmaxLinear<T>&) noexcept; \
  template void softmax_push<T>(const SoftmaxShape&, const SoftmaxLinear<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
