// Stands in for CUDA's header of this name: bfloat16, computed in float and rounded.
#pragma once

#include <cuda_fp16.h>

UNROLL_SIM_HALF(__nv_bfloat16, Bfloat16, to_bfloat16)
using nv_bfloat16 = __nv_bfloat16;

inline __nv_bfloat16 __float2bfloat16(float x) { return __nv_bfloat16(x); }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return __nv_bfloat16(x); }
inline float __bfloat162float(__nv_bfloat16 x) { return float(x); }
