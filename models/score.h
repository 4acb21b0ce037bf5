// How well a model gives its input back: the normalised mean squared error.
//
//   Score score = evaluate(model, windows, {.dtype = Dtype::float32});
//   score.nmse();          // 0: exact; 1: as good as predicting each channel's mean
//
// NMSE is the sum of squared errors over the sum of squared deviations from each channel's mean
// over the data scored, all channels together; of standardised data, so that each channel weighs
// the same. A Score is a small value; add parts with +=.
#pragma once

#include <cstdint>
#include <vector>

#include "core/lengths.h"
#include "core/tensor.h"
#include "models/reconstruction.h"

namespace UNROLL_API unroll {

/// Squared errors, summed over any number of batches.
class Score {
 public:
  /// Of C channels, with nothing added yet.
  explicit Score(std::int64_t channels);

  /// Adds the valid steps of a reconstruction y of x, both [T,N,C] and real. Throws Error for
  /// shapes that differ.
  void add(const Tensor& y, const Tensor& x, const Lengths& lengths = {});
  /// Adds what another has summed.
  Score& operator+=(const Score& other);

  std::int64_t steps() const noexcept { return steps_; }  // scored, all sequences
  double mse() const;                                     // per number
  /// NaN where the data does not vary.
  double nmse() const;
  double nmse(std::int64_t channel) const;

 private:
  double deviation(std::size_t channel) const;

  std::int64_t steps_ = 0;
  // Per channel: squared errors; values and their squares, shifted by the first value seen.
  std::vector<double> error_, shift_, sum_, squares_;
};

/// How windows are given to the model.
struct EvaluateOptions {
  Dtype dtype = Dtype::float32;  // the model's
  std::int64_t batch = 256;      // windows at a time
  std::int64_t shortest = 0;     // > 0: lengths uniform in shortest..T, of a fixed seed
  Device device = {};            // of the model's parameters
};

/// Scores the reconstruction of windows [count,T,C] (of autoencoder_last: of their last steps),
/// unrecorded. Throws Error where a result is not finite.
Score evaluate(const Reconstruction& model, const Tensor& windows,
               const EvaluateOptions& options = {});

}  // namespace unroll
