// Where blocks of a launch come from and go to.
#include <algorithm>

#include "cuda/sim/check.h"
#include "cuda/sim/machine.h"
#include "cuda/sim/meter.h"

namespace unroll::sim::detail {
namespace {

void place_thread(Thread& t, unsigned i, const Launch& launch, uint3 block) {
  const dim3& size = launch.block;
  t.here = {.thread = {i % size.x, i / size.x % size.y, i / size.x / size.y},
            .block = block,
            .block_dim = size,
            .grid_dim = launch.grid,
            .lane = i % warp_lanes,
            .warp = i / warp_lanes,
            .linear = i};
  t.fiber = nullptr;
  t.state = State::fresh;
  t.site = {};
  t.groups.clear();
  t.facts.reset();
}

}  // namespace

bool start_block(std::uint64_t index) {
  Machine& m = machine();
  const Launch& launch = m.work->launch;
  if (m.spare.empty()) m.spare.push_back(std::make_unique<Block>());
  m.live.push_back(std::move(m.spare.back()));
  m.spare.pop_back();
  Block& b = *m.live.back();
  const unsigned threads = launch.block.x * launch.block.y * launch.block.z;
  const uint3 at = {unsigned(index % launch.grid.x),
                    unsigned(index / launch.grid.x % launch.grid.y),
                    unsigned(index / launch.grid.x / launch.grid.y)};
  b.number = ++m.blocks;
  b.threads.resize(threads);
  b.waiting.assign((threads + warp_lanes - 1) / warp_lanes, 0);
  if (kernels_have_checks()) b.clocks.assign(threads, WarpClock{});
  b.ready.clear();
  b.at_barrier = b.done = b.barriers = 0;
  b.static_bytes = 0;
  b.known = {};
  for (unsigned i = 0; i < threads; i++) {
    Thread& t = b.threads[i];
    place_thread(t, i, launch, at);
    t.block = &b;
    if (kernels_have_checks()) b.clocks[i][t.here.lane] = 1;
    b.ready.push_back(&t);
  }
  if (launch.shared > 0) b.dynamic = take_shared(launch.shared, 128, b.number, {launch.name, 0});
  m.row->blocks++, m.row->threads += threads;
  return launch.shared == 0 || b.dynamic != nullptr;
}

void end_block(std::unique_ptr<Block>& block) {
  Block& b = *block;
  if (b.dynamic != nullptr) give_back_shared(b.dynamic);
  for (const SharedArray& array : b.arrays) give_back_shared(array.region);
  b.dynamic = nullptr;
  b.arrays.clear();
  if (machine().options.meter) meter_block_done(b.number);
  machine().spare.push_back(std::move(block));
}

bool end_blocks() {
  auto& live = machine().live;
  const auto done = [](const std::unique_ptr<Block>& b) { return b->done == b->threads.size(); };
  const std::size_t before = live.size();
  // The grid's barriers wait for ended blocks too, in vain.
  if (machine().work->launch.cooperative && !std::all_of(live.begin(), live.end(), done))
    return false;
  for (auto& b : live)
    if (done(b)) end_block(b);
  live.erase(std::remove(live.begin(), live.end(), nullptr), live.end());
  machine().turn = nullptr;
  return live.size() < before;
}

}  // namespace unroll::sim::detail
