// What the tests of the GPU kernels ask of a GPU; on_sim.h asks it of the simulator.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "cuda/runtime.h"

namespace unroll::gpu_test {

/// The simulator alone compiles checks into kernels.
inline bool kernels_have_checks() { return false; }

inline void fill(void* to, int value, std::size_t bytes, Stream stream) {
  cuda::require(cudaMemsetAsync(to, value, bytes, stream), "fill");
}

/// An array in device memory; new elements are NaNs.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t n) : size_(n) {
    if (n == 0) return;
    data_ = static_cast<T*>(cuda::Runtime::allocate(n * sizeof(T)));
    if (data_ == nullptr) fail("DeviceArray", "the device has no more memory");
    fill(data_, 0xff, n * sizeof(T), cuda::current_stream());
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    if (size_ > 0)
      cuda::Runtime::upload(data_, values.data(), size_ * sizeof(T), cuda::current_stream());
  }
  ~DeviceArray() { EXPECT_EQ(cudaFree(data_), cudaSuccess); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::vector<T> values() const {
    cuda::Runtime::check();
    std::vector<T> host(size_);
    if (size_ > 0)
      cuda::Runtime::download(host.data(), data_, size_ * sizeof(T), cuda::current_stream());
    return host;
  }

 private:
  std::size_t size_;
  T* data_ = nullptr;
};

/// Runs `work`, which ends with synchronize() or a copy to the host, three times: a GPU has an
/// order of its own in each.
inline void in_every_order(const std::function<void()>& work) {
  for (int i = 0; i < 3; i++) {
    SCOPED_TRACE("run " + std::to_string(i));
    work();
  }
}

/// `work`, whose shapes hold no element, launches no kernel: a grid of nothing is an error.
inline void expect_no_launch(const std::function<void()>& work) {
  work();
  EXPECT_NO_THROW(cuda::Runtime::check());
}

/// Runs `work`: what it launches, the simulator's meter says.
inline void expect_launch(const std::string&, bool, const std::function<void()>& work) { work(); }

}  // namespace unroll::gpu_test
