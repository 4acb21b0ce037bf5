// Simple (Elman) RNN over a padded batch of sequences, one layer, one direction:
//
//   h[t+1] = activation(w_ih x[t] + b_ih + w_hh h[t] + b_hh)
//
//   cpu::rnn_forward<float>(shape, {.x = x, .w_ih = w_ih, .w_hh = w_hh, .h = h, .h_n = h_n,
//                                   .scratch = scratch});
//
// Nothing is saved beyond h: the slopes follow from the outputs. (With an option that is on, the
// pre-activations are.) Options: those of every cell. They, lengths, sizes, threads and
// determinism: kernels/recurrent.h.
#pragma once

#include "core/host_device.h"
#include "kernels/backends.h"
#include "kernels/recurrent.h"

namespace unroll {

enum class RnnActivation : std::uint8_t { tanh, relu, identity };

struct RnnShape : RecurrentShape {
  RnnActivation activation = RnnActivation::tanh;
  RecurrentOptions options = {};
};
using RnnSizes = RecurrentSizes;

// Which design runs: the general loop where an option is on, else the fused one.
UNROLL_HOST_DEVICE bool rnn_needs_general(const RnnShape& s) { return s.options.any(); }

template <class Real>
struct RnnForward {
  const Real* x;               // [T,N,I]
  const Real* w_ih;            // [H,I]
  const Real* w_hh;            // [H,H]
  const Real* b_ih = nullptr;  // [H], or null for zero
  const Real* b_hh = nullptr;  // [H], or null for zero
  Real* h;                     // [T+1,N,H], rows h_stride apart; h[0] is read, h[1..T] written
  Real* y = nullptr;           // [T,N,H] in time, rows y_stride apart, or null if not wanted:
  std::int64_t y_stride = 0;   // not reversed, h[1..T] says the same; 0 means H
  Real* h_n = nullptr;         // [N,H] after the run's last step, or null if not wanted
  Real* saved = nullptr;       // rnn_sizes().saved, or null in inference
  Real* scratch;               // rnn_sizes().forward_scratch
  Real* packed = nullptr;      // rnn_sizes().packed, or null for a place in scratch
  bool packs = true;           // false: packed holds what another call with these weights left
};

// Cotangents of the outputs -> cotangents of the inputs, in K directions. A null cotangent is zero;
// a null result is not wanted and costs nothing. Each result is beta * result + (its value), for
// beta 0 (written without being read) or 1.
template <class Real>
struct RnnPullback {
  const Real* x = nullptr;      // [T,N,I]; may be null if dw_ih is
  const Real* w_ih = nullptr;   // [H,I]; may be null if dx is
  const Real* w_hh;             // [H,H]
  const Real* h;                // [T+1,N,H], rows h_stride apart
  const Real* saved = nullptr;  // as the forward pass left it

  const Real* dy = nullptr;    // [K,T,N,H], rows dy_stride apart: cotangent of y
  std::int64_t dy_stride = 0;  // 0 means H
  const Real* dh_n = nullptr;  // [K,N,H]

  Real* dx = nullptr;     // [K,T,N,I]
  Real* dh0 = nullptr;    // [K,N,H]
  Real* dw_ih = nullptr;  // [K,H,I]
  Real* dw_hh = nullptr;  // [K,H,H]
  Real* db_ih = nullptr;  // [K,H]
  Real* db_hh = nullptr;  // [K,H]
  Real beta_dx = 0, beta_dh0 = 0;
  Real beta_dw_ih = 0, beta_dw_hh = 0, beta_db_ih = 0, beta_db_hh = 0;

  Real* scratch;  // rnn_sizes().pullback_scratch
};

// Tangents of the inputs -> tangents of the outputs, in K directions. A null tangent is zero; a
// null result is not wanted. Padding of dx is never read, dy there is zero.
template <class Real>
struct RnnPushforward {
  const Real* x = nullptr;      // [T,N,I]; may be null if dw_ih is
  const Real* w_ih = nullptr;   // [H,I]; may be null if dx is
  const Real* w_hh;             // [H,H]
  const Real* h;                // [T+1,N,H], rows h_stride apart
  const Real* saved = nullptr;  // as the forward pass left it

  const Real* dx = nullptr;     // [K,T,N,I]
  const Real* dh0 = nullptr;    // [K,N,H]
  const Real* dw_ih = nullptr;  // [K,H,I]
  const Real* dw_hh = nullptr;  // [K,H,H]
  const Real* db_ih = nullptr;  // [K,H]
  const Real* db_hh = nullptr;  // [K,H]

  Real* dy = nullptr;          // [K,T,N,H], rows dy_stride apart: tangent of y
  std::int64_t dy_stride = 0;  // 0 means H
  Real* dh_n = nullptr;        // [K,N,H]

  Real* scratch;  // rnn_sizes().pushforward_scratch
};

// Real: float, double.
namespace cpu {

template <class Real>
RnnSizes rnn_sizes(const RnnShape&) noexcept;

template <class Real>
void rnn_forward(const RnnShape&, const RnnForward<Real>&) noexcept;

template <class Real>
void rnn_pullback(const RnnShape&, const RnnPullback<Real>&) noexcept;

template <class Real>
void rnn_pushforward(const RnnShape&, const RnnPushforward<Real>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU_SHAPE(rnn_sizes, RnnSizes, RnnShape)
UNROLL_ON_GPU(rnn_forward, void, RnnShape, RnnForward)
UNROLL_ON_GPU(rnn_pullback, void, RnnShape, RnnPullback)
UNROLL_ON_GPU(rnn_pushforward, void, RnnShape, RnnPushforward)

// ---- The cell, once for every machine. Math: ScalarCell, or Simd for vectors.

template <RnnActivation activation, class Math>
UNROLL_HOST_DEVICE typename Math::Vec rnn_activate(typename Math::Vec x) {
  if constexpr (activation == RnnActivation::tanh) return Math::tanh(x);
  if constexpr (activation == RnnActivation::relu) return Math::max(Math::set(0), x);
  if constexpr (activation == RnnActivation::identity) return x;
}

// value times the slope of the activation where its value is y: the pullback and the pushforward.
template <RnnActivation activation, class Math>
UNROLL_HOST_DEVICE typename Math::Vec rnn_slope(typename Math::Vec y, typename Math::Vec value) {
  if constexpr (activation == RnnActivation::tanh) return value * Math::fnma(y, y, Math::set(1));
  if constexpr (activation == RnnActivation::relu) return Math::where_positive(y, value);
  if constexpr (activation == RnnActivation::identity) return value;
}

// The same, with the activation a choice made at run time.
template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec rnn_activated(RnnActivation activation,
                                                    typename Math::Vec x) {
  switch (activation) {
    case RnnActivation::tanh: return rnn_activate<RnnActivation::tanh, Math>(x);
    case RnnActivation::relu: return rnn_activate<RnnActivation::relu, Math>(x);
    default: return rnn_activate<RnnActivation::identity, Math>(x);
  }
}

template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec rnn_activated_slope(RnnActivation activation,
                                                          typename Math::Vec y,
                                                          typename Math::Vec value) {
  switch (activation) {
    case RnnActivation::tanh: return rnn_slope<RnnActivation::tanh, Math>(y, value);
    case RnnActivation::relu: return rnn_slope<RnnActivation::relu, Math>(y, value);
    default: return rnn_slope<RnnActivation::identity, Math>(y, value);
  }
}

}  // namespace unroll
