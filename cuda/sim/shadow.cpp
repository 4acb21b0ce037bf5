#include "cuda/sim/shadow.h"

#include <algorithm>

namespace unroll::sim::detail {

void Shadow::reset(std::size_t bytes) {
  pages_.clear();
  pages_.resize((bytes + page - 1) / page);
  written_.assign(bytes, 0);
  for (auto& mark : mark_) mark.clear();
}

bool Shadow::written(std::size_t offset, std::size_t count) const {
  return std::all_of(written_.begin() + std::ptrdiff_t(offset),
                     written_.begin() + std::ptrdiff_t(offset + count),
                     [](std::uint8_t byte) { return byte != 0; });
}

void Shadow::set_written(std::size_t offset, std::size_t count, bool value) {
  std::fill_n(written_.begin() + std::ptrdiff_t(offset), count, std::uint8_t(value));
}

void Shadow::copy_written(std::size_t offset, const Shadow& from, std::size_t from_offset,
                          std::size_t count) {
  const std::vector<std::uint8_t> values(
      from.written_.begin() + std::ptrdiff_t(from_offset),
      from.written_.begin() + std::ptrdiff_t(from_offset + count));
  std::copy(values.begin(), values.end(), written_.begin() + std::ptrdiff_t(offset));
}

Shadow::Page& Shadow::page_at(std::size_t index, bool whole_words) {
  Page& p = pages_[index];
  if (p.cells == nullptr) {
    p.bytes_per_cell = whole_words ? 4 : 1;
    p.cells = std::make_unique<Cell[]>(page / p.bytes_per_cell);
  } else if (p.bytes_per_cell == 4 && !whole_words) {
    auto split = std::make_unique<Cell[]>(page);
    for (std::size_t i = 0; i < page; i++) split[i] = p.cells[i / 4];
    p.cells = std::move(split);
    p.bytes_per_cell = 1;
  }
  return p;
}

std::size_t Shadow::mark(bool write, std::size_t offset, std::size_t count, std::uint32_t launch) {
  auto& marks = mark_[write];
  if (marks.empty()) marks.assign(written_.size(), 0);
  std::size_t fresh = 0;
  for (std::size_t i = offset; i < offset + count; i++) {
    fresh += marks[i] != launch;
    marks[i] = launch;
  }
  return fresh;
}

}  // namespace unroll::sim::detail
