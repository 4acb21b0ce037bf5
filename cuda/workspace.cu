#include "cuda/workspace.h"

#include <map>
#include <mutex>
#include <utility>

#ifndef __CUDACC__
#include "cuda/sim/sim.h"
#endif

namespace unroll::UNROLL_GPU {
namespace {

#ifdef __CUDACC__

using Place = std::pair<int, Stream>;
Place place_of(Stream stream) {
  int device = 0;
  cudaGetDevice(&device);
  return {device, stream};
}

void* allocated() {
  void* memory = nullptr;
  cudaMalloc(&memory, workspace_bytes);
  return memory;
}

// The driver takes all memory back with the process, and may be gone already.
void release(void*) {}

#else

using Place = int;
Place place_of(Stream stream) { return stream.id; }
void* allocated() { return malloc(workspace_bytes); }
void release(void* memory) noexcept {
  try {
    free(memory);
  } catch (const Failure& failure) {
    hold(failure);
  }
}

#endif

class Pieces {
 public:
  Pieces() { piece(place_of(current_stream())); }
  ~Pieces() {
    for (const auto& [place, memory] : pieces_) release(memory);
  }
  Pieces(const Pieces&) = delete;
  Pieces& operator=(const Pieces&) = delete;

  void* piece(const Place& place) {
    const std::lock_guard lock(mutex_);
    void*& memory = pieces_[place];
    if (memory == nullptr) memory = allocated();
    return memory;
  }

 private:
  std::mutex mutex_;
  std::map<Place, void*> pieces_;
};

}  // namespace

void* workspace() noexcept {
  static Pieces pieces;
  return pieces.piece(place_of(current_stream()));
}

#ifdef __CUDACC__

bool fetch(void* to, const void* from, std::size_t bytes) noexcept {
  const Stream stream = current_stream();
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream) == cudaSuccess &&
         cudaStreamSynchronize(stream) == cudaSuccess;
}

int multiprocessors() noexcept {
  int device = 0, count = 0;
  cudaGetDevice(&device);
  const bool known =
      cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device) == cudaSuccess;
  return known ? count : 1;
}

#else

bool fetch(void* to, const void* from, std::size_t bytes) noexcept {
  try {
    memcpy(to, from, bytes, current_stream());
    synchronize(current_stream());
    return true;
  } catch (const Failure& failure) {
    hold(failure);
    return false;
  }
}

int multiprocessors() noexcept { return options().arch.multiprocessors; }

#endif

}  // namespace unroll::UNROLL_GPU
