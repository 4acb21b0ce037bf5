// An array in the memory of the simulated device, for tests.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <exception>
#include <vector>

#include "cuda/sim/sim.h"

namespace unroll::sim_test {

/// An array in device memory; new elements are NaNs.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t n)
      : size_(n), data_(static_cast<T*>(sim::malloc(n * sizeof(T)))) {}
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    sim::memcpy(data_, values.data(), size_ * sizeof(T));
  }
  ~DeviceArray() {
    try {
      sim::free(data_);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::vector<T> values() const {
    std::vector<T> host(size_);
    sim::memcpy(host.data(), data_, size_ * sizeof(T));
    return host;
  }

 private:
  std::size_t size_;
  T* data_;
};

}  // namespace unroll::sim_test
