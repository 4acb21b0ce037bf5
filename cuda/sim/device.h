// What the stand-ins for CUDA's headers (cuda/sim/include) are made of: the running CUDA thread and
// what it may ask the simulator for. Kernels never call these by name.
//
// The functions are compiled without checks, so what they touch on behalf of a kernel they report
// to the checker themselves.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/sim/site.h"

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

namespace unroll::sim::device {

/// Who runs. `linear` is the thread's number in its block.
struct Here {
  uint3 thread{}, block{};
  dim3 block_dim{}, grid_dim{};
  unsigned lane = 0, warp = 0, linear = 0;
};
extern Here here;

// ---- Barriers

enum class Vote { none, count, all, any };
/// __syncthreads and its reducing kin.
int block_barrier(Vote vote, bool predicate, Site site);
void grid_barrier(Site site);
bool launched_cooperatively();

// ---- Warp collectives. Lanes of the mask wait for each other.

void warp_barrier(unsigned mask, Site site);
/// result = the value of lane `source`, or this lane's own where source is negative; bytes <= 16.
void shuffle(unsigned mask, const void* value, void* result, unsigned bytes, int source, Site site);
/// The lanes whose predicate holds.
unsigned ballot(unsigned mask, bool predicate, Site site);

enum class Reduction {
  add,
  min_signed,
  max_signed,
  min_unsigned,
  max_unsigned,
  bit_and,
  bit_or,
  bit_xor
};
unsigned reduce(unsigned mask, unsigned value, Reduction reduction, Site site);

/// d += a b for one warp, a [M,K], b [K,N], d [M,N]; each lane passes its share of the elements, in
/// the order of fragment_index(). The product is made once, by the lane that comes last.
struct MmaShape {
  int M, N, K;
};
void mma(const MmaShape& shape, const float* a, const float* b, float* d, Site site);

/// Which element of a fragment of `total` elements is number e of a lane: a scramble, since CUDA
/// promises nothing about it.
constexpr int fragment_index(int lane, int e, int total) { return (e * 32 + lane) * 37 % total; }

// ---- Memory

/// The array of the block that is known by this tag; 0xff when new.
void* shared_array(const void* tag, std::size_t bytes, std::size_t alignment, Site site);
void* shared_dynamic(Site site);

/// An atomic operation reads `old` here and writes its result there; nothing runs in between.
void atomic_begin(const void* pointer, void* old, unsigned bytes, Site site);
void atomic_end(void* pointer, const void* value, unsigned bytes);

/// cp.async: the destination holds 0xff until it has been waited for; then the copy is made.
void async_copy(void* shared, const void* global, std::size_t bytes, std::size_t zeros, Site site);
void async_commit();
/// Waits for all groups but the last `keep`.
void async_wait(std::size_t keep);

/// A place where another thread may come first.
void yield();
/// The same, and what the thread did before is known to who meets its next atomic operation.
void fence();

/// Ends the launch with Fault::misuse.
[[noreturn]] void misuse(const char* what, Site site);

/// x moved by at most `ulps` units in its last place, as a function of its bits: what a fast
/// function of the GPU may return.
float perturbed(float x, int ulps);

}  // namespace unroll::sim::device
