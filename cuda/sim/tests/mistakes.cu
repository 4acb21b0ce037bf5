#include "cuda/sim/tests/mistakes.h"

#include <cooperative_groups.h>
#include <cuda_pipeline.h>

#include <memory>
#include <string>
#include <vector>

#include "cuda/launch.h"

// All of std::string, compiled as kernels are: with checks, the linker may take these functions for
// the whole program. The simulator's reports must come out all the same.
template class std::basic_string<char>;

namespace unroll::sim_test {
namespace {

namespace cg = cooperative_groups;

__global__ void write_one_kernel(Target target, std::int64_t offset) { target.at[offset] = 1; }

__global__ void write_at_kernel(float* at, std::int64_t offset) { at[offset] = 1; }

__global__ void increment_kernel(const float* from, float* to, int n) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) to[i] = from[i] + 1;
}

__global__ void sum_shared_kernel(bool all, float* to) {
  SHARED(float[64], part);
  const int i = int(threadIdx.x);
  if (all || i < 63) part[i] = 1;
  __syncthreads();
  if (i > 0) return;
  float sum = 0;
  for (int k = 0; k < 64; k++) sum += part[k];
  *to = sum;
}

__global__ void beside_shared_kernel(int index) {
  SHARED(float[8], part);
  float* first = part;
  first[index] = 1;
}

template <int KiB>
__global__ void static_shared_kernel() {
  SHARED(char[KiB * 1024], part);
  part[threadIdx.x] = 1;
}

__global__ void nothing_kernel() {}

__global__ void sync_grid_kernel() { cg::this_grid().sync(); }

__global__ void leave_grid_kernel() {
  if (blockIdx.x == 0) cg::this_grid().sync();
}

__global__ void spin_kernel(int waiter, int setter, int* flag) {
  const int me = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (me == waiter)
    while (atomicAdd(flag, 0) == 0) {
    }
  if (me == setter) atomicExch(flag, 1);
}

__global__ void meet_by_count_kernel(Flag flag, int* x, int* y, int* count) {
  const int thread = int(threadIdx.x), block = int(blockIdx.x), blocks = int(gridDim.x);
  x[block * 64 + thread] = block * 100 + thread;
  if (flag != Flag::no_barrier) __syncthreads();
  if (thread == 0) {
    if (flag != Flag::no_fence_before) __threadfence();
    atomicAdd(count, 1);
    while (atomicAdd(count, 0) < blocks) {
    }
    if (flag != Flag::no_fence_after) __threadfence();
  }
  __syncthreads();
  const int from = (block + 1) % blocks * 64 + thread;
  y[from] = x[from];
}

__global__ void hand_over_kernel(Flag flag, int* x, int* y, int* ready) {
  const int lane = int(threadIdx.x % 32);
  if (threadIdx.x < 32) {
    x[lane] = lane * lane;
    if (flag != Flag::no_barrier) __syncwarp();
    if (lane != 0) return;
    if (flag != Flag::no_fence_before) __threadfence();
    atomicExch(ready, 1);
  } else {
    if (lane == 0) {
      while (atomicAdd(ready, 0) == 0) {
      }
      if (flag != Flag::no_fence_after) __threadfence();
    }
    __syncwarp();
    y[lane] = x[lane];
  }
}

__global__ void add_often_kernel(int times, int* sum) {
  for (int i = 0; i < times; i++) atomicAdd(sum, 1);
}

__global__ void use_dynamic_kernel() {
  SHARED_DYNAMIC(float, part);
  part[threadIdx.x] = 1;
}

__global__ void share_kernel(bool own, std::uint64_t* slot) {
  const cg::grid_group grid = cg::this_grid();
  SHARED(float[4], part);
  part[0] = 2;
  if (blockIdx.x == 0) *slot = reinterpret_cast<std::uint64_t>(&part[0]);
  grid.sync();
  auto* theirs = reinterpret_cast<float*>(*slot);
  if (blockIdx.x == 1) (own ? &part[0] : theirs)[0] += 1;
  grid.sync();
}

__global__ void lend_local_kernel(bool own, std::uint64_t* slot) {
  float mine[2] = {1, 2};
  if (threadIdx.x == 0) *slot = reinterpret_cast<std::uint64_t>(&mine[0]);
  __syncthreads();
  auto* theirs = reinterpret_cast<float*>(*slot);
  if (threadIdx.x == 1) (own ? &mine[0] : theirs)[1] = 3;
  __syncthreads();
  if (mine[1] > 5) *slot = 0;
}

__device__ int deep(int depth, volatile int* above) {
  volatile int room[256];
  room[0] = depth;
  if (above != nullptr) room[0] = room[0] + above[0];
  return depth == 0 ? room[0] : deep(depth - 1, room) + room[0];
}

__global__ void recurse_kernel(int depth, int* result) { *result = deep(depth, nullptr); }

__global__ void exchange_in_warp_kernel(bool synchronised, int* x) {
  const int lane = int(threadIdx.x);
  x[lane] = lane;
  if (synchronised) __syncwarp();
  const int other = x[lane ^ 1];
  if (synchronised) __syncwarp();
  x[lane] = other;
}

__global__ void barrier_in_branches_kernel(bool branches) {
  if (branches) {
    if (threadIdx.x < 32) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  }
  __syncthreads();
}

__global__ void set_bytes_kernel(unsigned char* flags, int n) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) flags[i] = static_cast<unsigned char>(i % 3);
}

__global__ void misaligned_atomic_kernel(unsigned* x, int offset) {
  atomicAdd(reinterpret_cast<unsigned*>(reinterpret_cast<char*>(x) + offset), 1u);
}

__global__ void copy_to_global_kernel(float* to, const float* from) {
  __pipeline_memcpy_async(to, from, 4);
  __pipeline_commit();
  __pipeline_wait_prior(0);
}

__global__ void copy_three_bytes_kernel(const float* from) {
  SHARED(float[4], part);
  const std::size_t bytes = from == nullptr ? 4 : 3;  // nvcc refuses the constant
  __pipeline_memcpy_async(part, from, bytes);
  __pipeline_commit();
  __pipeline_wait_prior(0);
}

__global__ void read_sum_kernel(bool barrier, int* x, int* result) {
  atomicAdd(x, 1);
  if (barrier) __syncthreads();
  if (threadIdx.x == 0) *result = *x;
}

}  // namespace

void write_one(Target target, std::int64_t offset) {
  launch(write_one_kernel, {.name = "write_one", .grid = 1, .block = 1}, target, offset);
}
void write_at(float* at, std::int64_t offset) {
  launch(write_at_kernel, {.name = "write_at", .grid = 1, .block = 1}, at, offset);
}
void increment(const float* from, float* to, int n, [[maybe_unused]] int stream) {
  Launch how{.name = "increment", .grid = unsigned(n + 63) / 64, .block = 64};
#ifndef __CUDACC__
  how.stream = {stream};
#endif
  launch(increment_kernel, how, from, to, n);
}
void sum_shared(bool all, float* to) {
  launch(sum_shared_kernel, {.name = "sum_shared", .grid = 1, .block = 64}, all, to);
}
void beside_shared(int index) {
  launch(beside_shared_kernel, {.name = "beside_shared", .grid = 1, .block = 1}, index);
}
void static_shared([[maybe_unused]] int kib) {
  const Launch how{.name = "static_shared", .grid = 1, .block = 1};
  if (kib == 16) launch(static_shared_kernel<16>, how);
  if (kib == 48) launch(static_shared_kernel<48>, how);
#ifndef __CUDACC__  // nvcc refuses it
  if (kib == 64) launch(static_shared_kernel<64>, how);
#endif
}
void nothing(Size s) {
  launch(nothing_kernel, {.name = "nothing",
                          .grid = dim3(s.grid_x, s.grid_y),
                          .block = dim3(s.block_x, s.block_y, s.block_z),
                          .shared = s.shared,
                          .cooperative = s.cooperative});
}
void sync_grid(bool cooperative) {
  launch(sync_grid_kernel,
         {.name = "sync_grid", .grid = 2, .block = 32, .cooperative = cooperative});
}
void leave_grid() {
  launch(leave_grid_kernel, {.name = "leave_grid", .grid = 2, .block = 32, .cooperative = true});
}
void spin(int waiter, int setter, int* flag) {
  launch(spin_kernel, {.name = "spin", .grid = 2, .block = 64, .cooperative = true}, waiter, setter,
         flag);
}
void meet_by_count(Flag flag, int* x, int* y, int* count) {
  launch(meet_by_count_kernel,
         {.name = "meet_by_count", .grid = 4, .block = 64, .cooperative = true}, flag, x, y, count);
}
void hand_over(Flag flag, int* x, int* y, int* ready) {
  launch(hand_over_kernel, {.name = "hand_over", .grid = 1, .block = 64}, flag, x, y, ready);
}
void add_often(int times, int* sum) {
  launch(add_often_kernel, {.name = "add_often", .grid = 1, .block = 64}, times, sum);
}
void use_dynamic(std::size_t bytes) {
  launch(use_dynamic_kernel, {.name = "use_dynamic", .grid = 1, .block = 32, .shared = bytes});
}
void share(bool own, std::uint64_t* slot) {
  launch(share_kernel, {.name = "share", .grid = 2, .block = 1, .cooperative = true}, own, slot);
}
void lend_local(bool own, std::uint64_t* slot) {
  launch(lend_local_kernel, {.name = "lend_local", .grid = 1, .block = 2}, own, slot);
}
void recurse(int depth, int* result) {
  launch(recurse_kernel, {.name = "recurse", .grid = 1, .block = 1}, depth, result);
}
void exchange_in_warp(bool synchronised, int* x) {
  launch(exchange_in_warp_kernel, {.name = "exchange_in_warp", .grid = 1, .block = 32},
         synchronised, x);
}
void barrier_in_branches(bool branches) {
  launch(barrier_in_branches_kernel, {.name = "barrier_in_branches", .grid = 1, .block = 64},
         branches);
}
void set_bytes(unsigned char* flags, int n) {
  launch(set_bytes_kernel, {.name = "set_bytes", .grid = unsigned(n + 63) / 64, .block = 64}, flags,
         n);
}
void misaligned_atomic(unsigned* x, int offset) {
  launch(misaligned_atomic_kernel, {.name = "misaligned_atomic", .grid = 1, .block = 1}, x, offset);
}
void copy_to_global(float* to, const float* from) {
  launch(copy_to_global_kernel, {.name = "copy_to_global", .grid = 1, .block = 1}, to, from);
}
void copy_three_bytes(const float* from) {
  launch(copy_three_bytes_kernel, {.name = "copy_three_bytes", .grid = 1, .block = 1}, from);
}
void read_sum(bool barrier, int* x, int* result) {
  launch(read_sum_kernel, {.name = "read_sum", .grid = 1, .block = 64}, barrier, x, result);
}

long owners(int copies) {
  static const auto first = std::make_shared<int>(1);
  const std::vector<std::shared_ptr<int>> more(std::size_t(copies), first);
  return first.use_count();
}

}  // namespace unroll::sim_test
