// The matrix product of cuda/matmul.cu by its own tiles, with k cut as the caller says: for sums
// whose order must not follow M. For other kernels' files.
#pragma once

#include "cuda/backend.h"
#include "kernels/matmul.h"

namespace unroll::UNROLL_GPU {

/// parts of k, each `depth` long but the last; scratch: parts batch M N numbers if there is more
/// than one. T: float, double; float is never rounded to tf32.
template <class T>
void matmul_in_parts(const MatmulShape&, std::int64_t parts, std::int64_t depth,
                     const MatmulArgs<T>&) noexcept;

}  // namespace unroll::UNROLL_GPU
