#include "cuda/sim/check.h"

#include <dlfcn.h>

#include "cuda/sim/machine.h"
#include "cuda/sim/meter.h"

namespace unroll::sim::detail {
namespace {

struct Operation {
  int stream;
  std::uint64_t step;
  const char* name;
};

bool with_checks = false;
std::vector<Operation> operations(1);  // number 0 is none
StreamClock now_clock;

// Constants and other data of the program and its libraries.
bool in_module(std::uintptr_t address) {
  static std::array<std::uintptr_t, 64> known{};
  const std::uintptr_t page = address / Region::page;
  std::uintptr_t& slot = known[page % known.size()];
  Dl_info info;
  if (slot != page && dladdr(reinterpret_cast<void*>(address), &info) == 0) return false;
  slot = page;
  return true;
}

bool in_arguments(std::uintptr_t address, std::size_t bytes) {
  const auto first = reinterpret_cast<std::uintptr_t>(machine().work->arguments.get());
  return address >= first && address - first + bytes <= machine().work->argument_bytes;
}

// Memory that is neither the device's nor shared: constants and the launch's arguments are all
// right.
void check_elsewhere(std::uintptr_t address, std::size_t bytes, Touch touch, std::uintptr_t pc) {
  if (touch == Touch::read && in_arguments(address, bytes)) return;
  if (in_module(address)) return;
  for (const auto& fiber : machine().fibers) {
    if (!fiber->owns(address)) continue;
    fail(
        Fault::foreign_memory,
        [] { return text(*running) + " touches a local variable of another thread"; }, pc);
  }
  fail(
      Fault::host_pointer, [] { return text(*running) + " touches memory of the host"; }, pc);
}

const char* verb(Touch touch) {
  return touch == Touch::read ? "reads" : touch == Touch::write ? "writes" : "changes";
}

void check_region(const Region& r, std::uintptr_t address, std::size_t bytes, Touch touch,
                  std::uintptr_t pc) {
  const auto wrong = [&](Fault fault, const char* which) {
    const auto words = [&] {
      return text(*running) + " " + verb(touch) + " " + std::to_string(bytes) + " bytes at byte " +
             std::to_string(std::ptrdiff_t(r.offset(address))) + " of " + text(r) + which;
    };
    fail(fault, words, pc);
  };
  if (r.freed) wrong(Fault::use_after_free, ", which was freed");
  if (!r.holds(address, bytes)) wrong(Fault::out_of_bounds, "");
  if (r.kind == Region::Kind::shared && r.block != running->block->number)
    wrong(Fault::foreign_memory, " of another block");
  if (touch != Touch::write && !r.shadow.written(r.offset(address), bytes))
    wrong(Fault::unwritten_read, ", which nobody wrote");
}

Access access_now(Touch touch, std::uintptr_t pc) {
  Access a{.operation = std::uint32_t(operations.size() - 1),
           .atomic = touch == Touch::atomic,
           .pc = pc};
  if (const Thread* t = running) {
    a.block = t->block->number, a.thread = std::uint16_t(t->here.linear);
    a.clock = t->block->clocks[t->here.linear][t->here.lane];
    a.block_barriers = t->block->barriers, a.grid_barriers = machine().grid_barriers;
  }
  return a;
}

std::string text(const Access& a) {
  const std::string who = operations[a.operation].name;
  return a.pc == 0 ? who : who + " by thread " + std::to_string(a.thread) + " of its block";
}

void note_race(const Access& before, const Access& now, const char* kinds) {
  const Unchecked own;
  note(Fault::race, std::string(kinds) + ": " + text(now) + " against " + text(before), now.pc,
       before.pc);
}

// Unless the two can happen in any order; `now` is the running thread's.
bool ordered(const Access& before, const Access& now) {
  if (before.operation == 0) return true;
  if (before.operation != now.operation) {
    const Operation& op = operations[before.operation];
    return std::size_t(op.stream) < now_clock.size() &&
           now_clock[std::size_t(op.stream)] >= op.step;
  }
  if (before.grid_barriers != now.grid_barriers) return true;
  if (before.block != now.block) return known(before);
  if (before.thread == now.thread || before.block_barriers != now.block_barriers) return true;
  if (before.thread / warp_lanes != now.thread / warp_lanes) return known(before);
  return running->block->clocks[now.thread][before.thread % warp_lanes] >= before.clock;
}

// Puts an access in the place of one that it follows; else of the older.
void remember(std::array<Access, 2>& last, const Access& now) {
  const bool follows = ordered(last[0], now);
  if (!follows) last[1] = last[0];
  last[0] = now;
  if (follows && ordered(last[1], now)) last[1] = {};
}

// Returns false after a race.
bool update(Cell& cell, const Access& now, Touch touch) {
  const bool reads = touch == Touch::read;
  const auto sound = [&](const std::array<Access, 2>& last, const char* kinds) {
    for (const Access& before : last) {
      if (ordered(before, now) || (before.atomic && now.atomic)) continue;
      note_race(before, now, kinds);
      return false;
    }
    return true;
  };
  if (!sound(cell.write, reads ? "read after write" : "write after write")) return false;
  if (!reads && !sound(cell.read, "write after read")) return false;
  remember(reads ? cell.read : cell.write, now);
  return true;
}

bool update(Region& r, std::size_t offset, std::size_t bytes, Touch touch, std::uintptr_t pc) {
  const Access now = access_now(touch, pc);
  bool sound = true;
  r.shadow.for_cells(offset, bytes, [&](Cell& cell) { sound = sound && update(cell, now, touch); });
  if (touch != Touch::read) r.shadow.set_written(offset, bytes, true);
  return sound;
}

}  // namespace

void check_access(std::uintptr_t address, std::size_t bytes, Touch touch, std::uintptr_t pc) {
  Thread* t = running;
  if (t == nullptr || Unchecked::on || bytes == 0 || t->fiber->owns(address)) return;
  const auto here = reinterpret_cast<std::uintptr_t>(&device::here);
  if (address - here < sizeof(device::here)) return;
  preempt();
  Region* r = region_at(address);
  if (r == nullptr) return check_elsewhere(address, bytes, touch, pc);
  check_region(*r, address, bytes, touch, pc);
  if (!update(*r, r->offset(address), bytes, touch, pc)) leave();
  if (machine().options.meter) meter_access(*r, address, bytes, touch, pc);
}

void check_host_access(Region& region, std::size_t offset, std::size_t bytes, Touch touch) {
  if (kernels_have_checks()) update(region, offset, bytes, touch, 0);
}

void announce_checks() noexcept { with_checks = true; }

void begin_operation(int stream, const StreamClock& clock, const char* name) {
  now_clock = clock;
  if (with_checks) operations.push_back({stream, clock[std::size_t(stream)], name});
}

}  // namespace unroll::sim::detail

namespace unroll::sim {

bool kernels_have_checks() noexcept { return detail::with_checks; }

}  // namespace unroll::sim
