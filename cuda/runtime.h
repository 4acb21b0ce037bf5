// What cuda/memory.cu needs of a device, under the same names over CUDA's runtime and over the
// simulator: memory, copies, streams, errors. Functions that throw, throw Error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

#include "core/error.h"
#include "cuda/backend.h"

namespace unroll::UNROLL_GPU {

#ifdef __CUDACC__

inline void require(cudaError_t error, const char* what) {
  if (error != cudaSuccess) fail("cuda", std::string(what) + ": " + cudaGetErrorString(error));
}

/// Why this thread asked for a launch that cannot be, or null. CUDA's own words do not tell.
inline const char*& refusal() noexcept {
  static thread_local const char* why = nullptr;
  return why;
}

struct Runtime {
  using Stream = unroll::Stream;
  static constexpr bool keeps_blocks = true;

  /// Null where the device has no more.
  static void* allocate(std::size_t bytes) noexcept {
    void* block = nullptr;
    if (cudaMalloc(&block, bytes) == cudaSuccess) return block;
    cudaGetLastError();  // it is told by the null
    return nullptr;
  }
  static void release(void* block) noexcept { cudaFree(block); }

  /// From the host. Memory that is not pageable is read when the copy's turn comes.
  static void upload(void* to, const void* from, std::size_t bytes, Stream stream) {
    require(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream), "upload");
    cudaPointerAttributes host{};
    require(cudaPointerGetAttributes(&host, from), "upload");
    if (host.type != cudaMemoryTypeUnregistered) wait(stream);
  }
  static void download(void* to, const void* from, std::size_t bytes, Stream stream) {
    require(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream), "download");
    wait(stream);
  }
  static void copy(void* to, const void* from, std::size_t bytes, Stream stream) {
    require(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream), "copy");
  }
  static void clear(void* to, std::size_t bytes, Stream stream) {
    require(cudaMemsetAsync(to, 0, bytes, stream), "clear");
  }

  /// What is queued on `later` from now on runs after what is queued on `earlier` now.
  static void follow(Stream later, Stream earlier) {
    cudaEvent_t event;
    require(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "event");
    const cudaError_t recorded = cudaEventRecord(event, earlier);
    const cudaError_t queued = cudaStreamWaitEvent(later, event, 0);
    cudaEventDestroy(event);  // once it has passed
    require(recorded, "event");
    require(queued, "event");
  }
  static Stream new_stream() {
    Stream stream;
    require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
    return stream;
  }
  static void wait(Stream stream) { require(cudaStreamSynchronize(stream), "wait"); }
  static void wait_for_all() { require(cudaDeviceSynchronize(), "wait"); }
  /// Throws what launches of this thread noted.
  static void check() {
    const cudaError_t error = cudaGetLastError();
    if (const char* const why = std::exchange(refusal(), nullptr)) fail("cuda", why);
    require(error, "launch");
  }

  static std::uintptr_t number_of(Stream stream) {
    return reinterpret_cast<std::uintptr_t>(stream);
  }
  static Stream stream_of(std::uintptr_t number) { return reinterpret_cast<Stream>(number); }
};

#else

/// The simulator waits when memory is given back, so a kernel's failure may come up where nothing
/// can be thrown: it is kept for the next call that can.
class KeptFailure {
 public:
  void keep(const std::string& what) noexcept {
    const std::lock_guard lock(mutex_);
    if (what_.empty()) what_ = what;
  }
  void rethrow() {
    std::string what;
    {
      const std::lock_guard lock(mutex_);
      what.swap(what_);
    }
    if (!what.empty()) throw Error(what);
  }

 private:
  std::mutex mutex_;
  std::string what_;
};

struct Runtime {
  using Stream = unroll::Stream;
  static constexpr bool keeps_blocks = false;  // new memory is poisoned, late accesses are found

  static KeptFailure& kept() {
    static KeptFailure& failure = *new KeptFailure;
    return failure;
  }

  static void* allocate(std::size_t bytes) { return sim::malloc(bytes); }
  static void release(void* block) noexcept {
    for (int attempt = 0; attempt < 2; attempt++) {  // after a failure nothing is queued
      try {
        return sim::free(block);
      } catch (const Error& error) {
        kept().keep(error.what());
      }
    }
  }

  static void upload(void* to, const void* from, std::size_t bytes, Stream stream) {
    sim::memcpy(to, from, bytes, stream);
    wait(stream);
  }
  static void download(void* to, const void* from, std::size_t bytes, Stream stream) {
    sim::memcpy(to, from, bytes, stream);
    wait(stream);
  }
  static void copy(void* to, const void* from, std::size_t bytes, Stream stream) {
    sim::memcpy(to, from, bytes, stream);
  }
  static void clear(void* to, std::size_t bytes, Stream stream) {
    sim::memset(to, 0, bytes, stream);
  }

  static void follow(Stream later, Stream earlier) { sim::wait(later, sim::record(earlier)); }
  static Stream new_stream() { return sim::make_stream(); }
  static void wait(Stream stream) {
    sim::synchronize(stream);
    kept().rethrow();
  }
  static void wait_for_all() {
    sim::synchronize();
    kept().rethrow();
  }
  static void check() {
    sim::check();
    kept().rethrow();
  }

  static std::uintptr_t number_of(Stream stream) { return static_cast<std::uintptr_t>(stream.id); }
  static Stream stream_of(std::uintptr_t number) { return {static_cast<int>(number)}; }
};

#endif

}  // namespace unroll::UNROLL_GPU
