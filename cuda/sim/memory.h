// The memory that kernels may touch: allocations of the device and shared arrays of blocks, each in
// pages of its own between two guard pages. Private to cuda/sim/*.cpp.
//
// An allocation is closed (PROT_NONE) while the host runs. The first access of a kernel opens it,
// by way of the signal handler in guard.cpp; all are closed again when the host goes on. Freed
// allocations stay mapped, closed, so that a late access finds them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "cuda/sim/shadow.h"
#include "cuda/sim/site.h"

namespace unroll::sim::detail {

struct Region {
  enum class Kind : std::uint8_t { device, shared };
  static constexpr std::size_t page = 4096, guard = 64 << 10;

  Kind kind;
  bool open = true, freed = false;
  unsigned char* pages = nullptr;  // between the guards
  std::size_t page_bytes = 0;
  unsigned char* begin = nullptr;  // what was asked for, at the end of the pages
  std::size_t bytes = 0;
  std::uint32_t block = 0;  // whose shared array
  Site site;                // where it was allocated
  Shadow shadow;

  bool holds(std::uintptr_t address, std::size_t count) const {
    const auto first = reinterpret_cast<std::uintptr_t>(begin);
    return address >= first && address - first + count <= bytes;
  }
  std::size_t offset(std::uintptr_t address) const {
    return address - reinterpret_cast<std::uintptr_t>(begin);
  }
};

/// The region whose pages or guards hold the address, or null.
Region* region_at(std::uintptr_t address) noexcept;
inline Region* region_at(const void* p) noexcept {
  return region_at(reinterpret_cast<std::uintptr_t>(p));
}

/// A shared array, 0xff throughout; reused between blocks.
Region* take_shared(std::size_t bytes, std::size_t alignment, std::uint32_t block, Site site);
void give_back_shared(Region* region);

void open(Region& region);
/// Closes every open allocation; notes a write beside one.
void close_all();
/// Notes a write beside the region.
void check_slack(const Region& region);

/// "an allocation of 400 bytes (file:line)"
std::string text(const Region& region);

}  // namespace unroll::sim::detail
