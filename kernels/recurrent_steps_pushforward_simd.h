// The general loop forwards once more: tangents of the inputs to tangents of the outputs. See
// recurrent_steps_simd.h.
//
// Without tangents of the parameters all directions run at once, K rows per sequence. With them,
// one direction after the other, so that scratch holds one packed set of them.
#pragma once

#include "kernels/recurrent_steps_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Cell: struct {
//   void evaluate(StepRow)
//   void push_before_inner(StepRow, d)        d(q), where the reset comes first
//   void push(StepRow, d, dh, dc, tangents)   d(from_x), d(from_h), the tangents of the state
//   before
//                                             the step and of the parameters -> d(out), d(cell) };
template <class S, class Cell, class Args>
class StepsPushforward : Steps<S, Cell> {
  using Base = Steps<S, Cell>;
  using Real = typename S::Real;
  using Base::cell_, Base::fields_, Base::saved_fields_, Base::sequences_, Base::shape_,
      Base::weights_;

  struct Parts {
    Index weights, tangents, masks, work, d, dh, dc, end;
    explicit Parts(const StepsShape& s) {
      Places at;
      weights = at.take(StepWeights<S>::size(s));
      tangents = at.take(StepWeights<S>::size(s));
      masks = at.take(Base::mask_size(s));
      work = at.take(s.N * StepFields(s).size);
      d = at.take(s.N * s.K * StepFields(s).size);
      dh = at.take(s.N * s.K * s.P);
      dc = at.take(s.has_cell ? s.N * s.K * s.H : 0);
      end = at.used;
    }
  };

  // Directions [first, first + count), row = sorted sequence * count + direction.
  struct Run {
    Index first, count;
    RowRange sequences;  // this thread's
    Parameters<const Real*> tangents;
  };

 public:
  static Index scratch_size(const StepsShape& shape) { return Parts(shape).end; }

  StepsPushforward(const StepsShape& shape, const Args& args,
                   const Parameters<const Real*>& weights, const Parameters<const Real*>& tangents)
      : Base(shape, weights, args.scratch + Parts(shape).masks),
        args_(args),
        tangents_(tangents),
        matrices_(shape, args.scratch + Parts(shape).weights),
        d_matrices_(shape, args.scratch + Parts(shape).tangents),
        work_{args.scratch + Parts(shape).work, fields_.size},
        d_{args.scratch + Parts(shape).d, fields_.size},
        dh_{args.scratch + Parts(shape).dh, shape.P},
        dc_{args.scratch + Parts(shape).dc, shape.has_cell ? shape.H : 0},
        dy_stride_(args.dy_stride ? args.dy_stride : shape.P) {}

  void run() {
    run_team(this->threads(1), [this](const Team& team) {
      matrices_.pack(weights_, team);
      const RowRange mine = rows_of(team, sequences_, shape_.N, 1);
      this->draw_dropout(mine);
      if (!tangents_.any()) {
        team.barrier();
        run_directions({0, shape_.K, mine, {}});
        return;
      }
      for (Index k = 0; k < shape_.K; ++k) {
        const Run run{k, 1, mine, tangents_of(k)};
        d_matrices_.pack(run.tangents, team);
        team.barrier();
        run_directions(run);
        team.barrier();
      }
    });
  }

 private:
  Parameters<const Real*> tangents_of(Index k) const {
    Parameters<const Real*> one = tangents_;
    for (int i = 0; i < parameter_count; ++i) {
      if (one.at[i]) one.at[i] += k * parameter_size(shape_, Parameter(i));
    }
    return one;
  }

  // Calls body(row, direction, n): rows count from the first of these sequences.
  template <class Body>
  void for_rows(const Run& run, RowRange sequences, const Body& body) const {
    Index row = 0;
    for (Index j = sequences.begin; j < sequences.end; ++j) {
      for (Index k = 0; k < run.count; ++k) body(row++, run.first + k, sequences_.index(j));
    }
  }

  void run_directions(const Run& run) const {
    start(run);
    Index offset = 0;
    for (Index t = 0; t < sequences_.steps(); ++t) {
      step(run, t, run.sequences.before(sequences_.active(t)), offset);
      offset += sequences_.active(t);
    }
    finish(run);
  }

  void start(const Run& run) const {
    for_rows(run, run.sequences, [&](Index row, Index k, Index n) {
      const Index kn = k * shape_.N + n, at = run.sequences.begin * run.count + row;
      take_row(dh_[at], args_.dh0, kn, shape_.P);
      if constexpr (Cell::has_cell) take_row(dc_[at], args_.dc0, kn, shape_.H);
    });
  }

  // to = row `at` of `from`, or zero for null.
  static void take_row(Real* to, const Real* from, Index at, Index size) {
    if (!from) return zero_row(to, size);
    copy_row(to, from + at * size, size);
  }

  // offset: of this step among the saved rows.
  void step(const Run& run, Index t, RowRange sequences, Index offset) const {
    const Index begin = sequences.begin, count = sequences.end - begin, rows = count * run.count;
    const Rows<Real> work = work_.from(begin), d = d_.from(begin * run.count);
    const Rows<const Real> saved =
        Rows<const Real>{args_.saved, saved_fields_.size}.from(offset + begin);
    const Rows<Real> dh = dh_.from(begin * run.count), dc = dc_.from(begin * run.count);
    for (Index r = 0; r < count; ++r) {
      this->load(t, sequences_.index(begin + r), args_.x, args_.h, Base::cells(args_), work[r]);
      cell_.evaluate({work[r], saved[r]});
    }
    for_rows(run, sequences, [&](Index row, Index k, Index n) {
      take_row(d[row] + fields_.x, args_.dx, k * shape_.T * shape_.N + sequences_.row(t, n),
               shape_.I);
      copy_row(d[row] + fields_.m, dh[row], shape_.P);
      this->mask(n, d[row] + fields_.m);
    });
    products(run, rows, work, d);
    for (Index row = 0; row < rows; ++row) {
      finish_gates(run, saved[row / run.count], d[row]);
    }
    if constexpr (Cell::has_inner) {
      if (shape_.reset_first) through_inner(run, rows, work, saved, d);
    }
    for (Index row = 0; row < rows; ++row) {
      const Index r = row / run.count;
      cell_.push({work[r], saved[r]}, d[row], dh[row], dc[row], run.tangents);
    }
    if (shape_.projection) through_projection(run, rows, work, d);
    for_rows(run, sequences, [&](Index row, Index k, Index n) {
      leave(t, k, n, work[row / run.count], d[row], dh[row], dc[row]);
    });
  }

  // Where parameters move, run.count is 1 and direction rows face work rows one to one. A parameter
  // that stands still has zeros in its place; what it would multiply may be absent.
  void products(const Run& run, Index rows, const Rows<Real>& work, const Rows<Real>& d) const {
    matrices_.gates(rows, d, d, fields_);
    if (run.tangents[Parameter::w_ih]) d_matrices_.input(rows, work, d, fields_, true);
    if (run.tangents[Parameter::w_hh]) d_matrices_.hidden(rows, work, d, fields_, true);
  }

  void finish_gates(const Run& run, const Real* saved, Real* d) const {
    const Parameters<const Real*>& v = run.tangents;
    if (shape_.norm) {
      norm(weights_[Parameter::norm_ih], v[Parameter::norm_ih], saved + saved_fields_.hat_x,
           saved[saved_fields_.scale_x], d + fields_.from_x);
      norm(weights_[Parameter::norm_hh], v[Parameter::norm_hh], saved + saved_fields_.hat_h,
           saved[saved_fields_.scale_h], d + fields_.from_h);
    }
    const Index size = shape_.gates * shape_.H;
    if (v[Parameter::b_ih]) Base::affine(d + fields_.from_x, nullptr, v[Parameter::b_ih], size);
    if (v[Parameter::b_hh]) Base::affine(d + fields_.from_h, nullptr, v[Parameter::b_hh], size);
  }

  // d = gain (tangent of hat) + (tangent of gain) hat
  void norm(const Real* gain, const Real* d_gain, const Real* hat, Real scale, Real* d) const {
    const Index size = shape_.gates * shape_.H;
    normalise_slope<S>(hat, scale, d, d, size);
    for_parts<S>(size, [&](Part<S> i) {
      auto v = i.load(d) * i.load(gain);
      if (d_gain) v = S::fma(i.load(d_gain), i.load(hat), v);
      i.store(d, v);
    });
  }

  void through_inner(const Run& run, Index rows, const Rows<Real>& work,
                     const Rows<const Real>& saved, const Rows<Real>& d) const {
    for (Index row = 0; row < rows; ++row) {
      cell_.push_before_inner({work[row / run.count], saved[row / run.count]}, d[row]);
    }
    matrices_.inner(rows, d.field(fields_.q), d.field(fields_.inner), false);
    if (!run.tangents[Parameter::w_hh]) return;
    d_matrices_.inner(rows, work.field(fields_.q), d.field(fields_.inner), true);
  }

  void through_projection(const Run& run, Index rows, const Rows<Real>& work,
                          const Rows<Real>& d) const {
    matrices_.project(rows, d.field(fields_.out), d.field(fields_.next), false);
    if (!run.tangents[Parameter::w_hr]) return;
    d_matrices_.project(rows, work.field(fields_.out), d.field(fields_.next), true);
  }

  // Zoneout, and the results of the step.
  void leave(Index t, Index k, Index n, const Real* work, const Real* d, Real* dh, Real* dc) const {
    const RecurrentOptions& o = shape_.options;
    mix(o.zoneout_h > 0 ? work + fields_.keep_h : nullptr, dh, d + fields_.next, shape_.P);
    if constexpr (Cell::has_cell) {
      mix(o.zoneout_c > 0 ? work + fields_.keep_c : nullptr, dc, d + fields_.cell, shape_.H);
    }
    if (!args_.dy) return;
    const Index at = k * shape_.T * shape_.N + sequences_.row(t, n);
    copy_row(args_.dy + at * dy_stride_, dh, shape_.P);
  }

  static void mix(const Real* keep, Real* state, const Real* after, Index size) {
    if (!keep) return copy_row(state, after, size);
    for_parts<S>(size, [&](Part<S> u) {
      u.store(state, zoneout_mix<S>(u.load(keep), u.load(state), u.load(after)));
    });
  }

  void finish(const Run& run) const {
    for_rows(run, run.sequences, [&](Index row, Index k, Index n) {
      const Index kn = k * shape_.N + n, at = run.sequences.begin * run.count + row;
      if (args_.dh_n) copy_row(args_.dh_n + kn * shape_.P, dh_[at], shape_.P);
      if constexpr (Cell::has_cell) {
        if (args_.dc_n) copy_row(args_.dc_n + kn * shape_.H, dc_[at], shape_.H);
      }
      if (args_.dy) zero_padding(shape_, sequences_, k, n, args_.dy, dy_stride_, shape_.P);
    });
  }

  const Args& args_;
  const Parameters<const Real*> tangents_;
  const StepWeights<S> matrices_, d_matrices_;
  const Rows<Real> work_, d_, dh_, dc_;
  const Index dy_stride_;
};

}  // namespace unroll::UNROLL_ISA_NS
