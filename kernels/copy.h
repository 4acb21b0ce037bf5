// Moving elements: copy and convert between views, fill, add into.
//
//   Strided space{.rank = 2, .size = {n, m}, .stride = {{m, 1}, {1, n}}};      // y[n,m] dense =
//   transpose of x[m,n] cpu::copy<float, float>(space, {.x = x, .y = y});
//
// All functions are noexcept, allocate nothing and are safe to call from several threads on
// distinct outputs. Inputs may be broadcast (stride 0); the output's elements must be distinct. x
// and y must not overlap, except that axpy may have x == y with equal strides.
#pragma once

#include <cstdint>

#include "kernels/strided.h"

namespace unroll {

template <class To, class From>
struct CopyArgs {
  const From* x;
  To* y;
};

template <class T>
struct FillArgs {
  T value;
  T* y;
};

struct AxpyShape {
  Strided space;  // y, x
  double alpha = 1;
};
template <class T>
struct AxpyArgs {
  const T* x;
  T* y;
};

namespace cpu {

// y = To(x), elementwise; space is (y, x). Every pair of float, double, int64 and bool. Real to
// int64 truncates towards zero, and what does not fit (NaN too) becomes the least int64; anything
// to bool is x != 0; bool gives 0 or 1.
template <class To, class From>
void copy(const Strided& space, const CopyArgs<To, From>&) noexcept;

// y = value; space is (y). T: float, double, int64, bool.
template <class T>
void fill(const Strided& space, const FillArgs<T>&) noexcept;

// y += alpha x, elementwise (plain addition when alpha is 1, else one rounding per multiply and per
// add). T: float, double, int64.
template <class T>
void axpy(const AxpyShape&, const AxpyArgs<T>&) noexcept;

}  // namespace cpu
}  // namespace unroll
