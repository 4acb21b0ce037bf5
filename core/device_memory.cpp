#include "core/device_memory.h"

#include "core/error.h"

// Calls the function of the device's backend.
#define UNROLL_ON_MEMORY_OF(device, ...)                                         \
  switch ((device).kind) {                                                       \
    UNROLL_GPU_CASES(device, __VA_ARGS__)                                        \
    default: fail("memory", name(device) + " is not what kernels of a GPU use"); \
  }

namespace unroll::device_memory {

void* allocate(Device device, std::size_t bytes) {
  require_available("memory", device);
  if (bytes == 0) return nullptr;
  switch (device.kind) {
    UNROLL_GPU_RETURNS(device, allocate(bytes))
    default: fail("memory", name(device) + " is not what kernels of a GPU use");
  }
}

void deallocate(Device device, void* block) noexcept {
  if (!block) return;
  switch (device.kind) {
    UNROLL_GPU_CASES(device, deallocate(block))
    default: break;
  }
}

void upload(Device device, void* to, const void* from, std::size_t bytes) {
  if (bytes) UNROLL_ON_MEMORY_OF(device, upload(to, from, bytes))
}

void download(Device device, void* to, const void* from, std::size_t bytes) {
  if (bytes) UNROLL_ON_MEMORY_OF(device, download(to, from, bytes))
}

void copy(Device device, void* to, const void* from, std::size_t bytes) {
  if (bytes) UNROLL_ON_MEMORY_OF(device, copy_bytes(to, from, bytes))
}

void copy(Device device, const StridedCopy& what) {
  UNROLL_ON_MEMORY_OF(device, copy_strided(what))
  require_launched("copy", device);
}

void clear(Device device, void* to, std::size_t bytes) {
  if (bytes) UNROLL_ON_MEMORY_OF(device, clear(to, bytes))
}

void require_launched(const char* call, Device device) {
  try {
    switch (device.kind) {
      UNROLL_GPU_CASES(device, require_launched())
      default: break;
    }
  } catch (const Error& error) {
    const std::string text = call;
    fail(text.substr(0, text.find_first_of("<({")).c_str(), error.what());
  }
}

}  // namespace unroll::device_memory
