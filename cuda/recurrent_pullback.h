// The loop backwards over time that carries cotangents of the outputs to cotangents of the inputs:
// see recurrent_step.h. dg: cotangents of the gates before their activations.
//
//   dh = dy[t] + dg[t+1] w_hh,  dg[t] = the cell's pullback of dh     for each step: one kernel
//   dx = dg w_ih,  dw_ih = dg^T x,  dw_hh = dg^T h,  db = sum dg      for all steps of a chunk
//
// In the persistent design one kernel does all steps of a chunk, and the initial states.
//
// Scratch holds dg of a chunk of steps. Of the chunk before, later in the run, the product of the
// first step is all that is needed: its dg is set aside.
#pragma once

#include "cuda/persistent.h"
#include "cuda/recurrent_step.h"

namespace unroll::UNROLL_GPU {

// Cell: struct {
//   using Real, Shape, Args;
//   static constexpr int gates, width;
//   static constexpr bool carries_c, carries_h;    what is carried beside the products: the
//       cotangent of c, or the part of that of h that does not come through the weights
//   static Skip hidden(H)                          of the gate row, on the side of w_hh
//   static Real pull(shape, args, StepPlace, saved, dh, carry, d)    writes the gate row d, returns
//       what is carried on };
template <class Cell>
struct PullRun {
  typename Cell::Shape shape;
  typename Cell::Args args;
  DeviceSequences sequences;
  typename Cell::Real* carry;
  Divisor K;
};

// The rows of one step.
template <class Real>
struct PullStep {
  const std::int64_t* time = nullptr;
  const Real* saved = nullptr;
  const Real* next;  // dg of the step after
  std::int64_t next_rows;
  Real* d = nullptr;
  std::int64_t t, rows;  // t: -1 for the initial states, where the others are null
};

inline constexpr int pull_wide = 2;

template <class Real>
struct Arriving {
  Real dh, carry;
};

// What arrives behind the step at row r, unit; sum: through the weights. A sequence whose last step
// this is has no step after.
template <class Cell, class Real>
__device__ Arriving<Real> arriving(const PullRun<Cell>& run, const PullStep<Real>& step,
                                   std::int64_t r, std::int64_t unit, std::int64_t n, Real sum) {
  const std::int64_t H = run.shape.H, kn = (run.K.rest(r) * run.shape.N + n) * H + unit;
  Arriving<Real> in{sum, 0};
  if (r >= step.next_rows) {
    in.dh = value_or_zero(run.args.dh_n, kn);
    if constexpr (Cell::carries_c) in.carry = value_or_zero(run.args.dc_n, kn);
    return in;
  }
  if constexpr (Cell::carries_c || Cell::carries_h) in.carry = run.carry[r * H + unit];
  if constexpr (Cell::carries_h) in.dh += in.carry;
  return in;
}

// One element of a step, or of the initial states.
template <class Cell, class Real>
__device__ void pull_element(const PullRun<Cell>& run, const PullStep<Real>& step, std::int64_t r,
                             std::int64_t unit, Real sum) {
  const auto& args = run.args;
  const std::int64_t N = run.shape.N, H = run.shape.H, m = run.K.quotient(r), k = run.K.rest(r);
  const std::int64_t n = run.sequences.index(m);
  Arriving<Real> in = arriving(run, step, r, unit, n, sum);
  if (step.t < 0) {
    blend(args.dh0, (k * N + n) * H + unit, args.beta_dh0, in.dh);
    if constexpr (Cell::carries_c) blend(args.dc0, (k * N + n) * H + unit, args.beta_dc0, in.carry);
    return;
  }
  if (args.dy) {
    const std::int64_t stride = args.dy_stride ? args.dy_stride : H;
    in.dh += Real(args.dy[(k * run.shape.T * N + step.time[m]) * stride + unit]);
  }
  const std::int64_t row = Cell::width * H;
  const Real* saved = step.saved ? step.saved + m * row + unit : nullptr;
  const Real carry = Cell::pull(run.shape, args, StepPlace{step.t, n, unit}, saved, in.dh, in.carry,
                                step.d + r * row + unit);
  if constexpr (Cell::carries_c || Cell::carries_h) run.carry[r * H + unit] = carry;
}

template <class Cell, int high>
__global__ void __launch_bounds__(tile_threads, blocks_at_once)
    pull_step_kernel(PullRun<Cell> run, PullStep<typename Cell::Real> step) {
  using Real = typename Cell::Real;
  const std::int64_t H = run.shape.H;
  const RowsOperand<Real> d{step.next, Cell::width * H, step.next_rows, {}, Cell::hidden(H)};
  const ColumnsOperand<StoredOf<Cell>> w_hh{run.args.w_hh, H, H};
  Tile<Real, high, pull_wide> tile;
  const std::int64_t row = std::int64_t(blockIdx.x) * tile.rows;
  const std::int64_t column = std::int64_t(blockIdx.y) * tile.columns;
  if (row < step.next_rows)
    tile.multiply(d, w_hh, {.row = row, .column = column, .end = Cell::gates * H});
#pragma unroll
  for (int i = 0; i < high; i++) {
    const std::int64_t r = row + tile.row(i);
    if (r >= step.rows) continue;
#pragma unroll
    for (int j = 0; j < pull_wide; j++) {
      const std::int64_t unit = column + tile.column(j);
      if (unit < H) pull_element(run, step, r, unit, tile.sum[i][j]);
    }
  }
}

// ---- Persistent

template <class Cell, int tile>
using PullMatrix = ResidentMatrix<StoredOf<Cell>, typename Cell::Real, typename Cell::Real, tile>;

// The rows `first`, ... of the block's group at a step. Rows without a step after have no product.
template <class Cell, int tile>
__device__ void pull_tile(const PullRun<Cell>& run, const PersistentPlan& plan,
                          PullMatrix<Cell, tile>& w, bool aligned,
                          const PullStep<typename Cell::Real>& step, std::int64_t first) {
  using Real = typename Cell::Real;
  const std::int64_t H = run.shape.H;
  const GroupRows rows(plan);
  const bool product = rows.row(first) < step.next_rows;
  if (product) {
    w.take({Cell::gates * H, aligned, Cell::hidden(H)}, [&](int m) {
      const std::int64_t r = rows.row(first + m);
      return r < step.next_rows ? step.next + r * Cell::width * H : nullptr;
    });
    w.taken();
    w.multiply();
    __syncthreads();
  }
  for_elements<tile>(plan, rows, {first, step.rows, H},
                     [&](int m, int u, std::int64_t r, std::int64_t unit) {
                       pull_element(run, step, r, unit, product ? w.sum(m, u) : Real(0));
                     });
}

// The step before, whose rows lie before.
template <class Cell, class Real>
__device__ PullStep<Real> step_before(const PullRun<Cell>& run, const PullStep<Real>& step) {
  const std::int64_t N = run.shape.N, K = run.shape.K, row = Cell::width * run.shape.H;
  PullStep<Real> before{.next = step.d, .next_rows = step.rows, .t = step.t - 1, .rows = N * K};
  if (before.t < 0) return before;
  const std::int64_t sequences = run.sequences.active_at(before.t);
  before.rows = sequences * K;
  before.time = step.time - sequences;
  before.saved = step.saved ? step.saved - sequences * row : nullptr;
  before.d = step.d - sequences * K * row;
  return before;
}

// From `step` down to step `last`.
template <class Cell, int tile>
__global__ void __launch_bounds__(persistent_threads, 1)
    persistent_pull_kernel(PullRun<Cell> run, PullStep<typename Cell::Real> step, std::int64_t last,
                           bool aligned, PersistentPlan plan) {
  SHARED_DYNAMIC(unsigned char, shared);
  const std::int64_t H = run.shape.H;
  PullMatrix<Cell, tile> w(plan, shared);
  w.load(WeightColumns<StoredOf<Cell>>{run.args.w_hh, H, std::int64_t(blockIdx.x) * plan.units,
                                       Cell::gates * H});
  while (true) {
    for (std::int64_t i = 0; GroupRows(plan).row(i) < step.rows; i += tile)
      pull_tile<Cell, tile>(run, plan, w, aligned, step, i);
    if (step.t == last) return;
    step = step_before(run, step);
    meet();
  }
}

template <class Real>
__global__ void __launch_bounds__(128) copy_kernel(const Real* from, Real* to, std::int64_t size) {
  const std::int64_t i = std::int64_t(blockIdx.x) * 128 + threadIdx.x;
  if (i < size) to[i] = from[i];
}

template <class Cell>
class Pullback {
  using Real = typename Cell::Real;
  using Shape = typename Cell::Shape;
  using Args = typename Cell::Args;

  struct Parts {
    std::int64_t capacity, time, state, d, next, carry, sums, end;
    Parts(const Shape& s, const Steps& steps) {
      ScratchPlaces at;
      const std::int64_t words = elements_of_words<Real>(steps.total());
      const std::int64_t row = Cell::width * s.H, gates = Cell::gates * s.H;
      capacity = chunk_capacity(steps, s.K * row);
      time = at.take(words);
      state = at.take(words);
      d = at.take(capacity * s.K * row);
      next = at.take(capacity < steps.total() ? steps.active(0) * s.K * row : 0);
      carry = at.take(Cell::carries_c || Cell::carries_h ? s.N * s.K * s.H : 0);
      sums = at.take(std::max({input_split(s).scratch(capacity * s.K, s.I, 1),
                               DepthSplit(gates, s.I, s.K, capacity).scratch(gates, s.I, s.K),
                               DepthSplit(gates, s.H, s.K, capacity).scratch(gates, s.H, s.K)}));
      end = at.used;
    }
  };

 public:
  static std::int64_t scratch_size(const Shape& s) { return Parts(s, Steps(s)).end; }

  Pullback(const Shape& shape, const Args& args, const Real* saved)
      : shape_(shape),
        args_(args),
        saved_(saved),
        steps_(shape),
        parts_(shape, steps_),
        row_(Cell::width * shape.H),
        lists_{reinterpret_cast<std::int64_t*>(args.scratch + parts_.time),
               reinterpret_cast<std::int64_t*>(args.scratch + parts_.state)},
        d_(args.scratch + parts_.d) {}

  void run() const {
    if (shape_.K == 0) return;
    list_rows(steps_, lists_);
    Chunk chunk{steps_.count(), steps_.count(), steps_.total(), 0};
    bool first = true;
    do {  // once for no steps, which are the sum of nothing
      chunk = chunk_before(steps_, chunk.begin, chunk.offset, parts_.capacity);
      loop(chunk);
      inputs(chunk);
      weights(chunk, first);
      first = false;
    } while (chunk.begin > 0);
    ends();
  }

 private:
  Real* scratch(std::int64_t place) const { return args_.scratch + place; }

  // Of dg w_ih, by the sizes of the whole run: however it is cut, its sums have one order.
  static DepthSplit input_split(const Shape& s) {
    return DepthSplit(s.T * s.N * s.K, s.I, 1, Cell::gates * s.H);
  }

  void loop(const Chunk& chunk) const {
    const bool last = chunk.begin == 0 && wants_initial();  // goes on to the initial states
    const Real* next = nullptr;
    if (chunk.end < steps_.count()) {  // d_ still begins with the step behind this chunk
      set_aside(steps_.active(chunk.end) * shape_.K * row_);
      next = scratch(parts_.next);
    }
    std::int64_t offset = chunk.rows;
    for (std::int64_t t = chunk.end - 1; t >= chunk.begin - last; t--) {
      offset -= steps_.active(t);
      Real* d = d_ + offset * shape_.K * row_;
      const PullStep<Real> step = this->step(t, chunk.offset + offset, next, d);
      if (t == chunk.end - 1 && persistent(step, chunk, last)) return;
      run(step);
      next = d;
    }
  }

  bool wants_initial() const {
    bool wanted = args_.dh0;
    if constexpr (Cell::carries_c) wanted = wanted || args_.dc0;
    return wanted;
  }

  void set_aside(std::int64_t size) const {
    if (size > 0)
      launch(copy_kernel<Real>, state_launch("copy", size), d_, scratch(parts_.next), size);
  }

  PullRun<Cell> arguments() const {
    return {shape_, args_, steps_.device(), scratch(parts_.carry), shape_.K};
  }

  // offset: of the step among all rows. The initial states for t = -1.
  PullStep<Real> step(std::int64_t t, std::int64_t offset, const Real* next, Real* d) const {
    return {.time = lists_.time + offset,
            .saved = saved_ ? saved_ + offset * row_ : nullptr,
            .next = next,
            .next_rows = steps_.active(t + 1) * shape_.K,
            .d = d,
            .t = t,
            .rows = (t < 0 ? shape_.N : steps_.active(t)) * shape_.K};
  }

  void run(const PullStep<Real>& step) const {
    if (step.rows * shape_.H == 0) return;
    with_height(step.rows, [&](auto high) {
      launch(
          pull_step_kernel<Cell, high()>,
          step_launch("pull_step", step.rows, tile_high * high(), shape_.H, tile_wide * pull_wide),
          arguments(), step);
    });
  }

  // All steps of the chunk from its last on, if the plan is so.
  bool persistent(const PullStep<Real>& last_step, const Chunk& chunk, bool initial) const {
    using Stored = StoredOf<Cell>;
    constexpr int wide = pack_wide(sizeof(Real));
    const StepProduct product{.H = shape_.H,
                              .gates = 1,
                              .depth = Cell::gates * shape_.H,
                              .rows = shape_.N * shape_.K,
                              .weight_bytes = sizeof(Stored),
                              .operand_bytes = sizeof(Real),
                              .sum_bytes = sizeof(Real)};
    const PersistentPlan plan = persistent_plan("recurrent pullback", product, shape_.T);
    if (!plan) return false;
    const bool aligned = packs_are_aligned(d_, row_, shape_.H, wide);
    with_tile(plan, [&](auto tile) {
      launch(persistent_pull_kernel<Cell, tile()>, persistent_launch("persistent_pull", plan),
             arguments(), last_step, initial ? -1 : chunk.begin, aligned, plan);
    });
    return true;
  }

  void inputs(const Chunk& chunk) const {
    if (!args_.dx) return;
    const std::int64_t I = shape_.I, rows = chunk.rows * shape_.K;
    unroll::UNROLL_GPU::run(
        Product<Real, RowsOperand<Real>, ColumnsOperand<StoredOf<Cell>>>{
            .a = {d_, row_, rows},
            .b = {args_.w_ih, I, I},
            .to = in_time(ProductTarget<Real>{.data = args_.dx,
                                              .stride = I,
                                              .rows = rows,
                                              .columns = I,
                                              .index = {nullptr, shape_.K, shape_.T * shape_.N},
                                              .beta = args_.beta_dx},
                          steps_, lists_, chunk.offset),
            .depth = Cell::gates * shape_.H},
        1, input_split(shape_), scratch(parts_.sums));
  }

  void weights(const Chunk& chunk, bool first) const {
    const auto beta = [&](Real given) { return first ? given : Real(1); };
    const std::int64_t H = shape_.H;
    const Skip input{}, hidden = Cell::hidden(H);
    using Right = ColumnsOperand<StoredOf<Cell>>;
    const Right x{args_.x, shape_.I, shape_.I}, h{args_.h, h_stride_of(shape_), H};
    matrix(chunk, input, in_time(x, steps_, lists_, chunk.offset), args_.dw_ih,
           beta(args_.beta_dw_ih));
    matrix(chunk, hidden, before_steps(h, steps_, lists_, chunk.offset), args_.dw_hh,
           beta(args_.beta_dw_hh));
    vector(chunk, input, args_.db_ih, beta(args_.beta_db_ih));
    vector(chunk, hidden, args_.db_hh, beta(args_.beta_db_hh));
  }

  // to = beta to + sum of dg^T right: the gates before a gap, and those behind it.
  void matrix(const Chunk& chunk, const Skip& side, const ColumnsOperand<StoredOf<Cell>>& right,
              Real* to, Real beta) const {
    if (!to) return;
    const std::int64_t gates = Cell::gates * shape_.H, size = right.count;
    const DepthSplit split(gates, size, shape_.K, chunk.rows);
    const auto part = [&](std::int64_t first, std::int64_t end) {
      unroll::UNROLL_GPU::run(
          Product<Real, ColumnsOperand<Real>, ColumnsOperand<StoredOf<Cell>>>{
              .a = {d_ + side.at(first), shape_.K * row_, end - first, {}, {}, row_},
              .b = right,
              .to = {.data = to + first * size,
                     .stride = size,
                     .rows = end - first,
                     .columns = size,
                     .batch = gates * size,
                     .beta = beta},
              .depth = chunk.rows},
          shape_.K, split, scratch(parts_.sums));
    };
    const std::int64_t gap = std::min(side.from, gates);
    part(0, gap), part(gap, gates);
  }

  // to = beta to + sum of dg
  void vector(const Chunk& chunk, const Skip& side, Real* to, Real beta) const {
    const std::int64_t gates = Cell::gates * shape_.H;
    unroll::UNROLL_GPU::run(RowSums<Real>{.d = d_,
                                          .stride = row_,
                                          .count = chunk.rows,
                                          .columns = gates,
                                          .K = shape_.K,
                                          .skip = side,
                                          .to = to,
                                          .batch = gates,
                                          .beta = beta});
  }

  void ends() const {
    if (args_.dx && args_.beta_dx == 0)
      clear_padding(steps_.device(), shape_.K, shape_.I, args_.dx, shape_.I);
  }

  const Shape& shape_;
  const Args& args_;
  const Real* const saved_;
  const Steps steps_;
  const Parts parts_;
  const std::int64_t row_;
  const RowLists lists_;
  Real* const d_;
};

}  // namespace unroll::UNROLL_GPU
