// Numbers of the laboratory as JSON. What is infinite or NaN becomes null, as JSON has neither.
//
//   nlohmann::json all = {{"gain", json_of(gain)}};      // [[0.5, null], ...]
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/tensor.h"
#include "core/view.h"

namespace unroll::cli {

/// Nested arrays of a float64 tensor; null where it is undefined.
inline nlohmann::json json_of(const Tensor& x) {
  if (!x) return nullptr;
  if (x.rank() == 0) return x.item();
  nlohmann::json rows = nlohmann::json::array();
  for (std::int64_t i = 0; i < x.shape()[0]; i++) rows.push_back(json_of(view::select(x, 0, i)));
  return rows;
}

}  // namespace unroll::cli
