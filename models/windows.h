// From series to batches: windows, shuffling, sequences of different lengths.
//
//   Tensor windows = sliding_windows(values, 24);              // [count,24,C], a view
//   Batches batches(windows, {.size = 64, .seed = 1});
//   for (std::int64_t i = 0; i < batches.count(); i++) {
//     Batch batch = batches.get(epoch, i);                     // batch.x [24,N,C], batch.lengths
//   }
//
// What get(epoch, i) returns depends on the seed, the epoch and i alone: to resume, ask for the
// next i. Its memory comes from the pool. Holds its tensors by handle. One thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/lengths.h"
#include "core/random.h"
#include "core/tensor.h"

namespace UNROLL_API unroll {

/// The windows of `length` steps that begin at 0, stride, 2 stride, ...: a view [count,length,C] of
/// a series [T,C]. Throws Error where the series is shorter than one window.
Tensor sliding_windows(const Tensor& series, std::int64_t length, std::int64_t stride = 1);

/// The windows at the given indices of [count,T,C], time first: a fresh tensor [T,N,C] in `dtype`
/// (float32 or float64). Throws Error for an index that is not in 0..count-1.
Tensor gather_windows(const Tensor& windows, std::span<const std::int64_t> indices,
                      Dtype dtype = Dtype::float32);

/// N lengths, uniform in low..high, both included. Throws Error unless 0 <= low <= high.
Lengths random_lengths(Random& random, std::int64_t N, std::int64_t low, std::int64_t high);

/// Sequences side by side.
struct Batch {
  Tensor x;         // [T,N,C]; zeros behind the end of a shorter sequence
  Lengths lengths;  // [N]; full where all sequences have T steps
};

/// How sequences are put into batches.
struct BatchOptions {
  std::int64_t size = 64;  // sequences in a batch; the last one of an epoch may be smaller
  std::uint64_t seed = 0;  // of the shuffling
  bool shuffle = true;     // false: the order given (or, by_length, of descending length)
  bool drop_last = false;  // leave out a last batch that is smaller
  bool by_length = true;   // batches of similar length, so that little is padded
  Dtype dtype = Dtype::float32;
};

/// Batches of an epoch, each a function of seed, epoch and index alone.
class Batches {
 public:
  /// Sequences of one length: [count,T,C].
  explicit Batches(Tensor windows, BatchOptions options = {});
  /// Sequences [T_i,C] of any lengths.
  explicit Batches(std::vector<Tensor> sequences, BatchOptions options = {});

  /// Batches in one epoch.
  std::int64_t count() const noexcept;
  /// Sequences in all.
  std::int64_t sequences() const noexcept;
  /// Throws Error unless 0 <= epoch and 0 <= index < count().
  Batch get(std::int64_t epoch, std::int64_t index);
  /// The sequences of that batch, as indices of what was given. Valid up to the next call.
  std::span<const std::int64_t> indices(std::int64_t epoch, std::int64_t index);

 private:
  void check() const;
  void order_epoch(std::int64_t epoch);
  void order_by_length();
  Batch gather(std::span<const std::int64_t> indices) const;

  Tensor windows_;                 // undefined where sequences_ are used
  std::vector<Tensor> sequences_;  // contiguous
  BatchOptions options_;
  std::int64_t epoch_ = -1;  // that order_ is for
  Tensor order_;             // int64 [sequences()]
  Tensor batch_order_;       // int64: which run of order_ is batch i; undefined: the i-th
};

}  // namespace unroll
