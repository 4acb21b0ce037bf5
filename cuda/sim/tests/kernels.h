// Kernels of every kind that the simulator must run, each with what can be forgotten in it. The
// functions queue one launch; pointers are device memory.
#pragma once

#include <cstdint>

#include "core/half.h"

namespace unroll::sim_test {

/// What a kernel leaves out or gets wrong; each kernel knows the ones named after it.
enum class Bug {
  none,
  no_barrier,         // product: after loading a tile
  no_second_barrier,  // product: before loading the next
  divergent_barrier,  // block_sum
  no_atomic,          // block_sum
  past_the_end,       // block_sum: one element beyond its shared array
  early_exit,         // block_sum: some threads end before a barrier
  no_grid_sync,       // rnn
  no_wait,            // scale: cp.async
  no_last_barrier,    // scale: before its buffer is filled again
  never_waited,       // scale: ends with copies in flight
  misaligned_copy,    // scale
  no_warp_sync,       // warp_sum
  outside_mask,       // warp_sum: reads a lane that its mask leaves out
  other_mask,         // warp_sum: lanes name different masks
  missing_lane,       // warp_sum: one lane does not come
  lane_map,           // matrix_product_f16: takes the fragments' layout for granted
  bad_stride,         // matrix_product_f16
};

/// c = a + b, n numbers.
void add(const float* a, const float* b, float* c, std::int64_t n);
/// c [M,N] = a [M,K] b [K,N], in tiles of shared memory.
void product(Bug bug, const float* a, const float* b, float* c, int M, int N, int K);
/// y [rows,columns], a warp per row by shuffles.
void softmax(const float* x, float* y, int rows, int columns);
/// *sum += the n numbers of x: a tree in dynamic shared memory per block, atomics between them.
void block_sum(Bug bug, const float* x, float* sum, int n);
/// h [steps+1,H], h[t+1] = tanh(w h[t]): one cooperative launch.
void rnn(Bug bug, const float* w, float* h, int H, int steps);
/// y = s x, read backwards within 128 vectors: two buffers, cp.async.
void scale(Bug bug, const float* x, float* y, int tiles, int blocks, float s);
/// sums [warps]: of 32 numbers each, in shared memory without barriers of the block.
void warp_sum(Bug bug, const float* x, float* sums, int warps);
/// c [M,N] = a [M,K] b [N,K]^T, sizes multiples of 16; with tensor cores.
void matrix_product_f16(Bug bug, const Float16* a, const Float16* b, float* c, int M, int N, int K);
void matrix_product_bf16(const Bfloat16* a, const Bfloat16* b, float* c, int M, int N, int K);
/// c [M,N] = a [M,K] b [K,N]
void matrix_product_tf32(const float* a, const float* b, float* c, int M, int N, int K);
/// counts [3]: threads with x > 0, whether all have, whether any has; n <= 1024, one block.
void vote(const float* x, int* counts, int n);
/// out [5,32]: per lane rank, sum over its tile of 8 by cg, ballot in the tile, sum by
/// __reduce_add_sync of the lane, and the value of the lane before by shfl_up.
void groups(const int* x, int* out);
/// bins [4] of the n numbers, which are 0..3.
void histogram(const int* x, unsigned* bins, int n);

}  // namespace unroll::sim_test
