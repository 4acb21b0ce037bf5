// The claims of the laboratory: quantities whose values are known, measured again by the code that
// users run. Each row is one claim; `unroll study claims` shows them all.
//
//   ClaimRows rows = certify_claims({.seed = 1});      // inversion/claims_certify.h
//
// Rows are the same for the same seed and any number of threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/export.h"

namespace UNROLL_API unroll {

struct ClaimRow {
  int claim;
  std::string setup, expected, measured, tolerance;
  bool pass;
};
using ClaimRows = std::vector<ClaimRow>;

struct ClaimContext {
  std::uint64_t seed = 1;
  std::function<void(const std::string&)> progress;  // what is being measured; may be empty
  const std::atomic<bool>* stop = nullptr;           // true: the work ends with Error
};

}  // namespace unroll
