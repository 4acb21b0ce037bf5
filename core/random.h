// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011).
//
//   Random random(7);                       // seed 7, stream 0
//   Tensor w = random.normal({3, 4});       // the same for any number of threads
//   Random other(7, 1);                     // an independent stream of the same seed
//
// Element i of a draw is a function of (seed, stream, counter + i) alone. float32 results are the
// float64 ones rounded (uniform: truncated, so that the upper bound is never reached), so a seed
// means the same in both. Numbers are drawn on the host, so that they are equal on every device. A
// Random is a small value; not for sharing between threads.
#pragma once

#include <array>
#include <cstdint>

#include "core/export.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {

/// One block of Philox4x32-10: 128 bits of counter, 64 bits of key.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                    std::array<std::uint32_t, 2> key) noexcept;

/// Four random words: plain data for hot kernels.
struct PhiloxBlock {
  std::uint32_t word[4];
};
/// Block `counter` of the random bits of a seed and stream.
PhiloxBlock philox_block(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter) noexcept;
/// What Random(seed, stream) draws at this counter as its float64 uniform in [0, 1).
double uniform_at(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter) noexcept;

/// A stream of random numbers: seed, stream and the counter of what was drawn.
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0) noexcept
      : seed_(seed), stream_(stream) {}

  /// [low, high). float32 or float64. Throws Error unless low <= high, both finite.
  Tensor uniform(const Shape& shape, double low = 0, double high = 1, Dtype dtype = Dtype::float32,
                 Device device = {});
  /// Normal (Box-Muller). Throws Error unless sd >= 0.
  Tensor normal(const Shape& shape, double mean = 0, double sd = 1, Dtype dtype = Dtype::float32,
                Device device = {});
  /// int64 in low..high-1, bias below 2^-32 for ranges below 2^32. Throws Error unless low < high.
  Tensor integers(const Shape& shape, std::int64_t low, std::int64_t high, Device device = {});
  /// int64 [n]: a uniformly random order of 0..n-1 (Fisher-Yates).
  Tensor permutation(std::int64_t n);

  /// One number, as the tensors' elements.
  double uniform();
  double normal();
  std::int64_t integer(std::int64_t low, std::int64_t high);

  /// Blocks drawn so far. With seed and stream this is the whole state: set it to resume.
  std::uint64_t counter() const noexcept { return counter_; }
  void set_counter(std::uint64_t counter) noexcept { counter_ = counter; }
  std::uint64_t seed() const noexcept { return seed_; }
  std::uint64_t stream() const noexcept { return stream_; }

 private:
  std::array<std::uint64_t, 2> words(std::uint64_t counter) const noexcept;
  template <class F>
  Tensor draw(const Shape& shape, Dtype dtype, Device device, F value);

  std::uint64_t seed_, stream_, counter_ = 0;
};

}  // namespace unroll
