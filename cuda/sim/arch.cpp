#include "cuda/sim/arch.h"

#include <algorithm>

namespace unroll::sim {
namespace {

constexpr std::size_t KiB = 1024;
constexpr Arch archs[] = {
    {"sm_80", 108, 2048, 32, 65536, 164 * KiB, 163 * KiB},
    {"sm_90", 132, 2048, 32, 65536, 228 * KiB, 227 * KiB},
    {"sm_100", 148, 2048, 32, 65536, 228 * KiB, 227 * KiB},
    {"sm_120", 170, 1536, 24, 65536, 100 * KiB, 99 * KiB},
};

// Registers are handed to warps in lots of 256, shared memory to blocks in lots of 128 bytes.
constexpr std::int64_t round_up(std::int64_t n, std::int64_t lot) {
  return (n + lot - 1) / lot * lot;
}

}  // namespace

std::optional<Arch> find_arch(std::string_view name) noexcept {
  for (const Arch& arch : archs)
    if (name == arch.name) return arch;
  return std::nullopt;
}

int resident_blocks(const Arch& arch, int threads, std::size_t shared, int registers) noexcept {
  if (threads <= 0) return 0;
  const std::int64_t warps = (threads + warp_lanes - 1) / warp_lanes;
  std::int64_t blocks = std::min<std::int64_t>(
      arch.blocks_per_multiprocessor, arch.threads_per_multiprocessor / (warps * warp_lanes));
  const std::int64_t taken = round_up(std::int64_t(shared + reserved_shared_per_block), 128);
  blocks = std::min(blocks, std::int64_t(arch.shared_per_multiprocessor) / taken);
  if (registers > 0)
    blocks = std::min(
        blocks, arch.registers_per_multiprocessor / round_up(warp_lanes * registers, 256) / warps);
  return static_cast<int>(blocks);
}

}  // namespace unroll::sim
