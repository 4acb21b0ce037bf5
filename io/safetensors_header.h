// The JSON header of a safetensors file, both ways. For io/safetensors.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "io/safetensors.h"

namespace unroll::detail {

/// Parses and checks a header against the `data` bytes that follow it. Where it is malformed,
/// `error` says why (one line) and the list means nothing.
SafetensorsList parse_safetensors_header(std::string_view text, std::uint64_t data,
                                         std::string& error);

/// The header's text, unpadded. `error` is set where a name or text is not UTF-8.
std::string safetensors_header(const SafetensorsList& list, std::string& error);

}  // namespace unroll::detail
