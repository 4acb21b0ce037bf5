// The loop over time that runs a recurrent cell forwards: see recurrent_step.h.
//
//   gates = x w_ih^T + b_ih                     for all steps of a chunk: one product
//   gates, c, h = cell(gates + h w_hh^T + b_hh)     for each step: one kernel
//
// The gates lie in `saved`, where they stay, or in scratch, a chunk of steps at a time. In the
// persistent design one kernel does all steps of a chunk.
#pragma once

#include "cuda/persistent.h"
#include "cuda/recurrent_step.h"

namespace unroll::UNROLL_GPU {

// Cell: struct {
//   using Real, Shape, Args;
//   static constexpr int gates, width;
//   static Real step(shape, args, StepPlace, before, from_h, row, keep)    the new h: *before is
//       the old one, from_h[gates] is w_hh h + b_hh, row the gate row at the unit; with keep it is
//       left as saved };
template <class Cell>
struct ForwardRun {
  using Real = typename Cell::Real;
  typename Cell::Shape shape;
  typename Cell::Args args;
  DeviceSequences sequences;
  bool keep;
};

// The rows of one step.
template <class Real>
struct ForwardStep {
  const std::int64_t* time;
  Real* gates;
  std::int64_t t, rows;
};

template <class Cell>
__device__ void leave(const ForwardRun<Cell>& run, const ForwardStep<typename Cell::Real>& step,
                      std::int64_t m, const StepPlace& place, const StoredOf<Cell>* before,
                      const typename Cell::Real (&from_h)[Cell::gates]) {
  const std::int64_t N = run.shape.N, H = run.shape.H, unit = place.unit;
  const auto h = Cell::step(run.shape, run.args, place, before, from_h,
                            step.gates + m * Cell::width * H + unit, run.keep);
  run.args.h[((step.t + 1) * N + place.n) * h_stride_of(run.shape) + unit] = h;
  if (run.args.y) run.args.y[step.time[m] * (run.args.y_stride ? run.args.y_stride : H) + unit] = h;
}

template <class Cell, int high>
__global__ void __launch_bounds__(tile_threads, blocks_at_once)
    forward_step_kernel(ForwardRun<Cell> run, ForwardStep<typename Cell::Real> step,
                        const std::int64_t* state) {
  using Real = typename Cell::Real;
  using Stored = StoredOf<Cell>;
  constexpr int gates = Cell::gates, units = units_of_thread<gates>;
  using Weights = GateOperand<Stored, gates, units>;
  const std::int64_t H = run.shape.H;
  const RowsOperand<Stored> h{run.args.h, h_stride_of(run.shape), step.rows, {state}};
  const Weights w_hh{run.args.w_hh, H, H};
  Tile<Real, high, gates * units> tile;
  const std::int64_t row = std::int64_t(blockIdx.x) * tile.rows;
  tile.multiply(h, w_hh, {.row = row, .column = std::int64_t(blockIdx.y) * tile.columns, .end = H});
#pragma unroll
  for (int i = 0; i < high; i++) {
    const std::int64_t m = row + tile.row(i);
    if (m >= step.rows) continue;
#pragma unroll
    for (int u = 0; u < units; u++) {
      const std::int64_t unit = Weights::unit(blockIdx.y, u * gates);
      if (unit >= H) continue;
      Real from_h[gates];
#pragma unroll
      for (int g = 0; g < gates; g++)
        from_h[g] = tile.sum[i][u * gates + g] + value_or_zero(run.args.b_hh, g * H + unit);
      leave(run, step, m, {step.t, state[m] - step.t * run.shape.N, unit},
            run.args.h + state[m] * h_stride_of(run.shape) + unit, from_h);
    }
  }
}

// ---- Persistent

template <class Cell, int tile>
using ForwardMatrix = ResidentMatrix<StoredOf<Cell>, StoredOf<Cell>, typename Cell::Real, tile>;

// The rows `first`, ... of the block's group at a step.
template <class Cell, int tile>
__device__ void forward_tile(const ForwardRun<Cell>& run, const PersistentPlan& plan,
                             ForwardMatrix<Cell, tile>& w, const PackedRows& packed,
                             const ForwardStep<typename Cell::Real>& step, std::int64_t first) {
  using Real = typename Cell::Real;
  const std::int64_t N = run.shape.N, H = run.shape.H, stride = h_stride_of(run.shape);
  const GroupRows rows(plan);
  const auto element = [&](auto&& body) {
    for_elements<tile>(plan, rows, {first, step.rows, H}, body);
  };
  if (first > 0) __syncthreads();  // the tile before has read its operands
  w.take(packed, [&](int m) {
    const std::int64_t r = rows.row(first + m);
    const auto* h = run.args.h + step.t * N * stride;
    return r < step.rows ? h + run.sequences.index(r) * stride : nullptr;
  });
  element([&](int, int, std::int64_t r, std::int64_t unit) {
    for (int g = 0; g < Cell::gates; g++) prefetch(step.gates + (r * Cell::width + g) * H + unit);
  });
  w.taken();
  w.multiply();
  __syncthreads();
  element([&](int m, int u, std::int64_t r, std::int64_t unit) {
    Real from_h[Cell::gates];
#pragma unroll
    for (int g = 0; g < Cell::gates; g++) from_h[g] = w.sum(m, g * plan.units + u);
    leave(run, step, r, {step.t, run.sequences.index(r), unit}, w.operand(m) + unit, from_h);
  });
}

// Steps [begin, end); step is the first of them.
template <class Cell, int tile>
__global__ void __launch_bounds__(persistent_threads, 1)
    persistent_forward_kernel(ForwardRun<Cell> run, ForwardStep<typename Cell::Real> step,
                              std::int64_t end, bool aligned, PersistentPlan plan) {
  SHARED_DYNAMIC(unsigned char, shared);
  const std::int64_t H = run.shape.H;
  ForwardMatrix<Cell, tile> w(plan, shared);
  w.load(WeightRows<StoredOf<Cell>, typename Cell::Real>{run.args.w_hh,
                                                         run.args.b_hh,
                                                         H,
                                                         std::int64_t(blockIdx.x) * plan.units,
                                                         plan.units,
                                                         {H, aligned}});
  while (true) {
    const std::int64_t t = step.t, next_rows = t + 1 < end ? run.sequences.active_at(t + 1) : 0;
    for (std::int64_t i = 0; GroupRows(plan).row(i) < step.rows; i += tile)
      forward_tile<Cell, tile>(run, plan, w, {H, aligned}, step, i);
    if (t + 1 == end) return;
    step = {step.time + step.rows, step.gates + step.rows * Cell::width * H, t + 1, next_rows};
    meet();
  }
}

template <class Cell>
class Forward {
  using Real = typename Cell::Real;
  using Shape = typename Cell::Shape;
  using Args = typename Cell::Args;

  struct Parts {
    std::int64_t capacity, time, state, gates, end;
    Parts(const Shape& s, const Steps& steps) {
      ScratchPlaces at;
      const std::int64_t words = elements_of_words<Real>(steps.total());
      capacity = chunk_capacity(steps, Cell::width * s.H);
      time = at.take(words);
      state = at.take(words);
      gates = at.take(capacity * Cell::width * s.H);
      end = at.used;
    }
  };

 public:
  static std::int64_t scratch_size(const Shape& s) { return Parts(s, Steps(s)).end; }

  /// saved: gate rows of all steps, or null.
  Forward(const Shape& shape, const Args& args, Real* saved)
      : shape_(shape),
        args_(args),
        saved_(saved),
        steps_(shape),
        parts_(shape, steps_),
        lists_{reinterpret_cast<std::int64_t*>(args.scratch + parts_.time),
               reinterpret_cast<std::int64_t*>(args.scratch + parts_.state)} {}

  void run() const {
    if (shape_.N == 0 || shape_.H == 0) return;
    list_rows(steps_, lists_);
    const std::int64_t capacity = saved_ ? steps_.total() : parts_.capacity;
    for (std::int64_t t = 0, offset = 0; t < steps_.count();) {
      const Chunk chunk = chunk_from(steps_, t, offset, capacity);
      run(chunk);
      t = chunk.end;
      offset += chunk.rows;
    }
    forward_ends(shape_, shape_.H, args_, steps_.device());
  }

 private:
  void run(const Chunk& chunk) const {
    if (chunk.rows == 0) return;
    Real* gates = saved_ ? saved_ : args_.scratch + parts_.gates;
    const std::int64_t H = shape_.H, I = shape_.I, row = Cell::width * H;
    using Operand = RowsOperand<StoredOf<Cell>>;
    unroll::UNROLL_GPU::run(
        Product<Real, Operand, Operand>{
            .a = in_time(Operand{args_.x, I, chunk.rows}, steps_, lists_, chunk.offset),
            .b = {args_.w_ih, I, Cell::gates * H},
            .to = {.data = gates,
                   .stride = row,
                   .rows = chunk.rows,
                   .columns = Cell::gates * H,
                   .bias = args_.b_ih},
            .depth = I},
        1);
    loop(chunk, gates);
  }

  void loop(const Chunk& chunk, Real* gates) const {
    ForwardStep<Real> step{.time = lists_.time + chunk.offset,
                           .gates = gates,
                           .t = chunk.begin,
                           .rows = steps_.active(chunk.begin)};
    const std::int64_t* state = lists_.state + chunk.offset;
    const PersistentPlan plan = persistent_plan("recurrent forward", product(), shape_.T);
    if (plan) return persistent(plan, step, chunk.end);
    while (true) {
      run(step, state);
      if (step.t + 1 == chunk.end) return;
      state += step.rows;
      step = {.time = step.time + step.rows,
              .gates = step.gates + step.rows * Cell::width * shape_.H,
              .t = step.t + 1,
              .rows = steps_.active(step.t + 1)};
    }
  }

  ForwardRun<Cell> arguments() const { return {shape_, args_, steps_.device(), saved_ != nullptr}; }

  void run(const ForwardStep<Real>& step, const std::int64_t* state) const {
    with_height(step.rows, [&](auto high) {
      launch(forward_step_kernel<Cell, high()>,
             step_launch("forward_step", step.rows, tile_high * high(), shape_.H,
                         tile_wide * units_of_thread<Cell::gates>),
             arguments(), step, state);
    });
  }

  StepProduct product() const {
    constexpr int bytes = sizeof(StoredOf<Cell>);
    return {.H = shape_.H,
            .gates = Cell::gates,
            .depth = shape_.H,
            .rows = shape_.N,
            .weight_bytes = bytes,
            .operand_bytes = bytes,
            .sum_bytes = sizeof(Real)};
  }

  void persistent(const PersistentPlan& plan, const ForwardStep<Real>& first,
                  std::int64_t end) const {
    constexpr int wide = pack_wide(sizeof(Real));
    const bool aligned = packs_are_aligned(args_.h, h_stride_of(shape_), shape_.H, wide) &&
                         packs_are_aligned(args_.w_hh, shape_.H, shape_.H, wide);
    with_tile(plan, [&](auto tile) {
      launch(persistent_forward_kernel<Cell, tile()>, persistent_launch("persistent_forward", plan),
             arguments(), first, end, aligned, plan);
    });
  }

  const Shape& shape_;
  const Args& args_;
  Real* const saved_;
  const Steps steps_;
  const Parts parts_;
  const RowLists lists_;
};

}  // namespace unroll::UNROLL_GPU
