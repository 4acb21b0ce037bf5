// The loop over time that carries tangents of the inputs to tangents of the outputs.
//
//   d(gates) = [dx 0 dh] weights + [x 1 h] d(weights)
//
// Without tangents of the weights all directions run at once, K rows per sequence. With them, one
// direction after the other, so that scratch holds one packed set of weight tangents.
#pragma once

#include "kernels/recurrent_forward_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Cell: struct {
//   static Vec step(shape, args, CellPlace, direction, saved, d_gates, dh_before, dc);
//   static void start(...), finish(...) };
// dc is the carried tangent of c (lanes numbers), for the cells that have one.
template <class S, class Layout, class Cell, class Shape, class Args>
class RecurrentPushforward {
  using Real = typename S::Real;
  using G = Groups<S, Layout>;
  using Panels = GatePanels<S, Layout>;

 public:
  static Index scratch_size(const RecurrentShape& shape) {
    const Index stride = gate_input_stride<S, Layout>(shape);
    return 2 * rounded_up(Panels::size(shape), 16) + (2 * shape.K + 1) * shape.N * stride +
           shape.K * shape.N * G::padded(shape.H) + 16;
  }

  RecurrentPushforward(const Shape& shape, const Args& args, const Real* saved)
      : shape_(shape),
        args_(args),
        sequences_(shape),
        saved_(saved),
        h_stride_(shape.h_stride ? shape.h_stride : shape.H),
        dy_stride_(args.dy_stride ? args.dy_stride : shape.H),
        stride_(gate_input_stride<S, Layout>(shape)),
        moving_weights_(args.dw_ih || args.dw_hh || args.db_ih || args.db_hh),
        panels_(shape, args.scratch),
        d_panels_(shape, args.scratch + rounded_up(Panels::size(shape), 16)) {
    carry_ = args.scratch + 2 * rounded_up(Panels::size(shape), 16);
    tangents_[0] = carry_ + shape.K * shape.N * G::padded(shape.H);
    tangents_[1] = tangents_[0] + shape.K * shape.N * stride_;
    inputs_ = tangents_[1] + shape.K * shape.N * stride_;
  }

  void run() {
    const Index macs =
        sequences_.total() * shape_.K * (shape_.I + shape_.H) * shape_.H * Layout::gates;
    run_team(useful_threads(shape_.N, double(macs)), [this](const Team& team) {
      panels_.pack({args_.w_ih, args_.w_hh, nullptr, nullptr}, team);
      if (!moving_weights_) {
        team.barrier();
        run_directions(0, shape_.K, team);
        return;
      }
      for (Index k = 0; k < shape_.K; ++k) {
        d_panels_.pack(weight_tangents(k), team);
        team.barrier();
        run_directions(k, 1, team);
        team.barrier();
      }
    });
  }

 private:
  GateWeights<Real> weight_tangents(Index k) const {
    const Index rows = Layout::gates * shape_.H;
    return {args_.dw_ih ? args_.dw_ih + k * rows * shape_.I : nullptr,
            args_.dw_hh ? args_.dw_hh + k * rows * shape_.H : nullptr,
            args_.db_ih ? args_.db_ih + k * rows : nullptr,
            args_.db_hh ? args_.db_hh + k * rows : nullptr};
  }

  // Directions [first, first + count), row = sorted sequence * count + direction.
  struct Run {
    Index first, count;
    RowRange sequences;  // this thread's
  };

  void run_directions(Index first, Index count, const Team& team) const {
    const Run run{first, count, rows_of(team, sequences_, shape_.N, 1)};
    start(run);
    Index offset = 0;
    for (Index t = 0; t < sequences_.steps(); ++t) {
      const RowRange active = run.sequences.before(sequences_.active(t));
      load_inputs(run, t, active);
      step(run, t, active, offset);
      offset += sequences_.active(t);
    }
    finish(run);
  }

  Real* tangent(Index t, Index row) const { return tangents_[t & 1] + row * stride_; }
  Real* carry(Index row) const { return carry_ + row * G::padded(shape_.H); }
  Index of_batch(const Run& run, Index k, Index n) const { return (run.first + k) * shape_.N + n; }

  void start(const Run& run) const {
    for (Index j = run.sequences.begin; j < run.sequences.end; ++j) {
      for (Index k = 0; k < run.count; ++k) {
        const Index row = j * run.count + k, kn = of_batch(run, k, sequences_.index(j));
        Real* to = tangent(0, row) + shape_.I + 1;
        if (args_.dh0) copy_row(to, args_.dh0 + kn * shape_.H, shape_.H);
        if (!args_.dh0) zero_row(to, shape_.H);
        Cell::start(shape_, args_, kn, carry(row), G::padded(shape_.H));
      }
    }
  }

  void load_inputs(const Run& run, Index t, RowRange active) const {
    const Index I = shape_.I;
    for (Index j = active.begin; j < active.end; ++j) {
      const Index n = sequences_.index(j);
      for (Index k = 0; k < run.count; ++k) {
        Real* to = tangent(t, j * run.count + k);
        const Index row = (run.first + k) * shape_.T * shape_.N + sequences_.row(t, n);
        if (args_.dx) copy_row(to, args_.dx + row * I, I);
        if (!args_.dx) zero_row(to, I);
        to[I] = 0;
      }
      if (!moving_weights_) continue;
      Real* to = inputs_ + j * stride_;
      if (args_.dw_ih) copy_row(to, args_.x + sequences_.row(t, n) * I, I);
      if (!args_.dw_ih) zero_row(to, I);
      to[I] = 1;
      if (args_.dw_hh) copy_row(to + I + 1, args_.h + (t * shape_.N + n) * h_stride_, shape_.H);
      if (!args_.dw_hh) zero_row(to + I + 1, shape_.H);
    }
  }

  void step(const Run& run, Index t, RowRange active, Index offset) const {
    alignas(64) Real gates[gate_rows * G::row];
    const RowRange rows{active.begin * run.count, active.end * run.count};
    for (Index group = 0; group < G::count(shape_.H); ++group) {
      for (Index first = rows.begin; first < rows.end; first += gate_rows) {
        const Index count = smaller(gate_rows, rows.end - first);
        panels_.multiply(group, count, tangent(t, first), stride_, gates, false);
        if (moving_weights_) {  // then run.count is 1, and rows are sequences
          d_panels_.multiply(group, count, inputs_ + first * stride_, stride_, gates, true);
        }
        for (Index r = 0; r < count; ++r) {
          cell_row(run, t, first + r, group, gates + r * G::row, offset);
        }
      }
    }
  }

  void cell_row(const Run& run, Index t, Index row, Index group, const Real* gates,
                Index offset) const {
    const Index j = row / run.count, k = run.first + row % run.count;
    const Real* saved =
        saved_ ? saved_ + (group * sequences_.total() + offset + j) * G::row : nullptr;
    CellPlace place{.t = t, .n = sequences_.index(j)};
    for (int block = 0; block < Layout::blocks; ++block) {
      place.unit = group * G::units + block * S::lanes;
      place.count = shape_.H - place.unit;
      if (place.count <= 0) return;
      const Index state = shape_.I + 1 + place.unit;
      const auto after =
          Cell::step(shape_, args_, place, saved, gates + block * G::block_vectors * S::lanes,
                     S::load(tangent(t, row) + state), carry(row) + place.unit);
      S::store(tangent(t + 1, row) + state, after);
      if (!args_.dy) continue;
      const Index at = k * shape_.T * shape_.N + sequences_.row(t, place.n);
      store_part<S>(args_.dy + at * dy_stride_ + place.unit, after, place.count);
    }
  }

  void finish(const Run& run) const {
    for (Index j = run.sequences.begin; j < run.sequences.end; ++j) {
      const Index n = sequences_.index(j), length = sequences_.length(n);
      for (Index k = 0; k < run.count; ++k) {
        const Index row = j * run.count + k, kn = of_batch(run, k, n);
        const Real* last = tangent(length, row) + shape_.I + 1;
        if (args_.dh_n) copy_row(args_.dh_n + kn * shape_.H, last, shape_.H);
        Cell::finish(shape_, args_, kn, carry(row));
        if (args_.dy) {
          zero_padding(shape_, sequences_, run.first + k, n, args_.dy, dy_stride_, shape_.H);
        }
      }
    }
  }

  const Shape& shape_;
  const Args& args_;
  const Sequences sequences_;
  const Real* const saved_;
  const Index h_stride_, dy_stride_, stride_;
  const bool moving_weights_;
  const Panels panels_, d_panels_;
  Real *carry_, *tangents_[2], *inputs_;
};

}  // namespace unroll::UNROLL_ISA_NS
