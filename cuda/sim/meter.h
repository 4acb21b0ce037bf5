// Counts memory traffic by warp: the accesses of a warp's lanes to one place of the program, each
// lane for the same time, are one request. Private to cuda/sim/*.cpp.
//
// Global memory moves in sectors of 32 bytes: a request costs the sectors that its lanes touch.
// Shared memory has 32 banks of 4 bytes: a request takes as many turns as the most different words
// that fall into one bank, in 2 (4) parts where a lane asks for 8 (16) bytes.
#pragma once

#include <cstdint>

#include "cuda/sim/check.h"
#include "cuda/sim/sim.h"

namespace unroll::sim::detail {

/// The row of a kernel.
KernelMeter& meter_row(const char* kernel);

/// Counts an access of the running thread.
void meter_access(Region& region, std::uintptr_t address, std::size_t bytes, Touch touch,
                  std::uintptr_t pc);

/// A launch begins: bytes are again touched for the first time.
void meter_launch();
/// The requests of a block that has ended, those of fewer than 32 lanes included, are complete.
void meter_block_done(std::uint32_t block);

}  // namespace unroll::sim::detail
