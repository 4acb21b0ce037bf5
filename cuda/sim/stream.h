// Queues of work. Private to cuda/sim/*.cpp.
#pragma once

#include <functional>

#include "cuda/sim/sim.h"

namespace unroll::sim::detail {

/// Puts a step at the end of a stream's queue; `name` outlives it. Notes a misuse for a stream that
/// is not there.
void queue_step(const Stream& stream, const char* name, std::function<void()> run);

}  // namespace unroll::sim::detail
