// The general loop backwards: cotangents of the outputs to cotangents of the inputs. See
// recurrent_steps_simd.h.
//
// The steps run in chunks whose rows are kept for the sums of the parameters' gradients. Direction
// row = row of the sequence * K + direction.
#pragma once

#include "kernels/recurrent_pullback_simd.h"
#include "kernels/recurrent_steps_weights_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Cell: struct {
//   void evaluate(StepRow)
//   void pull(StepRow, d, dh, dc)   d(out) and d(cell) -> d(pre), d(hidden); adds to dh and dc, the
//                                   cotangents of the state before the step
//   void pull_inner(StepRow, d)     d(q) -> d(pre) and d(hidden) of r, and d(m) along r m };
template <class S, class Cell, class Args>
class StepsPullback : Steps<S, Cell> {
  using Base = Steps<S, Cell>;
  using Real = typename S::Real;
  using Base::cell_, Base::fields_, Base::saved_fields_, Base::sequences_, Base::shape_,
      Base::weights_;

  // Sequences in a chunk: at least one step of all, else about what the second cache holds.
  static Index chunk_capacity(const StepsShape& s) {
    const Index fit = chunk_elements / larger((s.K + 1) * StepFields(s).size, 1);
    const Index rows = larger(least_chunk_rows, smaller(fit, most_chunk_rows));
    return larger(smaller(rows, s.N * s.T), s.N);
  }

  struct Parts {
    Index input, hidden, inner, projection, masks, work, d, dh, dc, gradients, end;
    explicit Parts(const StepsShape& s) {
      Places at;
      const Index capacity = chunk_capacity(s);
      input = at.take(StepMatrix<S>::size(s.gates * s.H, s.I));
      hidden = at.take(StepMatrix<S>::size(outer_rows(s), s.P));
      inner = at.take(s.reset_first ? StepMatrix<S>::size(s.H, s.H) : 0);
      projection = at.take(s.projection ? StepMatrix<S>::size(s.P, s.H) : 0);
      masks = at.take(Base::mask_size(s));
      work = at.take(capacity * StepFields(s).size);
      d = at.take(capacity * s.K * StepFields(s).size);
      dh = at.take(s.N * s.K * s.P);
      dc = at.take(s.has_cell ? s.N * s.K * s.H : 0);
      gradients = at.take(StepGradients<S>::scratch_size(s, capacity));
      end = at.used;
    }
  };

 public:
  static Index scratch_size(const StepsShape& shape) { return Parts(shape).end; }

  StepsPullback(const StepsShape& shape, const Args& args, const Parameters<const Real*>& weights,
                const Parameters<Real*>& d_weights, const Parameters<Real>& beta)
      : Base(shape, weights, args.scratch + Parts(shape).masks),
        args_(args),
        parts_(shape),
        input_(args.scratch + parts_.input, shape.gates * shape.H, shape.I),
        hidden_(args.scratch + parts_.hidden, outer_rows(shape), shape.P),
        inner_(args.scratch + parts_.inner, shape.reset_first ? shape.H : 0, shape.H),
        projection_(args.scratch + parts_.projection, shape.projection ? shape.P : 0, shape.H),
        gradients_(shape, d_weights, beta, chunk_capacity(shape), args.scratch + parts_.gradients),
        work_{args.scratch + parts_.work, fields_.size},
        d_{args.scratch + parts_.d, fields_.size},
        dh_{args.scratch + parts_.dh, shape.P},
        dc_{args.scratch + parts_.dc, shape.has_cell ? shape.H : 0},
        dy_stride_(args.dy_stride ? args.dy_stride : shape.P) {}

  void run() {
    run_team(this->threads(2), [this](const Team& team) {
      pack(team);
      team.barrier();
      const RowRange mine = rows_of(team, sequences_, shape_.N, 1);
      this->draw_dropout(mine);
      start(mine);
      chunks(mine, team);
      finish(mine);
    });
  }

 private:
  void pack(const Team& team) const {
    const Real* hidden = weights_[Parameter::w_hh];
    if (args_.dx) input_.pack(weights_[Parameter::w_ih], team);
    hidden_.pack(hidden, team);
    if (shape_.reset_first) inner_.pack(hidden + outer_rows(shape_) * shape_.P, team);
    if (shape_.projection) projection_.pack(weights_[Parameter::w_hr], team);
  }

  // Calls body(row, direction, n): rows count from the first of these sequences.
  template <class Body>
  void for_rows(RowRange sequences, const Body& body) const {
    Index row = 0;
    for (Index j = sequences.begin; j < sequences.end; ++j) {
      for (Index k = 0; k < shape_.K; ++k) body(row++, k, sequences_.index(j));
    }
  }

  void start(RowRange mine) const {
    for_rows(mine, [&](Index row, Index k, Index n) {
      const Index kn = k * shape_.N + n, at = mine.begin * shape_.K + row;
      if (args_.dh_n) copy_row(dh_[at], args_.dh_n + kn * shape_.P, shape_.P);
      if (!args_.dh_n) zero_row(dh_[at], shape_.P);
      if constexpr (Cell::has_cell) {
        if (args_.dc_n) copy_row(dc_[at], args_.dc_n + kn * shape_.H, shape_.H);
        if (!args_.dc_n) zero_row(dc_[at], shape_.H);
      }
    });
  }

  void finish(RowRange mine) const {
    for_rows(mine, [&](Index row, Index k, Index n) {
      const Index kn = k * shape_.N + n, at = mine.begin * shape_.K + row;
      if (args_.dh0) blend_row<S>(args_.dh0 + kn * shape_.P, dh_[at], args_.beta_dh0, shape_.P);
      if constexpr (Cell::has_cell) {
        if (args_.dc0) blend_row<S>(args_.dc0 + kn * shape_.H, dc_[at], args_.beta_dc0, shape_.H);
      }
      if (args_.dx && args_.beta_dx == 0) {
        zero_padding(shape_, sequences_, k, n, args_.dx, shape_.I, shape_.I);
      }
    });
  }

  // ---- The loop

  void chunks(RowRange mine, const Team& team) const {
    Rows<const Real> saved =  // of the chunk, once its steps begin
        Rows<const Real>{args_.saved, saved_fields_.size}.from(sequences_.total());
    for_each_chunk_back(
        sequences_, 1, chunk_capacity(shape_), team,
        [&](const Chunk& chunk) {
          saved = saved.from(-chunk.rows);
          Index offset = chunk.rows;
          for (Index t = chunk.end - 1; t >= chunk.begin; --t) {
            offset -= sequences_.active(t);
            step(t, mine.before(sequences_.active(t)), offset, saved);
          }
        },
        [&](const Chunk& chunk, bool first) {
          if (!gradients_.wanted()) return;
          team.barrier();
          gradients_.add({chunk.rows, work_, d_, saved}, first, team);
        });
  }

  // offset: of the step among the chunk's rows.
  void step(Index t, RowRange sequences, Index offset, const Rows<const Real>& all_saved) const {
    const Index K = shape_.K, begin = offset + sequences.begin;
    const Index count = sequences.end - sequences.begin, rows = count * K;
    const Rows<Real> work = work_.from(begin), d = d_.from(begin * K);
    const Rows<const Real> saved = all_saved.from(begin);
    const Rows<Real> dh = dh_.from(sequences.begin * K), dc = dc_.from(sequences.begin * K);
    for (Index r = 0; r < count; ++r) {
      const Index n = sequences_.index(sequences.begin + r);
      this->load(t, n, args_.x, args_.h, Base::cells(args_), work[r]);
      cell_.evaluate({work[r], saved[r]});
      gradients_.keep(begin + r, work[r]);
    }
    for_rows(sequences, [&](Index row, Index k, Index n) {
      enter(t, k, n, work[row / K], d[row], dh[row], dc[row]);
    });
    if (shape_.projection) {
      projection_.multiply(rows, d.field(fields_.next), d.field(fields_.out), false);
    }
    for (Index row = 0; row < rows; ++row) {
      cell_.pull({work[row / K], saved[row / K]}, d[row], dh[row], dc[row]);
    }
    if constexpr (Cell::has_inner) {
      if (shape_.reset_first) through_inner(rows, work, saved, d);
    }
    if (shape_.norm) {
      for (Index row = 0; row < rows; ++row) through_norm(saved[row / K], d[row]);
    }
    hidden_.multiply(rows, d.field(fields_.to_h), d.field(fields_.m), shape_.reset_first);
    for_rows(sequences, [&](Index row, Index, Index n) {
      this->mask(n, d[row] + fields_.m);
      add_row(dh[row], d[row] + fields_.m, shape_.P);
    });
    if (args_.dx) through_input(t, sequences, rows, d);
  }

  static void add_row(Real* to, const Real* from, Index size) {
    for_parts<S>(size, [&](Part<S> u) { u.add(to, u.load(from)); });
  }

  // The state's cotangents behind the step -> those of next and cell; what zoneout keeps stays.
  void enter(Index t, Index k, Index n, const Real* work, Real* d, Real* dh, Real* dc) const {
    if (args_.dy) {
      const Index at = k * shape_.T * shape_.N + sequences_.row(t, n);
      add_row(dh, args_.dy + at * dy_stride_, shape_.P);
    }
    const RecurrentOptions& o = shape_.options;
    split(o.zoneout_h > 0 ? work + fields_.keep_h : nullptr, dh, d + fields_.next, shape_.P);
    if constexpr (Cell::has_cell) {
      split(o.zoneout_c > 0 ? work + fields_.keep_c : nullptr, dc, d + fields_.cell, shape_.H);
    }
  }

  // after = (1 - keep) d,  d = keep d
  static void split(const Real* keep, Real* d, Real* after, Index size) {
    if (!keep) {
      copy_row(after, d, size);
      return zero_row(d, size);
    }
    for_parts<S>(size, [&](Part<S> u) {
      const auto all = u.load(d), kept = u.load(keep);
      u.store(after, zoneout_mix<S>(kept, S::zero(), all));
      u.store(d, zoneout_mix<S>(kept, all, S::zero()));
    });
  }

  void through_inner(Index rows, const Rows<Real>& work, const Rows<const Real>& saved,
                     const Rows<Real>& d) const {
    const Index last = fields_.hidden + outer_rows(shape_);
    inner_.multiply(rows, d.field(last), d.field(fields_.q), false);
    for (Index row = 0; row < rows; ++row) {
      cell_.pull_inner({work[row / shape_.K], saved[row / shape_.K]}, d[row]);
    }
  }

  void through_norm(const Real* saved, Real* d) const {
    norm(weights_[Parameter::norm_ih], saved + saved_fields_.hat_x, saved[saved_fields_.scale_x],
         d + fields_.pre, d + fields_.from_x);
    norm(weights_[Parameter::norm_hh], saved + saved_fields_.hat_h, saved[saved_fields_.scale_h],
         d + fields_.hidden, d + fields_.from_h);
  }

  void norm(const Real* gain, const Real* hat, Real scale, const Real* d, Real* to) const {
    const Index size = shape_.gates * shape_.H;
    for_parts<S>(size, [&](Part<S> i) { i.store(to, i.load(d) * i.load(gain)); });
    normalise_slope<S>(hat, scale, to, to, size);
  }

  void through_input(Index t, RowRange sequences, Index rows, const Rows<Real>& d) const {
    input_.multiply(rows, d.field(fields_.from_x), d.field(fields_.x), false);
    for_rows(sequences, [&](Index row, Index k, Index n) {
      const Index at = k * shape_.T * shape_.N + sequences_.row(t, n);
      blend_row<S>(args_.dx + at * shape_.I, d[row] + fields_.x, args_.beta_dx, shape_.I);
    });
  }

  const Args& args_;
  const Parts parts_;
  const StepMatrix<S> input_, hidden_, inner_, projection_;
  const StepGradients<S> gradients_;
  const Rows<Real> work_, d_, dh_, dc_;
  const Index dy_stride_;
};

}  // namespace unroll::UNROLL_ISA_NS
