#include "cuda/sim/tests/kernels.h"

#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_pipeline.h>
#include <mma.h>

#include "cuda/launch.h"

namespace unroll::sim_test {
namespace {

namespace cg = cooperative_groups;
namespace wmma = nvcuda::wmma;

unsigned blocks_for(std::int64_t n, int per_block) {
  return unsigned((n + per_block - 1) / per_block);
}

__global__ void add_kernel(const float* a, const float* b, float* c, std::int64_t n) {
  const std::int64_t i = blockIdx.x * std::int64_t(blockDim.x) + threadIdx.x;
  if (i < n) c[i] = a[i] + b[i];
}

template <int T>
__global__ void __launch_bounds__(T* T)
    product_kernel(Bug bug, const float* a, const float* b, float* c, int M, int N, int K) {
  SHARED(float[T][T + 1], rows);
  SHARED(float[T][T + 1], columns);
  const int tx = int(threadIdx.x), ty = int(threadIdx.y);
  const int m = int(blockIdx.y) * T + ty, n = int(blockIdx.x) * T + tx;
  float sum = 0;
  for (int k0 = 0; k0 < K; k0 += T) {
    rows[ty][tx] = m < M && k0 + tx < K ? a[m * K + k0 + tx] : 0.f;
    columns[ty][tx] = n < N && k0 + ty < K ? b[(k0 + ty) * N + n] : 0.f;
    if (bug != Bug::no_barrier) __syncthreads();
#pragma unroll
    for (int k = 0; k < T; k++) sum = fmaf(rows[ty][k], columns[k][tx], sum);
    if (bug != Bug::no_second_barrier) __syncthreads();
  }
  if (m < M && n < N) c[m * N + n] = sum;
}

__global__ void softmax_kernel(const float* x, float* y, int rows, int columns) {
  const int row = int(blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32),
            lane = int(threadIdx.x % 32);
  if (row >= rows) return;
  const float* from = x + std::int64_t(row) * columns;
  float* to = y + std::int64_t(row) * columns;
  float largest = -INFINITY, sum = 0;
  for (int i = lane; i < columns; i += 32) largest = fmaxf(largest, from[i]);
  for (int o = 16; o > 0; o /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, o));
  for (int i = lane; i < columns; i += 32) sum += __expf(from[i] - largest);
  for (int o = 16; o > 0; o /= 2) sum += __shfl_xor_sync(~0u, sum, o);
  for (int i = lane; i < columns; i += 32) to[i] = __expf(from[i] - largest) / sum;
}

__global__ void block_sum_kernel(Bug bug, const float* x, float* sum, int n) {
  SHARED_DYNAMIC(float, part);
  const int t = int(threadIdx.x), size = int(blockDim.x);
  float mine = 0;
  for (int i = int(blockIdx.x) * size + t; i < n; i += int(gridDim.x) * size) mine += x[i];
  part[bug == Bug::past_the_end ? t + 1 : t] = mine;
  if (bug == Bug::past_the_end && t == 0) part[0] = mine;
  __syncthreads();
  if (bug == Bug::early_exit && t == 7) return;
  for (int half = size / 2; half > 0; half /= 2) {
    if (t < half) part[t] += part[t + half];
    if (bug != Bug::divergent_barrier || t < half) __syncthreads();
  }
  if (t > 0) return;
  if (bug == Bug::no_atomic)
    *sum += part[0];
  else
    atomicAdd(sum, part[0]);
}

__global__ void rnn_kernel(Bug bug, const float* w, float* h, int H, int steps) {
  const cg::grid_group grid = cg::this_grid();
  for (int t = 0; t < steps; t++) {
    for (int row = int(grid.thread_rank()); row < H; row += int(grid.size())) {
      float sum = 0;
      for (int k = 0; k < H; k++) sum += w[row * H + k] * h[t * H + k];
      h[(t + 1) * H + row] = tanhf(sum);
    }
    if (bug != Bug::no_grid_sync) grid.sync();
  }
}

__global__ void scale_kernel(Bug bug, const float4* x, float4* y, int tiles, float s) {
  SHARED(float4[2][128], buffer);
  const int t = int(threadIdx.x);
  const float4* from = x + std::int64_t(blockIdx.x) * tiles * 128;
  float4* to = y + std::int64_t(blockIdx.x) * tiles * 128;
  const auto fetch = [&](int tile) {
    const auto* source = reinterpret_cast<const char*>(&from[tile * 128 + t]);
    __pipeline_memcpy_async(&buffer[tile & 1][t], source + (bug == Bug::misaligned_copy ? 4 : 0),
                            16);
  };
  fetch(0);
  __pipeline_commit();
  for (int i = 0; i < tiles; i++) {
    if (i + 1 < tiles) fetch(i + 1);
    __pipeline_commit();
    if (bug != Bug::no_wait) __pipeline_wait_prior(1);
    __syncthreads();
    const float4 v = buffer[i & 1][127 - t];
    to[i * 128 + t] = make_float4(v.x * s, v.y * s, v.z * s, v.w * s);
    if (bug != Bug::no_last_barrier) __syncthreads();
  }
  if (bug == Bug::never_waited) {
    fetch(0);
    __pipeline_commit();
  } else {
    __pipeline_wait_prior(0);
  }
}

__global__ void warp_sum_kernel(Bug bug, const float* x, float* sums, int warps) {
  SHARED(float[128], part);
  const int warp = int(blockIdx.x * 4 + threadIdx.x / 32), lane = int(threadIdx.x % 32);
  if (warp >= warps) return;
  float* mine = part + threadIdx.x / 32 * 32;
  mine[lane] = x[warp * 32 + lane];
  if (bug != Bug::no_warp_sync) __syncwarp();
  float sum = mine[lane ^ 16] + mine[lane];
  if (bug == Bug::missing_lane && lane == 5) return;
  const unsigned half = bug == Bug::outside_mask && lane < 16 ? 0xffffu
                        : bug == Bug::outside_mask            ? 0xffff0000u
                                                              : ~0u;
  const unsigned mask = bug == Bug::other_mask && lane == 3 ? 0xffu : half;
  sum += __shfl_xor_sync(mask, sum, bug == Bug::outside_mask ? 16 : 8);
  for (int o = 4; o > 0; o /= 2) sum += __shfl_xor_sync(~0u, sum, o);
  if (lane == 0) sums[warp] = sum;
}

template <class T>
__global__ void wmma_kernel(Bug bug, const T* a, const T* b, float* c, int N, int K) {
  wmma::fragment<wmma::matrix_a, 16, 16, 16, T, wmma::row_major> fa;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, T, wmma::col_major> fb;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> fc;
  wmma::fill_fragment(fc, 0.f);
  const int m = int(blockIdx.y) * 16, n = int(blockIdx.x) * 16;
  for (int k = 0; k < K; k += 16) {
    wmma::load_matrix_sync(fa, a + m * K + k, unsigned(bug == Bug::bad_stride ? K + 1 : K));
    wmma::load_matrix_sync(fb, b + n * K + k, unsigned(K));
    wmma::mma_sync(fc, fa, fb, fc);
  }
  if (bug == Bug::lane_map) {  // as one GPU has it: 4 lanes to a row, 2 neighbours each
    for (int e = 0; e < 8; e++) {
      const int lane = int(threadIdx.x), row = lane / 4 + e / 2 % 2 * 8,
                column = lane % 4 * 2 + e % 2 + e / 4 * 8;
      c[(m + row) * N + n + column] = fc.x[e];
    }
  } else {
    wmma::store_matrix_sync(c + m * N + n, fc, unsigned(N), wmma::mem_row_major);
  }
}

__global__ void tf32_kernel(const float* a, const float* b, float* c, int N, int K) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::row_major> fa;
  wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::row_major> fb;
  wmma::fragment<wmma::accumulator, 16, 16, 8, float> fc;
  wmma::fill_fragment(fc, 0.f);
  const int m = int(blockIdx.y) * 16, n = int(blockIdx.x) * 16;
  for (int k = 0; k < K; k += 8) {
    wmma::load_matrix_sync(fa, a + m * K + k, unsigned(K));
    wmma::load_matrix_sync(fb, b + k * N + n, unsigned(N));
    for (int i = 0; i < fa.num_elements; i++) fa.x[i] = wmma::__float_to_tf32(fa.x[i]);
    for (int i = 0; i < fb.num_elements; i++) fb.x[i] = wmma::__float_to_tf32(fb.x[i]);
    wmma::mma_sync(fc, fa, fb, fc);
  }
  wmma::store_matrix_sync(c + m * N + n, fc, unsigned(N), wmma::mem_row_major);
#endif
}

__global__ void vote_kernel(const float* x, int* counts, int n) {
  const int i = int(threadIdx.x);
  const int positive = i < n && x[i] > 0;
  const int count = __syncthreads_count(positive);
  const int all = __syncthreads_and(i >= n || positive);
  const int any = __syncthreads_or(positive);
  if (i != 0) return;
  counts[0] = count, counts[1] = all, counts[2] = any;
}

__global__ void groups_kernel(const int* x, int* out) {
  const auto tile = cg::tiled_partition<8>(cg::this_thread_block());
  const int lane = int(threadIdx.x);
  out[lane] = int(tile.thread_rank());
  out[32 + lane] = cg::reduce(tile, x[lane], cg::plus<int>());
  out[64 + lane] = int(tile.ballot(x[lane] % 2));
  out[96 + lane] = __reduce_add_sync(~0u, x[lane]);
  out[128 + lane] = tile.shfl_up(x[lane], 1);
}

__global__ void histogram_kernel(const int* x, unsigned* bins, int n) {
  SHARED(unsigned[4], mine);
  if (threadIdx.x < 4) mine[threadIdx.x] = 0;
  __syncthreads();
  for (int i = int(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += int(gridDim.x * blockDim.x))
    atomicAdd(&mine[x[i]], 1u);
  __syncthreads();
  if (threadIdx.x < 4) atomicAdd(&bins[threadIdx.x], mine[threadIdx.x]);
}

}  // namespace

void add(const float* a, const float* b, float* c, std::int64_t n) {
  launch(add_kernel, {.name = "add", .grid = blocks_for(n, 256), .block = 256}, a, b, c, n);
}
void product(Bug bug, const float* a, const float* b, float* c, int M, int N, int K) {
  launch(product_kernel<16>,
         {.name = "product",
          .grid = dim3(blocks_for(N, 16), blocks_for(M, 16)),
          .block = dim3(16, 16)},
         bug, a, b, c, M, N, K);
}
void softmax(const float* x, float* y, int rows, int columns) {
  launch(softmax_kernel, {.name = "softmax", .grid = blocks_for(rows, 4), .block = 128}, x, y, rows,
         columns);
}
void block_sum(Bug bug, const float* x, float* sum, int n) {
  launch(block_sum_kernel,
         {.name = "block_sum", .grid = 8, .block = 256, .shared = 256 * sizeof(float)}, bug, x, sum,
         n);
}
void rnn(Bug bug, const float* w, float* h, int H, int steps) {
  launch(rnn_kernel, {.name = "rnn", .grid = 4, .block = 64, .cooperative = true}, bug, w, h, H,
         steps);
}
void scale(Bug bug, const float* x, float* y, int tiles, int blocks, float s) {
  launch(scale_kernel, {.name = "scale", .grid = unsigned(blocks), .block = 128}, bug,
         reinterpret_cast<const float4*>(x), reinterpret_cast<float4*>(y), tiles, s);
}
void warp_sum(Bug bug, const float* x, float* sums, int warps) {
  launch(warp_sum_kernel, {.name = "warp_sum", .grid = blocks_for(warps, 4), .block = 128}, bug, x,
         sums, warps);
}
void matrix_product_f16(Bug bug, const Float16* a, const Float16* b, float* c, int M, int N,
                        int K) {
  launch(
      wmma_kernel<__half>,
      {.name = "matrix_product_f16", .grid = dim3(unsigned(N / 16), unsigned(M / 16)), .block = 32},
      bug, reinterpret_cast<const __half*>(a), reinterpret_cast<const __half*>(b), c, N, K);
}
void matrix_product_bf16(const Bfloat16* a, const Bfloat16* b, float* c, int M, int N, int K) {
  launch(wmma_kernel<__nv_bfloat16>,
         {.name = "matrix_product_bf16",
          .grid = dim3(unsigned(N / 16), unsigned(M / 16)),
          .block = 32},
         Bug::none, reinterpret_cast<const __nv_bfloat16*>(a),
         reinterpret_cast<const __nv_bfloat16*>(b), c, N, K);
}
void matrix_product_tf32(const float* a, const float* b, float* c, int M, int N, int K) {
  launch(tf32_kernel,
         {.name = "matrix_product_tf32",
          .grid = dim3(unsigned(N / 16), unsigned(M / 16)),
          .block = 32},
         a, b, c, N, K);
}
void vote(const float* x, int* counts, int n) {
  launch(vote_kernel, {.name = "vote", .grid = 1, .block = unsigned(n + 31) / 32 * 32}, x, counts,
         n);
}
void groups(const int* x, int* out) {
  launch(groups_kernel, {.name = "groups", .grid = 1, .block = 32}, x, out);
}
void histogram(const int* x, unsigned* bins, int n) {
  launch(histogram_kernel, {.name = "histogram", .grid = 4, .block = 64}, x, bins, n);
}

}  // namespace unroll::sim_test
