// The general loop forwards: values. See recurrent_steps.h.
#pragma once

#include "cuda/recurrent_steps.h"

namespace unroll::UNROLL_GPU {

enum ForwardStage : unsigned {
  stage_load = 1,
  stage_gates = 2,
  stage_before_inner = 4,
  stage_cell = 8,
  stage_leave = 16
};

template <class Real>
struct ForwardRows {
  StepContext<Real> context;
  Rows<Real> saved;  // the context's, to be written
  Real *h, *c, *y;   // c, y: or null
  Index y_stride;
};

// The products, normalised, and with their biases.
template <class Real>
__device__ void finish_gates(const StepContext<Real>& s, Real* work, Real* saved) {
  using S = LaneSteps<Real>;
  const Index size = s.shape.gates * s.shape.H;
  Real *from_x = work + s.fields.from_x, *from_h = work + s.fields.from_h;
  if (s.shape.norm) {
    S::put(saved + s.kept.scale_x, S::normalise(from_x, from_x, size));
    S::put(saved + s.kept.scale_h, S::normalise(from_h, from_h, size));
    mix<Real>(nullptr, nullptr, from_x, saved + s.kept.hat_x, size);
    mix<Real>(nullptr, nullptr, from_h, saved + s.kept.hat_h, size);
  }
  affine(from_x, s.weights[Parameter::norm_ih], s.weights[Parameter::b_ih], size);
  affine(from_h, s.weights[Parameter::norm_hh], s.weights[Parameter::b_hh], size);
}

// Zoneout, and the results of the step.
template <class Cell, class Real>
__device__ void leave_row(const ForwardRows<Real>& a, Index m, Index n, const Real* work) {
  const StepContext<Real>& s = a.context;
  const StepFields& f = s.fields;
  const RecurrentOptions& o = s.shape.options;
  const Index P = s.shape.P, H = s.shape.H, after = (s.t + 1) * s.shape.N + n;
  Real* const h = a.h + after * s.h_stride;
  mix(o.zoneout_h > 0 ? work + f.keep_h : nullptr, work + f.h, work + f.next, h, P);
  if (a.y) mix<Real>(nullptr, nullptr, h, a.y + s.time[m] * a.y_stride, P);
  if constexpr (Cell::has_cell)
    mix(o.zoneout_c > 0 ? work + f.keep_c : nullptr, work + f.c, work + f.cell, a.c + after * H, H);
}

template <class Cell, class Real>
__global__ void __launch_bounds__(row_threads, blocks_at_once)
    forward_rows_kernel(ForwardRows<Real> a, unsigned stages) {
  const StepContext<Real>& s = a.context;
  const Index m = blockIdx.x, n = s.sequences.index(m);
  Real *const work = s.work[m], *const saved = a.saved[m];
  const Cell cell{s.shape, s.fields, s.kept, s.weights};
  if (stages & stage_load) load_row<Cell>(s, n, work);
  if (stages & stage_gates) finish_gates(s, work, saved);
  __syncthreads();
  if constexpr (Cell::has_inner) {
    if (stages & stage_before_inner) cell.before_inner(work);
  }
  if (stages & stage_cell) {
    cell.combine(work, saved);
    cell.evaluate({work, saved});
  }
  if (stages & stage_leave) leave_row<Cell>(a, m, n, work);
}

template <class Cell, class Args, class Real>
class GeneralForward : GeneralLoop<Cell, Args, Real> {
  using Base = GeneralLoop<Cell, Args, Real>;
  using Base::args_, Base::fields_, Base::lists_, Base::saved_fields_, Base::shape_, Base::steps_,
      Base::weights_;

  struct Parts {
    Index time, state, work, saved, end;
    explicit Parts(const StepsShape& s) {
      ScratchPlaces at;
      const Index words = elements_of_words<Real>(Steps(s).total());
      time = at.take(words);
      state = at.take(words);
      work = at.take(s.N * StepFields(s).size);
      saved = at.take(s.N * SavedFields(s).size);
      end = at.used;
    }
  };

 public:
  static Index scratch_size(const StepsShape& shape) { return Parts(shape).end; }

  GeneralForward(const StepsShape& shape, const Args& args, const Parameters<const Real*>& weights)
      : Base(shape, args, weights, Parts(shape).time, Parts(shape).state),
        work_{args.scratch + Parts(shape).work, fields_.size},
        own_saved_{args.scratch + Parts(shape).saved, saved_fields_.size} {}

  void run() const {
    if (shape_.N == 0 || shape_.H == 0) return;
    list_rows(steps_, lists_);
    for (Index t = 0, offset = 0; t < steps_.count(); offset += steps_.active(t++)) {
      const Rows<Real> saved =
          args_.saved ? Rows<Real>{args_.saved, saved_fields_.size}.from(offset) : own_saved_;
      step(t, offset, saved);
    }
    forward_ends(shape_, shape_.P, args_, steps_.device());
  }

 private:
  void step(Index t, Index offset, const Rows<Real>& saved) const {
    const Index count = steps_.active(t), P = shape_.P, H = shape_.H;
    ForwardRows<Real> rows{.context = this->context(t, offset, work_, {saved.data, saved.stride}),
                           .saved = saved,
                           .h = args_.h,
                           .c = nullptr,
                           .y = args_.y,
                           .y_stride = args_.y_stride ? args_.y_stride : P};
    if constexpr (Cell::has_cell) rows.c = args_.c;
    unsigned stages = stage_load;
    flush(rows, count, stages);
    gates(count, offset);
    stages = stage_gates;
    if (shape_.reset_first) {
      stages |= stage_before_inner;
      flush(rows, count, stages);
      multiply(left_of(work_, fields_.q, count), RowsOperand<Real>{this->inner(), H, H},
               target_of(saved, saved_fields_.inner, count, H), H);
    }
    stages |= stage_cell;
    if (shape_.projection) {
      flush(rows, count, stages);
      multiply(left_of(work_, fields_.out, count), {weights_[Parameter::w_hr], H, P},
               target_of(work_, fields_.next, count, P), H);
    }
    stages |= stage_leave;
    flush(rows, count, stages);
  }

  // Runs the stages that wait.
  void flush(const ForwardRows<Real>& rows, Index count, unsigned& stages) const {
    launch(forward_rows_kernel<Cell, Real>, Base::row_launch("forward_rows", count), rows, stages);
    stages = 0;
  }

  void gates(Index count, Index offset) const {
    const Index all = shape_.gates * shape_.H, outer = outer_rows(shape_), I = shape_.I;
    multiply(RowsOperand<Real>{args_.x, I, count, {lists_.time + offset}},
             {weights_[Parameter::w_ih], I, all}, target_of(work_, fields_.from_x, count, all), I);
    multiply(left_of(work_, fields_.m, count), {this->hidden(), shape_.P, outer},
             target_of(work_, fields_.from_h, count, all), shape_.P);
  }

  const Rows<Real> work_, own_saved_;
};

}  // namespace unroll::UNROLL_GPU
