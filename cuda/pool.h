// A pool of device memory: blocks that were given back wait for the next request of their size.
//
//   Pool<Runtime> pool;
//   void* p = pool.allocate(bytes, stream);
//   launch(..., stream, p);
//   pool.deallocate(p, stream);                  // at once, though the kernel may still run
//   void* q = pool.allocate(bytes, stream);      // may be p: the stream runs in order
//
// A block belongs to the stream that asked for it. Its next user on this stream need not wait; one
// on another stream first waits, on the device, for what the first stream holds by then. A block
// that another stream gives back makes its own stream wait for that one. Thread-safe, for one
// device.
//
// Runtime has allocate (null for no memory), release, follow and number_of, as cuda/runtime.h says.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/error.h"

namespace unroll {

/// What a request of so many bytes is given: four sizes to the octave, none below 512 bytes, so at
/// most a fifth is lost in large blocks.
constexpr std::size_t pooled_bytes(std::size_t bytes) {
  constexpr std::size_t unit = 512;
  const std::size_t units = (bytes + unit - 1) / unit;
  if (units <= 4) return (units > 0 ? units : 1) * unit;
  const int octave = std::bit_width(units - 1) - 3;  // units in (4 << octave, 8 << octave]
  const std::size_t part = std::size_t{1} << octave;
  return (units + part - 1) / part * part * unit;
}

/// Runtime::follow where nothing may be thrown: what fails here fails at the next wait too.
template <class Runtime>
void follow_quietly(typename Runtime::Stream later, typename Runtime::Stream earlier) noexcept {
  try {
    Runtime::follow(later, earlier);
  } catch (const Error&) {
  }
}

template <class Runtime>
class Pool {
 public:
  using Stream = typename Runtime::Stream;

  /// Throws Error when the device has no more.
  void* allocate(std::size_t bytes, Stream stream) {
    const std::size_t size = pooled_bytes(bytes);
    const std::lock_guard lock(mutex_);
    void* block = take(size, stream);
    if (block == nullptr) block = Runtime::allocate(size);
    if (block == nullptr) {
      release_all();
      block = Runtime::allocate(size);
    }
    if (block == nullptr)
      fail("memory", "the device cannot allocate " + std::to_string(bytes) + " bytes");
    live_[block] = {size, stream};
    return block;
  }

  void deallocate(void* block, Stream stream) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = live_.find(block);
    const Live was = found->second;
    live_.erase(found);
    if (Runtime::number_of(was.home) != Runtime::number_of(stream))
      follow_quietly<Runtime>(was.home, stream);
    spare_[{was.size, Runtime::number_of(was.home)}].push_back({block, was.home});
  }

  /// Gives what is not in use back to the device.
  void trim() {
    const std::lock_guard lock(mutex_);
    release_all();
  }

 private:
  struct Live {
    std::size_t size;
    Stream home;
  };
  struct Spare {
    void* block;
    Stream home;
  };
  using Spares = std::map<std::pair<std::size_t, std::uintptr_t>, std::vector<Spare>>;

  void* take(std::size_t size, Stream stream) {
    auto found = spare_.find({size, Runtime::number_of(stream)});
    const bool own = found != spare_.end() && !found->second.empty();
    if (!own) {  // of any other stream
      found = spare_.lower_bound({size, 0});
      while (found != spare_.end() && found->first.first == size && found->second.empty()) ++found;
      if (found == spare_.end() || found->first.first != size) return nullptr;
    }
    const Spare spare = found->second.back();
    if (!own) Runtime::follow(stream, spare.home);
    found->second.pop_back();
    return spare.block;
  }

  void release_all() {
    for (auto& [key, blocks] : spare_)
      for (const Spare& spare : blocks) Runtime::release(spare.block);
    spare_.clear();
  }

  std::mutex mutex_;
  std::unordered_map<void*, Live> live_;
  Spares spare_;  // by size and stream
};

}  // namespace unroll
