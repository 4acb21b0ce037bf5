// The general loop backwards: cotangents of the outputs to cotangents of the inputs. See
// recurrent_steps.h.
//
// The steps run in chunks whose rows are kept for the sums of the parameters' gradients:
//
//   dw_ih = sum d(from_x)^T x     dw_hh = sum d(from_h)^T m, its last gate with q where the reset
//   dw_hr = sum d(next)^T out     comes first
//   db_ih = sum d(pre)            db_hh = sum d(hidden)
//   d(norm_ih) = sum d(pre) hat_x      d(norm_hh) = sum d(hidden) hat_h
//   d(norm_c) = sum d(norm_c) hat_c    d(norm_c_bias) = sum d(norm_c)
//   d(peephole) = sum d(pre_i) c[t], d(pre_f) c[t], d(pre_o) c[t+1]
//
// Direction row = row of the sequence * K + direction.
#pragma once

#include "cuda/recurrent_steps.h"

namespace unroll::UNROLL_GPU {

enum PullStage : unsigned {
  stage_enter = 1,
  stage_pull = 2,
  stage_inner = 4,
  stage_norm = 8,
  stage_back = 16
};

template <class Real>
struct PullRows {
  StepContext<Real> context;
  Rows<Real> d;       // of the step
  Rows<Real> dh, dc;  // carried: row = sorted sequence * K + direction
  const Real* dy;     // or null
  Index dy_stride;
};

// after = (1 - keep) d,  d = keep d
template <class Real>
__device__ void split(const Real* keep, Real* d, Real* after, Index size) {
  using S = LaneSteps<Real>;
  S::for_parts(size, [&](typename S::Part u) {
    const Real all = u.load(d), kept = keep ? u.load(keep) : Real(0);
    u.store(after, keep ? zoneout_mix<S>(kept, 0, all) : all);
    u.store(d, keep ? zoneout_mix<S>(kept, all, 0) : Real(0));
  });
}

// The state's cotangents behind the step -> those of next and cell; what zoneout keeps stays.
template <class Cell, class Real>
__device__ void enter_row(const PullRows<Real>& a, Index r, const Real* work) {
  using S = LaneSteps<Real>;
  const StepContext<Real>& s = a.context;
  const StepFields& f = s.fields;
  const RecurrentOptions& o = s.shape.options;
  const Index K = s.shape.K, row = r % K * s.shape.T * s.shape.N + s.time[r / K];
  if (a.dy)
    S::for_parts(s.shape.P,
                 [&](typename S::Part u) { u.add(a.dh[r], u.load(a.dy + row * a.dy_stride)); });
  split(o.zoneout_h > 0 ? work + f.keep_h : nullptr, a.dh[r], a.d[r] + f.next, s.shape.P);
  if constexpr (Cell::has_cell)
    split(o.zoneout_c > 0 ? work + f.keep_c : nullptr, a.dc[r], a.d[r] + f.cell, s.shape.H);
}

// d(hat) = gain d, and through the normalisation.
template <class Real>
__device__ void norm_back(const Real* gain, const Real* hat, Real scale, const Real* d, Real* to,
                          Index size) {
  using S = LaneSteps<Real>;
  S::for_parts(size, [&](typename S::Part i) { i.store(to, i.load(d) * i.load(gain)); });
  S::normalise_slope(hat, scale, to, to, size);
}

template <class Real>
__device__ void through_norm(const StepContext<Real>& s, const Real* saved, Real* d) {
  const StepFields& f = s.fields;
  const Index size = s.shape.gates * s.shape.H;
  norm_back(s.weights[Parameter::norm_ih], saved + s.kept.hat_x, saved[s.kept.scale_x], d + f.pre,
            d + f.from_x, size);
  norm_back(s.weights[Parameter::norm_hh], saved + s.kept.hat_h, saved[s.kept.scale_h],
            d + f.hidden, d + f.from_h, size);
}

template <class Cell, class Real>
__global__ void __launch_bounds__(row_threads, blocks_at_once)
    pull_rows_kernel(PullRows<Real> a, unsigned stages) {
  using S = LaneSteps<Real>;
  const StepContext<Real>& s = a.context;
  const Index r = blockIdx.x, m = r / s.shape.K;
  const StepRow<Real> row{s.work[m], s.saved[m]};
  Real* const d = a.d[r];
  const Cell cell{s.shape, s.fields, s.kept, s.weights};
  if (stages & stage_enter) enter_row<Cell>(a, r, row.work);
  if (stages & stage_pull) cell.pull(row, d, a.dh[r], a.dc[r]);
  if constexpr (Cell::has_inner) {
    if (stages & stage_inner) cell.pull_inner(row, d);
  }
  __syncthreads();
  if (stages & stage_norm) through_norm(s, row.saved, d);
  if (stages & stage_back) {
    const Index n = s.sequences.index(m);
    S::for_parts(s.shape.P, [&](typename S::Part u) {
      u.add(a.dh[r], s.masked(n, u.at, u.load(d + s.fields.m)));
    });
  }
}

/// Carried cotangents or tangents of a state, [N,K,width], and the same in the batch's own order,
/// [K,N,width]; null is zero, or not wanted.
template <class Real>
struct Carried {
  Real* sorted;
  Index width;
  const Real* from;
  Real* to;
  Real beta;
};

// `from` to `sorted`, or with `back` `sorted` to `to`.
template <class Real>
__global__ void __launch_bounds__(128)
    carried_kernel(DeviceSequences sequences, Index K, Carried<Real> c, bool back) {
  const StateElement e(K, sequences.N, c.width);
  if (!e.inside) return;
  const Index own = (e.k * sequences.N + sequences.index(e.n)) * c.width + e.unit;
  Real& sorted = c.sorted[(e.n * K + e.k) * c.width + e.unit];
  if (!back) {
    sorted = value_or_zero(c.from, own);
  } else {
    blend(c.to, own, c.beta, sorted);
  }
}

template <class Real>
void carry(const StepsShape& s, const DeviceSequences& sequences, const Carried<Real>& c,
           bool back) {
  const Index numbers = s.K * s.N * c.width;
  if (numbers > 0 && (!back || c.to))
    launch(carried_kernel<Real>, state_launch("carried", numbers), sequences, s.K, c, back);
}

// ---- Gradients of the parameters

/// Rows of a chunk of steps; args: of the pullback.
template <class Real>
struct ChunkRows {
  Index count;
  Rows<Real> work, d;
  Rows<const Real> saved;
};

template <class Real>
class GeneralGradients {
 public:
  GeneralGradients(const StepsShape& shape, const Parameters<Real*>& to,
                   const Parameters<Real>& beta, Real* scratch)
      : shape_(shape), fields_(shape), kept_(shape), to_(to), beta_(beta), scratch_(scratch) {}

  static Index scratch_size(const StepsShape& s, Index capacity) {
    Index most = 0;
    const auto need = [&](Index rows, Index columns) {
      most = std::max(most, DepthSplit(rows, columns, s.K, capacity).scratch(rows, columns, s.K));
    };
    need(s.gates * s.H, s.I);
    need(outer_rows(s), s.P);
    if (s.reset_first) need(s.H, s.H);
    if (s.projection) need(s.P, s.H);
    return most;
  }

  /// Adds the chunk's part; `first` is the first chunk, where beta counts. x: its rows.
  void add(const ChunkRows<Real>& rows, bool first, const ColumnsOperand<Real>& x) const {
    const Index all = shape_.gates * shape_.H, outer = outer_rows(shape_), H = shape_.H;
    const Index P = shape_.P;
    const auto work = [&](Index field, Index columns) {
      return ColumnsOperand<Real>{rows.work.data + field, rows.work.stride, columns};
    };
    matrix(rows, first, {Parameter::w_ih, 0, all, fields_.from_x}, x);
    matrix(rows, first, {Parameter::w_hh, 0, outer, fields_.to_h}, work(fields_.m, P));
    if (shape_.reset_first)
      matrix(rows, first, {Parameter::w_hh, outer * P, H, fields_.to_h + outer},
             work(fields_.q, H));
    matrix(rows, first, {Parameter::w_hr, 0, P, fields_.next}, work(fields_.out, H));
    vectors(rows, first);
  }

 private:
  // Part of a parameter: its first element, its rows or size, and the field of the direction rows.
  struct Part {
    Parameter parameter;
    Index begin, size, field;
  };
  Real beta(Parameter p, bool first) const { return first ? beta_[p] : Real(1); }

  void matrix(const ChunkRows<Real>& rows, bool first, const Part& part,
              const ColumnsOperand<Real>& right) const {
    Real* const to = to_[part.parameter];
    if (!to) return;
    run(
        Product<Real, ColumnsOperand<Real>, ColumnsOperand<Real>>{
            .a = {rows.d.data + part.field,
                  shape_.K * rows.d.stride,
                  part.size,
                  {},
                  {},
                  rows.d.stride},
            .b = right,
            .to = {.data = to + part.begin,
                   .stride = right.count,
                   .rows = part.size,
                   .columns = right.count,
                   .batch = parameter_size(shape_, part.parameter),
                   .beta = beta(part.parameter, first)},
            .depth = rows.count},
        shape_.K, scratch_);
  }

  void vectors(const ChunkRows<Real>& rows, bool first) const {
    const Index all = shape_.gates * shape_.H, H = shape_.H, pre = fields_.pre;
    const Rows<const Real> ones{nullptr, 0}, work{rows.work.data, rows.work.stride};
    const auto add = [&](const Part& part, const Rows<const Real>& factor) {
      vector(rows, first, part, factor);
    };
    add({Parameter::b_ih, 0, all, pre}, ones);
    add({Parameter::b_hh, 0, all, fields_.hidden}, ones);
    add({Parameter::norm_ih, 0, all, pre}, rows.saved.field(kept_.hat_x));
    add({Parameter::norm_hh, 0, all, fields_.hidden}, rows.saved.field(kept_.hat_h));
    add({Parameter::norm_c, 0, H, fields_.norm_c}, work.field(fields_.hat_c));
    add({Parameter::norm_c_bias, 0, H, fields_.norm_c}, ones);
    add({Parameter::peephole, 0, H, pre}, work.field(fields_.c));
    add({Parameter::peephole, H, H, pre + H}, work.field(fields_.c));
    add({Parameter::peephole, 2 * H, H, pre + 3 * H}, work.field(fields_.cell));
  }

  void vector(const ChunkRows<Real>& rows, bool first, const Part& part,
              const Rows<const Real>& factor) const {
    Real* const to = to_[part.parameter];
    if (!to) return;
    run(RowSums<Real>{.d = rows.d.data + part.field,
                      .stride = rows.d.stride,
                      .count = rows.count,
                      .columns = part.size,
                      .K = shape_.K,
                      .factor = factor.data,
                      .factor_stride = factor.stride,
                      .to = to + part.begin,
                      .batch = parameter_size(shape_, part.parameter),
                      .beta = beta(part.parameter, first)});
  }

  const StepsShape& shape_;
  const StepFields fields_;
  const SavedFields kept_;
  const Parameters<Real*> to_;
  const Parameters<Real> beta_;
  Real* const scratch_;
};

// ---- The loop

template <class Cell, class Args, class Real>
class GeneralPullback : GeneralLoop<Cell, Args, Real> {
  using Base = GeneralLoop<Cell, Args, Real>;
  using Base::args_, Base::fields_, Base::lists_, Base::saved_fields_, Base::shape_, Base::steps_,
      Base::weights_;

  struct Parts {
    Index capacity, time, state, work, d, dh, dc, sums, end;
    explicit Parts(const StepsShape& s) {
      ScratchPlaces at;
      const Steps steps(s);
      const Index words = elements_of_words<Real>(steps.total()), size = StepFields(s).size;
      capacity = chunk_capacity(steps, (s.K + 1) * size);
      time = at.take(words);
      state = at.take(words);
      work = at.take(capacity * size);
      d = at.take(capacity * s.K * size);
      dh = at.take(s.N * s.K * s.P);
      dc = at.take(s.has_cell ? s.N * s.K * s.H : 0);
      sums = at.take(GeneralGradients<Real>::scratch_size(s, capacity));
      end = at.used;
    }
  };

 public:
  static Index scratch_size(const StepsShape& shape) { return Parts(shape).end; }

  GeneralPullback(const StepsShape& shape, const Args& args, const Parameters<const Real*>& weights,
                  const Parameters<Real*>& d_weights, const Parameters<Real>& beta)
      : Base(shape, args, weights, Parts(shape).time, Parts(shape).state),
        parts_(shape),
        gradients_(shape_, d_weights, beta, args.scratch + parts_.sums),
        work_{args.scratch + parts_.work, fields_.size},
        d_{args.scratch + parts_.d, fields_.size},
        dh_{args.scratch + parts_.dh, shape.P},
        dc_{args.scratch + parts_.dc, shape.has_cell ? shape.H : 0} {}

  void run() const {
    if (shape_.K == 0) return;
    list_rows(steps_, lists_);
    states(false);
    Chunk chunk{steps_.count(), steps_.count(), steps_.total(), 0};
    bool first = true;
    do {  // once for no steps, which are the sum of nothing
      chunk = chunk_before(steps_, chunk.begin, chunk.offset, parts_.capacity);
      const Rows<const Real> saved =
          Rows<const Real>{args_.saved, saved_fields_.size}.from(chunk.offset);
      Index offset = chunk.rows;
      for (Index t = chunk.end - 1; t >= chunk.begin; t--) {
        offset -= steps_.active(t);
        step(t, chunk.offset + offset, offset, saved.from(offset));
      }
      gradients_.add({chunk.rows, work_, d_, saved}, first,
                     {args_.x, shape_.I, shape_.I, {lists_.time + chunk.offset}});
      first = false;
    } while (chunk.begin > 0);
    states(true);
    if (args_.dx && args_.beta_dx == 0)
      clear_padding(steps_.device(), shape_.K, shape_.I, args_.dx, shape_.I);
  }

 private:
  void states(bool back) const {
    const DeviceSequences& sequences = steps_.device();
    carry<Real>(shape_, sequences, {dh_.data, shape_.P, args_.dh_n, args_.dh0, args_.beta_dh0},
                back);
    if constexpr (Cell::has_cell)
      carry<Real>(shape_, sequences, {dc_.data, shape_.H, args_.dc_n, args_.dc0, args_.beta_dc0},
                  back);
  }

  // offset: of the step among all rows; place: among those of the chunk.
  void step(Index t, Index offset, Index place, const Rows<const Real>& saved) const {
    const Index K = shape_.K, P = shape_.P, H = shape_.H, count = steps_.active(t) * K;
    const Rows<Real> d = d_.from(place * K);
    const PullRows<Real> rows{.context = this->context(t, offset, work_.from(place), saved),
                              .d = d,
                              .dh = dh_,
                              .dc = dc_,
                              .dy = args_.dy,
                              .dy_stride = args_.dy_stride ? args_.dy_stride : P};
    this->work_rows(rows.context);
    unsigned stages = stage_enter;
    if (shape_.projection) {
      flush(rows, count, stages);
      multiply_back(left_of(d, fields_.next, count),
                    ColumnsOperand<Real>{weights_[Parameter::w_hr], H, H},
                    target_of(d, fields_.out, count, H), P);
    }
    stages |= stage_pull;
    if (shape_.reset_first) {
      flush(rows, count, stages);
      multiply_back(left_of(d, fields_.hidden + outer_rows(shape_), count),
                    ColumnsOperand<Real>{this->inner(), H, H}, target_of(d, fields_.q, count, H),
                    H);
      stages |= stage_inner;
    }
    if (shape_.norm) stages |= stage_norm;
    flush(rows, count, stages);
    multiply_back(left_of(d, fields_.to_h, count), ColumnsOperand<Real>{this->hidden(), P, P},
                  target_of(d, fields_.m, count, P, Real(shape_.reset_first ? 1 : 0)),
                  outer_rows(shape_));
    stages |= stage_back;
    flush(rows, count, stages);
    if (args_.dx) through_input(count, offset, d);
  }

  // Runs the stages that wait.
  void flush(const PullRows<Real>& rows, Index count, unsigned& stages) const {
    launch(pull_rows_kernel<Cell, Real>, Base::row_launch("pull_rows", count), rows, stages);
    stages = 0;
  }

  void through_input(Index count, Index offset, const Rows<Real>& d) const {
    const Index I = shape_.I;
    multiply_back(
        left_of(d, fields_.from_x, count), ColumnsOperand<Real>{weights_[Parameter::w_ih], I, I},
        ProductTarget<Real>{.data = args_.dx,
                            .stride = I,
                            .rows = count,
                            .columns = I,
                            .index = {lists_.time + offset, shape_.K, shape_.T * shape_.N},
                            .beta = args_.beta_dx},
        shape_.gates * shape_.H);
  }

  const Parts parts_;
  const GeneralGradients<Real> gradients_;
  const Rows<Real> work_, d_, dh_, dc_;
};

}  // namespace unroll::UNROLL_GPU
