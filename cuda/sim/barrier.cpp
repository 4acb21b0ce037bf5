// Barriers of a block and of the grid.
#include "cuda/sim/machine.h"

namespace unroll::sim::detail {
namespace {

void wait_at(Thread& t, State state, Site site) {
  t.state = state;
  t.site = site;
}

void require_same_barrier(const Block& b, const Thread& last) {
  for (const Thread& t : b.threads) {
    if (t.site == last.site && t.vote == last.vote) continue;
    fail(Fault::divergent_barrier, [&] {
      return "threads of one block meet at different barriers, " + text(t) + " at " + text(t.site) +
             " and " + text(last) + " at " + text(last.site);
    });
  }
}

int voted(const Block& b, device::Vote vote) {
  int sum = 0;
  for (const Thread& t : b.threads) sum += t.predicate;
  if (vote == device::Vote::all) return sum == int(b.threads.size());
  return vote == device::Vote::any ? sum > 0 : sum;
}

void release(Block& b, device::Vote vote) {
  const int result = voted(b, vote);
  b.at_barrier = 0;
  spread_facts(b);
  b.barriers++;
  machine().row->block_barriers++;
  machine().spins = 0;
  for (Thread& t : b.threads) {
    t.predicate = result;
    wake(t);
  }
}

}  // namespace
}  // namespace unroll::sim::detail

namespace unroll::sim::device {

using namespace detail;

int block_barrier(Vote vote, bool predicate, Site site) {
  Thread& t = *running;
  Block& b = *t.block;
  wait_at(t, State::at_block, site);
  t.vote = vote;
  t.predicate = predicate;
  if (++b.at_barrier == b.threads.size()) {
    require_same_barrier(b, t);
    release(b, vote);
  }
  suspend();
  return t.predicate;
}

bool launched_cooperatively() { return machine().work->launch.cooperative; }

void grid_barrier(Site site) {
  if (!launched_cooperatively()) misuse("grid.sync() in a launch that is not cooperative", site);
  Machine& m = machine();
  wait_at(*running, State::at_grid, site);
  std::size_t all = 0;
  for (const auto& b : m.live) all += b->threads.size();
  if (++m.at_grid == all) {
    m.at_grid = 0;
    m.grid_barriers++;
    m.row->grid_barriers++;
    m.spins = 0;
    for (const auto& b : m.live)
      for (Thread& t : b->threads) wake(t);
  }
  suspend();
}

}  // namespace unroll::sim::device
