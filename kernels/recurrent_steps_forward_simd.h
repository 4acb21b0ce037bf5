// The general loop forwards: values. See recurrent_steps_simd.h.
#pragma once

#include "kernels/recurrent_steps_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Cell: struct { static constexpr bool has_cell, has_inner;
//   void before_inner(work)       q, where the reset comes first (only if has_inner)
//   void combine(work, saved)     pre and inner of the saved row, from from_x and from_h
//   void evaluate(StepRow)        gates, the new c and out, from the saved row, h and c };
template <class S, class Cell, class Args>
class StepsForward : Steps<S, Cell> {
  using Base = Steps<S, Cell>;
  using Real = typename S::Real;
  using Base::cell_, Base::fields_, Base::saved_fields_, Base::sequences_, Base::shape_,
      Base::weights_;

  struct Parts {
    Index weights, masks, work, saved, end;
    explicit Parts(const StepsShape& s) {
      Places at;
      weights = at.take(StepWeights<S>::size(s));
      masks = at.take(Base::mask_size(s));
      work = at.take(s.N * StepFields(s).size);
      saved = at.take(s.N * SavedFields(s).size);
      end = at.used;
    }
  };

 public:
  static Index scratch_size(const StepsShape& shape) { return Parts(shape).end; }
  static bool side_by_side(const StepsShape& shape) {
    const double products = Base::products(shape);
    return ::unroll::UNROLL_ISA_NS::side_by_side({useful_threads(shape.N, products), false},
                                                 products);
  }

  StepsForward(const StepsShape& shape, const Args& args, const Parameters<const Real*>& weights)
      : Base(shape, weights, args.scratch + Parts(shape).masks),
        args_(args),
        matrices_(shape, args.scratch + Parts(shape).weights),
        work_{args.scratch + Parts(shape).work, fields_.size},
        own_saved_{args.scratch + Parts(shape).saved, saved_fields_.size},
        y_stride_(args.y_stride ? args.y_stride : shape.P) {}

  void run() {
    run_team(this->threads(1), [this](const Team& team) {
      matrices_.pack(weights_, team);
      team.barrier();
      const RowRange mine = rows_of(team, sequences_, shape_.N, 1);
      this->draw_dropout(mine);
      Index offset = 0;
      for (Index t = 0; t < sequences_.steps(); ++t) {
        step(t, mine.before(sequences_.active(t)), offset);
        offset += sequences_.active(t);
      }
      finish(mine);
    });
  }

 private:
  Real* h(Index t, Index n) const { return args_.h + (t * shape_.N + n) * this->h_stride_; }

  // offset: of this step among the saved rows.
  void step(Index t, RowRange rows, Index offset) const {
    const Rows<Real> work = work_.from(rows.begin);
    const Rows<Real> saved =
        args_.saved ? Rows<Real>{args_.saved, saved_fields_.size}.from(offset + rows.begin)
                    : own_saved_.from(rows.begin);
    const Index count = rows.end - rows.begin;
    for (Index r = 0; r < count; ++r) {
      this->load(t, sequences_.index(rows.begin + r), args_.x, args_.h, Base::cells(args_),
                 work[r]);
    }
    matrices_.gates(count, work, work, fields_);
    for (Index r = 0; r < count; ++r) finish_gates(work[r], saved[r]);
    if constexpr (Cell::has_inner) {
      if (shape_.reset_first) {
        for (Index r = 0; r < count; ++r) cell_.before_inner(work[r]);
        matrices_.inner(count, work.field(fields_.q), saved.field(saved_fields_.inner), false);
      }
    }
    for (Index r = 0; r < count; ++r) {
      cell_.combine(work[r], saved[r]);
      cell_.evaluate({work[r], saved[r]});
    }
    if (shape_.projection) {
      matrices_.project(count, work.field(fields_.out), work.field(fields_.next), false);
    }
    for (Index r = 0; r < count; ++r) leave(t, sequences_.index(rows.begin + r), work[r]);
  }

  // The products, normalised, and with their biases.
  void finish_gates(Real* work, Real* saved) const {
    const Index size = shape_.gates * shape_.H;
    Real *from_x = work + fields_.from_x, *from_h = work + fields_.from_h;
    if (shape_.norm) {
      saved[saved_fields_.scale_x] = normalise<S>(from_x, from_x, size);
      saved[saved_fields_.scale_h] = normalise<S>(from_h, from_h, size);
      copy_row(saved + saved_fields_.hat_x, from_x, size);
      copy_row(saved + saved_fields_.hat_h, from_h, size);
    }
    Base::affine(from_x, weights_[Parameter::norm_ih], weights_[Parameter::b_ih], size);
    Base::affine(from_h, weights_[Parameter::norm_hh], weights_[Parameter::b_hh], size);
  }

  // Zoneout, and the results of the step.
  void leave(Index t, Index n, const Real* work) const {
    const Real* keep_h = shape_.options.zoneout_h > 0 ? work + fields_.keep_h : nullptr;
    mix(keep_h, work + fields_.h, work + fields_.next, h(t + 1, n), shape_.P);
    if (args_.y) copy_row(args_.y + sequences_.row(t, n) * y_stride_, h(t + 1, n), shape_.P);
    if constexpr (Cell::has_cell) {
      const Real* keep_c = shape_.options.zoneout_c > 0 ? work + fields_.keep_c : nullptr;
      Real* to = args_.c + ((t + 1) * shape_.N + n) * shape_.H;
      mix(keep_c, work + fields_.c, work + fields_.cell, to, shape_.H);
    }
  }

  static void mix(const Real* keep, const Real* before, const Real* after, Real* to, Index size) {
    if (!keep) return copy_row(to, after, size);
    for_parts<S>(size, [&](Part<S> u) {
      u.store(to, zoneout_mix<S>(u.load(keep), u.load(before), u.load(after)));
    });
  }

  // Final states, and zeros in the padding.
  void finish(RowRange rows) const {
    for (Index j = rows.begin; j < rows.end; ++j) {
      const Index n = sequences_.index(j), length = sequences_.length(n), H = shape_.H;
      if (args_.h_n) copy_row(args_.h_n + n * shape_.P, h(length, n), shape_.P);
      const Index steps = segment_steps(shape_);
      for (Index t = length; t < steps; ++t) zero_row(h(t + 1, n), shape_.P);
      if (args_.y) zero_padding(shape_, sequences_, 0, n, args_.y, y_stride_, shape_.P);
      if constexpr (Cell::has_cell) {
        if (args_.c_n) copy_row(args_.c_n + n * H, args_.c + (length * shape_.N + n) * H, H);
        for (Index t = length; t < steps; ++t) zero_row(args_.c + ((t + 1) * shape_.N + n) * H, H);
      }
    }
  }

  const Args& args_;
  const StepWeights<S> matrices_;
  const Rows<Real> work_, own_saved_;
  const Index y_stride_;
};

}  // namespace unroll::UNROLL_ISA_NS
