// The loop over time that carries tangents of the inputs to tangents of the outputs.
//
//   d(gates) = [dx 0 dh] weights + [x 1 h] d(weights)
//
// Without tangents of the weights all directions run at once, K rows per sequence. With them, one
// direction after the other, so that scratch holds one packed set of weight tangents. Threads own
// rows or hidden units.
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
    return 2 * rounded_up(Panels::size(shape), 16) + 2 * (shape.K + 1) * shape.N * stride +
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
        plan_(plan_recurrence(sequences_.mean_active() * (moving_weights_ ? 1 : shape.K),
                              G::count(shape.H), sequences_.steps(),
                              shape.K * gate_products(shape, Layout::gates))),
        panels_(shape, args.scratch, shape.N * (moving_weights_ ? 1 : shape.K)),
        d_panels_(shape, args.scratch + rounded_up(Panels::size(shape), 16), shape.N) {
    carry_ = args.scratch + 2 * rounded_up(Panels::size(shape), 16);
    tangents_ = carry_ + shape.K * shape.N * G::padded(shape.H);
    inputs_ = tangents_ + 2 * shape.K * shape.N * stride_;
  }

  void run() {
    run_team(plan_.threads, [this](const Team& team) {
      panels_.pack({args_.w_ih, args_.w_hh, nullptr, nullptr}, team);
      if (!moving_weights_) return run_directions(0, shape_.K, team);
      for (Index k = 0; k < shape_.K; ++k) {
        d_panels_.pack(weight_tangents(k), team);
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
    RowRange own;           // rows that this thread loads, starts and finishes
    RowRange rows, groups;  // its part of a step
    Team team;              // those whom it waits for within the loop
  };

  void run_directions(Index first, Index count, const Team& team) const {
    const RowRange own = rows_of(team, sequences_, shape_.N, count), all{0, G::count(shape_.H)};
    Run run{first, count, own, own, all, {0, 1, nullptr}};
    if (plan_.by_units) {
      run.rows = {0, shape_.N * count};
      run.groups = part_of(team, all.end);
      run.team = team;
    }
    start(run);
    load_inputs(run, 0);
    team.barrier();
    Index offset = 0;
    for (Index t = 0; t < sequences_.steps(); ++t) {
      step(run, t, offset);
      offset += sequences_.active(t);
      load_inputs(run, t + 1);
      run.team.barrier();
    }
    finish(run);
  }

  Real* tangent(Index t, Index row) const {
    return tangents_ + ((t & 1) * shape_.K * shape_.N + row) * stride_;
  }
  // [x 1 h] of a sequence.
  Real* input(Index t, Index j) const { return inputs_ + ((t & 1) * shape_.N + j) * stride_; }
  Real* carry(Index row) const { return carry_ + row * G::padded(shape_.H); }

  // Calls body(row, direction, n, place of direction and sequence in [K,N]) for each row.
  template <class Body>
  void for_rows(const Run& run, RowRange rows, const Body& body) const {
    for (Index row = rows.begin; row < rows.end; ++row) {
      const Index n = sequences_.index(row / run.count), k = run.first + row % run.count;
      body(row, k, n, k * shape_.N + n);
    }
  }

  void start(const Run& run) const {
    for_rows(run, run.own, [&](Index row, Index, Index, Index kn) {
      Real* to = tangent(0, row) + shape_.I + 1;
      if (args_.dh0) copy_row(to, args_.dh0 + kn * shape_.H, shape_.H);
      if (!args_.dh0) zero_row(to, shape_.H);
      Cell::start(shape_, args_, kn, carry(row), G::padded(shape_.H));
    });
  }

  void load_inputs(const Run& run, Index t) const {
    const Index I = shape_.I;
    for_rows(run, run.own.before(run.count * sequences_.active(t)),
             [&](Index row, Index k, Index n, Index) {
               Real* to = tangent(t, row);
               const Index place = k * shape_.T * shape_.N + sequences_.row(t, n);
               if (args_.dx) copy_row(to, args_.dx + place * I, I);
               if (!args_.dx) zero_row(to, I);
               to[I] = 0;
               if (moving_weights_) load_values(t, n, input(t, row));  // then rows are sequences
             });
  }

  void load_values(Index t, Index n, Real* to) const {
    const Index I = shape_.I;
    if (args_.dw_ih) copy_row(to, args_.x + sequences_.row(t, n) * I, I);
    if (!args_.dw_ih) zero_row(to, I);
    to[I] = 1;
    if (args_.dw_hh) copy_row(to + I + 1, args_.h + (t * shape_.N + n) * h_stride_, shape_.H);
    if (!args_.dw_hh) zero_row(to + I + 1, shape_.H);
  }

  void step(const Run& run, Index t, Index offset) const {
    alignas(64) Real gates[gate_rows * G::row];
    const RowRange rows = run.rows.before(run.count * sequences_.active(t));
    for (Index group = run.groups.begin; group < run.groups.end; ++group) {
      for (Index first = rows.begin; first < rows.end; first += gate_rows) {
        const Index count = smaller(gate_rows, rows.end - first);
        if (t == 0 && !args_.dh0) {  // the states stand still
          panels_.multiply_without_state(group, count, tangent(t, first), stride_, gates);
        } else {
          panels_.multiply(group, count, tangent(t, first), stride_, gates, false);
        }
        if (moving_weights_) {
          d_panels_.multiply(group, count, input(t, first), stride_, gates, true);
        }
        G::spread(count, G::held(shape_.H, group), gates);
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
    for_rows(run, run.own, [&](Index row, Index k, Index n, Index kn) {
      const Real* last = tangent(sequences_.length(n), row) + shape_.I + 1;
      if (args_.dh_n) copy_row(args_.dh_n + kn * shape_.H, last, shape_.H);
      Cell::finish(shape_, args_, kn, carry(row));
      if (args_.dy) {
        zero_padding(shape_, sequences_, k, n, args_.dy, dy_stride_, shape_.H);
      }
    });
  }

  const Shape& shape_;
  const Args& args_;
  const Sequences sequences_;
  const Real* const saved_;
  const Index h_stride_, dy_stride_, stride_;
  const bool moving_weights_;
  const RecurrentPlan plan_;
  const Panels panels_, d_panels_;
  Real *carry_, *tangents_, *inputs_;
};

}  // namespace unroll::UNROLL_ISA_NS
