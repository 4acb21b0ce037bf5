#include "cuda/sim/tests/traffic.h"

#include "cuda/launch.h"

namespace unroll::sim_test {
namespace {

__global__ void copy_strided_kernel(const float* from, float* to, int n, int stride) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) to[i] = from[i * stride];
}

__global__ void copy_vectors_kernel(const float4* from, float4* to, int n) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) to[i] = from[i];
}

__global__ void transpose_kernel(int row, const float* from, float* to) {
  SHARED(float[32 * 33], tile);
  const int lane = int(threadIdx.x);
  for (int i = 0; i < 32; i++) tile[i * row + lane] = from[i * 32 + lane];
  __syncthreads();
  for (int i = 0; i < 32; i++) to[i * 32 + lane] = tile[lane * row + i];
}

__global__ void write_doubles_kernel(double* to) {
  SHARED(double[32], part);
  const int lane = int(threadIdx.x);
  part[lane] = lane;
  __syncthreads();
  to[lane] = part[lane ^ 1];
}

__global__ void write_vectors_kernel(float4* to) {
  SHARED(float4[32], part);
  const int lane = int(threadIdx.x);
  part[lane] = make_float4(1, 2, 3, float(lane));
  __syncthreads();
  to[lane] = part[lane ^ 1];
}

__global__ void count_events_kernel(int* x) {
  __syncthreads();
  const int any = __syncthreads_or(threadIdx.x == 0);
  __syncwarp();
  const int lane = __shfl_sync(~0u, int(threadIdx.x), 3);
  atomicAdd(x, any + lane);
  __syncthreads();
}

}  // namespace

void copy_strided(const float* from, float* to, int n, int stride) {
  launch(copy_strided_kernel, {.name = "copy_strided", .grid = unsigned(n + 63) / 64, .block = 64},
         from, to, n, stride);
}
void copy_vectors(const float* from, float* to, int n) {
  launch(copy_vectors_kernel,
         {.name = "copy_vectors", .grid = unsigned(n / 4 + 63) / 64, .block = 64},
         reinterpret_cast<const float4*>(from), reinterpret_cast<float4*>(to), n / 4);
}
void broadcast(const float* from, float* to, int n) {
  launch(copy_strided_kernel, {.name = "broadcast", .grid = unsigned(n + 63) / 64, .block = 64},
         from, to, n, 0);
}
void transpose(bool padded, const float* from, float* to) {
  launch(transpose_kernel,
         {.name = padded ? "transpose_padded" : "transpose", .grid = 1, .block = 32},
         padded ? 33 : 32, from, to);
}
void write_doubles(double* to) {
  launch(write_doubles_kernel, {.name = "write_doubles", .grid = 1, .block = 32}, to);
}
void write_vectors(float* to) {
  launch(write_vectors_kernel, {.name = "write_vectors", .grid = 1, .block = 32},
         reinterpret_cast<float4*>(to));
}
void count_events(int blocks, int* x) {
  launch(count_events_kernel, {.name = "count_events", .grid = unsigned(blocks), .block = 64}, x);
}

}  // namespace unroll::sim_test
