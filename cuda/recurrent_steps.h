// The general loop over time on a GPU: any options of a cell, none included. Its stages, rows and
// cells are those of kernels/recurrent_steps.h, and so are the formulas; the loops are in
// recurrent_steps_{forward,pullback,pushforward}.h.
//
// A stage is a block for each row, a thread for each of its units, and so one kernel runs all
// stages between two products. Products are those of row_products.h, with fields of rows as
// operands.
#pragma once

#include <limits>

#include "core/philox.h"
#include "cuda/recurrent_step.h"

#define UNROLL_ISA_NS UNROLL_GPU
#include "kernels/recurrent_steps.h"

namespace unroll::UNROLL_GPU {

inline constexpr int row_threads = 128;

// The sum over the block's threads, in an order that is always the same; for all of them.
template <class Real>
__device__ Real sum_of_block(Real value) {
  SHARED(Real[4], part);  // one for each warp
  for (int bits = 16; bits > 0; bits /= 2) value += __shfl_xor_sync(~0u, value, bits);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = value;
  __syncthreads();
  value = (part[0] + part[1]) + (part[2] + part[3]);
  __syncthreads();  // the next call writes there
  return value;
}

/// How cells walk a row: thread u has the numbers u, u + 128, ... of each field, in every stage, so
/// that stages of whole fields need no barrier between them.
template <class Real_>
struct LaneSteps : ScalarCell<Real_> {
  using Real = Real_;
  struct Part {
    Index at;
    UNROLL_HOST_DEVICE Real load(const Real* row) const { return row[at]; }
    UNROLL_HOST_DEVICE void store(Real* row, Real v) const { row[at] = v; }
    UNROLL_HOST_DEVICE void add(Real* row, Real v) const { row[at] += v; }
  };
  UNROLL_HOST_DEVICE static Real zero() { return 0; }

  template <class Body>
  __device__ static void for_parts(Index size, const Body& body) {
#pragma unroll 1  // bodies are long, rounds are few
    for (Index at = threadIdx.x; at < size; at += row_threads) body(Part{at});
  }
  __device__ static Real normalise(const Real* v, Real* hat, Index size) {
    Real sum = 0, squares = 0;
    for_parts(size, [&](Part i) { sum += i.load(v); });
    const Real mean = sum_of_block(sum) / Real(size);
    for_parts(size, [&](Part i) { squares += (i.load(v) - mean) * (i.load(v) - mean); });
    const Real variance = sum_of_block(squares) / Real(size);
    const Real scale = Real(1 / std::sqrt(double(variance + Real(1e-5))));
    for_parts(size, [&](Part i) { i.store(hat, (i.load(v) - mean) * scale); });
    return scale;
  }
  __device__ static void normalise_slope(const Real* hat, Real scale, const Real* d, Real* to,
                                         Index size) {
    using Math = ScalarCell<Real>;
    Real sum = 0, along = 0;
    for_parts(size, [&](Part i) {
      sum += i.load(d);
      along = Math::fma(i.load(d), i.load(hat), along);
    });
    const Real mean = sum_of_block(sum) / Real(size), slope = sum_of_block(along) / Real(size);
    for_parts(size, [&](Part i) {
      i.store(to, Math::fnma(i.load(hat), slope, i.load(d) - mean) * scale);
    });
  }
  __device__ static void put(Real* to, Real number) {
    if (threadIdx.x == 0) *to = number;
  }
};

/// What all stages of a step know; rows are those of the step.
template <class Real>
struct StepContext {
  StepsShape shape;
  StepFields fields;
  SavedFields kept;
  Parameters<const Real*> weights;
  DeviceSequences sequences;
  const Real *h, *c;  // of all steps
  Index h_stride;
  const Index* time;
  Index t;
  Rows<Real> work;
  Rows<const Real> saved;

  // How much of the old value unit `first + u` of the draws keeps.
  __device__ Real keep(double rate, Index draw) const {
    const RecurrentOptions& o = shape.options;
    if (!o.training) return Real(rate);
    return uniform_at(o.seed, o.stream, o.counter + std::uint64_t(draw)) < rate ? 1 : 0;
  }
  __device__ Real zoneout_h(Index n, Index u) const {
    const Index step = (shape.first_step + t) * shape.N + n;
    return keep(shape.options.zoneout_h, shape.N * shape.P + step * shape.P + u);
  }
  __device__ Real zoneout_c(Index n, Index u) const {
    const Index step = (shape.first_step + t) * shape.N + n;
    return keep(shape.options.zoneout_c,
                shape.N * shape.P + shape.T * shape.N * shape.P + step * shape.H + u);
  }
  // The dropout mask of sequence n.
  __device__ Real masked(Index n, Index u, Real m) const {
    const RecurrentOptions& o = shape.options;
    if (!o.training || !(o.dropout > 0)) return m;
    const double draw = uniform_at(o.seed, o.stream, o.counter + std::uint64_t(n * shape.P + u));
    return m * Real(draw < o.dropout ? 0 : 1 / (1 - o.dropout));
  }
};

// The state before the step, and what zoneout keeps.
template <class Cell, class Real>
__device__ void load_row(const StepContext<Real>& s, Index n, Real* work) {
  using S = LaneSteps<Real>;
  using Part = typename S::Part;
  const StepFields& f = s.fields;
  const RecurrentOptions& o = s.shape.options;
  const Index state = s.t * s.shape.N + n;
  const Real* const h = s.h + state * s.h_stride;
  S::for_parts(s.shape.P, [&](Part u) {
    u.store(work + f.h, u.load(h));
    u.store(work + f.m, s.masked(n, u.at, u.load(h)));
    if (o.zoneout_h > 0) u.store(work + f.keep_h, s.zoneout_h(n, u.at));
  });
  if constexpr (!Cell::has_cell) return;
  S::for_parts(s.shape.H, [&](Part u) {
    u.store(work + f.c, u.load(s.c + state * s.shape.H));
    if (o.zoneout_c > 0) u.store(work + f.keep_c, s.zoneout_c(n, u.at));
  });
}

// row = gain row + bias; each may be null.
template <class Real>
__device__ void affine(Real* row, const Real* gain, const Real* bias, Index size) {
  using S = LaneSteps<Real>;
  S::for_parts(size, [&](typename S::Part i) {
    Real v = i.load(row);
    if (gain) v *= i.load(gain);
    if (bias) v += i.load(bias);
    i.store(row, v);
  });
}

// to = keep before + (1 - keep) after; after for null.
template <class Real>
__device__ void mix(const Real* keep, const Real* before, const Real* after, Real* to, Index size) {
  using S = LaneSteps<Real>;
  S::for_parts(size, [&](typename S::Part u) {
    u.store(to, keep ? zoneout_mix<S>(u.load(keep), u.load(before), u.load(after)) : u.load(after));
  });
}

/// Work rows of the pullback and the pushforward: the values of the step once more.
template <class Cell, class Real>
__global__ void __launch_bounds__(row_threads, blocks_at_once)
    work_rows_kernel(StepContext<Real> s) {
  const Index m = blockIdx.x;
  load_row<Cell>(s, s.sequences.index(m), s.work[m]);
  Cell{s.shape, s.fields, s.kept, s.weights}.evaluate({s.work[m], s.saved[m]});
}

// ---- The host's side

/// Rows, the fields of which are operands and targets of products.
template <class Real>
RowsOperand<Real> left_of(const Rows<Real>& rows, Index field, Index count) {
  return {rows.data + field, rows.stride, count};
}
template <class Real>
ProductTarget<Real> target_of(const Rows<Real>& rows, Index field, Index count, Index columns,
                              Real beta = 0) {
  return {.data = rows.data + field,
          .stride = rows.stride,
          .rows = count,
          .columns = columns,
          .beta = beta};
}

/// to (+)= left right^T: values and tangents see the weights so.
template <class Real>
void multiply(const RowsOperand<Real>& left, const RowsOperand<Real>& right,
              const ProductTarget<Real>& to, Index depth, Index batches = 1) {
  run(Product<Real, RowsOperand<Real>, RowsOperand<Real>>{left, right, to, depth}, batches);
}

/// to (+)= left right: cotangents see them so.
template <class Real>
void multiply_back(const RowsOperand<Real>& left, const ColumnsOperand<Real>& right,
                   const ProductTarget<Real>& to, Index depth) {
  run(Product<Real, RowsOperand<Real>, ColumnsOperand<Real>>{left, right, to, depth}, 1);
}

/// What the three passes share.
template <class Cell, class Args, class Real_>
class GeneralLoop {
 protected:
  using Real = Real_;

  GeneralLoop(const StepsShape& shape, const Args& args, const Parameters<const Real*>& weights,
              Index time, Index state)
      : shape_(shape),
        args_(args),
        weights_(weights),
        steps_(shape),
        fields_(shape),
        saved_fields_(shape),
        lists_{reinterpret_cast<Index*>(args.scratch + time),
               reinterpret_cast<Index*>(args.scratch + state)} {}

  // offset: of the step among all rows.
  StepContext<Real> context(Index t, Index offset, const Rows<Real>& work,
                            const Rows<const Real>& saved) const {
    StepContext<Real> s{.shape = shape_,
                        .fields = fields_,
                        .kept = saved_fields_,
                        .weights = weights_,
                        .sequences = steps_.device(),
                        .h = args_.h,
                        .c = nullptr,
                        .h_stride = shape_.h_stride ? shape_.h_stride : shape_.P,
                        .time = lists_.time + offset,
                        .t = t,
                        .work = work,
                        .saved = saved};
    if constexpr (Cell::has_cell) s.c = args_.c;
    return s;
  }

  void work_rows(const StepContext<Real>& s) const {
    launch(work_rows_kernel<Cell, Real>, row_launch("work_rows", steps_.active(s.t)), s);
  }

  static Launch row_launch(const char* name, Index rows) {
    return {.name = name, .grid = unsigned(rows), .block = row_threads, .stream = current_stream()};
  }

  // w_hh of the gates that face m, or of the last gate, which faces q where the reset comes first.
  const Real* hidden() const { return weights_[Parameter::w_hh]; }
  const Real* inner() const { return hidden() + outer_rows(shape_) * shape_.P; }

  const StepsShape shape_;
  const Args& args_;
  const Parameters<const Real*> weights_;
  const Steps steps_;
  const StepFields fields_;
  const SavedFields saved_fields_;
  const RowLists lists_;
};

/// Elements of saved.
inline Index saved_rows_size(const StepsShape& s) {
  return std::max<Index>(Steps(s).total(), 1) * SavedFields(s).size;
}

}  // namespace unroll::UNROLL_GPU
