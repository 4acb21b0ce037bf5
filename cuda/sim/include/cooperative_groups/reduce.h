// Stands in for CUDA's header of this name: reduce() over the lanes of a group, in rounds of
// halves.
#pragma once

#include <cooperative_groups.h>

namespace cooperative_groups {

template <class T>
struct plus {
  T operator()(T a, T b) const { return a + b; }
};
template <class T>
struct less {
  T operator()(T a, T b) const { return b < a ? b : a; }
};
template <class T>
struct greater {
  T operator()(T a, T b) const { return a < b ? b : a; }
};

template <unsigned Size, class T, class Op>
T reduce(const thread_block_tile<Size>& tile, T value, Op op, Site site = Site::here()) {
  for (unsigned half = Size / 2; half > 0; half /= 2)
    value = op(value, tile.shfl_xor(value, half, site));
  return value;
}

}  // namespace cooperative_groups
