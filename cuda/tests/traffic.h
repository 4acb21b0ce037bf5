// What kernels move, as the simulator's meter counts it in kernels with checks, against the least
// possible. scripts/kernel_traffic.py makes a table of what expect_lean() saw. A GPU has no such
// meter: there is none of this for nvcc, nor the tests that use it.
#pragma once

#ifndef __CUDACC__

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "cuda/sim/sim.h"

namespace unroll::gpu_test {

/// While one lives, the meter counts; it begins at zero.
class Metered {
 public:
  Metered() : before_(sim::options()) {
    sim::Options options = before_;
    options.meter = true;
    sim::set_options(options);
    sim::reset_meter();
  }
  ~Metered() { sim::set_options(before_); }
  Metered(const Metered&) = delete;
  Metered& operator=(const Metered&) = delete;

 private:
  sim::Options before_;
};

/// What the kernel of this name did since the meter was reset.
inline sim::KernelMeter meter_of(const std::string& kernel) {
  for (const sim::KernelMeter& row : sim::meter())
    if (row.kernel == kernel) return row;
  ADD_FAILURE() << kernel << " did not run";
  return {};
}

/// The same while `work` ran, which waits for it.
inline sim::KernelMeter metered(const std::string& kernel, const std::function<void()>& work) {
  const Metered now;
  work();
  return meter_of(kernel);
}

inline double bytes_moved(const sim::KernelMeter& row) {
  return 32.0 * double(row.read.sectors + row.written.sectors);
}

/// The bar of the project: at most 1.1 times the least bytes, and no bank conflicts. `least` is
/// what a kernel with tiles must move, which takes some of its operands more than once.
inline void expect_lean(const sim::KernelMeter& row, double least) {
  const double moved = bytes_moved(row);
  static int count = 0;
  ::testing::Test::RecordProperty("traffic " + std::to_string(count++),
                                  row.kernel + " " + std::to_string(moved) + " " +
                                      std::to_string(least) + " " +
                                      std::to_string(row.bank_conflicts));
  EXPECT_LE(moved, 1.1 * least) << row.kernel << "\n" << sim::meter_table();
  EXPECT_GT(moved, 0) << row.kernel;
  EXPECT_EQ(row.bank_conflicts, 0) << row.kernel << "\n" << sim::meter_table();
}
/// Of a kernel that needs each byte once.
inline void expect_lean(const sim::KernelMeter& row) {
  expect_lean(row, double(row.read.least + row.written.least));
}

}  // namespace unroll::gpu_test

#endif
