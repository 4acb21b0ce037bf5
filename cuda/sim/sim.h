// A GPU made of fibers: runs CUDA kernels on the CPU, in any order of their threads, and says what
// is wrong with them.
//
//   float* x = static_cast<float*>(sim::malloc(n * sizeof(float)));     // device memory
//   sim::memcpy(x, host, n * sizeof(float));
//   launch(scale, {.name = "scale", .grid = 8, .block = 128}, x, n);    // cuda/launch.h
//   sim::synchronize();                                                 // runs; throws Failure
//
// Work is queued on streams and runs when the host waits. Each stream is a queue in order; between
// streams only events and the host's waits order, and the schedule chooses. The default stream is
// one like the others. What a kernel does wrong ends it, empties all queues and is thrown, once, by
// the wait in progress or by check(). docs/simulator.md tells what is found in which kind of build.
//
// Device memory can be touched by kernels, memcpy and memset alone: a host that reads or writes it
// is ended with a message. New memory holds bytes 0xff, which are NaNs and large numbers.
//
// Thread-safe: calls of several host threads take turns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cuda/sim/arch.h"
#include "cuda/sim/fault.h"
#include "cuda/sim/site.h"

namespace unroll::sim {

/// Which of the threads that can run is next.
enum class Order {
  forward,  // the first in the order of block and thread; streams likewise
  reverse,  // the last
  random,   // any, by the seed; several blocks at a time
  preempt,  // as random, and a thread may lose its turn at atomics, fences and, in kernels with
            // checks, at any access to memory
};

/// How kernels are run. At the start of the program as the environment says.
struct Options {
  Order order = Order::random;  // UNROLL_SIM_ORDER=forward|reverse|random|preempt
  std::uint64_t seed = 1;       // UNROLL_SIM_SEED
  int preempt_one_in = 16;  // UNROLL_SIM_PREEMPT: places where a turn may end, one of which does
  bool meter = false;       // UNROLL_SIM_METER=1: count memory traffic (kernels with checks)
  Arch arch = *find_arch("sm_90");  // UNROLL_SIM_ARCH
};
Options options();

/// Waits for everything, then starts the random numbers anew. Throws Failure like synchronize(),
/// Error for a preempt_one_in below 1.
void set_options(const Options& options);

/// The options that the environment names. Throws Error for a value that it cannot have.
Options options_of_environment();

/// True where the kernels of this program were compiled with checks (unroll_sim_kernels(...
/// CHECKS)).
bool kernels_have_checks() noexcept;

// ---- Memory

/// `bytes` bytes of device memory, aligned to 256; null for none. Throws Error when the system has
/// no more.
void* malloc(std::size_t bytes, Site site = Site::here());

/// Gives back what malloc() returned; null is ignored. Waits for everything first, as CUDA's does.
/// Throws Failure for another pointer, and like synchronize().
void free(void* pointer);

struct Stream;

/// Queues a copy; either side is device or host memory. Until the stream is waited for, host memory
/// that is copied from must stay as it is, and host memory that is copied to holds bytes 0xff.
void memcpy(void* to, const void* from, std::size_t bytes, const Stream& stream,
            Site site = Site::here());

/// The same on the default stream, and waits for it.
void memcpy(void* to, const void* from, std::size_t bytes, Site site = Site::here());

/// Queues a fill of device memory with a byte.
void memset(void* to, int byte, std::size_t bytes, const Stream& stream, Site site = Site::here());

/// Device memory that is allocated now.
struct Usage {
  std::int64_t allocations = 0, bytes = 0, peak_bytes = 0;
};
Usage usage() noexcept;

// ---- Streams

/// A queue of work; the default is there from the start.
struct Stream {
  int id = 0;
};

/// A place in a stream.
struct Event {
  int id = -1;  // none: has always passed
};

Stream make_stream();
/// Waits for the stream; its number may be given to another. The default stream cannot be dropped.
void drop(const Stream& stream);

/// A new event behind what the stream holds now.
Event record(const Stream& stream);
/// The stream goes on only when the event has passed.
void wait(const Stream& stream, const Event& event);
/// Whether the event has passed; each question runs one step of what is queued, so that asking
/// again and again ends. Throws Failure.
bool passed(const Event& event);

/// Runs until the stream is empty, the event has passed, all streams are empty. Throws Failure.
void synchronize(const Stream& stream);
void synchronize(const Event& event);
void synchronize();

/// Throws the Failure that was noted and not yet thrown, such as that of a launch beyond the
/// limits; runs nothing.
void check();

/// Notes a Failure that was caught where nothing may be thrown: the next wait, or check(), throws
/// it unless another one was noted before.
void hold(const Failure& failure) noexcept;

// ---- Meter

/// Memory traffic of one kind in one direction.
struct Traffic {
  std::int64_t requests = 0;  // instructions of a warp
  std::int64_t bytes = 0;     // that its lanes asked for
  std::int64_t sectors = 0;   // of 32 bytes that the requests touched
  std::int64_t least = 0;     // bytes if each is moved once per launch
};

/// What all launches of a kernel did since reset_meter(). Traffic and conflicts are counted for
/// kernels with checks and Options::meter; the others always.
struct KernelMeter {
  std::string kernel;
  std::int64_t launches = 0, blocks = 0, threads = 0;
  std::int64_t block_barriers = 0, grid_barriers = 0;  // each counted once for the block, the grid
  std::int64_t collectives = 0;                        // of warps
  std::int64_t atomics = 0;                            // of threads
  Traffic read, written;                               // global memory
  std::int64_t shared_requests = 0;
  std::int64_t bank_conflicts = 0;  // turns that shared memory took beyond the least
};

/// One row per kernel, by name.
std::vector<KernelMeter> meter();
/// The rows as a table in Markdown: moved / least is 1 for a kernel that moves each byte once.
std::string meter_table();
void reset_meter();

/// Registers per thread of a kernel, as ptxas says; they then count in what can be resident.
void set_registers(const std::string& kernel, int registers);

}  // namespace unroll::sim
