// LSTM over a padded batch of sequences, one layer, one direction (Hochreiter & Schmidhuber 1997,
// with forget gate; gate order i, f, g, o as in PyTorch):
//
//   [i f g o] = w_ih x[t] + b_ih + w_hh h[t] + b_hh;   i, f, o through sigmoid, g through tanh
//   c[t+1] = f c[t] + i g                              h[t+1] = o tanh(c[t+1])
//
//   cpu::lstm_forward<float>(shape, {.x = x, .w_ih = w_ih, .w_hh = w_hh, .h = h, .c = c,
//                                    .h_n = h_n, .c_n = c_n, .scratch = scratch});
//
// Options (each alone or with others; those of every cell: kernels/recurrent.h), P numbers in h:
//
//   projection  (Sak et al. 2014; PyTorch's proj_size)  h[t+1] = w_hr (o tanh(c[t+1])),
//               w_hr [P,H]; w_hh is [4H,P]
//   peepholes   (Gers & Schmidhuber 2000)  peephole [3,H] in the order i, f, o is added to what the
//               activations see:  i += p_i c[t],  f += p_f c[t],  o += p_o c[t+1]
//   layer norm  (Ba et al. 2016)  N(v) = (v - mean v) / sqrt(var v + 1e-5), over all 4H at once:
//               [i f g o] = norm_ih N(w_ih x[t]) + b_ih + norm_hh N(w_hh h[t]) + b_hh
//               h[t+1]    = o tanh(norm_c N(c[t+1]) + norm_c_bias)
//               so that b_ih and b_hh are the biases of the normalised products
//
// Lengths, sizes, threads and determinism: kernels/recurrent.h.
#pragma once

#include "core/host_device.h"
#include "kernels/backends.h"
#include "kernels/recurrent.h"

namespace unroll {

struct LstmShape : RecurrentShape {
  std::int64_t P = 0;  // numbers in h with a projection; 0: H, and none
  bool peephole = false, layer_norm = false;
  RecurrentOptions options = {};
};

// Which design runs: the general loop where an option is on, else the fused one.
UNROLL_HOST_DEVICE bool lstm_needs_general(const LstmShape& s) {
  return s.P > 0 || s.peephole || s.layer_norm || s.options.any();
}

// The parameters that only options have; Each is a pointer, or the beta of one. Where the shape
// says that the option is on, its parameters are given.
template <class Each>
struct LstmExtra {
  Each w_hr{};         // [P,H]
  Each peephole{};     // [3,H]: i, f, o
  Each norm_ih{};      // [4H]
  Each norm_hh{};      // [4H]
  Each norm_c{};       // [H]
  Each norm_c_bias{};  // [H]
};
using LstmSizes = RecurrentSizes;

template <class Real>
struct LstmForward {
  const Real* x;               // [T,N,I]
  const Real* w_ih;            // [4H,I]
  const Real* w_hh;            // [4H,H]
  const Real* b_ih = nullptr;  // [4H], or null for zero
  const Real* b_hh = nullptr;  // [4H], or null for zero
  LstmExtra<const Real*> extra = {};
  Real* h;                    // [T+1,N,H], rows h_stride apart; h[0] is read, h[1..T] written
  Real* c;                    // [T+1,N,H]; c[0] is read, c[1..T] written
  Real* y = nullptr;          // [T,N,H] in time, rows y_stride apart, or null if not wanted:
  std::int64_t y_stride = 0;  // not reversed, h[1..T] says the same; 0 means H
  Real* h_n = nullptr;        // [N,H] after the run's last step, or null if not wanted
  Real* c_n = nullptr;        // [N,H] after the run's last step, or null if not wanted
  Real* saved = nullptr;      // lstm_sizes().saved, or null in inference
  Real* scratch;              // lstm_sizes().forward_scratch
  Real* packed = nullptr;     // lstm_sizes().packed, or null for a place in scratch
  bool packs = true;          // false: packed holds what another call with these weights left
};

// Cotangents of the outputs -> cotangents of the inputs, in K directions. A null cotangent is zero;
// a null result is not wanted and costs nothing. Each result is beta * result + (its value), for
// beta 0 (written without being read) or 1.
template <class Real>
struct LstmPullback {
  const Real* x = nullptr;     // [T,N,I]; may be null if dw_ih is
  const Real* w_ih = nullptr;  // [4H,I]; may be null if dx is
  const Real* w_hh;            // [4H,H]
  LstmExtra<const Real*> extra = {};
  const Real* h = nullptr;  // [T+1,N,H], rows h_stride apart; may be null if dw_hh is
  const Real* c;            // [T+1,N,H]
  const Real* saved;        // as the forward pass left it

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
  LstmExtra<Real*> d_extra = {};
  Real beta_dx = 0, beta_dh0 = 0, beta_dc0 = 0;
  Real beta_dw_ih = 0, beta_dw_hh = 0, beta_db_ih = 0, beta_db_hh = 0;
  LstmExtra<Real> beta_extra = {};

  Real* scratch;  // lstm_sizes().pullback_scratch
};

// Tangents of the inputs -> tangents of the outputs, in K directions. A null tangent is zero; a
// null result is not wanted. Padding of dx is never read, dy there is zero.
template <class Real>
struct LstmPushforward {
  const Real* x = nullptr;     // [T,N,I]; may be null if dw_ih is
  const Real* w_ih = nullptr;  // [4H,I]; may be null if dx is
  const Real* w_hh;            // [4H,H]
  LstmExtra<const Real*> extra = {};
  const Real* h = nullptr;  // [T+1,N,H], rows h_stride apart; may be null if dw_hh is
  const Real* c;            // [T+1,N,H]
  const Real* saved;        // as the forward pass left it

  const Real* dx = nullptr;     // [K,T,N,I]
  const Real* dh0 = nullptr;    // [K,N,H]
  const Real* dc0 = nullptr;    // [K,N,H]
  const Real* dw_ih = nullptr;  // [K,4H,I]
  const Real* dw_hh = nullptr;  // [K,4H,H]
  const Real* db_ih = nullptr;  // [K,4H]
  const Real* db_hh = nullptr;  // [K,4H]
  LstmExtra<const Real*> d_extra = {};

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

UNROLL_ON_GPU_SHAPE(lstm_sizes, LstmSizes, LstmShape)
UNROLL_ON_GPU(lstm_forward, void, LstmShape, LstmForward)
UNROLL_ON_GPU(lstm_pullback, void, LstmShape, LstmPullback)
UNROLL_ON_GPU(lstm_pushforward, void, LstmShape, LstmPushforward)

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

// What the activations see, clipped.
template <class Math>
UNROLL_HOST_DEVICE LstmGates<Math> lstm_clip(const LstmGates<Math>& pre, typename Math::Vec bound) {
  return {clip_value<Math>(pre.i, bound), clip_value<Math>(pre.f, bound),
          clip_value<Math>(pre.g, bound), clip_value<Math>(pre.o, bound)};
}

template <class Math>
struct LstmPeephole {
  typename Math::Vec i, f, o;
};

// The gates before their activations, with the peepholes: the output gate sees c[t+1].
template <class Math>
UNROLL_HOST_DEVICE LstmGates<Math> lstm_peep(LstmGates<Math> pre, const LstmPeephole<Math>& weight,
                                             typename Math::Vec c_before,
                                             typename Math::Vec bound) {
  pre.i = Math::fma(weight.i, c_before, pre.i);
  pre.f = Math::fma(weight.f, c_before, pre.f);
  const auto after = lstm_cell<Math>(lstm_activate<Math>(lstm_clip<Math>(pre, bound)), c_before);
  pre.o = Math::fma(weight.o, after, pre.o);
  return pre;
}

// Cotangent of h[t+1] -> of the output gate before its activation, and of what tanh sees, which is
// added to dc.
template <class Math>
struct LstmOutputCotangents {
  typename Math::Vec o, c;
};

template <class Math>
UNROLL_HOST_DEVICE LstmOutputCotangents<Math> lstm_output_pullback(typename Math::Vec o,
                                                                   typename Math::Vec tanh_c,
                                                                   typename Math::Vec dh,
                                                                   typename Math::Vec dc) {
  return {.o = dh * tanh_c * Math::fnma(o, o, o),
          .c = Math::fma(dh * o, Math::fnma(tanh_c, tanh_c, Math::set(1)), dc)};
}

template <class Math>
struct LstmCotangents {
  LstmGates<Math> pre;
  typename Math::Vec c_before;
};

// Cotangent of c[t+1] -> of i, f and g before their activations, and of c[t]; pre.o is given.
template <class Math>
UNROLL_HOST_DEVICE LstmCotangents<Math> lstm_cell_pullback(const LstmGates<Math>& gate,
                                                           typename Math::Vec c_before,
                                                           typename Math::Vec dc,
                                                           typename Math::Vec pre_o) {
  return {.pre = {.i = dc * gate.g * Math::fnma(gate.i, gate.i, gate.i),
                  .f = dc * c_before * Math::fnma(gate.f, gate.f, gate.f),
                  .g = dc * gate.i * Math::fnma(gate.g, gate.g, Math::set(1)),
                  .o = pre_o},
          .c_before = dc * gate.f};
}

// Cotangents of h[t+1] and c[t+1] -> of the gates before their activations and of c[t], given
// tanh(c[t+1]).
template <class Math>
UNROLL_HOST_DEVICE LstmCotangents<Math> lstm_step_pullback(const LstmGates<Math>& gate,
                                                           typename Math::Vec c_before,
                                                           typename Math::Vec tanh_c,
                                                           const LstmState<Math>& cotangent) {
  const LstmOutputCotangents<Math> d =
      lstm_output_pullback<Math>(gate.o, tanh_c, cotangent.h, cotangent.c);
  return lstm_cell_pullback<Math>(gate, c_before, d.c, d.o);
}

// Tangents of i, f and g before their activations and of c[t] -> of c[t+1].
template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec lstm_cell_pushforward(const LstmGates<Math>& gate,
                                                            typename Math::Vec c_before,
                                                            const LstmGates<Math>& pre,
                                                            typename Math::Vec dc_before) {
  const auto di = pre.i * Math::fnma(gate.i, gate.i, gate.i);
  const auto df = pre.f * Math::fnma(gate.f, gate.f, gate.f);
  const auto dg = pre.g * Math::fnma(gate.g, gate.g, Math::set(1));
  return Math::fma(df, c_before, Math::fma(gate.f, dc_before, Math::fma(di, gate.g, gate.i * dg)));
}

// Tangents of the output gate before its activation and of what tanh sees -> of h[t+1].
template <class Math>
UNROLL_HOST_DEVICE typename Math::Vec lstm_output_pushforward(typename Math::Vec o,
                                                              typename Math::Vec tanh_c,
                                                              typename Math::Vec pre_o,
                                                              typename Math::Vec dc) {
  const auto d_o = pre_o * Math::fnma(o, o, o);
  return Math::fma(d_o, tanh_c, o * Math::fnma(tanh_c, tanh_c, Math::set(1)) * dc);
}

// Tangents of the gates before their activations and of c[t] -> of h[t+1] and c[t+1], given
// tanh(c[t+1]).
template <class Math>
UNROLL_HOST_DEVICE LstmState<Math> lstm_step_pushforward(const LstmGates<Math>& gate,
                                                         typename Math::Vec c_before,
                                                         typename Math::Vec tanh_c,
                                                         const LstmGates<Math>& pre,
                                                         typename Math::Vec dc_before) {
  const auto dc = lstm_cell_pushforward<Math>(gate, c_before, pre, dc_before);
  return {.h = lstm_output_pushforward<Math>(gate.o, tanh_c, pre.o, dc), .c = dc};
}

}  // namespace unroll
