// The state of the simulator: the running launch with its blocks and threads, and the way from one
// thread to the next. Private to cuda/sim/*.cpp.
//
// A CUDA thread is a fiber from its first wait on; threads that never wait run one after another on
// the same one. A thread leaves by suspend(), which goes straight to the next thread that can run;
// the host's own stack is entered only when none can.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cuda/sim/fiber.h"
#include "cuda/sim/knowledge.h"
#include "cuda/sim/launch.h"
#include "cuda/sim/memory.h"

namespace unroll::sim::detail {

enum class State : std::uint8_t { fresh, ready, at_block, at_warp, at_grid, done };

struct Block;
struct Thread;

/// What a lane brings to a collective of its warp: pointers into its stack, where it waits.
struct Request {
  void (*combine)(Thread* lanes, unsigned mask) = nullptr;  // fills the results of all lanes
  const void* in = nullptr;
  void* out = nullptr;
  int argument = 0;
};

struct AsyncCopy {
  unsigned char* to;
  const unsigned char* from;
  unsigned bytes, zeros;
};

struct Thread {
  device::Here here;
  Block* block = nullptr;
  Fiber* fiber = nullptr;
  State state = State::fresh;
  Site site;  // where it waits
  unsigned mask = 0;
  Request request;
  device::Vote vote = device::Vote::none;
  int predicate = 0;  // its own, then the result
  std::vector<AsyncCopy> copies;
  std::vector<std::size_t> groups;  // copies up to the end of each committed group
  std::unique_ptr<Facts> facts;     // with checks, once it has fenced or picked something up
};

struct SharedArray {
  const void* tag;
  Region* region;
};

/// For each lane of a warp, how far it has seen each other lane run: orders accesses between
/// barriers of the block.
using WarpClock = std::array<std::uint32_t, warp_lanes>;

struct Block {
  std::uint32_t number = 0;  // never used twice
  std::vector<Thread> threads;
  std::vector<unsigned> waiting;  // per warp: lanes at a collective
  std::vector<WarpClock> clocks;  // per thread; for kernels with checks
  Knowledge known;
  std::deque<Thread*> ready;
  std::vector<SharedArray> arrays;
  Region* dynamic = nullptr;
  std::size_t static_bytes = 0;
  unsigned at_barrier = 0, done = 0;
  std::uint32_t barriers = 0;  // passed so far
};

struct Report {
  Fault fault;
  std::string what;
  std::uintptr_t pc = 0, other_pc = 0;  // named by file and line when it is thrown
};

class Xorshift {
 public:
  void seed(std::uint64_t seed) {
    state_ = seed * 0x9E3779B97F4A7C15u ^ 0x2545F4914F6CDD1Du;
    if (state_ == 0) state_ = 1;
    for (int i = 0; i < 4; i++) below(2);
  }
  std::uint64_t below(std::uint64_t n) {
    state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
    return (state_ >> 11) % n;
  }

 private:
  std::uint64_t state_ = 1;
};

struct Machine {
  std::recursive_mutex mutex;
  Options options;
  Xorshift random;
  std::optional<Report> report;

  const Work* work = nullptr;  // the launch that runs
  KernelMeter* row = nullptr;  // and its row of the meter
  std::vector<std::unique_ptr<Block>> live, spare;
  Block* turn = nullptr;  // whose threads come first
  Fiber host;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Fiber*> idle;
  std::thread::id runner;  // the host's thread that ran the last launch
  std::size_t at_grid = 0;
  std::uint32_t grid_barriers = 0;  // passed so far, in all launches
  std::uint32_t blocks = 0;         // numbers given
  std::uint64_t spins = 0;          // fences and atomics since anything changed
};
Machine& machine();

/// The CUDA thread that this thread of the host runs, or null.
extern constinit thread_local Thread* running;

/// Runs a launch to its end or to a report.
void run_work(const Work& work);

/// Makes block `index` of the running launch resident; false if the system has no memory for it.
bool start_block(std::uint64_t index);
/// Gives back what a block holds.
void end_block(std::unique_ptr<Block>& block);
/// Ends the blocks whose threads have all ended; whether there were any.
bool end_blocks();

/// Leaves the running thread, whose state says what it waits for, until it is ready again.
void suspend();
/// In Order::preempt, now and then lets another thread come first.
void preempt();
/// Puts a thread in the queue of those that can run.
void wake(Thread& thread);

/// Keeps the first report of a launch.
void note(Fault fault, std::string what, std::uintptr_t pc = 0, std::uintptr_t other_pc = 0);
/// Ends the launch from within a CUDA thread; nothing on any thread's stack is destroyed, so the
/// caller must hold nothing either.
[[noreturn]] void leave();

/// While one lives, no access is checked. Put around the simulator's own work with strings in a
/// CUDA thread: the linker keeps one copy of std::string's functions, and it may be one that was
/// compiled with the kernels, whose accesses are checked.
class Unchecked {
 public:
  Unchecked() noexcept { on = true; }
  ~Unchecked() { on = false; }
  Unchecked(const Unchecked&) = delete;
  Unchecked& operator=(const Unchecked&) = delete;

  static constinit thread_local bool on;
};

/// Notes a fault of the running thread, told by words(), and ends the launch.
template <class Words>
[[noreturn]] void fail(Fault fault, const Words& words, std::uintptr_t pc = 0) {
  {
    const Unchecked own;
    note(fault, words(), pc);
  }
  leave();
}

std::string text(const Site& site);
/// "thread (3,0,0) of block (1,0,0)"
std::string text(const Thread& thread);
std::string text(const dim3& size);
/// File and line, or module and offset, of a code address.
std::string text_of_code(std::uintptr_t pc);

/// What the threads of the stuck launch wait for.
void note_stuck();

/// Throws what was noted.
void throw_noted();

}  // namespace unroll::sim::detail
