// The general loop over time, as every machine sees it: any options of a cell, none included. The
// loops themselves are in recurrent_steps_simd.h and in cuda/recurrent_steps.h.
//
// A step is the same sequence of small stages for every family, each over the rows of all active
// sequences, and most of them only where their option is on:
//
//   load         x[t]; h and c before the step; m = h under the dropout mask
//   products     from_x = w_ih x, from_h = w_hh m; normalised; plus biases
//   inner        GRU with the reset first: inner = w_hn (r m)
//   cell         pre = what the activations see before clipping; gates; the new c; out
//   projection   next = w_hr out            (else next is out)
//   zoneout      h and c after the step, each mixed with what it was
//
// The pullback walks the stages backwards, the pushforward once more forwards, both from a row of
// `saved` (pre, inner, normalised products) and from what evaluate() makes of it. A `Cell`
// (lstm_steps.h, gru_steps.h, rnn_steps.h) knows the family's own stages for one row; everything
// else is in the loops.
//
// Rows are dense, gates side by side in PyTorch's order: [gates][H]. A work row belongs to a
// sequence, a direction row to a sequence and one of K directions; both are lists of fields.
//
// A cell is a template over how its machine walks a row, `S`: the functions of a Math
// (kernels/recurrent.h), and
//
//   struct Part { Vec load(row); void store(row, Vec); void add(row, Vec); };   numbers of a row
//   for_parts(size, body)                         calls body(Part) for all numbers of [0, size)
//   normalise(v, hat, size)                       hat = scale (v - mean v), which may be v; returns
//                                                 scale = (var v + 1e-5)^(-1/2)
//   normalise_slope(hat, scale, d, to, size)      to = scale (d - mean d - hat mean(d hat)), which
//                                                 may be d: the tangent of hat from that of v, and,
//                                                 the map being symmetric, the cotangent of v
//   put(to, number)                               *to = number
//
// Each includer has a namespace of its own for what is here, UNROLL_ISA_NS.
#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "kernels/counts.h"
#include "kernels/recurrent.h"
#include "kernels/rnn.h"

// What walks a row, on the machine that does.
#ifdef __CUDACC__
#define UNROLL_STEPS_FN __device__
#else
#define UNROLL_STEPS_FN
#endif

namespace unroll::UNROLL_ISA_NS {

using Index = std::int64_t;

struct StepsShape : RecurrentShape {
  RecurrentOptions options;
  Index gates = 1, P = 0;  // P: numbers in h
  bool has_cell = false, projection = false, peephole = false, norm = false, reset_first = false;
  RnnActivation activation = RnnActivation::tanh;
};

// Where clipping begins; infinite without it.
template <class S>
UNROLL_HOST_DEVICE typename S::Vec bound(const StepsShape& shape) {
  using Real = typename S::Real;
  return S::set(shape.options.clip > 0 ? Real(shape.options.clip) : Real(__builtin_inf()));
}

// ---- Parameters

enum class Parameter {
  w_ih,
  w_hh,
  b_ih,
  b_hh,
  w_hr,
  peephole,
  norm_ih,
  norm_hh,
  norm_c,
  norm_c_bias
};
inline constexpr int parameter_count = 10;

// One pointer (or beta) per parameter; null where there is none.
template <class Each>
struct Parameters {
  Each at[parameter_count] = {};
  UNROLL_HOST_DEVICE Each operator[](Parameter p) const { return at[int(p)]; }
  UNROLL_HOST_DEVICE Each& operator[](Parameter p) { return at[int(p)]; }
  bool any() const {
    for (const Each& each : at) {
      if (each) return true;
    }
    return false;
  }
};

inline Index parameter_size(const StepsShape& s, Parameter p) {
  const Index rows = s.gates * s.H;
  switch (p) {
    case Parameter::w_ih: return rows * s.I;
    case Parameter::w_hh: return rows * s.P;
    case Parameter::w_hr: return s.P * s.H;
    case Parameter::peephole: return 3 * s.H;
    case Parameter::norm_c:
    case Parameter::norm_c_bias: return s.H;
    default: return rows;
  }
}

// ---- Rows

// Rows of w_hh that face m. The others, of a GRU with the reset first, face r m.
inline Index outer_rows(const StepsShape& s) {
  return (s.reset_first ? s.gates - 1 : s.gates) * s.H;
}

// Places that are handed out in order, each at 64 bytes or more from the last.
struct Places {
  Index used = 0;
  Index take(Index size) {
    const Index begin = used;
    used += rounded_up(size, 16);
    return begin;
  }
};

// Kept from the forward pass.
struct SavedFields {
  Index pre, inner, hat_x, hat_h, scale_x, scale_h, size;
  explicit SavedFields(const StepsShape& s) {
    Places at;
    const Index gates = s.gates * s.H;
    pre = at.take(gates);
    inner = at.take(s.gates == 3 ? s.H : 0);
    hat_x = at.take(s.norm ? gates : 0);
    hat_h = at.take(s.norm ? gates : 0);
    scale_x = at.take(s.norm ? 1 : 0);
    scale_h = at.take(s.norm ? 1 : 0);
    size = at.used;
  }
};

// Of a work row: the step's values. Of a direction row: their tangents or cotangents.
struct StepFields {
  Index x, h, m, c, q, from_x, from_h, pre, hidden, to_h, inner, gates, cell, tanh_c, hat_c;
  Index scale_c, norm_c, out, next, keep_h, keep_c, size;
  explicit StepFields(const StepsShape& s) {
    Places at;
    const Index all = s.gates * s.H, if_norm = s.norm ? s.H : 0;
    x = at.take(s.I);
    h = at.take(s.P);
    m = at.take(s.P);
    c = at.take(s.has_cell ? s.H : 0);
    q = at.take(s.reset_first ? s.H : 0);
    from_x = at.take(all);
    from_h = at.take(all);
    // Cotangents before the activations, on the input's and on the state's side: they differ in the
    // GRU alone, and are what the products meet (from_x, to_h) where nothing is normalised.
    pre = s.norm ? at.take(all) : from_x;
    hidden = s.gates == 3 ? from_h : pre;
    to_h = s.norm ? from_h : hidden;
    inner = at.take(s.reset_first ? s.H : 0);
    gates = at.take(all);
    cell = at.take(s.has_cell ? s.H : 0);
    tanh_c = at.take(s.has_cell ? s.H : 0);
    hat_c = at.take(if_norm);
    scale_c = at.take(s.norm ? 1 : 0);
    norm_c = at.take(if_norm);
    out = at.take(s.H);
    next = s.projection ? at.take(s.P) : out;
    keep_h = at.take(s.options.zoneout_h > 0 ? s.P : 0);
    keep_c = at.take(s.options.zoneout_c > 0 ? s.H : 0);
    size = at.used;
  }
};

// Rows of one kind, all fields of a row side by side.
template <class Real>
struct Rows {
  Real* data;
  Index stride;
  UNROLL_HOST_DEVICE Real* operator[](Index row) const { return data + row * stride; }
  Rows from(Index row) const { return {data + row * stride, stride}; }
  Rows field(Index place) const { return {data + place, stride}; }
};

// What a cell works on at one step of one sequence.
template <class Real>
struct StepRow {
  Real* work;
  const Real* saved;
};

// ---- A family's arguments, as the loop sees them

// The parameters that every family has.
template <class Real, class Args>
inline Parameters<const Real*> weights_of(const Args& args) {
  Parameters<const Real*> p;
  p[Parameter::w_ih] = args.w_ih;
  p[Parameter::w_hh] = args.w_hh;
  if constexpr (requires { args.b_ih; }) p[Parameter::b_ih] = args.b_ih;
  if constexpr (requires { args.b_hh; }) p[Parameter::b_hh] = args.b_hh;
  return p;
}

// Their gradients or tangents.
template <class Pointer, class Args>
inline Parameters<Pointer> d_weights_of(const Args& args) {
  Parameters<Pointer> p;
  p[Parameter::w_ih] = args.dw_ih;
  p[Parameter::w_hh] = args.dw_hh;
  p[Parameter::b_ih] = args.db_ih;
  p[Parameter::b_hh] = args.db_hh;
  return p;
}

template <class Real, class Args>
inline Parameters<Real> betas_of(const Args& args) {
  Parameters<Real> p;
  p[Parameter::w_ih] = args.beta_dw_ih;
  p[Parameter::w_hh] = args.beta_dw_hh;
  p[Parameter::b_ih] = args.beta_db_ih;
  p[Parameter::b_hh] = args.beta_db_hh;
  return p;
}

}  // namespace unroll::UNROLL_ISA_NS
