// What the tests of the GPU kernels ask of the simulator; on_cuda.h asks it of a GPU.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "cuda/sim/sim.h"
#include "cuda/sim/tests/device_array.h"

namespace unroll::gpu_test {

using sim::kernels_have_checks;
using sim_test::DeviceArray;

inline void fill(void* to, int value, std::size_t bytes, const Stream& stream) {
  sim::memset(to, value, bytes, stream);
}

/// Runs `work`, which ends with synchronize() or a copy to the host, in the orders forward,
/// reverse, three random ones and a preemptive one.
inline void in_every_order(const std::function<void()>& work) {
  const sim::Options before = sim::options();
  for (int i = 0; i < 6; i++) {
    sim::Options options = before;
    options.order = i == 0   ? sim::Order::forward
                    : i == 1 ? sim::Order::reverse
                    : i == 5 ? sim::Order::preempt
                             : sim::Order::random;
    options.seed = static_cast<std::uint64_t>(i);
    SCOPED_TRACE("order " + std::to_string(i));
    sim::set_options(options);
    work();
  }
  sim::set_options(before);
}

/// `work`, whose shapes hold no element, launches no kernel: a grid of nothing is an error.
inline void expect_no_launch(const std::function<void()>& work) {
  sim::reset_meter();
  work();
  sim::synchronize();
  EXPECT_TRUE(sim::meter().empty());
}

/// `work`, which waits, launches the kernel, or does not.
inline void expect_launch(const std::string& kernel, bool launched,
                          const std::function<void()>& work) {
  sim::reset_meter();
  work();
  bool found = false;
  for (const sim::KernelMeter& row : sim::meter()) found = found || row.kernel == kernel;
  EXPECT_EQ(found, launched) << kernel;
}

}  // namespace unroll::gpu_test
