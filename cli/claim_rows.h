// Rows of claims, for people and for machines.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "inversion/claims.h"

namespace unroll::cli {

/// A paragraph for each row, and how many pass.
std::string text_of(const ClaimRows& rows);
/// An array of {"claim", "setup", "expected", "measured", "tolerance", "pass"}.
nlohmann::json json_of(const ClaimRows& rows);

/// Calls measure(context) with the claims' progress shown on stderr and Ctrl-C as its stop; what it
/// says it is doing becomes a line there.
void with_claims(std::uint64_t seed, const std::function<void(const ClaimContext&)>& measure);

}  // namespace unroll::cli
