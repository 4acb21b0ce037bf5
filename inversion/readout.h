// Linear readouts of a network's states: fitted on one part of the data, scored on another.
//
//   ReadoutScore score = score_readout(fit, test);       // score.nmse[j] of target j
//   FinalReadout last = sampled_final_readout(encoder, 20, {}, random);
//   last.nmse >= last.bound - 0.01                       // 1 - H/(T I)
//
// Everything is float64 and unrecorded; calls are thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"
#include "models/encoder.h"

namespace UNROLL_API unroll {

struct Samples {
  Tensor states;   // [n,H]
  Tensor targets;  // [n,k]
};

/// Of each target, on the samples that were held out; NaN where it does not vary there.
struct ReadoutScore {
  std::vector<double> nmse;  // squared errors over squared deviations from the mean there
  // Covariance of readout and target over the variance of the target. Of the best readout this is
  // 1 - NMSE and the squared correlation, and here it has no bias: the fit's errors do not
  // correlate with data that it has not seen, while they do add to the NMSE.
  std::vector<double> explained;
  double total_nmse = 0;  // of all targets together
  std::int64_t rank = 0;  // of the centred states that were fitted to
  double condition = 1;   // largest over smallest of their singular values
};

/// Least squares with an intercept from the singular value decomposition of the centred states
/// X = U S V^T: weights V S / (S^2 + n ridge) U^T y; singular values beyond the numerical rank are
/// left out. Throws Error for shapes that do not fit, fewer samples than states, no sample to test
/// on, values that are not finite, and a negative ridge.
ReadoutScore score_readout(const Samples& fit, const Samples& test, double ridge = 0);

/// max(0, 1 - H/(T I)): the least NMSE of any affine reconstruction of T I white numbers from H
/// numbers, whatever the encoder. A readout of rank H leaves at least T I - H of T I equal
/// variances (Eckart & Young 1936).
double readout_bound(std::int64_t H, std::int64_t T, std::int64_t I);

/// The reconstruction of x [T,I] from the last output h_T alone.
struct FinalReadout {
  double nmse = 0;
  double bound = 0;       // readout_bound of what was seen
  std::int64_t rank = 0;  // of the map x -> h_T, or of the sampled h_T
  double condition = 1;
  Tensor readout;       // [T I,H], of linear_final_readout: x = readout h_T, steps then channels
  std::string warning;  // one line where nmse is below the bound or rank below min(H, T I)
};

/// Exactly, for a linear network: h_T = M x with M = [A^(T-1) B, ..., A B, B], whose pseudo-inverse
/// is the best readout of white x; nmse = |I - M^+ M|^2 / (T I). Throws Error unless the encoder is
/// one linear layer of one direction without bias, or T < 1.
FinalReadout linear_final_readout(const Encoder& encoder, std::int64_t T);

struct FinalSampling {
  std::int64_t fit = 20000, test = 20000;  // sequences
  double ridge = 0;
};
/// Of any encoder, from sequences of normal numbers; what is seen is the last layer's output after
/// its run, of both directions. Throws Error as score_readout.
FinalReadout sampled_final_readout(const Encoder& encoder, std::int64_t T,
                                   const FinalSampling& sampling, Random& random);

}  // namespace unroll
