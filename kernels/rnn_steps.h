// The simple RNN's own stages in the general loop (recurrent_steps.h).
#pragma once

#include "kernels/recurrent_steps.h"
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
  using Part = typename S::Part;
  static constexpr bool has_cell = false, has_inner = false;

  const StepsShape& shape;
  const StepFields& f;
  const SavedFields& kept;
  const Parameters<const Real*>& w;

  UNROLL_STEPS_FN void combine(const Real* work, Real* saved) const {
    S::for_parts(shape.H, [&](Part u) {
      u.store(saved + kept.pre, u.load(work + f.from_x) + u.load(work + f.from_h));
    });
  }

  UNROLL_STEPS_FN void evaluate(const StepRow<Real>& row) const {
    const Vec limit = bound<S>(shape);
    S::for_parts(shape.H, [&](Part u) {
      const Vec seen = clip_value<S>(u.load(row.saved + kept.pre), limit);
      u.store(row.work + f.out, rnn_activated<S>(shape.activation, seen));
    });
  }

  UNROLL_STEPS_FN void pull(const StepRow<Real>& row, Real* d, Real*, Real*) const {
    S::for_parts(shape.H, [&](Part u) { u.store(d + f.pre, slope(u, row, u.load(d + f.out))); });
  }

  UNROLL_STEPS_FN void push(const StepRow<Real>& row, Real* d, const Real*, const Real*,
                            const Parameters<const Real*>&) const {
    S::for_parts(shape.H, [&](Part u) {
      u.store(d + f.out, slope(u, row, u.load(d + f.from_x) + u.load(d + f.from_h)));
    });
  }

 private:
  UNROLL_HOST_DEVICE Vec slope(Part u, const StepRow<Real>& row, Vec value) const {
    const Vec y = u.load(row.work + f.out);
    return clip_slope<S>(u.load(row.saved + kept.pre), bound<S>(shape),
                         rnn_activated_slope<S>(shape.activation, y, value));
  }
};

}  // namespace unroll::UNROLL_ISA_NS
