// Fisher memory curve of a linear network with noise, h_t = W h_{t-1} + v s_t + z_t, z ~ N(0, I).
//
//   FisherMemory f = fisher_memory(W, v);      // f.total == 1 for normal W and |v| = 1
//
// J(k) = v^T (W^k)^T C^{-1} W^k v, with C = sum of W^k (W^k)^T the covariance of the state's noise,
// is the information that h_t keeps of the signal s_{t-k}: 1/J(k) bounds the variance of every
// unbiased estimate (Ganguli, Huh & Sompolinsky, "Memory traces in dynamical systems", 2008,
// equations 3 and 5). Normal W: sum J = |v|^2. Any W: the sums over an orthonormal basis of v add
// up to N, so a network gains memory of one direction at the price of others. Delay line of squared
// weight a, v = e_1: J(k) = a^k / sum_{m<=k} a^m.
//
// With C = L L^T and A = L^{-1} W L it is J(k) = |A^k L^{-1} v|^2, and the sums over all k are
// closed: sum J = y^T G y with y = L^{-1} v, G = sum of (A^k)^T A^k.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace UNROLL_API unroll {

struct FisherMemory {
  std::vector<double> J;   // of lag k = 0, 1, ..., to the lag where nothing is left
  double total = 0;        // over all lags
  double basis_total = 0;  // sum of the totals over an orthonormal basis of v; theory: N
  bool is_normal = false;  // W W^T = W^T W to round-off; theory then: total = |v|^2
  std::int64_t rank = 0;   // of C with its diagonal scaled to 1: what Cholesky's error depends on
  double condition = 1;    // of the same
  std::string warning;     // one line where a number and theory disagree by 1e-6; else empty
};

/// W [N,N], v [N] float64. Throws Error for shapes that do not fit, values that are not finite and
/// a W whose powers do not vanish (a spectral radius of 1 or more).
FisherMemory fisher_memory(const Tensor& W, const Tensor& v, std::int64_t most_lags = 1 << 17);

}  // namespace unroll
