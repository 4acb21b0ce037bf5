#include "models/cell.h"

#include "models/names.h"

namespace unroll {
namespace {

constexpr std::pair<Cell, const char*> kCells[] = {{Cell::linear, "linear"},
                                                   {Cell::tanh, "tanh"},
                                                   {Cell::relu, "relu"},
                                                   {Cell::lstm, "lstm"},
                                                   {Cell::gru, "gru"}};

}  // namespace

const char* name(Cell cell) noexcept { return detail::name_in(kCells, cell); }
Cell cell_type(const std::string& name) { return detail::value_in(kCells, "cell", name); }

const std::vector<Cell>& all_cells() {
  static const std::vector<Cell> cells = detail::values_in(kCells);
  return cells;
}

}  // namespace unroll
