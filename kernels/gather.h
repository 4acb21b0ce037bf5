// Reading and writing through indices: whole slices along an axis, or one element each.
//
//   GatherShape shape{.outer = 1, .n = rows, .inner = columns, .m = picked};
//   cpu::index_select<float>(shape, {.x = x, .index = index, .y = y});        // y[j,:] =
//   x[index[j],:] cpu::index_add<float>(shape, {.x = dy, .index = index, .y = dx});         //
//   dx[index[j],:] += dy[j,:]
//
// All operands are dense; an indexed tensor is seen as [outer, n, inner]. Indices must lie in
// 0..n-1: check them with `first_bad_index` before. All functions are noexcept, allocate nothing
// and are safe to call from several threads on distinct outputs. Sums run in the order of the
// indices, whatever the number of threads.
#pragma once

#include <cstdint>

#include "kernels/backends.h"

namespace unroll {

struct GatherShape {
  std::int64_t outer, n, inner;  // the indexed tensor
  std::int64_t m;                // how many are picked along its middle axis
};

template <class T>
struct GatherArgs {
  const T* x;
  const std::int64_t* index;
  T* y;
};

struct IndexRange {
  std::int64_t count, n;
};
struct IndexArgs {
  const std::int64_t* index;  // [count]
};

namespace cpu {

// Where the first index outside 0..n-1 is, or -1 if all are inside.
std::int64_t first_bad_index(const IndexRange&, const IndexArgs&) noexcept;

// y[o,j,i] = x[o,index[j],i]; x [outer,n,inner], index [m], y [outer,m,inner]. T: float, double,
// int64, bool.
template <class T>
void index_select(const GatherShape&, const GatherArgs<T>&) noexcept;

// y[o,index[j],i] += x[o,j,i]; x [outer,m,inner], index [m], y [outer,n,inner]. The pullback of
// index_select. T: float, double.
template <class T>
void index_add(const GatherShape&, const GatherArgs<T>&) noexcept;

// y[o,j,i] = x[o,index[o,j,i],i]; x [outer,n,inner], index and y [outer,m,inner]. T: float, double,
// int64, bool.
template <class T>
void take_along(const GatherShape&, const GatherArgs<T>&) noexcept;

// y[o,index[o,j,i],i] += x[o,j,i]; x and index [outer,m,inner], y [outer,n,inner]. The pullback of
// take_along. T: float, double.
template <class T>
void put_along_add(const GatherShape&, const GatherArgs<T>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU(index_select, void, GatherShape, GatherArgs)
UNROLL_ON_GPU(take_along, void, GatherShape, GatherArgs)
UNROLL_ON_GPU(index_add, void, GatherShape, GatherArgs)
UNROLL_ON_GPU(put_along_add, void, GatherShape, GatherArgs)
namespace cuda {
std::int64_t first_bad_index(const IndexRange&, const IndexArgs&) noexcept;
}
namespace sim {
std::int64_t first_bad_index(const IndexRange&, const IndexArgs&) noexcept;
}
}  // namespace unroll
