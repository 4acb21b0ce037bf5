// Linear memory capacity of a linear network h_{t+1} = W h_t + w u_t, computed, not sampled.
//
//   JaegerCapacity c = jaeger_capacity(W, w);      // c.total == N where w reaches every state
//   JaegerCapacity n = jaeger_capacity_naive(W, w);
//   if (!n.warning.empty()) ...                    // a numerical failure, not a capacity
//
// m_k is the squared correlation of u_{t-k} with its best linear readout of h_t for white input u;
// the capacity is their sum (Jaeger 2001). With w_k = W^k w and C = sum of w_k w_k^T it is
// m_k = w_k^T C^{-1} w_k: the k-th diagonal element of the projector onto the row space of
// K = [w_0, w_1, ...]. So its sum is the rank of K: N for a controllable network.
//
// K is hopelessly conditioned for random W, and pinv(K K^T) then finds a rank that is too small
// (Ballarin, Grigoryeva & Ortega, "Memory of recurrent networks: do we compute it right?", 2023,
// arXiv 2305.01457): that is jaeger_capacity_naive. But the row space of K depends on the
// eigenvalues of W alone: it is spanned by the sequences lambda_i^k. An orthonormal basis of it in
// closed form, a chain of all-pass filters, has no conditioning at all (Takenaka 1925, Malmquist
// 1926; Ninness & Gustafsson, "A unifying construction of orthonormal bases for system
// identification", 1997):
//     phi_n(z) = sqrt(1 - |lambda_n|^2) / (1 - lambda_n z)
//                * prod_{i<n} (z - conj(lambda_i)) / (1 - lambda_i z),    m_k = sum_n |phi_n[k]|^2.
// lambda are the eigenvalues of the part of W that w reaches (Arnoldi, inversion/krylov.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace UNROLL_API unroll {

struct JaegerCapacity {
  std::vector<double> m;          // m_k of lag k = 0, 1, ...
  double total = 0;               // their sum
  std::int64_t controllable = 0;  // what theory says: the dimension of what w reaches
  std::int64_t krylov_rank = 0;   // numerical rank of [w, W w, ..., W^(N-1) w]
  double krylov_condition = 1;    // of the same
  double spectral_radius = 0;     // of the part that w reaches
  std::string warning;            // one line where total and theory disagree by 1e-6; else empty
};

/// By the orthonormal basis, to the lag where nothing is left, or `most_lags`. W [N,N], w [N]
/// float64. Throws Error for shapes that do not fit, values that are not finite, and a spectral
/// radius of 1 or more: such a network has no steady state.
JaegerCapacity jaeger_capacity(const Tensor& W, const Tensor& w, std::int64_t most_lags = 1 << 17);

/// By the pseudo-inverse of C with singular values below 1e-15 of the largest taken for zero, as is
/// usual: wrong, and flagged, where K is ill-conditioned. Errors as jaeger_capacity.
JaegerCapacity jaeger_capacity_naive(const Tensor& W, const Tensor& w,
                                     std::int64_t most_lags = 1 << 17);

}  // namespace unroll
