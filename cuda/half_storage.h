// The half types of core/half.h as device code knows them: the same bits, with conversions.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <bit>
#include <type_traits>

#include "core/half.h"
#include "cuda/backend.h"

namespace unroll::UNROLL_GPU {

/// __half for Float16, __nv_bfloat16 for Bfloat16.
template <class Stored>
using DeviceHalf = std::conditional_t<std::is_same_v<Stored, Float16>, __half, __nv_bfloat16>;

}  // namespace unroll::UNROLL_GPU
