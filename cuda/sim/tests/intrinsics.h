// Kernels that call every function of the stand-ins once. Pointers are device memory.
#pragma once

namespace unroll::sim_test {

/// out [9,32]: what each lane of a warp gets from shuffles, votes and reductions of x [32]; the
/// rows are named in the kernel.
void warp_functions(const int* x, int* out);
/// words [8] and old [8]: each kind of atomic once, on words that hold 12; the rows are named in
/// the kernel.
void atomics(int* words, int* old);
/// out [grid of (2,3,2) blocks of (4,2,2)]: each thread writes a number made of its coordinates.
void coordinates(int* out);
/// out [12]: groups of cooperative_groups; the rows are named in the kernel.
void group_facts(int* out);
/// out [6]: bit functions; y [8]: functions of x [1].
void scalar_functions(const float* x, int* out, float* y);
/// y [10]: float16 and bfloat16 arithmetic and conversions of x [2].
void half_functions(const float* x, float* y);

}  // namespace unroll::sim_test
