// Stands in for CUDA's header of this name: blocks, tiles of a warp, coalesced threads, the grid.
#pragma once

#include <cuda_runtime.h>

namespace cooperative_groups {

using unroll::sim::Site;
namespace device = unroll::sim::device;

class thread_block {
 public:
  void sync(Site site = Site::here()) const { __syncthreads(site); }
  static unsigned size() { return blockDim.x * blockDim.y * blockDim.z; }
  static unsigned num_threads() { return size(); }
  static unsigned thread_rank() { return device::here.linear; }
  static dim3 group_index() { return blockIdx; }
  static dim3 thread_index() { return threadIdx; }
};
inline thread_block this_thread_block() { return {}; }

// What tiles and coalesced threads share: lanes of one warp, named by a mask.
class warp_group {
 public:
  void sync(Site site = Site::here()) const { __syncwarp(mask_, site); }
  unsigned size() const { return unsigned(std::popcount(mask_)); }
  unsigned num_threads() const { return size(); }
  unsigned thread_rank() const {
    return unsigned(std::popcount(mask_ & ((1u << device::here.lane) - 1)));
  }
  template <class T>
  T shfl(T value, unsigned rank, Site site = Site::here()) const {
    return device::shuffled(mask_, value, lane_of(rank % size()), site);
  }
  template <class T>
  T shfl_up(T value, unsigned delta, Site site = Site::here()) const {
    const unsigned rank = thread_rank();
    return device::shuffled(mask_, value, delta <= rank ? lane_of(rank - delta) : -1, site);
  }
  template <class T>
  T shfl_down(T value, unsigned delta, Site site = Site::here()) const {
    const unsigned rank = thread_rank() + delta;
    return device::shuffled(mask_, value, rank < size() ? lane_of(rank) : -1, site);
  }
  int any(int predicate, Site site = Site::here()) const {
    return device::ballot(mask_, predicate != 0, site) != 0;
  }
  int all(int predicate, Site site = Site::here()) const {
    return device::ballot(mask_, predicate != 0, site) == mask_;
  }
  unsigned ballot(int predicate, Site site = Site::here()) const {
    const unsigned lanes = device::ballot(mask_, predicate != 0, site);
    unsigned ranks = 0, rank = 0;
    for (unsigned rest = mask_; rest != 0; rest &= rest - 1, rank++)
      ranks |= (lanes >> std::countr_zero(rest) & 1u) << rank;
    return ranks;
  }

 protected:
  explicit warp_group(unsigned mask) : mask_(mask) {}
  int lane_of(unsigned rank) const {
    unsigned rest = mask_;
    for (; rank > 0; rank--) rest &= rest - 1;
    return std::countr_zero(rest);
  }
  unsigned mask_;
};

template <unsigned Size>
class thread_block_tile : public warp_group {
  static_assert(Size >= 1 && Size <= 32 && std::has_single_bit(Size));

 public:
  thread_block_tile() : warp_group(lanes()) {}
  static constexpr unsigned size() { return Size; }
  static constexpr unsigned num_threads() { return Size; }
  static unsigned thread_rank() { return device::here.lane % Size; }
  static unsigned meta_group_rank() { return device::here.linear / Size; }
  static unsigned meta_group_size() { return (thread_block::size() + Size - 1) / Size; }
  template <class T>
  T shfl_xor(T value, unsigned bits, Site site = Site::here()) const {
    const unsigned rank = thread_rank() ^ bits;
    return device::shuffled(mask_, value, rank < Size ? lane_of(rank) : -1, site);
  }

 private:
  static unsigned lanes() {
    const unsigned all = Size == 32 ? ~0u : (1u << Size % 32) - 1;
    return all << device::here.lane / Size * Size;
  }
};
template <unsigned Size>
thread_block_tile<Size> tiled_partition(const thread_block&) {
  return {};
}

// The threads that run together with this one. CUDA leaves open which they are; here each is alone,
// which is what code must be ready for.
class coalesced_group : public warp_group {
 public:
  coalesced_group() : warp_group(1u << device::here.lane) {}
};
inline coalesced_group coalesced_threads() { return {}; }

class grid_group {
 public:
  void sync(Site site = Site::here()) const { device::grid_barrier(site); }
  static bool is_valid() { return device::launched_cooperatively(); }
  static unsigned long long num_blocks() { return 1ull * gridDim.x * gridDim.y * gridDim.z; }
  static unsigned long long block_rank() {
    return blockIdx.x + gridDim.x * (blockIdx.y + 1ull * gridDim.y * blockIdx.z);
  }
  static unsigned long long size() { return num_blocks() * thread_block::size(); }
  static unsigned long long num_threads() { return size(); }
  static unsigned long long thread_rank() {
    return block_rank() * thread_block::size() + device::here.linear;
  }
};
inline grid_group this_grid() { return {}; }

template <class Group>
void sync(const Group& group, Site site = Site::here()) {
  group.sync(site);
}

}  // namespace cooperative_groups
