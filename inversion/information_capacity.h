// Information processing capacity: how much of each polynomial of past inputs a linear readout of
// the state recovers. Memory is degree 1; the rest is what the network computes.
//
//   InformationCapacity c = information_capacity(encoder, {}, random);
//   c.degrees[0].capacity        // linear memory
//   c.total                      // at most N, and N for a network that forgets (theory)
//
// The input is iid U(-1,1). Targets are all products of normalised Legendre polynomials of single
// inputs, y = prod_i sqrt(2 d_i + 1) P_{d_i}(u_{t-k_i}), up to a degree sum d_i and, for each
// degree, a lag: a complete orthonormal set. The capacity of y is 1 - min NMSE of a linear readout,
// |U^T y|^2 / |y|^2 with U an orthonormal basis of the centred states. Their sum is N for fading
// memory and linearly independent states (Dambre, Verstraeten, Schrauwen & Massar, "Information
// processing capacity of dynamical systems", 2012, theorem 7).
//
// Of n samples even a target with no capacity shows about N/n. A capacity counts where it exceeds
// the 1 - false_rate quantile of chi^2_N / n, as in the paper's supplement.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/random.h"
#include "models/encoder.h"

namespace UNROLL_API unroll {

struct InformationOptions {
  std::vector<std::int64_t> lags = {60, 30, 16, 10, 8};  // of degree 1, 2, ...: lags 0 .. lags[d]-1
  std::int64_t steps = 50000, washout = 1000;
  double false_rate = 1e-4;  // of targets without capacity that count
};

struct DegreeCapacity {
  double capacity = 0;       // sum of those above the threshold
  std::int64_t targets = 0;  // tried
  std::int64_t counted = 0;  // above the threshold
};

struct InformationCapacity {
  std::vector<DegreeCapacity> degrees;  // of degree 1, 2, ...
  double total = 0;
  double threshold = 0;
  std::int64_t states = 0;  // D*P: theory for `total`
  std::int64_t rank = 0;    // of the centred states
  double condition = 1;
  std::string warning;  // one line where the total is more than 5 % away from the rank
};

/// Throws Error unless the encoder has one input, for no degree, counts below 1, a false rate
/// outside (0, 0.5), more than 2^22 targets, and steps that are not above the states.
InformationCapacity information_capacity(const Encoder& encoder, const InformationOptions& options,
                                         Random& random);

}  // namespace unroll
