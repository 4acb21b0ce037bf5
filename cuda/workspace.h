// Device memory that comes with a stream, for kernels whose contract has no scratch: the partial
// sums of a reduction that is too large for one block per output, and values on their way to the
// host.
//
//   auto* partial = static_cast<double*>(workspace());        // workspace_bytes of them
//   launch(first_kernel, {..., .stream = current_stream()}, x, partial);
//   launch(second_kernel, {..., .stream = current_stream()}, partial, y);
//   const double sum = fetched(partial);                      // waits for the stream
//
// Kernels of one stream run one after another, so all of them share one piece, whose contents last
// for one call of a kernel family. A piece is made when a stream first asks and lives as long as
// the program. Thread-safe.
#pragma once

#include <cstddef>

#include "cuda/backend.h"

namespace unroll::UNROLL_GPU {

inline constexpr std::size_t workspace_bytes = 1 << 20;

/// The piece of the current stream, aligned to 256 bytes.
void* workspace() noexcept;

/// Copies `bytes` bytes of device memory to the host when the current stream is done; false if what
/// ran before has failed, which the next wait tells.
bool fetch(void* to, const void* from, std::size_t bytes) noexcept;

/// One value of device memory, T{} after a failure. Waits for the current stream.
template <class T>
T fetched(const T* from) noexcept {
  T value{};
  return fetch(&value, from, sizeof(T)) ? value : T{};
}

/// How many multiprocessors the current device has: what a grid that walks on is sized by. No
/// result depends on it.
int multiprocessors() noexcept;

}  // namespace unroll::UNROLL_GPU
