#include <algorithm>
#include <numeric>

#include "cuda/sim/check.h"
#include "cuda/sim/machine.h"
#include "cuda/sim/meter.h"

namespace unroll::sim::device {

Here here;

}  // namespace unroll::sim::device

namespace unroll::sim::detail {

constinit thread_local Thread* running = nullptr;
constinit thread_local bool Unchecked::on = false;

Machine& machine() {
  static Machine& m = *[] {
    auto* made = new Machine;
    made->options = options_of_environment();
    made->random.seed(made->options.seed);
    return made;
  }();
  return m;
}

namespace {

bool shuffles() { return machine().options.order >= Order::random; }

// ---- Whose turn it is

Block* choose_block() {
  Machine& m = machine();
  Block* chosen = nullptr;
  std::uint64_t found = 0;
  for (const auto& b : m.live) {
    if (b->ready.empty()) continue;
    found++;
    if (chosen == nullptr || (shuffles() && m.random.below(found) == 0)) chosen = b.get();
  }
  return chosen;
}

Thread* take(std::deque<Thread*>& ready) {
  Machine& m = machine();
  const bool last = m.options.order == Order::reverse;
  const std::size_t i = shuffles() ? m.random.below(ready.size()) : last ? ready.size() - 1 : 0;
  Thread* t = ready[i];
  if (shuffles()) std::swap(ready[i], ready.back());
  shuffles() || last ? ready.pop_back() : ready.pop_front();
  return t;
}

// The thread that runs next, or null when none can.
Thread* next_thread() {
  Machine& m = machine();
  constexpr std::uint64_t stay = 64;  // turns that a block keeps on average while others could run
  const bool other_block = shuffles() && m.live.size() > 1 && m.random.below(stay) == 0;
  if (m.turn == nullptr || m.turn->ready.empty() || other_block) m.turn = choose_block();
  return m.turn == nullptr ? nullptr : take(m.turn->ready);
}

void thread_main();

Fiber* idle_fiber() {
  Machine& m = machine();
  if (m.idle.empty()) {
    m.fibers.push_back(std::make_unique<Fiber>(thread_main));
    return m.fibers.back().get();
  }
  Fiber* fiber = m.idle.back();
  m.idle.pop_back();
  return fiber;
}

void activate(Thread& t) {
  running = &t;
  device::here = t.here;
}

void enter(Fiber& from, Thread& t) {
  if (t.fiber == nullptr) t.fiber = idle_fiber();
  activate(t);
  if (t.fiber != &from) switch_fiber(from, *t.fiber);
}

void enter_host(Fiber& from) {
  running = nullptr;
  switch_fiber(from, machine().host);
}

// ---- The life of a thread

void finish(Thread& t) {
  if (!t.copies.empty()) {
    fail(Fault::async_copy,
         [&] { return text(t) + " ends with cp.async copies that it did not wait for"; });
  }
  t.state = State::done;
  t.fiber = nullptr;
  t.block->done++;
  machine().spins = 0;
}

// What every fiber runs: one thread after another. A thread that never waits hands its fiber on to
// the next fresh one without a switch.
void thread_main() {
  Machine& m = machine();
  Fiber& me = *running->fiber;
  for (;;) {
    Thread& t = *running;
    t.state = State::ready;
    m.work->run(m.work->arguments.get());
    finish(t);
    Thread* next = next_thread();
    if (next != nullptr && next->fiber == nullptr) {
      next->fiber = &me;
      activate(*next);
      continue;
    }
    m.idle.push_back(&me);
    next != nullptr ? enter(me, *next) : enter_host(me);
  }
}

// ---- Launches

// After a report the threads stay where they were: their stacks are used anew.
void abandon() {
  Machine& m = machine();
  for (auto& b : m.live) {
    for (Thread& t : b->threads) {
      t.copies.clear();
      t.groups.clear();
      if (t.fiber == nullptr) continue;
      t.fiber->restart();
      m.idle.push_back(t.fiber);
    }
    end_block(b);
  }
  m.live.clear();
}

std::vector<std::uint64_t> order_of_blocks(std::uint64_t count) {
  Machine& m = machine();
  std::vector<std::uint64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  if (m.options.order == Order::reverse) std::reverse(order.begin(), order.end());
  for (std::uint64_t i = count; shuffles() && i > 1; i--)
    std::swap(order[i - 1], order[m.random.below(i)]);
  return order;
}

void run_blocks(const Launch& launch) {
  Machine& m = machine();
  const auto order = order_of_blocks(std::uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z);
  constexpr std::uint64_t most_at_once = 4;  // blocks that take turns in a shuffled launch
  const std::uint64_t at_once = launch.cooperative ? order.size()
                                : shuffles()       ? 1 + m.random.below(most_at_once)
                                                   : 1;
  std::size_t started = 0;
  while (!m.report && (started < order.size() || !m.live.empty())) {
    while (m.live.size() < at_once && started < order.size())
      if (!start_block(order[started++]))
        return note(Fault::launch_limit, "the system has no memory for a shared array");
    if (Thread* t = next_thread())
      enter(m.host, *t);
    else if (!end_blocks())
      note_stuck();
  }
}

}  // namespace

void run_work(const Work& work) {
  Machine& m = machine();
  // A fiber must not go on in another thread: it may remember where `running` was in the first.
  const auto me = std::this_thread::get_id();
  if (m.runner != me)
    for (Fiber* fiber : m.idle) fiber->restart();
  m.runner = me;
  m.work = &work;
  m.row = &meter_row(work.launch.name);
  m.row->launches++;
  m.turn = nullptr;
  m.at_grid = 0;
  m.grid_barriers++;
  m.spins = 0;
  meter_launch();
  forget_facts();
  run_blocks(work.launch);
  abandon();
  m.work = nullptr;
}

void wake(Thread& thread) {
  thread.state = State::ready;
  thread.block->ready.push_back(&thread);
}

void suspend() {
  Fiber& from = *running->fiber;
  if (Thread* next = next_thread())
    enter(from, *next);
  else
    enter_host(from);
}

void leave() {
  enter_host(*running->fiber);
  __builtin_unreachable();
}

namespace {

// Lets all others come first that can run, those of other blocks too where `far` says so.
void stand_back(bool far) {
  Machine& m = machine();
  Block& mine = *running->block;
  running->state = State::ready;
  if (m.options.order == Order::reverse)
    mine.ready.push_front(running);
  else
    mine.ready.push_back(running);
  const auto is_mine = [&](const std::unique_ptr<Block>& b) { return b.get() == &mine; };
  const auto can_run = [](const std::unique_ptr<Block>& b) { return !b->ready.empty(); };
  if (far) {
    std::rotate(m.live.begin(), std::find_if(m.live.begin(), m.live.end(), is_mine) + 1,
                m.live.end());
    m.turn = std::find_if(m.live.begin(), m.live.end(), can_run)->get();
  }
  suspend();
}

}  // namespace

void preempt() {
  const Options& o = machine().options;
  if (o.order != Order::preempt || machine().random.below(std::uint64_t(o.preempt_one_in)) != 0)
    return;
  stand_back(false);
}

}  // namespace unroll::sim::detail

namespace unroll::sim::device {

using namespace detail;

void yield() {
  // A thread that does nothing but ask whether others went on must let them.
  constexpr std::uint64_t patience = 256, hopeless = std::uint64_t{1} << 20;
  if (++machine().spins > hopeless) {
    fail(Fault::deadlock,
         [] { return "threads only wait in loops, " + text(*running) + " among them"; });
  }
  if (machine().spins < patience) return preempt();
  stand_back(true);
}

}  // namespace unroll::sim::device
