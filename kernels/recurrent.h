// What the RNN, the LSTM and the GRU kernels share: their sizes, and the functions of a scalar lane
// that their formulas are instantiated with.
//
//   RecurrentShape shape{.T = 20, .N = 64, .I = 1, .H = 32};
//   RecurrentSizes sizes = cpu::lstm_sizes<float>(shape);   // what the caller allocates
//
// Sequences are [T,N,*], the rightmost index changes fastest. With lengths, sequence n takes part
// in the steps t < length[n]: work is proportional to the sum of the lengths, x and cotangents of
// the other steps ("padding") are never read, h and c there are zero, dx there is zero (unchanged
// where dx is added to), and a sequence of length 0 ends in its initial state.
//
// Reversed, a sequence runs from its last valid step to its first. What belongs to a step in time
// keeps its place: x, y, and the cotangents and tangents of both. The states follow the run: h[0]
// is the initial state, h[1] what the last valid step left, h[length] what the first did.
//
// Results are the same bits for any number of threads. The kernels never allocate and never throw.
// They may be called from several threads on distinct outputs; inside a parallel region they run on
// the calling thread alone.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/lengths.h"
#include "kernels/real.h"

namespace unroll {

struct RecurrentShape {
  std::int64_t T, N, I, H;    // steps, sequences, inputs, hidden units
  std::int64_t K = 1;         // directions of one pullback or pushforward
  LengthsView lengths = {};   // default: every sequence has T steps
  std::int64_t h_stride = 0;  // elements between the rows of h; 0 means H
  bool reverse = false;       // run each sequence from its last valid step to its first
};

// Sizes of the buffers that the caller provides, in elements of the real type. All must be aligned
// to 64 bytes. They depend on the instruction set in use, not on the number of threads.
struct RecurrentSizes {
  std::int64_t saved;  // kept from the forward pass for the other two; may be 0
  std::int64_t forward_scratch, pullback_scratch, pushforward_scratch;
};

// Math policy for formulas on one number; Simd in kernels/simd.h is the policy for vectors.
template <class Real_>
struct ScalarCell {
  using Real = Real_;
  using Vec = Real;
  UNROLL_HOST_DEVICE static Real set(Real x) { return x; }
  UNROLL_HOST_DEVICE static Real fma(Real a, Real b, Real c) { return std::fma(a, b, c); }
  UNROLL_HOST_DEVICE static Real fnma(Real a, Real b, Real c) { return std::fma(-a, b, c); }
  UNROLL_HOST_DEVICE static Real max(Real a, Real b) { return a > b ? a : b; }
  UNROLL_HOST_DEVICE static Real where_positive(Real x, Real value) { return x > 0 ? value : 0; }
  UNROLL_HOST_DEVICE static Real sigmoid(Real x) { return 1 / (1 + std::exp(-x)); }
  UNROLL_HOST_DEVICE static Real tanh(Real x) { return std::tanh(x); }
};

}  // namespace unroll
