// Lyapunov spectrum of an Encoder along an input: at what rates small differences of its state grow
// or vanish. What vanishes is forgotten, and an inverse has to amplify it.
//
//   LyapunovSpectrum l = lyapunov_spectrum(encoder, x);      // x [T,I]
//   l.exponents[0] < 0                                       // the echo state property along x
//
// The Jacobians J_t = d s_t / d s_{t-1} of the whole state (h, and c, of every layer) act on an
// orthonormal frame that a QR decomposition restores at every step; the exponents are the means of
// log R_ii (Benettin et al. 1980; Engelken, Wolf & Abbott, "Lyapunov spectra of chaotic recurrent
// neural networks", 2023). J_t Q comes from the tape's pushes. Linear: log |eigenvalues of W|.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/encoder.h"

namespace UNROLL_API unroll {

struct LyapunovSpectrum {
  std::vector<double> exponents;  // per step, descending; -infinity where a direction dies at once
  std::int64_t steps = 0;         // that were averaged over
  std::int64_t rank = 0;          // least number of directions that survived a step
  double condition = 1;           // largest ratio of R_ii within one step
  double kaplan_yorke = 0;        // dimension of the attractor by Kaplan & Yorke (1979)
  std::string warning;            // one line where theory and number disagree; else empty
};

/// From a zero state; `warmup` steps, by default a tenth, align the frame first and do not count.
/// Theory checked: of one linear layer the exponents are log |eigenvalues|, here to 1e-2. Throws
/// Error for both directions (there is no step map), an x that is not [T,I] float64 with T >
/// warmup, and a state that is not finite.
LyapunovSpectrum lyapunov_spectrum(const Encoder& encoder, const Tensor& x,
                                   std::int64_t warmup = -1);

}  // namespace unroll
