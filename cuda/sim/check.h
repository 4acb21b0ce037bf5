// Checks of single accesses of kernels, and their count. Private to cuda/sim/*.cpp.
//
// Kernels compiled with -fsanitize=thread call __tsan_read4 and its kin at every access; hooks.cpp
// takes these instead of libtsan and hands them on to here. The functions of device.h do the same
// for what they touch on behalf of a kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/sim/shadow.h"
#include "cuda/sim/sim.h"

namespace unroll::sim::detail {

struct Region;
struct Thread;

enum class Touch : std::uint8_t { read, write, atomic };

/// An access of the running CUDA thread: bounds, owner, unwritten bytes, races, and the meter.
/// Does nothing on the host. Ends the launch when something is wrong.
void check_access(std::uintptr_t address, std::size_t bytes, Touch touch, std::uintptr_t pc);

/// The same for memcpy and memset, whose bounds were checked; notes a race.
void check_host_access(Region& region, std::size_t offset, std::size_t bytes, Touch touch);

/// Set by hooks.cpp when a program with such kernels starts.
void announce_checks() noexcept;

/// A step of a stream's queue, and what it comes after.
using StreamClock = std::vector<std::uint64_t>;  // per stream: its last step that was seen
void begin_operation(int stream, const StreamClock& clock, const char* name);

}  // namespace unroll::sim::detail
