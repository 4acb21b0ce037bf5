// Limits of GPU architectures, as the CUDA programming guide lists them under "technical
// specifications per compute capability".
//
//   set_arch(*find_arch("sm_90"));           // or the environment: UNROLL_SIM_ARCH=sm_90
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace unroll::sim {

/// What a launch may ask for. Sizes in bytes.
struct Arch {
  const char* name;
  int multiprocessors;             // of the largest card
  int threads_per_multiprocessor;  // resident at once
  int blocks_per_multiprocessor;
  std::int64_t registers_per_multiprocessor;
  std::size_t shared_per_multiprocessor;
  std::size_t shared_per_block;  // static and dynamic together
};

inline constexpr int warp_lanes = 32;
inline constexpr int threads_per_block = 1024;
inline constexpr std::size_t static_shared_per_block = 48 << 10;
inline constexpr std::size_t reserved_shared_per_block = 1 << 10;  // what the system takes

/// By name: sm_80, sm_90, sm_100, sm_120.
std::optional<Arch> find_arch(std::string_view name) noexcept;

/// Blocks of so many threads, shared bytes and registers per thread (0: not known) that one
/// multiprocessor holds at once.
int resident_blocks(const Arch& arch, int threads, std::size_t shared, int registers = 0) noexcept;

}  // namespace unroll::sim
