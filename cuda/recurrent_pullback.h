// The loop backwards over time that carries cotangents of the outputs to cotangents of the inputs:
// see recurrent_step.h. dg: cotangents of the gates before their activations.
//
//   dh = dy[t] + dg[t+1] w_hh,  dg[t] = the cell's pullback of dh     for each step: one kernel
//   dx = dg w_ih,  dw_ih = dg^T x,  dw_hh = dg^T h,  db = sum dg      for all steps of a chunk
//
// Scratch holds dg of a chunk of steps. Of the chunk before, later in the run, the product of the
// first step is all that is needed: its dg is set aside.
#pragma once

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
struct PullStep {
  using Real = typename Cell::Real;
  typename Cell::Shape shape;
  typename Cell::Args args;
  DeviceSequences sequences;
  const std::int64_t* time;  // of the step
  const Real* saved;         // of the step
  const Real* next;          // dg of the step after
  std::int64_t next_rows;
  Real *d, *carry;
  std::int64_t t, rows;  // t: -1 for the initial states
  Divisor K;
};

inline constexpr int pull_wide = 2;

template <class Real>
struct Arriving {
  Real dh, carry;
};

// What arrives behind the step at row r, unit; sum: through the weights. A sequence whose last step
// this is has no step after.
template <class Cell>
__device__ Arriving<typename Cell::Real> arriving(const PullStep<Cell>& s, std::int64_t r,
                                                  std::int64_t unit, std::int64_t n,
                                                  typename Cell::Real sum) {
  using Real = typename Cell::Real;
  const std::int64_t H = s.shape.H, k = s.K.rest(r), kn = (k * s.shape.N + n) * H + unit;
  Arriving<Real> in{sum, 0};
  if (r >= s.next_rows) {
    in.dh = value_or_zero(s.args.dh_n, kn);
    if constexpr (Cell::carries_c) in.carry = value_or_zero(s.args.dc_n, kn);
    return in;
  }
  if constexpr (Cell::carries_c || Cell::carries_h) in.carry = s.carry[r * H + unit];
  if constexpr (Cell::carries_h) in.dh += in.carry;
  return in;
}

// One element of a step, or of the initial states.
template <class Cell>
__device__ void pull_element(const PullStep<Cell>& s, std::int64_t r, std::int64_t unit,
                             typename Cell::Real sum) {
  using Real = typename Cell::Real;
  const std::int64_t N = s.shape.N, H = s.shape.H, m = s.K.quotient(r), k = s.K.rest(r);
  const std::int64_t n = s.sequences.index(m);
  Arriving<Real> in = arriving(s, r, unit, n, sum);
  if (s.t < 0) {
    blend(s.args.dh0, (k * N + n) * H + unit, s.args.beta_dh0, in.dh);
    if constexpr (Cell::carries_c)
      blend(s.args.dc0, (k * N + n) * H + unit, s.args.beta_dc0, in.carry);
    return;
  }
  if (s.args.dy) {
    const std::int64_t stride = s.args.dy_stride ? s.args.dy_stride : H;
    in.dh += s.args.dy[(k * s.shape.T * N + s.time[m]) * stride + unit];
  }
  const std::int64_t row = Cell::width * H;
  const Real* saved = s.saved ? s.saved + m * row + unit : nullptr;
  const Real carry = Cell::pull(s.shape, s.args, StepPlace{s.t, n, unit}, saved, in.dh, in.carry,
                                s.d + r * row + unit);
  if constexpr (Cell::carries_c || Cell::carries_h) s.carry[r * H + unit] = carry;
}

template <class Cell, int high>
__global__ void __launch_bounds__(tile_threads, blocks_at_once) pull_step_kernel(PullStep<Cell> s) {
  using Real = typename Cell::Real;
  const std::int64_t H = s.shape.H;
  const RowsOperand<Real> d{s.next, Cell::width * H, s.next_rows, {}, Cell::hidden(H)};
  const ColumnsOperand<Real> w_hh{s.args.w_hh, H, H};
  Tile<Real, high, pull_wide> tile;
  const std::int64_t row = std::int64_t(blockIdx.x) * tile.rows;
  const std::int64_t column = std::int64_t(blockIdx.y) * tile.columns;
  if (row < s.next_rows)
    tile.multiply(d, w_hh, {.row = row, .column = column, .end = Cell::gates * H});
#pragma unroll
  for (int i = 0; i < high; i++) {
    const std::int64_t r = row + tile.row(i);
    if (r >= s.rows) continue;
#pragma unroll
    for (int j = 0; j < pull_wide; j++) {
      const std::int64_t unit = column + tile.column(j);
      if (unit < H) pull_element(s, r, unit, tile.sum[i][j]);
    }
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
      sums = at.take(std::max(DepthSplit(gates, s.I, s.K, capacity).scratch(gates, s.I, s.K),
                              DepthSplit(gates, s.H, s.K, capacity).scratch(gates, s.H, s.K)));
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
    ends(chunk);
  }

 private:
  Real* scratch(std::int64_t place) const { return args_.scratch + place; }

  void loop(const Chunk& chunk) const {
    const Real* next = nullptr;
    if (chunk.end < steps_.count()) {  // d_ still begins with the step behind this chunk
      set_aside(steps_.active(chunk.end) * shape_.K * row_);
      next = scratch(parts_.next);
    }
    std::int64_t offset = chunk.rows;
    for (std::int64_t t = chunk.end - 1; t >= chunk.begin; t--) {
      offset -= steps_.active(t);
      Real* d = d_ + offset * shape_.K * row_;
      step(t, chunk.offset + offset, next, d);
      next = d;
    }
  }

  void set_aside(std::int64_t size) const {
    if (size > 0)
      launch(copy_kernel<Real>, state_launch("copy", size), d_, scratch(parts_.next), size);
  }

  // offset: of the step among all rows. The initial states for t = -1.
  void step(std::int64_t t, std::int64_t offset, const Real* next, Real* d) const {
    const std::int64_t K = shape_.K, sequences = t < 0 ? shape_.N : steps_.active(t);
    if (sequences * shape_.H == 0) return;
    const PullStep<Cell> s{.shape = shape_,
                           .args = args_,
                           .sequences = steps_.device(),
                           .time = lists_.time + offset,
                           .saved = saved_ ? saved_ + offset * row_ : nullptr,
                           .next = next,
                           .next_rows = steps_.active(t + 1) * K,
                           .d = d,
                           .carry = scratch(parts_.carry),
                           .t = t,
                           .rows = sequences * K,
                           .K = K};
    with_height(s.rows, [&](auto high) {
      launch(pull_step_kernel<Cell, high()>,
             step_launch("pull_step", s.rows, tile_high * high(), shape_.H, tile_wide * pull_wide),
             s);
    });
  }

  void inputs(const Chunk& chunk) const {
    if (!args_.dx) return;
    const std::int64_t I = shape_.I, rows = chunk.rows * shape_.K;
    unroll::UNROLL_GPU::run(
        Product<Real, RowsOperand<Real>, ColumnsOperand<Real>>{
            .a = {d_, row_, rows},
            .b = {args_.w_ih, I, I},
            .to = {.data = args_.dx,
                   .stride = I,
                   .rows = rows,
                   .columns = I,
                   .index = {lists_.time + chunk.offset, shape_.K, shape_.T * shape_.N},
                   .beta = args_.beta_dx},
            .depth = Cell::gates * shape_.H},
        1, nullptr);
  }

  void weights(const Chunk& chunk, bool first) const {
    const auto beta = [&](Real given) { return first ? given : Real(1); };
    const std::int64_t H = shape_.H;
    const Skip input{}, hidden = Cell::hidden(H);
    matrix(chunk, input, {args_.x, shape_.I, shape_.I, {lists_.time + chunk.offset}}, args_.dw_ih,
           beta(args_.beta_dw_ih));
    matrix(chunk, hidden, {args_.h, h_stride_of(shape_), H, {lists_.state + chunk.offset}},
           args_.dw_hh, beta(args_.beta_dw_hh));
    vector(chunk, input, args_.db_ih, beta(args_.beta_db_ih));
    vector(chunk, hidden, args_.db_hh, beta(args_.beta_db_hh));
  }

  // to = beta to + sum of dg^T right
  void matrix(const Chunk& chunk, const Skip& side, const ColumnsOperand<Real>& right, Real* to,
              Real beta) const {
    if (!to) return;
    const std::int64_t gates = Cell::gates * shape_.H;
    unroll::UNROLL_GPU::run(
        Product<Real, ColumnsOperand<Real>, ColumnsOperand<Real>>{
            .a = {d_, shape_.K * row_, gates, {}, side, row_},
            .b = right,
            .to = {.data = to,
                   .stride = right.count,
                   .rows = gates,
                   .columns = right.count,
                   .batch = gates * right.count,
                   .beta = beta},
            .depth = chunk.rows},
        shape_.K, scratch(parts_.sums));
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

  // chunk: the one that begins at step 0.
  void ends(const Chunk& chunk) const {
    bool wanted = args_.dh0;
    if constexpr (Cell::carries_c) wanted = wanted || args_.dc0;
    if (wanted) step(-1, chunk.offset, d_, nullptr);
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
