// What a thread knows to have happened in other threads of its launch by way of flags. Private to
// cuda/sim/*.cpp; for kernels with checks.
//
// A fence (__threadfence) gathers what came before it in the thread; an atomic operation leaves
// that at its address; an atomic operation of another thread picks it up, and that thread's next
// fence makes it known. Barriers of the block and collectives of the warp spread what is known.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "cuda/sim/shadow.h"

namespace unroll::sim::detail {

struct Block;
struct Thread;

struct Knowledge {
  std::map<std::uint32_t, std::uint32_t> barriers;  // block: what it did before so many barriers
  std::map<std::pair<std::uint32_t, std::uint16_t>, std::uint32_t> clocks;  // thread: up to a clock

  void join(const Knowledge& other);
  bool covers(const Access& access) const;
};

/// Of one thread.
struct Facts {
  Knowledge known;   // since the last barrier of the block, which takes it over
  Knowledge fenced;  // what its atomic operations leave
  Knowledge picked;  // by atomic operations since the last fence
};

/// The fence of the running thread.
void gather_facts();
/// Its atomic operation at the address: picks up, then leaves.
void pass_facts(std::uintptr_t address);

/// A barrier of the block, a collective of the lanes of a warp, the start of a launch.
void spread_facts(Block& block);
void spread_facts(Thread* lanes, unsigned mask);
void forget_facts();

/// Whether the running thread knows that the access has happened.
bool known(const Access& access);

}  // namespace unroll::sim::detail
