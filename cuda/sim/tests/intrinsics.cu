#include "cuda/sim/tests/intrinsics.h"

#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "cuda/launch.h"

namespace unroll::sim_test {
namespace {

namespace cg = cooperative_groups;

__global__ void warp_functions_kernel(const int* x, int* out) {
  const int lane = int(threadIdx.x), mine = x[lane];
  const unsigned even = 0x55555555u, odd = ~even, half = lane % 2 == 0 ? even : odd;
  out[lane] = __shfl_sync(~0u, mine, 5);
  out[32 + lane] = __shfl_sync(~0u, mine, lane + 1, 8);  // within 8 lanes, around
  out[64 + lane] = __shfl_down_sync(~0u, mine, 3);
  out[96 + lane] = __shfl_up_sync(~0u, mine, 3, 16);
  out[128 + lane] = __shfl_sync(half, mine, lane ^ 2);
  out[160 + lane] = int(__ballot_sync(half, mine > 10));
  out[192 + lane] = __any_sync(half, lane == 3) + 2 * __all_sync(half, lane % 2 == 0);
  out[224 + lane] = __reduce_min_sync(half, mine) + 1000 * __reduce_max_sync(half, mine);
  out[256 + lane] = int(__reduce_or_sync(half, unsigned(mine)) +
                        100 * __reduce_and_sync(half, 8u | unsigned(lane)) +
                        10000 * __reduce_xor_sync(half, unsigned(mine)));
}

__global__ void atomics_kernel(int* words, int* old) {
  old[0] = atomicAdd(&words[0], 5);
  old[1] = atomicSub(&words[1], 5);
  old[2] = atomicMax(&words[2], 20) + atomicMax(&words[2], 3);
  old[3] = atomicMin(&words[3], 3) + atomicMin(&words[3], 20);
  old[4] = atomicAnd(&words[4], 6) + atomicOr(&words[4], 1);
  old[5] = atomicXor(&words[5], 5);
  old[6] = atomicExch(&words[6], 7);
  old[7] = atomicCAS(&words[7], 12, 1) + atomicCAS(&words[7], 12, 2);
}

__global__ void coordinates_kernel(int* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  out[block * threads + thread] = int(threadIdx.x + 10 * threadIdx.y + 100 * threadIdx.z +
                                      1000 * blockIdx.x + 10000 * blockIdx.y + 100000 * blockIdx.z);
}

__global__ void group_facts_kernel(int* out) {
  const cg::thread_block block = cg::this_thread_block();
  const cg::grid_group grid = cg::this_grid();
  const auto tile = cg::tiled_partition<16>(block);
  const cg::coalesced_group together = cg::coalesced_threads();
  const int sum_together = together.shfl(2, 0) + together.any(1) + together.all(1);
  const int largest = cg::reduce(tile, int(tile.thread_rank()), cg::greater<int>());
  const int least = cg::reduce(tile, int(tile.thread_rank()) + 5, cg::less<int>());
  const int next = tile.shfl_down(int(tile.thread_rank()), 1),
            first = tile.shfl(int(block.thread_rank()), 0);
  const int all = tile.all(1), any = tile.any(tile.thread_rank() == 3);
  tile.sync();
  cg::sync(block);
  grid.sync();
  if (grid.thread_rank() != 64 + 18) return;  // block 1, thread 18: the second tile's third lane
  out[0] = int(block.size()), out[1] = int(block.thread_rank());
  out[2] = int(grid.size()), out[3] = grid.is_valid() ? 1 : 0;
  out[4] = int(tile.size()), out[5] = int(tile.thread_rank());
  out[6] = int(tile.meta_group_rank()), out[7] = int(tile.meta_group_size());
  out[8] = sum_together, out[9] = largest + 100 * least;
  out[10] = next + 100 * first, out[11] = all + 10 * any;
}

__global__ void scalar_functions_kernel(const float* x, int* out, float* y) {
  out[0] = __popc(0xf0f0u), out[1] = __ffs(24), out[2] = __ffs(0), out[3] = __clz(1),
  out[4] = __clz(0);
  out[5] = int(__float_as_uint(__uint_as_float(12345u)));
  const float v = __ldg(x);
  y[0] = __expf(v), y[1] = __logf(v), y[2] = __fdividef(1.f, v), y[3] = rsqrtf(v);
  y[4] = __frcp_rn(v), y[5] = __fmaf_rn(v, 2.f, 1.f), y[6] = max(v, 3.f), y[7] = min(v, 3.f);
}

__global__ void half_functions_kernel(const float* x, float* y) {
  const __half a = __float2half(x[0]), b = __float2half_rn(x[1]);
  y[0] = __half2float(a), y[1] = float(a + b), y[2] = float(a - b), y[3] = float(a * b),
  y[4] = float(a / b);
  const __nv_bfloat16 c = __float2bfloat16(x[0]), d = __float2bfloat16_rn(x[1]);
  y[5] = __bfloat162float(c), y[6] = float(c + d), y[7] = float(c * d);
  const float2 both = __half22float2(__floats2half2_rn(x[0], x[1]));
  y[8] = both.x, y[9] = both.y;
}

}  // namespace

void warp_functions(const int* x, int* out) {
  launch(warp_functions_kernel, {.name = "warp_functions", .grid = 1, .block = 32}, x, out);
}
void atomics(int* words, int* old) {
  launch(atomics_kernel, {.name = "atomics", .grid = 1, .block = 1}, words, old);
}
void coordinates(int* out) {
  launch(coordinates_kernel, {.name = "coordinates", .grid = dim3(2, 3, 2), .block = dim3(4, 2, 2)},
         out);
}
void group_facts(int* out) {
  launch(group_facts_kernel, {.name = "group_facts", .grid = 2, .block = 64, .cooperative = true},
         out);
}
void scalar_functions(const float* x, int* out, float* y) {
  launch(scalar_functions_kernel, {.name = "scalar_functions", .grid = 1, .block = 1}, x, out, y);
}
void half_functions(const float* x, float* y) {
  launch(half_functions_kernel, {.name = "half_functions", .grid = 1, .block = 1}, x, y);
}

}  // namespace unroll::sim_test
