// Small kernels, each with a switch: right, or with one mistake. Pointers are device memory unless
// a test is about one that is not.
#pragma once

#include <cstddef>
#include <cstdint>

namespace unroll::sim_test {

/// What write_one() does with its pointer: the host's mistakes are those of its caller.
struct Target {
  float* at;
};

/// target.at[offset] = 1 by one thread; the pointer hides in a struct.
void write_one(Target target, std::int64_t offset);
/// The same with the pointer as the argument itself.
void write_at(float* at, std::int64_t offset);
/// to[i] = from[i] + 1, n numbers.
void increment(const float* from, float* to, int n, int stream = 0);
/// to[0] = the sum of a shared array of 64, of which the last is written only if `all`.
void sum_shared(bool all, float* to);
/// Writes one number beside a shared array of 8: at index 8 or, far beyond it, 5000.
void beside_shared(int index);
/// Takes a static array of so many KiB (16, 48 or 64).
void static_shared(int kib);
/// A launch of any size that does nothing.
struct Size {
  unsigned grid_x = 1, grid_y = 1, block_x = 32, block_y = 1, block_z = 1;
  std::size_t shared = 0;
  bool cooperative = false;
};
void nothing(Size size);
/// Calls grid.sync() in a launch that is cooperative or not.
void sync_grid(bool cooperative);
/// One block of two ends before the others' grid.sync().
void leave_grid();
/// Of two blocks of 64 threads, the waiter (numbered over both) waits in a loop for a flag that the
/// setter sets; -1: nobody does.
void spin(int waiter, int setter, int* flag);
/// What is right or missing where threads wait by a flag.
enum class Flag { right, no_fence_before, no_fence_after, no_barrier };
/// Four resident blocks of 64 fill x [256], meet by counting in *count, and each copies to y [256]
/// what the next block has written.
void meet_by_count(Flag flag, int* x, int* y, int* count);
/// The first warp of a block fills x [32], sets *ready, and the second copies to y [32].
void hand_over(Flag flag, int* x, int* y, int* ready);
/// Each of 64 threads adds 1 to *sum so often.
void add_often(int times, int* sum);
/// Uses dynamic shared memory, of which the launch has some or none.
void use_dynamic(std::size_t bytes);
/// Hands the address of a shared array of block 0 to block 1 by way of *slot, or uses its own.
void share(bool own, std::uint64_t* slot);
/// Hands the address of a local variable to the next thread by way of *slot, or uses its own.
void lend_local(bool own, std::uint64_t* slot);
/// Recurses `depth` times with 1 KiB each.
void recurse(int depth, int* result);
/// Neighbouring threads of a warp exchange numbers in global memory, with __syncwarp or without.
void exchange_in_warp(bool synchronised, int* x);
/// Two barriers in two branches, or one behind them.
void barrier_in_branches(bool branches);
/// Threads of one block count what they find in neighbouring bytes; right.
void set_bytes(unsigned char* flags, int n);
/// An atomic operation on an address that is not a multiple of 4.
void misaligned_atomic(unsigned* x, int offset);
/// cp.async into global memory, or of 3 bytes.
void copy_to_global(float* to, const float* from);
void copy_three_bytes(const float* from);
/// Reads x after atomic additions of other threads of the block, behind a barrier or not.
void read_sum(bool barrier, int* x, int* result);

/// No kernel: the owners of a shared_ptr that this function has copied `copies` times, so that host
/// code with atomics is compiled beside kernels.
long owners(int copies);

}  // namespace unroll::sim_test
