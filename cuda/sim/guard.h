// The signal handler behind device memory. Private to cuda/sim/*.cpp.
#pragma once

namespace unroll::sim::detail {

/// From now on an access of a kernel to a closed allocation opens it, any other access that the
/// processor refuses ends the launch, and an access of the host to device memory ends the program
/// with a message. The signal of an unrelated mistake goes on to whoever handled it before.
void install_guard();

}  // namespace unroll::sim::detail
