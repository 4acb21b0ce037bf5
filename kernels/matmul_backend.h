// Whether a device can multiply as core/matmul_options.h says. The kernel itself cannot throw:
// where cuBLAS is chosen and not there, it multiplies with the library's own kernels.
#pragma once

#include "core/matmul_options.h"

namespace unroll {

namespace cuda {
/// Throws Error, saying why and what to do, where the chosen backend cannot be had, or where the
/// environment names one that there is not.
void require_matmul_backend();
}  // namespace cuda

namespace sim {
/// The same; the simulator has the library's own kernels alone.
void require_matmul_backend();
}  // namespace sim

}  // namespace unroll
