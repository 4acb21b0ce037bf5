// What the simulator finds wrong, as an exception and as a kind that tests can ask for.
#pragma once

#include <string>

#include "core/error.h"

namespace unroll::sim {

/// Kinds of reports.
enum class Fault {
  divergent_barrier,  // threads of a block (of a grid) meet at different barriers, or not all come
  divergent_collective,  // lanes of a warp disagree on a collective, its mask, or not all come
  deadlock,              // no thread can run, or all that can only spin
  out_of_bounds,         // beside an allocation or a shared array
  host_pointer,          // a kernel touches memory that is not the device's
  foreign_memory,        // shared memory of another block, a local variable of another thread
  use_after_free,        // an allocation that was given back
  unwritten_read,        // memory that nobody wrote (kernels with checks)
  race,                  // two accesses in no order, one of them a write (kernels with checks)
  async_copy,            // cp.async: misaligned, wrong size, or never waited for
  stack_overflow,        // of one CUDA thread
  misuse,                // a call that CUDA forbids: grid sync without a cooperative launch, ...
  launch_limit,          // more threads, shared memory, ... than the architecture has
};

/// "race", "out of bounds", ...
const char* name(Fault fault) noexcept;

/// Thrown by synchronize() and check(): "sim: race: ... in lstm_step".
class Failure : public Error {
 public:
  Failure(Fault kind, const std::string& what) : Error(what), kind_(kind) {}
  Fault kind() const noexcept { return kind_; }

 private:
  Fault kind_;
};

}  // namespace unroll::sim
