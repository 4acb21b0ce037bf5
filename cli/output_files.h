// The files that a command writes, looked at before its work begins.
//
//   check_output_files("invert", {{"--out", out}, {"--json", json}}, {weights, outputs});
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace unroll::cli {

/// Options and the paths that they were given; empty: not asked for.
using OutputFiles = std::vector<std::pair<const char*, std::string>>;

/// Whether two paths lead to one file, that need not be there yet.
bool is_same_file(const std::string& a, const std::string& b);

/// Throws UsageError where a file would be written over one of `inputs` or over another output, and
/// Error where it cannot be written. Leaves nothing behind.
void check_output_files(const char* command, const OutputFiles& outputs,
                        const std::vector<std::string>& inputs);

}  // namespace unroll::cli
