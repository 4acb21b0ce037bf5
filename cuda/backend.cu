#include "cuda/backend.h"

#include "core/device_memory.h"

namespace unroll::UNROLL_GPU {
namespace {

constexpr int most_devices = 128;  // what Device::index can name
thread_local Stream streams[most_devices];
thread_local int selected = 0;

}  // namespace

Stream current_stream() noexcept { return streams[selected]; }

int current_device() noexcept { return selected; }

Stream exchange_stream(Stream stream) noexcept {
  const Stream before = streams[selected];
  streams[selected] = stream;
  return before;
}

void select(int device) noexcept {
  selected = device;
#ifdef __CUDACC__
  cudaSetDevice(device);
#endif
}

}  // namespace unroll::UNROLL_GPU
