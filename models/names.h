// Values of an enum by their names, for the tables in .cpp files.
//
//   constexpr std::pair<Cell, const char*> kCells[] = {{Cell::tanh, "tanh"}, ...};
//   value_in(kCells, "cell", "tanh")       // throws Error for other names, listing all
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace unroll::detail {

template <class Value, std::size_t count>
const char* name_in(const std::pair<Value, const char*> (&table)[count], Value value) noexcept {
  for (const auto& [v, text] : table)
    if (v == value) return text;
  return "?";
}

template <class Value, std::size_t count>
Value value_in(const std::pair<Value, const char*> (&table)[count], const char* what,
               const std::string& name) {
  std::string all;
  for (const auto& [value, text] : table) {
    if (name == text) return value;
    all += (all.empty() ? "" : ", ") + std::string(text);
  }
  fail(what, "there is no " + name + "; there are: " + all);
}

template <class Value, std::size_t count>
std::vector<Value> values_in(const std::pair<Value, const char*> (&table)[count]) {
  std::vector<Value> values;
  for (const auto& [value, text] : table) values.push_back(value);
  return values;
}

}  // namespace unroll::detail
