// What the tests of the GPU kernels share: arrays in the memory of the simulated device, the
// schedules, and the comparison with the CPU's kernel.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "cuda/sim/sim.h"
#include "cuda/sim/tests/device_array.h"

namespace unroll::gpu_test {

using sim_test::DeviceArray;

/// n numbers, normal with deviation 1.
template <class T>
std::vector<T> normal(std::size_t n, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> next;
  std::vector<T> values(n);
  for (T& v : values) v = static_cast<T>(next(random));
  return values;
}

/// Runs `work`, which ends with sim::synchronize() or a copy to the host, in the orders forward,
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
