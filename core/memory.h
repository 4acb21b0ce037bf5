// The process-wide memory pool behind every tensor.
//
//   void* p = memory::allocate(1000);  ...  memory::deallocate(p, 1000);
//   memory::Stats s = memory::stats();  // s.live, s.peak, s.pooled, in bytes
//
// Blocks are 64-byte aligned, in size classes four to the octave (at most 25 % waste), cached per
// thread with a shared centre behind them: a training loop of fixed shapes makes no system call
// after its first steps. Thread-safe. Under AddressSanitizer and ThreadSanitizer every block comes
// straight from the system, so that the pool hides nothing from them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/export.h"

namespace UNROLL_API unroll {
namespace memory {

/// What the pool holds, in bytes, of all threads.
struct Stats {
  std::int64_t live = 0;    // bytes handed out now
  std::int64_t peak = 0;    // largest `live` since the start or the last reset_peak()
  std::int64_t pooled = 0;  // bytes kept for reuse
};

/// At least `bytes` bytes, uninitialised, aligned to 64. Throws Error when the system has no more.
void* allocate(std::size_t bytes);

/// Gives back a block of allocate(bytes), with the same `bytes`.
void deallocate(void* block, std::size_t bytes) noexcept;

/// The figures now; reset_peak() makes the peak what lives now.
Stats stats() noexcept;
void reset_peak() noexcept;

/// Returns to the system what this thread's cache and the centre hold.
void trim() noexcept;

/// For standard containers whose memory shall come from the pool.
template <class T>
struct Allocator {
  /// As the standard asks of an allocator.
  using value_type = T;
  Allocator() = default;
  template <class U>
  Allocator(const Allocator<U>&) noexcept {}
  T* allocate(std::size_t n) { return static_cast<T*>(memory::allocate(n * sizeof(T))); }
  void deallocate(T* p, std::size_t n) noexcept { memory::deallocate(p, n * sizeof(T)); }
  friend bool operator==(Allocator, Allocator) noexcept { return true; }
};

/// A std::vector in memory of the pool.
template <class T>
using Vector = std::vector<T, Allocator<T>>;

}  // namespace memory
}  // namespace unroll
