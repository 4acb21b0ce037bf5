// The GRU's own stages in the general loop (recurrent_steps.h).
#pragma once

#include "kernels/gru.h"
#include "kernels/recurrent_steps.h"

namespace unroll::UNROLL_ISA_NS {

inline StepsShape steps_shape(const GruShape& s) {
  StepsShape all{};
  static_cast<RecurrentShape&>(all) = s;
  all.options = s.options;
  all.gates = 3;
  all.P = s.H;
  all.reset_first = s.reset_first;
  return all;
}

template <class S>
struct GruSteps {
  using Real = typename S::Real;
  using Vec = typename S::Vec;
  using Part = typename S::Part;
  static constexpr bool has_cell = false, has_inner = true;

  const StepsShape& shape;
  const StepFields& f;
  const SavedFields& kept;
  const Parameters<const Real*>& w;

  // q = r m, where the reset comes first.
  UNROLL_STEPS_FN void before_inner(Real* work) const {
    const Vec limit = bound<S>(shape);
    S::for_parts(shape.H, [&](Part u) {
      const Vec pre = u.load(work + f.from_x) + u.load(work + f.from_h);
      u.store(work + f.q, S::sigmoid(clip_value<S>(pre, limit)) * u.load(work + f.m));
    });
  }

  // pre and inner of the saved row; inner is the product alone where the reset comes first.
  UNROLL_STEPS_FN void combine(const Real* work, Real* saved) const {
    const Index H = shape.H;
    const Vec limit = bound<S>(shape);
    const Real *x = work + f.from_x, *h = work + f.from_h;
    S::for_parts(H, [&](Part u) {
      const Vec r = u.load(x) + u.load(h), n_x = u.load(x + 2 * H), n_h = u.load(h + 2 * H);
      u.store(saved + kept.pre, r);
      u.store(saved + kept.pre + H, u.load(x + H) + u.load(h + H));
      if (shape.reset_first) {
        u.store(saved + kept.pre + 2 * H, n_x + (n_h + u.load(saved + kept.inner)));
      } else {
        u.store(saved + kept.pre + 2 * H, S::fma(S::sigmoid(clip_value<S>(r, limit)), n_h, n_x));
        u.store(saved + kept.inner, n_h);
      }
    });
  }

  UNROLL_STEPS_FN void evaluate(const StepRow<Real>& row) const {
    const Index H = shape.H;
    const Vec limit = bound<S>(shape);
    const Real* const pre = row.saved + kept.pre;
    Real* const gates = row.work + f.gates;
    S::for_parts(H, [&](Part u) {
      const Vec r = S::sigmoid(clip_value<S>(u.load(pre), limit));
      const Vec z = S::sigmoid(clip_value<S>(u.load(pre + H), limit));
      const Vec n = S::tanh(clip_value<S>(u.load(pre + 2 * H), limit));
      u.store(gates, r);
      u.store(gates + H, z);
      u.store(gates + 2 * H, n);
      if (shape.reset_first) u.store(row.work + f.q, r * u.load(row.work + f.m));
      u.store(row.work + f.out,
              gru_output<S>({.r = r, .z = z, .n = n, .n_h = n}, u.load(row.work + f.h)));
    });
  }

  UNROLL_STEPS_FN void pull(const StepRow<Real>& row, Real* d, Real* dh, Real*) const {
    const Index H = shape.H;
    const Vec limit = bound<S>(shape);
    const Real *pre = row.saved + kept.pre, *gates = row.work + f.gates;
    Real *to_x = d + f.pre, *to_h = d + f.hidden;
    S::for_parts(H, [&](Part u) {
      const GruOutputCotangents<S> back = gru_output_pullback<S>(
          u.load(gates + H), u.load(gates + 2 * H), u.load(row.work + f.h), u.load(d + f.out));
      const Vec n = clip_slope<S>(u.load(pre + 2 * H), limit, back.n);
      const Vec z = clip_slope<S>(u.load(pre + H), limit, back.z);
      u.add(dh, back.h_before);
      u.store(to_x + H, z);
      u.store(to_h + H, z);
      u.store(to_x + 2 * H, n);
      u.store(to_h + 2 * H, n);
      if (shape.reset_first) return;
      const Vec r = reset_back(u, row, u.load(row.saved + kept.inner), n, to_h + 2 * H);
      u.store(to_x, r);
      u.store(to_h, r);
    });
  }

  UNROLL_STEPS_FN void pull_inner(const StepRow<Real>& row, Real* d) const {
    S::for_parts(shape.H, [&](Part u) {
      const Vec r = reset_back(u, row, u.load(row.work + f.m), u.load(d + f.q), d + f.m);
      u.store(d + f.pre, r);
      u.store(d + f.hidden, r);
    });
  }

  UNROLL_STEPS_FN void push_before_inner(const StepRow<Real>& row, Real* d) const {
    S::for_parts(shape.H, [&](Part u) {
      u.store(d + f.q, reset_push(u, row, d, u.load(row.work + f.m), u.load(d + f.m), S::zero()));
    });
  }

  UNROLL_STEPS_FN void push(const StepRow<Real>& row, Real* d, const Real* dh_before, const Real*,
                            const Parameters<const Real*>&) const {
    const Index H = shape.H;
    const Vec limit = bound<S>(shape);
    const Real *pre = row.saved + kept.pre, *gates = row.work + f.gates;
    const Real *x = d + f.from_x, *h = d + f.from_h;
    S::for_parts(H, [&](Part u) {
      const Vec n_x = u.load(x + 2 * H), n_h = u.load(h + 2 * H);
      const Vec z = clip_slope<S>(u.load(pre + H), limit, u.load(x + H) + u.load(h + H));
      const Vec n = shape.reset_first
                        ? n_x + (n_h + u.load(d + f.inner))
                        : reset_push(u, row, d, u.load(row.saved + kept.inner), n_h, n_x);
      u.store(d + f.out, gru_output_pushforward<S>(
                             u.load(gates + H), u.load(gates + 2 * H), u.load(row.work + f.h), z,
                             clip_slope<S>(u.load(pre + 2 * H), limit, n), u.load(dh_before)));
    });
  }

 private:
  // Cotangent of r v -> of r before its activation, which is returned, and of v.
  UNROLL_HOST_DEVICE Vec reset_back(Part u, const StepRow<Real>& row, Vec v, Vec d,
                                    Real* dv) const {
    const GruResetCotangents<S> back = gru_reset_pullback<S>(u.load(row.work + f.gates), v, d);
    u.store(dv, back.v);
    return clip_slope<S>(u.load(row.saved + kept.pre), bound<S>(shape), back.r);
  }

  // base + the tangent of r v.
  UNROLL_HOST_DEVICE Vec reset_push(Part u, const StepRow<Real>& row, const Real* d, Vec v, Vec dv,
                                    Vec base) const {
    const Vec r = clip_slope<S>(u.load(row.saved + kept.pre), bound<S>(shape),
                                u.load(d + f.from_x) + u.load(d + f.from_h));
    return gru_reset_pushforward<S>(u.load(row.work + f.gates), v, r, dv, base);
  }
};

}  // namespace unroll::UNROLL_ISA_NS
