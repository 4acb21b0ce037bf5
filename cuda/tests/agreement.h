// What the tests of every kernel ask: are its results those of the CPU, and the same bits in every
// order of its threads?
#pragma once

#include <cstring>
#include <string>
#include <vector>

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

}  // namespace unroll::gpu_test
