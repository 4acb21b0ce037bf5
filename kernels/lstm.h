// LSTM over a padded batch of sequences, one layer, one direction (Hochreiter & Schmidhuber 1997,
// with forget gate; gate order i, f, g, o as in PyTorch):
//
//   [i f g o] = w_ih x[t] + b_ih + w_hh h[t] + b_hh;   i, f, o through sigmoid, g through tanh
//   c[t+1] = f c[t] + i g                              h[t+1] = o tanh(c[t+1])
//
//   cpu::lstm_forward<float>(shape, {.x = x, .w_ih = w_ih, .w_hh = w_hh, .h = h, .c = c,
//                                    .h_n = h_n, .c_n = c_n, .scratch = scratch});
//
// Lengths, sizes, threads and determinism: kernels/recurrent.h.
#pragma once

#include "kernels/real.h"
#include "kernels/recurrent.h"

namespace unroll {

using LstmShape = RecurrentShape;
using LstmSizes = RecurrentSizes;

template <class Real>
struct LstmForward {
  const Real* x;               // [T,N,I]
  const Real* w_ih;            // [4H,I]
  const Real* w_hh;            // [4H,H]
  const Real* b_ih = nullptr;  // [4H], or null for zero
  const Real* b_hh = nullptr;  // [4H], or null for zero
  Real* h;                     // [T+1,N,H], rows h_stride apart; h[0] is read, h[1..T] written
  Real* c;                     // [T+1,N,H]; c[0] is read, c[1..T] written
  Real* y = nullptr;           // [T,N,H] in time, rows y_stride apart, or null if not wanted:
  std::int64_t y_stride = 0;   // not reversed, h[1..T] says the same; 0 means H
  Real* h_n = nullptr;         // [N,H] after the run's last step, or null if not wanted
  Real* c_n = nullptr;         // [N,H] after the run's last step, or null if not wanted
  Real* saved = nullptr;       // lstm_sizes().saved, or null in inference
  Real* scratch;               // lstm_sizes().forward_scratch
};

// Cotangents of the outputs -> cotangents of the inputs, in K directions. A null cotangent is zero;
// a null result is not wanted and costs nothing. Each result is beta * result + (its value), for
// beta 0 (written without being read) or 1.
template <class Real>
struct LstmPullback {
  const Real* x = nullptr;     // [T,N,I]; may be null if dw_ih is
  const Real* w_ih = nullptr;  // [4H,I]; may be null if dx is
  const Real* w_hh;            // [4H,H]
  const Real* h = nullptr;     // [T+1,N,H], rows h_stride apart; may be null if dw_hh is
  const Real* c;               // [T+1,N,H]
  const Real* saved;           // as the forward pass left it

  const Real* dy = nullptr;    // [K,T,N,H], rows dy_stride apart: cotangent of y
  std::int64_t dy_stride = 0;  // 0 means H
  const Real* dh_n = nullptr;  // [K,N,H]
  const Real* dc_n = nullptr;  // [K,N,H]

  Real* dx = nullptr;     // [K,T,N,I]
  Real* dh0 = nullptr;    // [K,N,H]
  Real* dc0 = nullptr;    // [K,N,H]
  Real* dw_ih = nullptr;  // [K,4H,I]
  Real* dw_hh = nullptr;  // [K,4H,H]
  Real* db_ih = nullptr;  // [K,4H]
  Real* db_hh = nullptr;  // [K,4H]
  Real beta_dx = 0, beta_dh0 = 0, beta_dc0 = 0;
  Real beta_dw_ih = 0, beta_dw_hh = 0, beta_db_ih = 0, beta_db_hh = 0;

  Real* scratch;  // lstm_sizes().pullback_scratch
};

// Tangents of the inputs -> tangents of the outputs, in K directions. A null tangent is zero; a
// null result is not wanted. Padding of dx is never read, dy there is zero.
template <class Real>
struct LstmPushforward {
  const Real* x = nullptr;     // [T,N,I]; may be null if dw_ih is
  const Real* w_ih = nullptr;  // [4H,I]; may be null if dx is
  const Real* w_hh;            // [4H,H]
  const Real* h = nullptr;     // [T+1,N,H], rows h_stride apart; may be null if dw_hh is
  const Real* c;               // [T+1,N,H]
  const Real* saved;           // as the forward pass left it

  const Real* dx = nullptr;     // [K,T,N,I]
  const Real* dh0 = nullptr;    // [K,N,H]
  const Real* dc0 = nullptr;    // [K,N,H]
  const Real* dw_ih = nullptr;  // [K,4H,I]
  const Real* dw_hh = nullptr;  // [K,4H,H]
  const Real* db_ih = nullptr;  // [K,4H]
  const Real* db_hh = nullptr;  // [K,4H]

  Real* dy = nullptr;          // [K,T,N,H], rows dy_stride apart: tangent of y
  std::int64_t dy_stride = 0;  // 0 means H
  Real* dh_n = nullptr;        // [K,N,H]
  Real* dc_n = nullptr;        // [K,N,H]

  Real* scratch;  // lstm_sizes().pushforward_scratch
};

// Real: float, double.
namespace cpu {

template <class Real>
LstmSizes lstm_sizes(const LstmShape&) noexcept;

template <class Real>
void lstm_forward(const LstmShape&, const LstmForward<Real>&) noexcept;

template <class Real>
void lstm_pullback(const LstmShape&, const LstmPullback<Real>&) noexcept;

template <class Real>
void lstm_pushforward(const LstmShape&, const LstmPushforward<Real>&) noexcept;

}  // namespace cpu

// ---- The cell, once for every machine. Math: ScalarCell, or Simd for vectors.

// Values of the gates, or their tangents or cotangents before the activations.
template <class Math>
struct LstmGates {
  typename Math::Vec i, f, g, o;
};

template <class Math>
struct LstmState {
  typename Math::Vec h, c;
};

template <class Math>
UNROLL_HOST_DEVICE LstmGates<Math> lstm_activate(const LstmGates<Math>& pre) {
  return {Math::sigmoid(pre.i), Math::sigmoid(pre.f), Math::tanh(pre.g), Math::sigmoid(pre.o)};
}

// c[t+1]
template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec lstm_cell(const LstmGates<Math>& gate,
                                                typename Math::Vec c_before) {
  return Math::fma(gate.f, c_before, gate.i * gate.g);
}

// h[t+1]
template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec lstm_output(typename Math::Vec o, typename Math::Vec c) {
  return o * Math::tanh(c);
}

template <class Math>
struct LstmCotangents {
  LstmGates<Math> pre;
  typename Math::Vec c_before;
};

// Cotangents of h[t+1] and c[t+1] -> of the gates before their activations and of c[t], given
// tanh(c[t+1]).
template <class Math>
UNROLL_HOST_DEVICE LstmCotangents<Math> lstm_step_pullback(const LstmGates<Math>& gate,
                                                           typename Math::Vec c_before,
                                                           typename Math::Vec tanh_c,
                                                           const LstmState<Math>& cotangent) {
  const auto one = Math::set(1);
  const auto dc = Math::fma(cotangent.h * gate.o, Math::fnma(tanh_c, tanh_c, one), cotangent.c);
  return {.pre = {.i = dc * gate.g * Math::fnma(gate.i, gate.i, gate.i),
                  .f = dc * c_before * Math::fnma(gate.f, gate.f, gate.f),
                  .g = dc * gate.i * Math::fnma(gate.g, gate.g, one),
                  .o = cotangent.h * tanh_c * Math::fnma(gate.o, gate.o, gate.o)},
          .c_before = dc * gate.f};
}

// Tangents of the gates before their activations and of c[t] -> of h[t+1] and c[t+1], given
// tanh(c[t+1]).
template <class Math>
UNROLL_HOST_DEVICE LstmState<Math> lstm_step_pushforward(const LstmGates<Math>& gate,
                                                         typename Math::Vec c_before,
                                                         typename Math::Vec tanh_c,
                                                         const LstmGates<Math>& pre,
                                                         typename Math::Vec dc_before) {
  const auto one = Math::set(1);
  const auto di = pre.i * Math::fnma(gate.i, gate.i, gate.i);
  const auto df = pre.f * Math::fnma(gate.f, gate.f, gate.f);
  const auto dg = pre.g * Math::fnma(gate.g, gate.g, one);
  const auto d_o = pre.o * Math::fnma(gate.o, gate.o, gate.o);
  const auto dc =
      Math::fma(df, c_before, Math::fma(gate.f, dc_before, Math::fma(di, gate.g, gate.i * dg)));
  return {.h = Math::fma(d_o, tanh_c, gate.o * Math::fnma(tanh_c, tanh_c, one) * dc), .c = dc};
}

}  // namespace unroll
