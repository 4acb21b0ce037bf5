// Lengths: the number of valid steps of each sequence in a padded batch [T,N,*].
//
//   Lengths lengths({5, 3, 0});          // N = 3
//   lstm(x, lengths, ...);               // work is proportional to lengths.total()
//
// Immutable; copies share the data (reference-counted, thread-safe to read). An empty Lengths
// means "all sequences are full". It lives on the host and carries what every kernel needs: the
// sort permutation and the number of active sequences per step.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>

#include "core/device.h"
#include "core/export.h"
#include "core/memory.h"

namespace UNROLL_API unroll {

/// What a kernel sees of Lengths. Null pointers: every sequence has T steps.
struct LengthsView {
  const std::int64_t* length = nullptr;  // [N] valid steps, in the batch's own order
  const std::int64_t* order = nullptr;   // [N] batch indices by descending length, stable
  const std::int64_t* active = nullptr;  // [longest] how many sequences have length > t
  std::int64_t longest = 0;              // no sequence is active at or after this step; <= T
  // On a GPU also: length, order and active, one behind the other, in memory of the device. The
  // three above stay on the host, which reads them to size its launches.
  const std::int64_t* on_device = nullptr;
};

/// The valid steps of each sequence in a batch; immutable, shared by copies.
class Lengths {
 public:
  Lengths() = default;  // full sequences
  /// Of a batch of N sequences. Throws Error for a negative length.
  explicit Lengths(std::span<const std::int64_t> lengths);
  explicit Lengths(const std::vector<std::int64_t>& lengths)
      : Lengths(std::span<const std::int64_t>(lengths)) {}
  Lengths(std::initializer_list<std::int64_t> lengths)
      : Lengths(std::span<const std::int64_t>(lengths.begin(), lengths.size())) {}

  /// False for the default: every sequence is full.
  explicit operator bool() const noexcept { return data_ != nullptr; }

  std::int64_t batch() const noexcept;                    // N
  std::int64_t longest() const noexcept;                  // max over the batch; 0 if there is none
  std::int64_t total() const noexcept;                    // sum of the lengths
  std::span<const std::int64_t> values() const noexcept;  // [N]

  /// View for kernels of a device over T steps, valid while this object or a copy lives. What a
  /// device needs is uploaded once and shared by copies. Throws Error, naming `op`, unless there
  /// are exactly N lengths, all in 0..T.
  LengthsView view(const char* op, std::int64_t T, std::int64_t N, Device device = {}) const;

 private:
  struct Data;
  const std::int64_t* on_device(Device device) const;
  std::shared_ptr<const Data> data_;
};

}  // namespace unroll
