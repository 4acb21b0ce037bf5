// GRU over a padded batch of sequences, one layer, one direction (Cho et al. 2014, with the reset
// gate applied after the product, as in PyTorch and cuDNN; gate order r, z, n):
//
//   r = sigmoid(w_ir x[t] + b_ir + w_hr h[t] + b_hr)
//   z = sigmoid(w_iz x[t] + b_iz + w_hz h[t] + b_hz)
//   n = tanh(w_in x[t] + b_in + r (w_hn h[t] + b_hn))
//   h[t+1] = (1 - z) n + z h[t]
//
//   cpu::gru_forward<float>(shape, {.x = x, .w_ih = w_ih, .w_hh = w_hh, .h = h, .h_n = h_n,
//                                   .scratch = scratch});
//
// Options: those of every cell (kernels/recurrent.h), and the reset before the product, as Cho et
// al. and ONNX's linear_before_reset = 0 have it:
//
//   n = tanh(w_in x[t] + b_in + w_hn (r h[t]) + b_hn)
//
// Lengths, sizes, threads and determinism: kernels/recurrent.h.
#pragma once

#include "core/host_device.h"
#include "kernels/backends.h"
#include "kernels/recurrent.h"

namespace unroll {

struct GruShape : RecurrentShape {
  bool reset_first = false;  // the reset gate acts before the product
  RecurrentOptions options = {};
};

// Which design runs: the general loop where an option is on, else the fused one.
UNROLL_HOST_DEVICE bool gru_needs_general(const GruShape& s) {
  return s.reset_first || s.options.any();
}

using GruSizes = RecurrentSizes;

template <class Real>
struct GruForward {
  const Real* x;               // [T,N,I]
  const Real* w_ih;            // [3H,I]
  const Real* w_hh;            // [3H,H]
  const Real* b_ih = nullptr;  // [3H], or null for zero
  const Real* b_hh = nullptr;  // [3H], or null for zero
  Real* h;                     // [T+1,N,H], rows h_stride apart; h[0] is read, h[1..T] written
  Real* y = nullptr;           // [T,N,H] in time, rows y_stride apart, or null if not wanted:
  std::int64_t y_stride = 0;   // not reversed, h[1..T] says the same; 0 means H
  Real* h_n = nullptr;         // [N,H] after the run's last step, or null if not wanted
  Real* saved = nullptr;       // gru_sizes().saved, or null in inference
  Real* scratch;               // gru_sizes().forward_scratch
  Real* packed = nullptr;      // gru_sizes().packed, or null for a place in scratch
  bool packs = true;           // false: packed holds what another call with these weights left
};

// Cotangents of the outputs -> cotangents of the inputs, in K directions. A null cotangent is zero;
// a null result is not wanted and costs nothing. Each result is beta * result + (its value), for
// beta 0 (written without being read) or 1.
template <class Real>
struct GruPullback {
  const Real* x = nullptr;     // [T,N,I]; may be null if dw_ih is
  const Real* w_ih = nullptr;  // [3H,I]; may be null if dx is
  const Real* w_hh;            // [3H,H]
  const Real* h;               // [T+1,N,H], rows h_stride apart
  const Real* saved;           // as the forward pass left it

  const Real* dy = nullptr;    // [K,T,N,H], rows dy_stride apart: cotangent of y
  std::int64_t dy_stride = 0;  // 0 means H
  const Real* dh_n = nullptr;  // [K,N,H]

  Real* dx = nullptr;     // [K,T,N,I]
  Real* dh0 = nullptr;    // [K,N,H]
  Real* dw_ih = nullptr;  // [K,3H,I]
  Real* dw_hh = nullptr;  // [K,3H,H]
  Real* db_ih = nullptr;  // [K,3H]
  Real* db_hh = nullptr;  // [K,3H]
  Real beta_dx = 0, beta_dh0 = 0;
  Real beta_dw_ih = 0, beta_dw_hh = 0, beta_db_ih = 0, beta_db_hh = 0;

  Real* scratch;  // gru_sizes().pullback_scratch
};

// Tangents of the inputs -> tangents of the outputs, in K directions. A null tangent is zero; a
// null result is not wanted. Padding of dx is never read, dy there is zero.
template <class Real>
struct GruPushforward {
  const Real* x = nullptr;     // [T,N,I]; may be null if dw_ih is
  const Real* w_ih = nullptr;  // [3H,I]; may be null if dx is
  const Real* w_hh;            // [3H,H]
  const Real* h;               // [T+1,N,H], rows h_stride apart
  const Real* saved;           // as the forward pass left it

  const Real* dx = nullptr;     // [K,T,N,I]
  const Real* dh0 = nullptr;    // [K,N,H]
  const Real* dw_ih = nullptr;  // [K,3H,I]
  const Real* dw_hh = nullptr;  // [K,3H,H]
  const Real* db_ih = nullptr;  // [K,3H]
  const Real* db_hh = nullptr;  // [K,3H]

  Real* dy = nullptr;          // [K,T,N,H], rows dy_stride apart: tangent of y
  std::int64_t dy_stride = 0;  // 0 means H
  Real* dh_n = nullptr;        // [K,N,H]

  Real* scratch;  // gru_sizes().pushforward_scratch
};

// Real: float, double.
namespace cpu {

template <class Real>
GruSizes gru_sizes(const GruShape&) noexcept;

template <class Real>
void gru_forward(const GruShape&, const GruForward<Real>&) noexcept;

template <class Real>
void gru_pullback(const GruShape&, const GruPullback<Real>&) noexcept;

template <class Real>
void gru_pushforward(const GruShape&, const GruPushforward<Real>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU_SHAPE(gru_sizes, GruSizes, GruShape)
UNROLL_ON_GPU(gru_forward, void, GruShape, GruForward)
UNROLL_ON_GPU(gru_pullback, void, GruShape, GruPullback)
UNROLL_ON_GPU(gru_pushforward, void, GruShape, GruPushforward)

// ---- The cell, once for every machine. Math: ScalarCell, or Simd for vectors.

// n_x = w_in x + b_in and n_h = w_hn h + b_hn are what the reset gate stands between.
template <class Math>
struct GruPre {
  typename Math::Vec n_x, r, z, n_h;  // before the activations, or tangents or cotangents of that
};

template <class Math>
struct GruGates {
  typename Math::Vec r, z, n, n_h;
};

// n, given r
template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec gru_candidate(typename Math::Vec n_x, typename Math::Vec r,
                                                    typename Math::Vec n_h) {
  return Math::tanh(Math::fma(r, n_h, n_x));
}

// h[t+1]
template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec gru_output(const GruGates<Math>& gate,
                                                 typename Math::Vec h_before) {
  return Math::fma(gate.z, h_before - gate.n, gate.n);
}

// Cotangent of h[t+1] -> of n and z before their activations, and of h[t] along z h[t] alone.
template <class Math>
struct GruOutputCotangents {
  typename Math::Vec n, z, h_before;
};

template <class Math>
UNROLL_HOST_DEVICE GruOutputCotangents<Math> gru_output_pullback(typename Math::Vec z,
                                                                 typename Math::Vec n,
                                                                 typename Math::Vec h_before,
                                                                 typename Math::Vec dh) {
  const auto one = Math::set(1);
  const auto dz = dh * (h_before - n);
  return {.n = dh * (one - z) * Math::fnma(n, n, one),
          .z = dz * Math::fnma(z, z, z),
          .h_before = dh * z};
}

// Cotangent of r v -> of r before its activation, and of v.
template <class Math>
struct GruResetCotangents {
  typename Math::Vec r, v;
};

template <class Math>
UNROLL_HOST_DEVICE GruResetCotangents<Math> gru_reset_pullback(typename Math::Vec r,
                                                               typename Math::Vec v,
                                                               typename Math::Vec d) {
  return {.r = d * v * Math::fnma(r, r, r), .v = d * r};
}

template <class Math>
struct GruCotangents {
  GruPre<Math> pre;
  typename Math::Vec h_before;  // along z h[t] alone; the products come on top
};

// Cotangent of h[t+1] -> of the gates before their activations and of h[t].
template <class Math>
UNROLL_HOST_DEVICE GruCotangents<Math> gru_step_pullback(const GruGates<Math>& gate,
                                                         typename Math::Vec h_before,
                                                         typename Math::Vec dh) {
  const GruOutputCotangents<Math> d = gru_output_pullback<Math>(gate.z, gate.n, h_before, dh);
  const GruResetCotangents<Math> reset = gru_reset_pullback<Math>(gate.r, gate.n_h, d.n);
  return {.pre = {.n_x = d.n, .r = reset.r, .z = d.z, .n_h = reset.v}, .h_before = d.h_before};
}

// base + the tangent of r v, from those of r before its activation and of v.
template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec gru_reset_pushforward(typename Math::Vec r,
                                                            typename Math::Vec v,
                                                            typename Math::Vec pre_r,
                                                            typename Math::Vec dv,
                                                            typename Math::Vec base) {
  return Math::fma(pre_r * Math::fnma(r, r, r), v, Math::fma(r, dv, base));
}

// Tangents of z and n before their activations and of h[t] -> of h[t+1].
template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec gru_output_pushforward(
    typename Math::Vec z, typename Math::Vec n, typename Math::Vec h_before,
    typename Math::Vec pre_z, typename Math::Vec pre_n, typename Math::Vec dh_before) {
  const auto dz = pre_z * Math::fnma(z, z, z);
  const auto dn = pre_n * Math::fnma(n, n, Math::set(1));
  return Math::fma(dz, h_before - n, Math::fma(z, dh_before - dn, dn));
}

// Tangents of the gates before their activations and of h[t] -> of h[t+1].
template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec gru_step_pushforward(const GruGates<Math>& gate,
                                                           typename Math::Vec h_before,
                                                           const GruPre<Math>& pre,
                                                           typename Math::Vec dh_before) {
  const auto pre_n = gru_reset_pushforward<Math>(gate.r, gate.n_h, pre.r, pre.n_h, pre.n_x);
  return gru_output_pushforward<Math>(gate.z, gate.n, h_before, pre.z, pre_n, dh_before);
}

}  // namespace unroll
