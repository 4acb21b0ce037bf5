// The steps of a recurrent call as the host plans them and as kernels see them.
//
// Only valid steps count: row m of `total` is step t of the run of the j-th longest sequence, m =
// (sum of the active sequences of the steps before) + j. The rows of a step lie side by side, and
// so do those of several steps, which makes them one large product. With K directions, row m K + k.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/backend.h"
#include "kernels/recurrent.h"

namespace unroll::UNROLL_GPU {

/// What a kernel knows of the sequences.
struct DeviceSequences {
  const std::int64_t *length = nullptr, *order = nullptr, *active = nullptr;  // null: all full
  std::int64_t T, N, first, segment;
  bool reverse;

  /// The j-th longest.
  __device__ std::int64_t index(std::int64_t j) const { return order ? order[j] : j; }
  /// Of all T steps, and those of this call.
  __device__ std::int64_t whole_length(std::int64_t n) const { return length ? length[n] : T; }
  __device__ std::int64_t steps_of(std::int64_t n) const {
    const std::int64_t rest = whole_length(n) - first;
    return rest < 0 ? 0 : rest < segment ? rest : segment;
  }
  /// Where step t of the run of sequence n lies in time, as a row of [T,N].
  __device__ std::int64_t row(std::int64_t t, std::int64_t n) const {
    return (reverse ? whole_length(n) - 1 - first - t : first + t) * N + n;
  }
};

/// The rows of the call. In memory of the device: for each row, where its step lies among [T,N] in
/// time, and where its state before the step lies among the rows of h.
struct RowLists {
  std::int64_t *time, *state;
};

class Steps {
 public:
  explicit Steps(const RecurrentShape& s) : view_(s.lengths) {
    device_ = {.T = s.T,
               .N = s.N,
               .first = s.first_step,
               .segment = segment_steps(s),
               .reverse = s.reverse};
    if (view_.length) {
      device_.length = view_.on_device;
      device_.order = view_.on_device + s.N;
      device_.active = view_.on_device + 2 * s.N;
    }
    const std::int64_t whole = view_.length ? view_.longest : s.T;
    count_ = std::clamp<std::int64_t>(whole - s.first_step, 0, device_.segment);
    for (std::int64_t t = 0; t < count_; t++) total_ += active(t);
  }

  const DeviceSequences& device() const { return device_; }
  std::int64_t count() const { return count_; }
  std::int64_t total() const { return total_; }  // rows
  /// Rows of step t.
  std::int64_t active(std::int64_t t) const {
    if (t < 0 || t >= count_) return 0;
    return view_.length ? view_.active[device_.first + t] : device_.N;
  }

 private:
  LengthsView view_;
  DeviceSequences device_;
  std::int64_t count_ = 0, total_ = 0;
};

/// Steps [begin, end) with `rows` rows, the first of them `offset`.
struct Chunk {
  std::int64_t begin, end, offset, rows;
};

/// The chunk that begins at a step and has at most `capacity` rows, or one step.
inline Chunk chunk_from(const Steps& steps, std::int64_t begin, std::int64_t offset,
                        std::int64_t capacity) {
  Chunk chunk{begin, begin, offset, 0};
  while (chunk.end < steps.count() &&
         (chunk.end == begin || chunk.rows + steps.active(chunk.end) <= capacity)) {
    chunk.rows += steps.active(chunk.end++);
  }
  return chunk;
}

/// The chunk that ends before a step, whose rows end at `end_row`.
inline Chunk chunk_before(const Steps& steps, std::int64_t end, std::int64_t end_row,
                          std::int64_t capacity) {
  Chunk chunk{end, end, end_row, 0};
  while (chunk.begin > 0 &&
         (chunk.begin == end || chunk.rows + steps.active(chunk.begin - 1) <= capacity)) {
    chunk.rows += steps.active(--chunk.begin);
  }
  chunk.offset = end_row - chunk.rows;
  return chunk;
}

/// Numbers that a chunk of steps keeps before they are summed or used: what a large product wants,
/// in a bounded buffer. Tests lower it; it must be the same from sizes to the kernels.
std::int64_t& chunk_numbers() noexcept;

/// Sequences of a chunk where each has `width` numbers: at least one step of all.
inline std::int64_t chunk_capacity(const Steps& steps, std::int64_t width) {
  const std::int64_t fit = chunk_numbers() / std::max<std::int64_t>(width, 1);
  return std::min(std::max({fit, steps.active(0), std::int64_t{1}}), steps.total());
}

/// Places in scratch or saved, handed out in order, each aligned to 256 bytes or more.
struct ScratchPlaces {
  std::int64_t used = 0;
  std::int64_t take(std::int64_t size) {
    const std::int64_t begin = used;
    used += (size + 63) / 64 * 64;
    return begin;
  }
};

/// Elements of Real that hold `count` numbers of 64 bits.
template <class Real>
constexpr std::int64_t elements_of_words(std::int64_t count) {
  return count * std::int64_t(sizeof(std::int64_t) / sizeof(Real));
}

/// Fills the lists of all rows, on the current stream.
void list_rows(const Steps& steps, const RowLists& lists) noexcept;

}  // namespace unroll::UNROLL_GPU
