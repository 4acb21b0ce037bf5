// The process and its surroundings. Ctrl-C as a wish, not a blow: the first SIGINT, SIGTERM or
// SIGHUP asks the work to save and stop, a second SIGINT or SIGTERM kills the process at once.
#pragma once

#include <atomic>

namespace unroll::cli {

/// Installs the handlers. What it returns becomes true with the first signal.
const std::atomic<bool>* stop_on_signals();

/// Writing into a pipe without a reader becomes an error that print() swallows, and a standard
/// stream that is closed leads nowhere: else the next file opened would take its place.
void guard_streams();

/// Whether guard_streams() found stdout closed.
bool stdout_was_closed() noexcept;

/// Lets OpenMP's threads sleep while they wait, unless the environment says otherwise: spinning,
/// which is the default of GCC's library, slows training down up to 70 times where other programs
/// use the same processors. The library reads its environment before main() begins, so the program
/// starts itself once more, with the same process id. Nothing happens where that cannot be.
void sleep_while_waiting(char** argv);

}  // namespace unroll::cli
