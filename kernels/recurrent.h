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
// A call may run a segment of a run alone: `segment` steps from first_step on, in the run's order.
// What belongs to a step in time is given, and has its place, as for all T steps; the lengths and
// the masks are those of the whole run. The states and what is saved are the segment's own: h[0] is
// the state before its first step, h_n the one after its last, and so are their cotangents and
// tangents. A sequence that ended before passes on what it gets. Padding in time is written by the
// segment that begins at step 0.
//
// Results are the same bits for any number of threads. The kernels never allocate and never throw.
// They may be called from several threads on distinct outputs; inside a parallel region they run on
// the calling thread alone.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"
#include "core/lengths.h"

namespace unroll {

struct RecurrentShape {
  std::int64_t T, N, I, H;    // steps, sequences, inputs, hidden units
  std::int64_t K = 1;         // directions of one pullback or pushforward
  LengthsView lengths = {};   // default: every sequence has T steps
  std::int64_t h_stride = 0;  // elements between the rows of h; 0 means H
  bool reverse = false;       // run each sequence from its last valid step to its first
  std::int64_t first_step = 0, segment = 0;  // the steps that run; segment 0: to T
};

// Steps of a call, and so the rows of h and c behind their first.
UNROLL_HOST_DEVICE std::int64_t segment_steps(const RecurrentShape& s) {
  return s.segment ? s.segment : s.T - s.first_step;
}

// Options that every cell knows. All are off by default, and one that is on sends the call to the
// general loop (kernels/recurrent_steps_simd.h) instead of the fused one, which is the faster.
//
//   clip      what the activations see is clamped to [-clip, clip] (slope 1 inside and on the
//             bounds, 0 outside), as ONNX has it
//   zoneout   (Krueger et al. 2017) in training each unit of h (c) keeps its old value at a step
//             with this probability, for each sequence anew; else it is
//             rate * (old value) + (1 - rate) * (new value). What the output gate and tanh see of c
//             is its new value in any case
//   dropout   (Gal & Ghahramani 2016) in training, what w_hh sees of h is multiplied by one mask
//             [N,P] for all steps: 0 with this probability, else 1 / (1 - dropout)
//
// Masks are never stored. With P = the numbers in h, uniform_at(seed, stream, counter + e) decides,
// below its rate, about
//   dropout of h[n,u]             e = n P + u
//   zoneout of h[n,u], step t     e = N P + (t N + n) P + u        (t in the order of the run)
//   zoneout of c[n,u], step t     e = N P + T N P + (t N + n) H + u
struct RecurrentOptions {
  double clip = 0;                      // 0: none
  double zoneout_h = 0, zoneout_c = 0;  // rates in [0, 1]
  double dropout = 0;                   // rate in [0, 1)
  bool training = false;
  std::uint64_t seed = 0, stream = 0, counter = 0;
  bool general = false;  // takes the general loop without need: the oracle of the fused one

  UNROLL_HOST_DEVICE bool any() const {
    return general || clip > 0 || zoneout_h > 0 || zoneout_c > 0 || (training && dropout > 0);
  }
};

// How far a call moves the counter: N P + T N (P + H), whichever masks are on.
UNROLL_HOST_DEVICE std::uint64_t mask_draws(const RecurrentShape& s, std::int64_t P) {
  return std::uint64_t(s.N * P + s.T * s.N * (P + s.H));
}

// Sizes of the buffers that the caller provides, in elements of the real type. All must be aligned
// to 64 bytes. They depend on the instruction set in use, not on the number of threads.
struct RecurrentSizes {
  std::int64_t saved;  // kept from the forward pass for the other two; may be 0
  std::int64_t forward_scratch, pullback_scratch, pushforward_scratch;
  // Two runs of this shape are done sooner side by side, each by one thread, than one after the
  // other. This alone depends on the number of threads.
  bool side_by_side = false;
  // The weights and biases packed as the forward pass reads them, which other calls with the same
  // may reuse where I, H and the layout are the same; 0: it packs them in scratch in every call.
  std::int64_t packed = 0;
  int layout = 0;
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
  UNROLL_HOST_DEVICE static Real min(Real a, Real b) { return a < b ? a : b; }
  UNROLL_HOST_DEVICE static Real abs(Real a) { return std::fabs(a); }
  UNROLL_HOST_DEVICE static Real where_positive(Real x, Real value) { return x > 0 ? value : 0; }
  UNROLL_HOST_DEVICE static Real where_not_above(Real x, Real bound, Real value) {
    return x > bound ? 0 : value;
  }
  UNROLL_HOST_DEVICE static Real sigmoid(Real x) { return 1 / (1 + std::exp(-x)); }
  UNROLL_HOST_DEVICE static Real tanh(Real x) { return std::tanh(x); }
};

// ---- Formulas of the options, once for every machine. Math: ScalarCell, or Simd for vectors.

// What an activation sees; an infinite bound clips nothing.
template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec clip_value(typename Math::Vec x, typename Math::Vec bound) {
  return Math::max(-bound, Math::min(bound, x));
}

// value times the slope of that at x: the pullback and the pushforward.
template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec clip_slope(typename Math::Vec x, typename Math::Vec bound,
                                                 typename Math::Vec value) {
  return Math::where_not_above(Math::abs(x), bound, value);
}

// keep * before + (1 - keep) * after; where keep is 0 or 1, the other number may even be infinite.
template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec zoneout_mix(typename Math::Vec keep,
                                                  typename Math::Vec before,
                                                  typename Math::Vec after) {
  const auto rest = Math::set(1) - keep;
  return Math::where_positive(keep, keep * before) + Math::where_positive(rest, rest * after);
}

}  // namespace unroll
