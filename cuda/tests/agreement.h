// Two questions that the tests of every kernel ask: are its results the same bits in every order of
// its threads, and how many bytes does it move.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "cuda/sim/sim.h"
#include "cuda/tests/testing.h"

namespace unroll::gpu_test {

template <class T>
void expect_same_bits(const std::vector<T>& got, const std::vector<T>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); i++) {
    if (std::memcmp(&got[i], &expected[i], sizeof(T)) == 0) continue;
    FAIL() << "at " << i << ": " << got[i] << " is not " << expected[i];
  }
}

/// What `work`, which copies its results to the host, returns in every order.
template <class T>
std::vector<T> in_all_orders(const std::function<std::vector<T>()>& work) {
  std::vector<T> first;
  bool done = false;
  in_every_order([&] {
    const std::vector<T> result = work();
    if (done) expect_same_bits(result, first);
    if (!done) first = result;
    done = true;
  });
  return first;
}

/// Pieces behind one another.
template <class T>
std::vector<T> joined(std::initializer_list<std::vector<T>> pieces) {
  std::vector<T> all;
  for (const std::vector<T>& piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
  return all;
}

/// What the kernel of this name did since the meter was reset.
inline sim::KernelMeter meter_of(const std::string& kernel) {
  for (const sim::KernelMeter& row : sim::meter())
    if (row.kernel == kernel) return row;
  ADD_FAILURE() << kernel << " did not run";
  return {};
}

/// The same while `work` ran, which waits for it. Traffic is counted where kernels have checks.
inline sim::KernelMeter metered(const std::string& kernel, const std::function<void()>& work) {
  sim::Options options = sim::options();
  options.meter = true;
  sim::set_options(options);
  sim::reset_meter();
  work();
  options.meter = false;
  sim::set_options(options);
  return meter_of(kernel);
}

/// The bar of the project: at most 1.1 times the least bytes, and no bank conflicts.
inline void expect_lean(const sim::KernelMeter& row) {
  const double moved = 32.0 * double(row.read.sectors + row.written.sectors);
  EXPECT_LE(moved, 1.1 * double(row.read.least + row.written.least)) << sim::meter_table();
  EXPECT_GT(moved, 0) << row.kernel;
  EXPECT_EQ(row.bank_conflicts, 0) << row.kernel;
}

}  // namespace unroll::gpu_test
