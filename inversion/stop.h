// The wish to stop, looked at between the parts of a long inversion. Private to inversion/.
#pragma once

#include <atomic>

#include "core/error.h"

namespace unroll::detail {

/// Throws Error once *stop is true; null: never.
inline void stop_if(const std::atomic<bool>* stop) {
  if (stop && *stop) fail("invert", "stopped before the end");
}

}  // namespace unroll::detail
