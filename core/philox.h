// The rounds of Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011), for one block or for several side by side.
//
//   std::uint64_t c[4] = {i, 0, stream, 0};
//   philox_rounds(c, key_low, key_high);            // c holds four words of 32 random bits
//
// Word is std::uint64_t, or a vector of them for as many blocks as it has lanes; each holds a
// number of 32 bits. Everything here is inlined, so that hot kernel files and GPUs may use it.
#pragma once

#include <cstdint>

#include "core/export.h"
#include "core/host_device.h"

namespace UNROLL_API unroll {

/// The ten rounds on a block c, four words of 32 bits each held in a Word, under a key of two.
template <class Word>
UNROLL_HOST_DEVICE void philox_rounds(Word (&c)[4], std::uint64_t key_low, std::uint64_t key_high) {
  constexpr std::uint64_t mask = 0xffffffff;
  for (int round = 0; round < 10; round++) {
    const Word a = c[0] * std::uint64_t{0xD2511F53}, b = c[2] * std::uint64_t{0xCD9E8D57};
    c[0] = (b >> 32) ^ c[1] ^ key_low;
    c[1] = b & mask;
    c[2] = (a >> 32) ^ c[3] ^ key_high;
    c[3] = a & mask;
    key_low = (key_low + 0x9E3779B9) & mask;
    key_high = (key_high + 0xBB67AE85) & mask;
  }
}

/// Four random words: plain data for hot kernels.
struct PhiloxBlock {
  std::uint32_t word[4];
};

/// Block `counter` of the random bits of a seed and stream.
UNROLL_HOST_DEVICE PhiloxBlock philox_block(std::uint64_t seed, std::uint64_t stream,
                                            std::uint64_t counter) noexcept {
  constexpr std::uint64_t mask = 0xffffffff;
  std::uint64_t words[4] = {counter & mask, counter >> 32, stream & mask, stream >> 32};
  philox_rounds(words, seed & mask, seed >> 32);
  PhiloxBlock block{};
  for (int i = 0; i < 4; i++) block.word[i] = static_cast<std::uint32_t>(words[i]);
  return block;
}

/// The upper 53 bits of a word as a number in [0, 1).
UNROLL_HOST_DEVICE double unit_of(std::uint64_t word) noexcept {
  return static_cast<double>(word >> 11) * 0x1p-53;
}

/// What Random(seed, stream) draws at this counter as its float64 uniform in [0, 1).
UNROLL_HOST_DEVICE double uniform_at(std::uint64_t seed, std::uint64_t stream,
                                     std::uint64_t counter) noexcept {
  const PhiloxBlock block = philox_block(seed, stream, counter);
  return unit_of(std::uint64_t{block.word[1]} << 32 | block.word[0]);
}

}  // namespace unroll
