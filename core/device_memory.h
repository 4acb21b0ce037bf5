// The memory of devices other than the CPU, for the layers that make tensors and call kernels.
//
//   void* p = device_memory::allocate(device, bytes);
//   device_memory::upload(device, p, host, bytes);
//   device_memory::deallocate(device, p);
//
// Everything is queued on the thread's current stream of the device; download() waits for it.
// Thread-safe. Never for the CPU, whose memory is core/memory.h: Error.
//
// UNROLL_HAS_SIM and UNROLL_HAS_CUDA, set for the library's own .cpp files, say which backends
// there are. Each defines the functions of its namespace (cuda/memory.cu, cuda/copy.cu,
// cuda/backend.cu), and one switch on the device chooses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/device.h"
#include "core/shape.h"

#if UNROLL_HAS_SIM
#define UNROLL_IF_SIM(...) __VA_ARGS__
#else
#define UNROLL_IF_SIM(...)
#endif
#if UNROLL_HAS_CUDA
#define UNROLL_IF_CUDA(...) __VA_ARGS__
#else
#define UNROLL_IF_CUDA(...)
#endif

// Cases of a switch on a device: run the function of its backend.
#define UNROLL_GPU_CASES(device, ...)                            \
  UNROLL_IF_SIM(case DeviceKind::sim : sim::__VA_ARGS__; break;) \
  UNROLL_IF_CUDA(case DeviceKind::cuda : cuda::select((device).index); cuda::__VA_ARGS__; break;)

// The same, and return its value.
#define UNROLL_GPU_RETURNS(device, ...)                          \
  UNROLL_IF_SIM(case DeviceKind::sim : return sim::__VA_ARGS__;) \
  UNROLL_IF_CUDA(case DeviceKind::cuda : cuda::select((device).index); return cuda::__VA_ARGS__;)

namespace UNROLL_API unroll {

/// A copy of elements of 1, 2, 4 or 8 bytes, whatever their type. Strides in elements; 0 repeats an
/// element of `from`.
struct StridedCopy {
  const void* from;
  void* to;
  Shape shape, from_strides, to_strides;
  std::size_t element;
};

/// A stream, as its backend knows it.
using StreamHandle = std::uintptr_t;

namespace device_memory {

/// At least `bytes` bytes, aligned to 256, uninitialised; null for none. Throws Error when the
/// device has no more, or is not available.
void* allocate(Device device, std::size_t bytes);

/// Gives back a block. What is queued on the thread's stream may still use it.
void deallocate(Device device, void* block) noexcept;

/// From the host, whose memory may change after the call.
void upload(Device device, void* to, const void* from, std::size_t bytes);
/// To the host. Throws Error what went wrong on the device before.
void download(Device device, void* to, const void* from, std::size_t bytes);
/// Within the device.
void copy(Device device, void* to, const void* from, std::size_t bytes);
void copy(Device device, const StridedCopy& copy);
/// Sets all bytes to 0.
void clear(Device device, void* to, std::size_t bytes);

/// Throws Error, naming the op, what the launches of `call` noted: "softmax<T>(shape, ...)" is
/// softmax. What goes wrong later is thrown by whoever waits.
void require_launched(const char* call, Device device);

}  // namespace device_memory

// What a backend defines; Error is thrown as above. `select` makes a device that of the calls that
// follow in this thread. `open_stream` gives the thread another stream, behind the `outer` one,
// and `close_stream` goes back to that one, which then is behind the other.
#define UNROLL_DEVICE_BACKEND(backend)                            \
  namespace backend {                                             \
  int device_count() noexcept;                                    \
  std::string why_no_device();                                    \
  std::string describe(int device);                               \
  void select(int device) noexcept;                               \
  void* allocate(std::size_t bytes);                              \
  void deallocate(void* block) noexcept;                          \
  void upload(void* to, const void* from, std::size_t bytes);     \
  void download(void* to, const void* from, std::size_t bytes);   \
  void copy_bytes(void* to, const void* from, std::size_t bytes); \
  void copy_strided(const StridedCopy& copy) noexcept;            \
  void clear(void* to, std::size_t bytes);                        \
  void require_launched();                                        \
  void finish();                                                  \
  void open_stream(StreamHandle& outer);                          \
  void close_stream(StreamHandle outer) noexcept;                 \
  }
UNROLL_DEVICE_BACKEND(cuda)
UNROLL_DEVICE_BACKEND(sim)
#undef UNROLL_DEVICE_BACKEND

}  // namespace unroll
