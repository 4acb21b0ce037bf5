// Copying between views; the types are converted by to() of core/tensor.h.
//
//   // y [n,m] dense = the transpose of x [m,n]
//   Strided space{.rank = 2, .size = {n, m}, .stride = {{m, 1}, {1, n}}};
//   cpu::copy<float>(space, {.x = x, .y = y});
//
// noexcept, allocates nothing, and is safe to call from several threads on distinct outputs. x may
// be broadcast (stride 0); the elements of y must be distinct. They must not overlap.
#pragma once

#include "kernels/backends.h"
#include "kernels/strided.h"

namespace unroll {

template <class T>
struct CopyArgs {
  const T* x;
  T* y;
};

namespace cpu {

// y = x, elementwise; space is (y, x). T: float, double, int64, bool.
template <class T>
void copy(const Strided& space, const CopyArgs<T>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU(copy, void, Strided, CopyArgs)
}  // namespace unroll
