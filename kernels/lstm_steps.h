// The LSTM's own stages in the general loop (recurrent_steps.h).
#pragma once

#include "kernels/lstm.h"
#include "kernels/recurrent_steps.h"

namespace unroll::UNROLL_ISA_NS {

inline StepsShape steps_shape(const LstmShape& s) {
  StepsShape all{};
  static_cast<RecurrentShape&>(all) = s;
  all.options = s.options;
  all.gates = 4;
  all.P = s.P > 0 ? s.P : s.H;
  all.has_cell = true;
  all.projection = s.P > 0;
  all.peephole = s.peephole;
  all.norm = s.layer_norm;
  return all;
}

template <class Each>
inline void set_extra(Parameters<Each>& p, const LstmExtra<Each>& extra) {
  p[Parameter::w_hr] = extra.w_hr;
  p[Parameter::peephole] = extra.peephole;
  p[Parameter::norm_ih] = extra.norm_ih;
  p[Parameter::norm_hh] = extra.norm_hh;
  p[Parameter::norm_c] = extra.norm_c;
  p[Parameter::norm_c_bias] = extra.norm_c_bias;
}

template <class S>
struct LstmSteps {
  using Real = typename S::Real;
  using Vec = typename S::Vec;
  using Part = typename S::Part;
  static constexpr bool has_cell = true, has_inner = false;

  const StepsShape& shape;
  const StepFields& f;
  const SavedFields& kept;
  const Parameters<const Real*>& w;

  // pre of the saved row.
  UNROLL_STEPS_FN void combine(const Real* work, Real* saved) const {
    const Vec limit = bound<S>(shape);
    S::for_parts(shape.H, [&](Part u) {
      LstmGates<S> pre = sum(gates(u, work + f.from_x), gates(u, work + f.from_h));
      if (shape.peephole) pre = lstm_peep<S>(pre, peepholes(u, w), u.load(work + f.c), limit);
      store(u, saved + kept.pre, pre);
    });
  }

  UNROLL_STEPS_FN void evaluate(const StepRow<Real>& row) const {
    Real* const work = row.work;
    const Vec limit = bound<S>(shape);
    S::for_parts(shape.H, [&](Part u) {
      const LstmGates<S> gate =
          lstm_activate<S>(lstm_clip<S>(gates(u, row.saved + kept.pre), limit));
      store(u, work + f.gates, gate);
      u.store(work + f.cell, lstm_cell<S>(gate, u.load(work + f.c)));
    });
    if (shape.norm) {
      S::put(work + f.scale_c, S::normalise(work + f.cell, work + f.hat_c, shape.H));
    }
    S::for_parts(shape.H, [&](Part u) {
      const Vec seen = shape.norm ? S::fma(u.load(w[Parameter::norm_c]), u.load(work + f.hat_c),
                                           u.load(w[Parameter::norm_c_bias]))
                                  : u.load(work + f.cell);
      const Vec o = u.load(work + f.gates + 3 * shape.H);
      u.store(work + f.tanh_c, S::tanh(seen));
      u.store(work + f.out, lstm_output<S>(o, seen));
    });
  }

  UNROLL_STEPS_FN void pull(const StepRow<Real>& row, Real* d, Real*, Real* dc_before) const {
    pull_output(row, d);
    const Vec limit = bound<S>(shape);
    S::for_parts(shape.H, [&](Part u) {
      const LstmGates<S> pre = gates(u, row.saved + kept.pre);
      const LstmPeephole<S> weight = peepholes(u, w);
      const Vec d_o = u.load(d + f.pre + 3 * shape.H);
      Vec dc = u.load(d + f.cell);
      if (shape.peephole) dc = S::fma(weight.o, d_o, dc);
      LstmCotangents<S> back =
          lstm_cell_pullback<S>(gates(u, row.work + f.gates), u.load(row.work + f.c), dc, d_o);
      slope(pre, limit, back.pre);
      if (shape.peephole) {
        back.c_before = S::fma(weight.i, back.pre.i, back.c_before);
        back.c_before = S::fma(weight.f, back.pre.f, back.c_before);
      }
      store(u, d + f.pre, back.pre);
      u.add(dc_before, back.c_before);
    });
  }

  UNROLL_STEPS_FN void push(const StepRow<Real>& row, Real* d, const Real*, const Real* dc_before,
                            const Parameters<const Real*>& tangent) const {
    push_cell(row, d, dc_before, tangent);
    if (shape.norm) push_norm(row.work, d, tangent);
    const Index seen = shape.norm ? f.norm_c : f.cell, o = 3 * shape.H;
    S::for_parts(shape.H, [&](Part u) {
      const Vec gate = u.load(row.work + f.gates + o), tanh_c = u.load(row.work + f.tanh_c);
      u.store(d + f.out,
              lstm_output_pushforward<S>(gate, tanh_c, u.load(d + f.gates + o), u.load(d + seen)));
    });
  }

 private:
  UNROLL_HOST_DEVICE LstmGates<S> gates(Part u, const Real* from) const {
    const Index H = shape.H;
    return {u.load(from), u.load(from + H), u.load(from + 2 * H), u.load(from + 3 * H)};
  }
  UNROLL_HOST_DEVICE void store(Part u, Real* to, const LstmGates<S>& gate) const {
    const Index H = shape.H;
    u.store(to, gate.i);
    u.store(to + H, gate.f);
    u.store(to + 2 * H, gate.g);
    u.store(to + 3 * H, gate.o);
  }
  UNROLL_HOST_DEVICE static LstmGates<S> sum(const LstmGates<S>& a, const LstmGates<S>& b) {
    return {a.i + b.i, a.f + b.f, a.g + b.g, a.o + b.o};
  }
  // Zeros where there are none.
  UNROLL_HOST_DEVICE LstmPeephole<S> peepholes(Part u, const Parameters<const Real*>& from) const {
    const Real* p = from[Parameter::peephole];
    if (!p) return {S::zero(), S::zero(), S::zero()};
    return {u.load(p), u.load(p + shape.H), u.load(p + 2 * shape.H)};
  }
  // Of i, f and g; the output gate has its own place.
  UNROLL_HOST_DEVICE static void slope(const LstmGates<S>& pre, Vec limit, LstmGates<S>& d) {
    d.i = clip_slope<S>(pre.i, limit, d.i);
    d.f = clip_slope<S>(pre.f, limit, d.f);
    d.g = clip_slope<S>(pre.g, limit, d.g);
  }

  // d(out) -> d(pre) of the output gate, d(norm_c), and what tanh saw of c, added to d(cell).
  UNROLL_STEPS_FN void pull_output(const StepRow<Real>& row, Real* d) const {
    const Index o = 3 * shape.H, seen = shape.norm ? f.norm_c : f.cell;
    const Vec limit = bound<S>(shape);
    S::for_parts(shape.H, [&](Part u) {
      const Vec dc = shape.norm ? S::zero() : u.load(d + f.cell);
      const LstmOutputCotangents<S> back = lstm_output_pullback<S>(
          u.load(row.work + f.gates + o), u.load(row.work + f.tanh_c), u.load(d + f.out), dc);
      u.store(d + f.pre + o, clip_slope<S>(u.load(row.saved + kept.pre + o), limit, back.o));
      u.store(d + seen, back.c);
    });
    if (!shape.norm) return;
    Real* const hat = d + f.hat_c;
    S::for_parts(shape.H, [&](Part u) {
      u.store(hat, u.load(d + f.norm_c) * u.load(w[Parameter::norm_c]));
    });
    S::normalise_slope(row.work + f.hat_c, *(row.work + f.scale_c), hat, hat, shape.H);
    S::for_parts(shape.H, [&](Part u) { u.add(d + f.cell, u.load(hat)); });
  }

  // d(cell), and the tangent of what the output gate's activation sees, which stays in d(gates).
  UNROLL_STEPS_FN void push_cell(const StepRow<Real>& row, Real* d, const Real* dc_before,
                                 const Parameters<const Real*>& tangent) const {
    const Vec limit = bound<S>(shape);
    S::for_parts(shape.H, [&](Part u) {
      const LstmGates<S> pre = gates(u, row.saved + kept.pre);
      const LstmPeephole<S> weight = peepholes(u, w), moved = peepholes(u, tangent);
      const Vec c = u.load(row.work + f.c), dc = u.load(dc_before);
      LstmGates<S> v = sum(gates(u, d + f.from_x), gates(u, d + f.from_h));
      if (shape.peephole) {
        v.i += S::fma(weight.i, dc, moved.i * c);
        v.f += S::fma(weight.f, dc, moved.f * c);
      }
      slope(pre, limit, v);
      const Vec after = lstm_cell_pushforward<S>(gates(u, row.work + f.gates), c, v, dc);
      if (shape.peephole) v.o += S::fma(weight.o, after, moved.o * u.load(row.work + f.cell));
      u.store(d + f.cell, after);
      u.store(d + f.gates + 3 * shape.H, clip_slope<S>(pre.o, limit, v.o));
    });
  }

  // d(norm_c) = norm_c (tangent of hat) + (tangent of norm_c) hat + (tangent of norm_c_bias)
  UNROLL_STEPS_FN void push_norm(const Real* work, Real* d,
                                 const Parameters<const Real*>& tangent) const {
    const Real *gain = tangent[Parameter::norm_c], *bias = tangent[Parameter::norm_c_bias];
    Real* const to = d + f.norm_c;
    S::normalise_slope(work + f.hat_c, *(work + f.scale_c), d + f.cell, to, shape.H);
    S::for_parts(shape.H, [&](Part u) {
      Vec v = u.load(to) * u.load(w[Parameter::norm_c]);
      if (gain) v = S::fma(u.load(gain), u.load(work + f.hat_c), v);
      if (bias) v += u.load(bias);
      u.store(to, v);
    });
  }
};

}  // namespace unroll::UNROLL_ISA_NS
