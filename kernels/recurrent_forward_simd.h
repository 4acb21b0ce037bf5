// The forward loop over time of the RNN, the LSTM and the GRU.
//
// Each step multiplies the rows [x 1 h] of the active sequences by the packed weights, one group of
// hidden units and one block of rows at a time, and hands the gates to the cell while they are in
// the first cache. Threads own sequences, so nothing waits within a step.
#pragma once

#include "kernels/recurrent_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Where the cell stands: a block of up to `lanes` units of one sequence at one step.
struct CellPlace {
  Index t, n;   // step and sequence (in the batch's own order)
  Index unit;   // first hidden unit
  Index count;  // units from there to H: fewer than the lanes in the last block
};

// Rows whose gates are computed together.
inline constexpr Index gate_rows = 48;

// Cell: struct {
//   static void activate(shape, args, CellPlace, gates, saved);
//   static Vec output(shape, args, CellPlace, gates, saved, h_before);
//   static void finish(shape, args, n, length); };
// gates and saved (null in inference) are block_vectors vectors. The two halves of a step run over
// many rows each, since a processor overlaps the activations of neighbouring rows, but not what
// waits for them.
template <class S, class Layout, class Cell, class Shape, class Args>
class RecurrentForward {
  using Real = typename S::Real;
  using G = Groups<S, Layout>;

 public:
  static Index scratch_size(const RecurrentShape& shape) {
    return rounded_up(GatePanels<S, Layout>::size(shape), 16) +
           2 * shape.N * gate_input_stride<S, Layout>(shape);
  }

  RecurrentForward(const Shape& shape, const Args& args, Real* saved)
      : shape_(shape),
        args_(args),
        sequences_(shape),
        panels_(shape, args.scratch),
        saved_(saved),
        h_stride_(shape.h_stride ? shape.h_stride : shape.H),
        y_stride_(args.y_stride ? args.y_stride : shape.H),
        stride_(gate_input_stride<S, Layout>(shape)) {
    inputs_[0] = args.scratch + rounded_up(GatePanels<S, Layout>::size(shape), 16);
    inputs_[1] = inputs_[0] + shape.N * stride_;
  }

  void run() {
    const Index macs = sequences_.total() * (shape_.I + shape_.H) * shape_.H * Layout::gates;
    run_team(useful_threads(shape_.N, double(macs)), [this](const Team& team) {
      panels_.pack({args_.w_ih, args_.w_hh, args_.b_ih, args_.b_hh}, team);
      team.barrier();
      const RowRange mine = rows_of(team, sequences_, shape_.N, 1);
      start(mine);
      Index offset = 0;
      for (Index t = 0; t < sequences_.steps(); ++t) {
        step(t, mine.before(sequences_.active(t)), offset);
        offset += sequences_.active(t);
        load_inputs(t + 1, mine.before(sequences_.active(t + 1)));
      }
      finish(mine);
    });
  }

 private:
  Real* input(Index t, Index row) const { return inputs_[t & 1] + row * stride_; }
  Real* h(Index t, Index n) const { return args_.h + (t * shape_.N + n) * h_stride_; }

  void start(RowRange rows) const {
    load_inputs(0, rows.before(sequences_.active(0)));
    for (Index j = rows.begin; j < rows.before(sequences_.active(0)).end; ++j) {
      copy_row(input(0, j) + shape_.I + 1, h(0, sequences_.index(j)), shape_.H);
    }
  }

  void load_inputs(Index t, RowRange rows) const {
    for (Index j = rows.begin; j < rows.end; ++j) {
      const Index n = sequences_.index(j);
      copy_row(input(t, j), args_.x + sequences_.row(t, n) * shape_.I, shape_.I);
      input(t, j)[shape_.I] = 1;
    }
  }

  void step(Index t, RowRange rows, Index offset) const {
    alignas(64) Real gates[gate_rows * G::row];
    for (Index group = 0; group < G::count(shape_.H); ++group) {
      for (Index first = rows.begin; first < rows.end; first += gate_rows) {
        const Index count = smaller(gate_rows, rows.end - first);
        panels_.multiply(group, count, input(t, first), stride_, gates, false);
        Real* saved =
            saved_ ? saved_ + (group * sequences_.total() + offset + first) * G::row : nullptr;
        for (int block = 0; block < Layout::blocks; ++block) {
          cells(t, {first, first + count}, group, block, gates, saved);
        }
      }
    }
  }

  // A block of units of some rows; gates and saved begin with the first row.
  void cells(Index t, RowRange rows, Index group, int block, Real* gates, Real* saved) const {
    const Index unit = group * G::units + block * S::lanes, state = shape_.I + 1 + unit;
    if (unit >= shape_.H) return;
    CellPlace place{.t = t, .n = 0, .unit = unit, .count = shape_.H - unit};
    Real* const block_gates = gates + block * G::block_vectors * S::lanes;
    for (Index r = 0; r < rows.end - rows.begin; ++r) {
      place.n = sequences_.index(rows.begin + r);
      Cell::activate(shape_, args_, place, block_gates + r * G::row,
                     saved ? saved + r * G::row : nullptr);
    }
    for (Index r = 0; r < rows.end - rows.begin; ++r) {
      place.n = sequences_.index(rows.begin + r);
      const auto after = Cell::output(shape_, args_, place, block_gates + r * G::row,
                                      saved ? saved + r * G::row : nullptr,
                                      S::load(input(t, rows.begin + r) + state));
      S::store(input(t + 1, rows.begin + r) + state, after);
      store_part<S>(h(t + 1, place.n) + unit, after, place.count);
      if (args_.y) {
        Real* y = args_.y + sequences_.row(t, place.n) * y_stride_;
        store_part<S>(y + unit, after, place.count);
      }
    }
  }

  // Final states, and zeros in the padding.
  void finish(RowRange rows) const {
    for (Index j = rows.begin; j < rows.end; ++j) {
      const Index n = sequences_.index(j), length = sequences_.length(n);
      if (args_.h_n) copy_row(args_.h_n + n * shape_.H, h(length, n), shape_.H);
      for (Index t = length; t < segment_steps(shape_); ++t) zero_row(h(t + 1, n), shape_.H);
      if (args_.y) zero_padding(shape_, sequences_, 0, n, args_.y, y_stride_, shape_.H);
      Cell::finish(shape_, args_, n, length);
    }
  }

  const Shape& shape_;
  const Args& args_;
  const Sequences sequences_;
  const GatePanels<S, Layout> panels_;
  Real* const saved_;
  const Index h_stride_, y_stride_, stride_;
  Real* inputs_[2];
};

}  // namespace unroll::UNROLL_ISA_NS
