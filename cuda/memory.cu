// The memory of a device, as core/device_memory.h asks for it.
#include <vector>

#include "core/device_memory.h"
#include "cuda/pool.h"
#include "cuda/runtime.h"

namespace unroll::UNROLL_GPU {
namespace {

// Of one device; never destroyed, since tensors with static storage give their memory back late.
struct Memory {
  Pool<Runtime> pool;
  std::mutex mutex;
  std::vector<Stream> idle;  // streams of scopes that ended
};
Memory& memory() {
  constexpr int most_devices = 128;
  static Memory* const all = new Memory[most_devices];
  return all[current_device()];
}

Stream idle_stream() {
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  if (m.idle.empty()) return Runtime::new_stream();
  const Stream stream = m.idle.back();
  m.idle.pop_back();
  return stream;
}

}  // namespace

#ifdef __CUDACC__

namespace {

struct Devices {
  int count = 0;
  std::string why_none;
  Devices() {
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess && count > 0) return;
    count = 0;
    why_none = error == cudaSuccess ? "no GPU was found" : cudaGetErrorString(error);
    cudaGetLastError();
  }
};
const Devices& devices() {
  static const Devices found;
  return found;
}

}  // namespace

int device_count() noexcept { return devices().count; }
std::string why_no_device() { return devices().why_none; }
std::string describe(int device) {
  cudaDeviceProp properties;
  require(cudaGetDeviceProperties(&properties, device), "properties");
  return std::string(properties.name) + ", " + std::to_string(properties.totalGlobalMem >> 20) +
         " MiB, compute capability " + std::to_string(properties.major) + "." +
         std::to_string(properties.minor);
}

#else

int device_count() noexcept { return 1; }
std::string why_no_device() { return ""; }
std::string describe(int) {
  return "kernels run on the processor, one fiber per thread, within the limits of " +
         std::string(options().arch.name);
}

#endif

void* allocate(std::size_t bytes) {
  if constexpr (Runtime::keeps_blocks) return memory().pool.allocate(bytes, current_stream());
  return Runtime::allocate(bytes);
}

void deallocate(void* block) noexcept {
  if constexpr (Runtime::keeps_blocks) return memory().pool.deallocate(block, current_stream());
  Runtime::release(block);
}

void upload(void* to, const void* from, std::size_t bytes) {
  Runtime::upload(to, from, bytes, current_stream());
}
void download(void* to, const void* from, std::size_t bytes) {
  Runtime::download(to, from, bytes, current_stream());
}
void copy_bytes(void* to, const void* from, std::size_t bytes) {
  Runtime::copy(to, from, bytes, current_stream());
}
void clear(void* to, std::size_t bytes) { Runtime::clear(to, bytes, current_stream()); }

void require_launched() { Runtime::check(); }
void finish() { Runtime::wait_for_all(); }

void open_stream(StreamHandle& outer) {
  const Stream inner = idle_stream();
  Runtime::follow(inner, current_stream());
  outer = Runtime::number_of(exchange_stream(inner));
}

void close_stream(StreamHandle outer) noexcept {
  const Stream inner = exchange_stream(Runtime::stream_of(outer));
  follow_quietly<Runtime>(current_stream(), inner);
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  m.idle.push_back(inner);
}

}  // namespace unroll::UNROLL_GPU
