// The simple RNN's own stages in the general loop (recurrent_steps_simd.h).
#pragma once

#include "kernels/recurrent_steps_simd.h"
#include "kernels/rnn.h"

namespace unroll::UNROLL_ISA_NS {

inline StepsShape steps_shape(const RnnShape& s) {
  StepsShape all{};
  static_cast<RecurrentShape&>(all) = s;
  all.options = s.options;
  all.P = s.H;
  all.activation = s.activation;
  return all;
}

template <class S>
struct RnnSteps {
  using Real = typename S::Real;
  using Vec = typename S::Vec;
  static constexpr bool has_cell = false, has_inner = false;

  const StepsShape& shape;
  const StepFields& f;
  const SavedFields& kept;
  const Parameters<const Real*>& w;

  void combine(const Real* work, Real* saved) const {
    for_parts<S>(shape.H, [&](Part<S> u) {
      u.store(saved + kept.pre, u.load(work + f.from_x) + u.load(work + f.from_h));
    });
  }

  void evaluate(const StepRow<Real>& row) const {
    const Vec limit = bound<S>(shape);
    for_parts<S>(shape.H, [&](Part<S> u) {
      const Vec seen = clip_value<S>(u.load(row.saved + kept.pre), limit);
      u.store(row.work + f.out, rnn_activated<S>(shape.activation, seen));
    });
  }

  void pull(const StepRow<Real>& row, Real* d, Real*, Real*) const {
    for_parts<S>(shape.H, [&](Part<S> u) { u.store(d + f.pre, slope(u, row, u.load(d + f.out))); });
  }

  void push(const StepRow<Real>& row, Real* d, const Real*, const Real*,
            const Parameters<const Real*>&) const {
    for_parts<S>(shape.H, [&](Part<S> u) {
      u.store(d + f.out, slope(u, row, u.load(d + f.from_x) + u.load(d + f.from_h)));
    });
  }

 private:
  UNROLL_HOST_DEVICE Vec slope(Part<S> u, const StepRow<Real>& row, Vec value) const {
    const Vec y = u.load(row.work + f.out);
    return clip_slope<S>(u.load(row.saved + kept.pre), bound<S>(shape),
                         rnn_activated_slope<S>(shape.activation, y, value));
  }
};

}  // namespace unroll::UNROLL_ISA_NS
