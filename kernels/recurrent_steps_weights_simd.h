// Gradients of every parameter in the general loop (recurrent_steps_simd.h): sums over all rows of
// all steps, chunk of steps by chunk.
//
//   dw_ih = sum d(from_x)^T x     dw_hh = sum d(from_h)^T m, its last gate with q where the reset
//   dw_hr = sum d(next)^T out     comes first
//   db_ih = sum d(pre)            db_hh = sum d(hidden)
//   d(norm_ih) = sum d(pre) hat_x      d(norm_hh) = sum d(hidden) hat_h
//   d(norm_c) = sum d(norm_c) hat_c    d(norm_c_bias) = sum d(norm_c)
//   d(peephole) = sum d(pre_i) c[t], d(pre_f) c[t], d(pre_o) c[t+1]
//
// Threads take turns at parts of the results, so that every sum runs in one order.
#pragma once

#include "kernels/recurrent_steps_simd.h"

namespace unroll::UNROLL_ISA_NS {

// A chunk of steps, as rows: work and saved rows of its sequences, and K direction rows for each.
template <class Real>
struct StepRows {
  Index count;  // of sequences, over all its steps
  Rows<Real> work, d;
  Rows<const Real> saved;
};

template <class S>
class StepGradients {
  using Real = typename S::Real;

 public:
  // Sequences in a chunk at most: capacity.
  static Index scratch_size(const StepsShape& s, Index capacity) {
    Places at;
    for (const Index columns : {s.I, s.P, rights(s).inner, rights(s).out}) {
      at.take(ColumnPanels<S>::size(capacity, columns));
    }
    return at.used;
  }

  StepGradients(const StepsShape& shape, const Parameters<Real*>& d, const Parameters<Real>& beta,
                Index capacity, Real* scratch)
      : shape_(shape),
        fields_(shape),
        saved_fields_(shape),
        d_(d),
        beta_(beta),
        x_(panels(scratch, capacity, 0)),
        m_(panels(scratch, capacity, 1)),
        q_(panels(scratch, capacity, 2)),
        out_(panels(scratch, capacity, 3)) {}

  bool wanted() const { return d_.any(); }

  // Takes the right operands of a work row to their place, `row` of the chunk.
  void keep(Index row, const Real* work) const {
    if (d_[Parameter::w_ih]) x_.set_row(row, work + fields_.x);
    if (d_[Parameter::w_hh]) m_.set_row(row, work + fields_.m);
    if (d_[Parameter::w_hh] && shape_.reset_first) q_.set_row(row, work + fields_.q);
    if (d_[Parameter::w_hr]) out_.set_row(row, work + fields_.out);
  }

  // Adds the chunk's part; `first` is the first chunk, where beta counts.
  void add(const StepRows<Real>& rows, bool first, const Team& team) const {
    Turns turns{team};
    const Index all = shape_.gates * shape_.H, outer = outer_rows(shape_), H = shape_.H;
    matrix(rows, first, turns, {Parameter::w_ih, 0, all, fields_.from_x, x_, shape_.I});
    matrix(rows, first, turns, {Parameter::w_hh, 0, outer, fields_.to_h, m_, shape_.P});
    if (shape_.reset_first) {
      const Index field = fields_.to_h + outer;
      matrix(rows, first, turns, {Parameter::w_hh, outer * shape_.P, H, field, q_, shape_.P});
    }
    matrix(rows, first, turns, {Parameter::w_hr, 0, shape_.P, fields_.next, out_, H});
    vectors(rows, first, turns);
  }

 private:
  struct Turns {
    const Team& team;
    Index turn = 0;
    bool mine() { return turn++ % team.size == team.index; }
  };
  struct Matrix {
    Parameter parameter;
    Index begin, rows;  // the part of the parameter: its first element, its rows
    Index field;        // of the direction rows
    const ColumnPanels<S>& right;
    Index columns;
  };
  struct Vector {
    Parameter parameter;
    Index begin, size;
    Index field;              // of the direction rows
    Rows<const Real> factor;  // null: ones
  };
  struct Rights {
    Index inner, out;  // columns of q and out, 0 where there is none
  };
  static Rights rights(const StepsShape& s) {
    return {s.reset_first ? s.H : 0, s.projection ? s.H : 0};
  }

  ColumnPanels<S> panels(Real* scratch, Index capacity, int which) const {
    const Index columns[] = {shape_.I, shape_.P, rights(shape_).inner, rights(shape_).out};
    Places at;
    for (int i = 0; i < which; ++i) at.take(ColumnPanels<S>::size(capacity, columns[i]));
    return {scratch + at.used, capacity, columns[which]};
  }

  Real* target(Parameter p, Index k) const { return d_[p] + k * parameter_size(shape_, p); }
  Real beta(Parameter p, bool first) const { return first ? beta_[p] : Real(1); }

  void matrix(const StepRows<Real>& rows, bool first, Turns& turns, const Matrix& m) const {
    if (!d_[m.parameter]) return;
    for (Index k = 0; k < shape_.K; ++k) {
      for (Index row = 0; row < m.rows; row += tile) {
        for (Index q = 0; q < m.right.count(); ++q) {
          if (turns.mine()) add_tile(rows, first, m, k, row, q);
        }
      }
    }
  }

  // Rows [row, row + tile) and the columns of panel q of direction k.
  void add_tile(const StepRows<Real>& rows, bool first, const Matrix& m, Index k, Index row,
                Index q) const {
    constexpr Index width = ColumnPanels<S>::two;
    alignas(64) Real sums[tile * width];
    const Index height = smaller(tile, m.rows - row);
    if (rows.count == 0) zero_row(sums, height * width);
    const Real* left = rows.d[k] + m.field + row;
    for (Index begin = 0; begin < rows.count; begin += sum_rows) {
      m.right.template multiply<Left::column_major>(q,
                                                    {.rows = height,
                                                     .depth = smaller(sum_rows, rows.count - begin),
                                                     .a = left + begin * shape_.K * rows.d.stride,
                                                     .a_stride = shape_.K * rows.d.stride,
                                                     .out = sums,
                                                     .out_stride = width,
                                                     .accumulate = begin > 0},
                                                    begin);
    }
    for (Index i = 0; i < height; ++i) {
      Real* to = target(m.parameter, k) + m.begin + (row + i) * m.columns + q * width;
      blend_row<S>(to, sums + i * width, beta(m.parameter, first), m.right.columns_in(q));
    }
  }

  void vectors(const StepRows<Real>& rows, bool first, Turns& turns) const {
    const Index all = shape_.gates * shape_.H, H = shape_.H, pre = fields_.pre;
    const Rows<const Real> ones{nullptr, 0}, work{rows.work.data, rows.work.stride};
    const Vector list[] = {
        {Parameter::b_ih, 0, all, pre, ones},
        {Parameter::b_hh, 0, all, fields_.hidden, ones},
        {Parameter::norm_ih, 0, all, pre, rows.saved.field(saved_fields_.hat_x)},
        {Parameter::norm_hh, 0, all, fields_.hidden, rows.saved.field(saved_fields_.hat_h)},
        {Parameter::norm_c, 0, H, fields_.norm_c, work.field(fields_.hat_c)},
        {Parameter::norm_c_bias, 0, H, fields_.norm_c, ones},
        {Parameter::peephole, 0, H, pre, work.field(fields_.c)},
        {Parameter::peephole, H, H, pre + H, work.field(fields_.c)},
        {Parameter::peephole, 2 * H, H, pre + 3 * H, work.field(fields_.cell)}};
    for (const Vector& v : list) {
      if (!d_[v.parameter]) continue;
      for (Index k = 0; k < shape_.K; ++k) {
        if (turns.mine()) add_vector(rows, first, v, k);
      }
    }
  }

  void add_vector(const StepRows<Real>& rows, bool first, const Vector& v, Index k) const {
    const Real factor = beta(v.parameter, first);
    Real* to = target(v.parameter, k) + v.begin;
    for_parts<S>(v.size, [&](Part<S> u) {
      auto sum = S::zero();
      for (Index row = 0; row < rows.count; ++row) {
        const auto d = u.load(rows.d[row * shape_.K + k] + v.field);
        sum = v.factor.data ? S::fma(d, u.load(v.factor[row]), sum) : sum + d;
      }
      if (factor != 0) sum = S::fma(S::set(factor), u.load(to), sum);
      u.store(to, sum);
    });
  }

  static constexpr Index tile = 32;
  const StepsShape shape_;
  const StepFields fields_;
  const SavedFields saved_fields_;
  const Parameters<Real*> d_;
  const Parameters<Real> beta_;
  const ColumnPanels<S> x_, m_, q_, out_;
};

}  // namespace unroll::UNROLL_ISA_NS
