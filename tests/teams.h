// Counts the parallel regions of this process that had more than one thread, so that a test of
// threads can tell that there were threads.
#pragma once

#include <cstdint>

namespace unroll::testing {

/// Regions so far, or -1 where they cannot be counted: without OpenMP, or with another runtime than
/// g++'s, whose entry the test binary stands before.
std::int64_t teams_started() noexcept;

}  // namespace unroll::testing
