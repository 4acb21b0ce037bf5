// What is remembered of a region's bytes: who wrote and read them last, and whether anybody wrote
// them at all. Private to cuda/sim/*.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace unroll::sim::detail {

/// One access, and when: in which operation of a stream, and there between which barriers.
struct Access {
  std::uint32_t operation = 0;  // 0: none
  std::uint32_t block = 0;
  std::uint32_t clock = 0;  // of the thread, against the others of its warp
  std::uint32_t block_barriers = 0, grid_barriers = 0;
  std::uint16_t thread = 0;
  bool atomic = false;
  std::uintptr_t pc = 0;
};

/// The last accesses to a few bytes, the latest first. Two reads are kept, since one write can race
/// with either; and two writes, since atomics of several threads come in no order.
struct Cell {
  std::array<Access, 2> write, read;
};

/// Cells of a region, made page by page when touched: one for 4 bytes, or one for each byte in
/// pages where a smaller or unaligned access was seen.
class Shadow {
 public:
  static constexpr std::size_t page = 4096;

  /// Nothing is known of `bytes` bytes.
  void reset(std::size_t bytes);

  bool written(std::size_t offset, std::size_t count) const;
  void set_written(std::size_t offset, std::size_t count, bool value);
  void copy_written(std::size_t offset, const Shadow& from, std::size_t from_offset,
                    std::size_t count);

  /// Calls each(cell) for the cells of the bytes.
  template <class Each>
  void for_cells(std::size_t offset, std::size_t count, Each each) {
    while (count > 0) {
      const std::size_t within = offset % page;
      const std::size_t here = count < page - within ? count : page - within;
      const bool whole = within % 4 == 0 && here % 4 == 0;
      Page& p = page_at(offset / page, whole);
      for (std::size_t i = within / p.bytes_per_cell; i * p.bytes_per_cell < within + here; i++)
        each(p.cells[i]);
      offset += here, count -= here;
    }
  }

  /// Distinct bytes counted in this launch: marks the bytes, returns how many were not marked.
  std::size_t mark(bool write, std::size_t offset, std::size_t count, std::uint32_t launch);

 private:
  struct Page {
    std::size_t bytes_per_cell = 4;
    std::unique_ptr<Cell[]> cells;
  };
  Page& page_at(std::size_t index, bool whole_words);

  std::vector<Page> pages_;
  std::vector<std::uint8_t> written_;               // per byte
  std::array<std::vector<std::uint32_t>, 2> mark_;  // per byte: the last launch that counted it
};

}  // namespace unroll::sim::detail
