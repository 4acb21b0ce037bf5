// Ctrl-C as a wish, not a blow: the first SIGINT, SIGTERM or SIGHUP asks the work to save and
// stop, a second SIGINT or SIGTERM kills the process at once.
#pragma once

#include <atomic>

namespace unroll::cli {

/// Installs the handlers. What it returns becomes true with the first signal.
const std::atomic<bool>* stop_on_signals();

/// Writing into a pipe without a reader becomes an error that print() swallows, and a standard
/// stream that is closed leads nowhere: else the next file opened would take its place.
void guard_streams();

}  // namespace unroll::cli
