// The recurrent cells by name.
//
//   Cell cell = cell_type("gru");
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/export.h"

namespace UNROLL_API unroll {

/// linear, tanh and relu are activations of an RNN.
enum class Cell : std::uint8_t { linear, tanh, relu, lstm, gru };

/// As on the command line. Parsing throws Error, listing all.
const char* name(Cell cell) noexcept;
Cell cell_type(const std::string& name);
const std::vector<Cell>& all_cells();

}  // namespace unroll
