// The loop over time that runs a recurrent cell forwards: see recurrent_step.h.
//
//   gates = x w_ih^T + b_ih                     for all steps of a chunk: one product
//   gates, c, h = cell(gates + h w_hh^T + b_hh)     for each step: one kernel
//
// The gates lie in `saved`, where they stay, or in scratch, a chunk of steps at a time.
#pragma once

#include "cuda/recurrent_step.h"

namespace unroll::UNROLL_GPU {

// Cell: struct {
//   using Real, Shape, Args;
//   static constexpr int gates, width;
//   static Real step(shape, args, StepPlace, from_h, row, keep)    the new h: from_h[gates] is
//       w_hh h + b_hh, row the gate row at the unit; with keep it is left as saved };
template <class Cell>
struct ForwardStep {
  using Real = typename Cell::Real;
  typename Cell::Shape shape;
  typename Cell::Args args;
  DeviceSequences sequences;
  RowLists lists;  // of the step
  Real* gates;     // of the step
  bool keep;
  std::int64_t t, rows;
};

template <class Cell>
__device__ void leave(const ForwardStep<Cell>& s, std::int64_t m, std::int64_t unit,
                      const typename Cell::Real (&from_h)[Cell::gates]) {
  const std::int64_t H = s.shape.H, state = s.lists.state[m];
  const StepPlace place{s.t, state - s.t * s.shape.N, unit};
  const auto h =
      Cell::step(s.shape, s.args, place, from_h, s.gates + m * Cell::width * H + unit, s.keep);
  s.args.h[(state + s.shape.N) * h_stride_of(s.shape) + unit] = h;
  if (s.args.y) s.args.y[s.lists.time[m] * (s.args.y_stride ? s.args.y_stride : H) + unit] = h;
}

template <class Cell, int high>
__global__ void __launch_bounds__(tile_threads, blocks_at_once)
    forward_step_kernel(ForwardStep<Cell> s) {
  using Real = typename Cell::Real;
  constexpr int gates = Cell::gates, units = units_of_thread<gates>;
  using Weights = GateOperand<Real, gates, units>;
  const RowsOperand<Real> h{s.args.h, h_stride_of(s.shape), s.rows, {s.lists.state}};
  const Weights w_hh{s.args.w_hh, s.shape.H, s.shape.H};
  Tile<Real, high, gates * units> tile;
  const std::int64_t row = std::int64_t(blockIdx.x) * tile.rows;
  tile.multiply(h, w_hh,
                {.row = row, .column = std::int64_t(blockIdx.y) * tile.columns, .end = s.shape.H});
#pragma unroll
  for (int i = 0; i < high; i++) {
    const std::int64_t m = row + tile.row(i);
    if (m >= s.rows) continue;
#pragma unroll
    for (int u = 0; u < units; u++) {
      const std::int64_t unit = Weights::unit(blockIdx.y, u * gates);
      if (unit >= s.shape.H) continue;
      Real from_h[gates];
#pragma unroll
      for (int g = 0; g < gates; g++)
        from_h[g] = tile.sum[i][u * gates + g] + value_or_zero(s.args.b_hh, g * s.shape.H + unit);
      leave(s, m, unit, from_h);
    }
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
    Real* gates = saved_ ? saved_ : args_.scratch + parts_.gates;
    const std::int64_t H = shape_.H, I = shape_.I, row = Cell::width * H;
    using Operand = RowsOperand<Real>;
    unroll::UNROLL_GPU::run(
        Product<Real, Operand, Operand>{.a = {args_.x, I, chunk.rows, {lists_.time + chunk.offset}},
                                        .b = {args_.w_ih, I, Cell::gates * H},
                                        .to = {.data = gates,
                                               .stride = row,
                                               .rows = chunk.rows,
                                               .columns = Cell::gates * H,
                                               .bias = args_.b_ih},
                                        .depth = I},
        1, nullptr);
    for (std::int64_t t = chunk.begin, offset = chunk.offset; t < chunk.end; t++) {
      step(t, offset, gates + (offset - chunk.offset) * row);
      offset += steps_.active(t);
    }
  }

  // offset: of the step among all rows.
  void step(std::int64_t t, std::int64_t offset, Real* gates) const {
    const ForwardStep<Cell> s{.shape = shape_,
                              .args = args_,
                              .sequences = steps_.device(),
                              .lists = {lists_.time + offset, lists_.state + offset},
                              .gates = gates,
                              .keep = saved_ != nullptr,
                              .t = t,
                              .rows = steps_.active(t)};
    with_height(s.rows, [&](auto high) {
      launch(forward_step_kernel<Cell, high()>,
             step_launch("forward_step", s.rows, tile_high * high(), shape_.H,
                         tile_wide * units_of_thread<Cell::gates>),
             s);
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
