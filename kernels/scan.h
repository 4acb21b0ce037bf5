// Running sums and first-order linear recurrences along one axis.
//
//   ScanShape rows{.outer = 3, .count = 100, .inner = 1};
//   cpu::scan<float>(rows, {.b = x, .y = cumulative_sums});
//   cpu::scan<float>(rows, {.a = a, .b = b, .y = y});       // y[t] = a[t] y[t-1] + b[t]
//
// All operands are dense [outer, count, inner]. All functions are noexcept, allocate nothing and
// are safe to call from several threads on distinct outputs. Results are the same bits for any
// number of threads: each line is computed in the order of the axis.
#pragma once

#include <cstdint>

#include "kernels/backends.h"

namespace unroll {

struct ScanShape {
  std::int64_t outer, count, inner;
  bool reverse = false;  // from the last place to the first: y[t] = a[t] y[t+1] + b[t]
};
template <class T>
struct ScanArgs {
  const T* a = nullptr;  // null: ones. What stands at the place where a line starts is never read.
  const T* b;
  T* y;  // may be b
};

namespace cpu {

// y = b at the start of each line, then a times the y before plus b. T: float, double.
template <class T>
void scan(const ScanShape&, const ScanArgs<T>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU(scan, void, ScanShape, ScanArgs)
}  // namespace unroll
