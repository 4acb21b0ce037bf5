#include "cuda/sim/knowledge.h"

#include <algorithm>
#include <bit>

#include "cuda/sim/machine.h"

namespace unroll::sim::detail {
namespace {

std::map<std::uintptr_t, Knowledge>& left_at() {
  static auto& all = *new std::map<std::uintptr_t, Knowledge>;
  return all;
}

Facts& facts(Thread& t) {
  if (t.facts == nullptr) t.facts = std::make_unique<Facts>();
  return *t.facts;
}

template <class Map>
void raise(Map& to, const Map& from) {
  for (const auto& [key, value] : from) {
    auto& mine = to[key];
    mine = std::max(mine, value);
  }
}

}  // namespace

void Knowledge::join(const Knowledge& other) {
  raise(barriers, other.barriers);
  raise(clocks, other.clocks);
}

bool Knowledge::covers(const Access& access) const {
  const auto block = barriers.find(access.block);
  if (block != barriers.end() && access.block_barriers < block->second) return true;
  const auto thread = clocks.find({access.block, access.thread});
  return thread != clocks.end() && access.clock <= thread->second;
}

void gather_facts() {
  Thread& t = *running;
  Block& b = *t.block;
  Facts& f = facts(t);
  f.known.join(f.picked);
  f.picked = {};
  f.fenced = b.known;
  f.fenced.join(f.known);
  const WarpClock& seen = b.clocks[t.here.linear];
  f.fenced.barriers[b.number] = b.barriers;
  for (unsigned lane = 0; lane < warp_lanes; lane++)
    f.fenced.clocks[{b.number, std::uint16_t(t.here.warp * warp_lanes + lane)}] = seen[lane];
  b.clocks[t.here.linear][t.here.lane]++;  // what comes now is not before the fence
}

void pass_facts(std::uintptr_t address) {
  Thread& t = *running;
  const auto found = left_at().find(address);
  if (found != left_at().end()) facts(t).picked.join(found->second);
  if (t.facts != nullptr) left_at()[address].join(t.facts->fenced);
}

void spread_facts(Block& block) {
  for (Thread& t : block.threads) {
    if (t.facts == nullptr) continue;
    block.known.join(t.facts->known);
    t.facts->known = {};
  }
}

void spread_facts(Thread* lanes, unsigned mask) {
  Knowledge all;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1)
    if (const auto& f = lanes[std::countr_zero(rest)].facts) all.join(f->known);
  if (all.barriers.empty()) return;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1)
    facts(lanes[std::countr_zero(rest)]).known.join(all);
}

void forget_facts() { left_at().clear(); }

bool known(const Access& access) {
  const Thread& t = *running;
  return t.block->known.covers(access) || (t.facts != nullptr && t.facts->known.covers(access));
}

}  // namespace unroll::sim::detail
