// What only code of the device can measure: the time of what is queued there, and what the device
// can do at best. cuda:: for GPUs, by events; sim:: runs the same kernels and says nothing of
// speed.
//
//   const std::vector<double> seconds = seconds_of_calls(device, [&] { run.call(); }, 30);
//   const Ceilings ceilings = ceilings_of(device);
#pragma once

#include <functional>
#include <vector>

#include "core/device.h"

namespace unroll::bench {

/// Per second, on the whole device; 0 on the simulator.
struct Ceilings {
  double copy = 0;  // bytes read and written by a copy far larger than the L2 cache
  double fma = 0;   // FLOP/s of float32 multiply-adds in registers; a multiply-add counts two
  double tf32 = 0, float16 = 0, bfloat16 = 0;  // of warps' products (mma.sync) in registers
};

/// Measures each; takes a second. Throws Error where one of the kernels gives a wrong result.
Ceilings ceilings_of(Device device);

/// Seconds of each of `count` calls that queue work on the thread's stream. Before each, as much
/// memory is written as pushes all else out of the L2 cache.
std::vector<double> seconds_of_calls(Device device, const std::function<void()>& call, int count);

/// The thread's stream as a library of CUDA takes it; null on the simulator.
void* native_stream(Device device);

}  // namespace unroll::bench

// What gpu.cu defines for each kind of device.
#define UNROLL_BENCH_BACKEND(backend)                                           \
  namespace unroll::backend {                                                   \
  bench::Ceilings measure_ceilings();                                           \
  std::vector<double> time_calls(const std::function<void()>& call, int count); \
  void* stream_handle() noexcept;                                               \
  }
UNROLL_BENCH_BACKEND(cuda)
UNROLL_BENCH_BACKEND(sim)
#undef UNROLL_BENCH_BACKEND
