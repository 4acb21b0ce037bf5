// What the tests of the GPU kernels share: arrays in the memory of the device, the schedules, and
// the comparison with the CPU's kernel. Like the kernels each test is compiled twice, for the
// simulator and by nvcc for GPUs, and calls them as device::softmax(...).
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include "core/device_memory.h"
#include "cuda/runtime.h"
#ifdef __CUDACC__
#include "cuda/tests/on_cuda.h"
#else
#include "cuda/tests/on_sim.h"
#endif

namespace unroll::gpu_test {

namespace device = ::unroll::UNROLL_GPU;

/// n numbers, normal with deviation 1.
template <class T>
std::vector<T> normal(std::size_t n, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> next;
  std::vector<T> values(n);
  for (T& v : values) v = static_cast<T>(next(random));
  return values;
}

/// Waits, and throws what went wrong.
inline void synchronize() {
  device::Runtime::check();
  device::Runtime::wait_for_all();
}

/// Each of `got` is within `tolerance` of the largest magnitude of `expected`, or of `terms`, the
/// magnitude of what it is a sum of, where that may cancel; NaN equals NaN alone.
template <class T>
void expect_close(const std::vector<T>& got, const std::vector<T>& expected, double tolerance,
                  double terms = 0) {
  ASSERT_EQ(got.size(), expected.size());
  double largest = terms;
  for (const T e : expected)
    if (std::isfinite(e)) largest = std::max(largest, std::fabs(static_cast<double>(e)));
  for (std::size_t i = 0; i < got.size(); i++) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(got[i])) << "at " << i << ": " << got[i];
    } else if (std::isinf(expected[i])) {
      EXPECT_EQ(got[i], expected[i]) << "at " << i;
    } else {
      EXPECT_NEAR(got[i], expected[i], tolerance * largest) << "at " << i;
    }
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace unroll::gpu_test
