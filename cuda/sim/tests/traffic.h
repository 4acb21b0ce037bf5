// Kernels whose memory traffic is known. Pointers are device memory.
#pragma once

namespace unroll::sim_test {

/// to[i] = from[i * stride], n numbers by blocks of 64.
void copy_strided(const float* from, float* to, int n, int stride);
/// The same with four numbers to a thread, n a multiple of 4.
void copy_vectors(const float* from, float* to, int n);
/// Every one of n threads reads from[0].
void broadcast(const float* from, float* to, int n);
/// to [32,32] = from [32,32] transposed in shared memory whose rows are 32 or 33 numbers long.
void transpose(bool padded, const float* from, float* to);
/// One warp writes 32 doubles (4-vectors of float) to shared memory, next to each other.
void write_doubles(double* to);
void write_vectors(float* to);
/// Each of `blocks` blocks of 64 passes 3 barriers, 2 collectives per warp, and an atomic per
/// thread.
void count_events(int blocks, int* x);

}  // namespace unroll::sim_test
