// The general loop forwards once more: tangents of the inputs to tangents of the outputs. See
// recurrent_steps.h. All directions run at once, K rows per sequence.
#pragma once

#include "cuda/recurrent_steps_pullback.h"

namespace unroll::UNROLL_GPU {

enum PushStage : unsigned {
  push_enter = 1,
  push_gates = 2,
  push_before_inner = 4,
  push_cell = 8,
  push_leave = 16
};

template <class Real>
struct PushRows {
  StepContext<Real> context;
  Parameters<const Real*> tangents;  // of direction 0
  Parameters<Index> sizes;           // to the next direction
  Rows<Real> d, dh, dc;              // as in PullRows
  Real* dy;                          // or null
  Index dy_stride;

  __device__ Parameters<const Real*> tangents_of(Index k) const {
    Parameters<const Real*> one = tangents;
    for (int i = 0; i < parameter_count; i++)
      if (one.at[i]) one.at[i] += k * sizes.at[i];
    return one;
  }
};

// d = gain (tangent of hat) + (tangent of gain) hat
template <class Real>
__device__ void norm_forward(const Real* gain, const Real* d_gain, const Real* hat, Real scale,
                             Real* d, Index size) {
  using S = LaneSteps<Real>;
  S::normalise_slope(hat, scale, d, d, size);
  S::for_parts(size, [&](typename S::Part i) {
    Real v = i.load(d) * i.load(gain);
    if (d_gain) v = S::fma(i.load(d_gain), i.load(hat), v);
    i.store(d, v);
  });
}

template <class Real>
__device__ void push_gates_row(const StepContext<Real>& s, const Parameters<const Real*>& v,
                               const Real* saved, Real* d) {
  const StepFields& f = s.fields;
  const Index size = s.shape.gates * s.shape.H;
  if (s.shape.norm) {
    norm_forward(s.weights[Parameter::norm_ih], v[Parameter::norm_ih], saved + s.kept.hat_x,
                 saved[s.kept.scale_x], d + f.from_x, size);
    norm_forward(s.weights[Parameter::norm_hh], v[Parameter::norm_hh], saved + s.kept.hat_h,
                 saved[s.kept.scale_h], d + f.from_h, size);
  }
  affine<Real>(d + f.from_x, nullptr, v[Parameter::b_ih], size);
  affine<Real>(d + f.from_h, nullptr, v[Parameter::b_hh], size);
}

// Zoneout, and the results of the step.
template <class Cell, class Real>
__device__ void push_leave_row(const PushRows<Real>& a, Index r, const Real* work) {
  const StepContext<Real>& s = a.context;
  const StepFields& f = s.fields;
  const RecurrentOptions& o = s.shape.options;
  const Index K = s.shape.K, row = r % K * s.shape.T * s.shape.N + s.time[r / K];
  Real *const d = a.d[r], *const dh = a.dh[r];
  mix(o.zoneout_h > 0 ? work + f.keep_h : nullptr, dh, d + f.next, dh, s.shape.P);
  if constexpr (Cell::has_cell)
    mix(o.zoneout_c > 0 ? work + f.keep_c : nullptr, a.dc[r], d + f.cell, a.dc[r], s.shape.H);
  if (a.dy) mix<Real>(nullptr, nullptr, dh, a.dy + row * a.dy_stride, s.shape.P);
}

template <class Cell, class Real>
__global__ void __launch_bounds__(row_threads, blocks_at_once)
    push_rows_kernel(PushRows<Real> a, unsigned stages) {
  using S = LaneSteps<Real>;
  const StepContext<Real>& s = a.context;
  const Index r = blockIdx.x, m = r / s.shape.K;
  const StepRow<Real> row{s.work[m], s.saved[m]};
  Real* const d = a.d[r];
  const Cell cell{s.shape, s.fields, s.kept, s.weights};
  const Parameters<const Real*> tangents = a.tangents_of(r % s.shape.K);
  if (stages & push_enter) {
    const Index n = s.sequences.index(m);
    S::for_parts(s.shape.P, [&](typename S::Part u) {
      u.store(d + s.fields.m, s.masked(n, u.at, u.load(a.dh[r])));
    });
  }
  if (stages & push_gates) push_gates_row(s, tangents, row.saved, d);
  __syncthreads();
  if constexpr (Cell::has_inner) {
    if (stages & push_before_inner) cell.push_before_inner(row, d);
  }
  if (stages & push_cell) cell.push(row, d, a.dh[r], a.dc[r], tangents);
  if (stages & push_leave) push_leave_row<Cell>(a, r, row.work);
}

template <class Cell, class Args, class Real>
class GeneralPushforward : GeneralLoop<Cell, Args, Real> {
  using Base = GeneralLoop<Cell, Args, Real>;
  using Base::args_, Base::fields_, Base::lists_, Base::saved_fields_, Base::shape_, Base::steps_,
      Base::weights_;

  struct Parts {
    Index time, state, work, d, dh, dc, end;
    explicit Parts(const StepsShape& s) {
      ScratchPlaces at;
      const Index words = elements_of_words<Real>(Steps(s).total()), size = StepFields(s).size;
      time = at.take(words);
      state = at.take(words);
      work = at.take(s.N * size);
      d = at.take(s.N * s.K * size);
      dh = at.take(s.N * s.K * s.P);
      dc = at.take(s.has_cell ? s.N * s.K * s.H : 0);
      end = at.used;
    }
  };

 public:
  static Index scratch_size(const StepsShape& shape) { return Parts(shape).end; }

  GeneralPushforward(const StepsShape& shape, const Args& args,
                     const Parameters<const Real*>& weights,
                     const Parameters<const Real*>& tangents)
      : Base(shape, args, weights, Parts(shape).time, Parts(shape).state),
        parts_(shape),
        tangents_(tangents),
        work_{args.scratch + parts_.work, fields_.size},
        d_{args.scratch + parts_.d, fields_.size},
        dh_{args.scratch + parts_.dh, shape.P},
        dc_{args.scratch + parts_.dc, shape.has_cell ? shape.H : 0} {
    for (int i = 0; i < parameter_count; i++) sizes_.at[i] = parameter_size(shape, Parameter(i));
  }

  void run() const {
    if (shape_.K == 0) return;
    list_rows(steps_, lists_);
    states(false);
    for (Index t = 0, offset = 0; t < steps_.count(); offset += steps_.active(t++)) step(t, offset);
    states(true);
    if (args_.dy) clear_padding(steps_.device(), shape_.K, shape_.P, args_.dy, dy_stride());
  }

 private:
  Index dy_stride() const { return args_.dy_stride ? args_.dy_stride : shape_.P; }

  void states(bool back) const {
    const DeviceSequences& sequences = steps_.device();
    carry<Real>(shape_, sequences, {dh_.data, shape_.P, args_.dh0, args_.dh_n, 0}, back);
    if constexpr (Cell::has_cell)
      carry<Real>(shape_, sequences, {dc_.data, shape_.H, args_.dc0, args_.dc_n, 0}, back);
  }

  // offset: of the step among all rows.
  void step(Index t, Index offset) const {
    const Index P = shape_.P, H = shape_.H, count = steps_.active(t);
    const Rows<const Real> saved = Rows<const Real>{args_.saved, saved_fields_.size}.from(offset);
    const PushRows<Real> rows{.context = this->context(t, offset, work_, saved),
                              .tangents = tangents_,
                              .sizes = sizes_,
                              .d = d_,
                              .dh = dh_,
                              .dc = dc_,
                              .dy = args_.dy,
                              .dy_stride = dy_stride()};
    this->work_rows(rows.context);
    unsigned stages = push_enter;
    flush(rows, stages);
    gates(count, offset);
    stages = push_gates;
    if (shape_.reset_first) {
      stages |= push_before_inner;
      flush(rows, stages);
      const Index outer = outer_rows(shape_) * P;
      add({fields_.q, H, H, this->inner(), fields_.inner, H}, count);
      add_moving({fields_.q, H, H, d_weight(Parameter::w_hh, outer), fields_.inner, H}, count,
                 Parameter::w_hh);
    }
    stages |= push_cell;
    if (shape_.projection) {
      flush(rows, stages);
      add({fields_.out, H, P, weights_[Parameter::w_hr], fields_.next, P}, count);
      add_moving({fields_.out, H, P, d_weight(Parameter::w_hr, 0), fields_.next, P}, count,
                 Parameter::w_hr);
    }
    stages |= push_leave;
    flush(rows, stages);
  }

  // Runs the stages that wait.
  void flush(const PushRows<Real>& rows, unsigned& stages) const {
    launch(push_rows_kernel<Cell, Real>,
           Base::row_launch("push_rows", steps_.active(rows.context.t) * shape_.K), rows, stages);
    stages = 0;
  }

  void gates(Index count, Index offset) const {
    const Index all = shape_.gates * shape_.H, outer = outer_rows(shape_), I = shape_.I;
    const Index P = shape_.P, K = shape_.K, *time = lists_.time + offset;
    const ProductTarget<Real> from_x = target_of(d_, fields_.from_x, count * K, all);
    multiply(RowsOperand<Real>{args_.dx, I, count * K, {time, K, shape_.T * shape_.N}},
             {weights_[Parameter::w_ih], I, all}, from_x, args_.dx ? I : 0);
    if (const Real* moving = d_weight(Parameter::w_ih, 0))
      multiply({args_.x, I, count, {time}}, {moving, I, all, {}, {}, all * I},
               each_direction(fields_.from_x, count, all), I, K);
    add({fields_.m, P, outer, this->hidden(), fields_.from_h, all}, count);
    add_moving({fields_.m, P, outer, d_weight(Parameter::w_hh, 0), fields_.from_h, all}, count,
               Parameter::w_hh);
  }

  // to = w [rows, depth] times a field; columns of `to` beyond the rows become zero.
  struct Part {
    Index from, depth, rows;
    const Real* w;
    Index to, columns;
  };

  // The tangents of a field.
  void add(const Part& p, Index count) const {
    const Index rows = count * shape_.K;
    multiply(left_of(d_, p.from, rows), {p.w, p.depth, p.rows},
             target_of(d_, p.to, rows, p.columns), p.depth);
  }

  // Its values, where the weights move.
  void add_moving(const Part& p, Index count, Parameter parameter) const {
    if (!p.w) return;
    multiply(left_of(work_, p.from, count),
             {p.w, p.depth, p.rows, {}, {}, parameter_size(shape_, parameter)},
             each_direction(p.to, count, p.rows), p.depth, shape_.K);
  }

  const Real* d_weight(Parameter p, Index begin) const {
    return tangents_[p] ? tangents_[p] + begin : nullptr;
  }

  // Rows of one direction, added to.
  ProductTarget<Real> each_direction(Index field, Index count, Index columns) const {
    ProductTarget<Real> to = target_of(d_, field, count, columns, Real(1));
    to.stride = shape_.K * d_.stride;
    to.batch = d_.stride;
    return to;
  }

  const Parts parts_;
  const Parameters<const Real*> tangents_;
  Parameters<Index> sizes_;
  const Rows<Real> work_, d_, dh_, dc_;
};

}  // namespace unroll::UNROLL_GPU
