// The forward loop over time of the RNN, the LSTM and the GRU.
//
// Each step multiplies the rows [x 1 h] of the active sequences by the packed weights, one group of
// hidden units and one block of rows at a time, and hands the gates to the cell while they are in
// the first cache. From where few active rows leave a step bound by reading the weights, the
// inputs' product of many steps runs ahead of them, which reads its weights once.
#pragma once

#include "kernels/gate_panels_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Where the cell stands: a block of up to `lanes` units of one sequence at one step.
struct CellPlace {
  Index t, n;   // step and sequence (in the batch's own order)
  Index unit;   // first hidden unit
  Index count;  // units from there to H: fewer than the lanes in the last block
};

// Rows whose gates are computed together.
inline constexpr Index gate_rows = 48;

// Steps that the inputs' product runs ahead.
inline constexpr Index steps_ahead = 32;

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

  // Rows that run ahead at most.
  static Index rows_ahead(const RecurrentShape& s) { return smaller(s.N, few_rows); }

  struct Parts {
    Index panels, inputs, xs, gates, end;
    explicit Parts(const RecurrentShape& s) {
      const Index rows = rows_ahead(s) * smaller(s.T, steps_ahead);
      panels = 0;
      inputs = panels + rounded_up(GatePanels<S, Layout>::size(s), 16);
      xs = inputs + rounded_up(2 * s.N * gate_input_stride<S, Layout>(s), 16);
      gates = xs + rounded_up(rows * (s.I + 1), 16);
      end = gates + rows * G::count(s.H) * G::row;
    }
  };

 public:
  static Index packed_size(const RecurrentShape& shape) {
    return GatePanels<S, Layout>::size(shape);
  }
  static int layout(const RecurrentShape& shape) { return GatePanels<S, Layout>::layout(shape.N); }
  static Index scratch_size(const RecurrentShape& shape) { return Parts(shape).end; }
  static bool side_by_side(const RecurrentShape& shape) {
    return ::unroll::UNROLL_ISA_NS::side_by_side(plan(shape), gate_products(shape, Layout::gates));
  }

  RecurrentForward(const Shape& shape, const Args& args, Real* saved)
      : shape_(shape),
        args_(args),
        sequences_(shape),
        parts_(shape),
        panels_(shape, args.packed ? args.packed : args.scratch + parts_.panels, shape.N),
        saved_(saved),
        h_stride_(shape.h_stride ? shape.h_stride : shape.H),
        y_stride_(args.y_stride ? args.y_stride : shape.H),
        stride_(gate_input_stride<S, Layout>(shape)) {}

  void run() {
    const RecurrentPlan plan = RecurrentForward::plan(shape_);
    first_ahead_ = first_ahead(plan);
    run_team(plan.threads, [&](const Team& team) {
      if (args_.packs) panels_.pack({args_.w_ih, args_.w_hh, args_.b_ih, args_.b_hh}, team);
      const RowRange own = rows_of(team, sequences_, shape_.N, 1);
      if (plan.by_units) {
        start(own);
        steps({0, shape_.N}, part_of(team, G::count(shape_.H)), own, team);
      } else {
        team.barrier();
        start(own);
        steps(own, {0, G::count(shape_.H)}, own, {0, 1, nullptr});
      }
      finish(own);
    });
  }

 private:
  static RecurrentPlan plan(const RecurrentShape& s) {
    const Sequences sequences(s);
    return plan_recurrence(sequences.mean_active(), G::count(s.H), sequences.steps(),
                           gate_products(s, Layout::gates));
  }

  // Where steps begin to run ahead. Threads that have rows of their own would each need room for
  // it.
  Index first_ahead(const RecurrentPlan& plan) const {
    Index t = sequences_.steps();
    if (plan.threads > 1 && !plan.by_units) return t;
    while (t > 0 && sequences_.active(t - 1) <= few_rows) --t;
    return t;
  }
  bool ahead(Index t) const { return t >= first_ahead_; }

  Real* input(Index t, Index row) const {
    return args_.scratch + parts_.inputs + ((t & 1) * shape_.N + row) * stride_;
  }
  Real* h(Index t, Index n) const { return args_.h + (t * shape_.N + n) * h_stride_; }

  // All steps of some rows and groups. A team shares the groups, and each member brings the inputs
  // of its own rows.
  void steps(RowRange rows, RowRange groups, RowRange own, const Team& team) const {
    team.barrier();
    Index offset = 0;
    for (Index t = 0; t < sequences_.steps(); ++t) {
      if (ahead(t) && (t - first_ahead_) % steps_ahead == 0) run_ahead(t, groups, team);
      step(t, rows.before(sequences_.active(t)), groups, offset);
      offset += sequences_.active(t);
      load_inputs(t + 1, own.before(sequences_.active(t + 1)));
      team.barrier();
    }
  }

  void start(RowRange rows) const {
    load_inputs(0, rows.before(sequences_.active(0)));
    for (Index j = rows.begin; j < rows.before(sequences_.active(0)).end; ++j) {
      copy_row(input(0, j) + shape_.I + 1, h(0, sequences_.index(j)), shape_.H);
    }
  }

  void load_input(Index t, Index j, Real* to) const {
    copy_row(to, args_.x + sequences_.row(t, sequences_.index(j)) * shape_.I, shape_.I);
    to[shape_.I] = 1;
  }
  void load_inputs(Index t, RowRange rows) const {
    for (Index j = rows.begin; j < rows.end; ++j) {
      // Run ahead: only the one, which may face a bias of the state.
      if (ahead(t))
        input(t, j)[shape_.I] = 1;
      else
        load_input(t, j, input(t, j));
    }
  }

  // ---- Ahead

  Real* gates_ahead(Index group, Index t, Index j) const {
    const Index each = rows_ahead(shape_);
    const Index row = (t - first_ahead_) % steps_ahead * each + j;
    return args_.scratch + parts_.gates +
           (group * each * smaller(shape_.T, steps_ahead) + row) * G::row;
  }

  // The inputs' product of this step and those that follow, as far as it runs ahead.
  void run_ahead(Index t, RowRange groups, const Team& team) const {
    const Index last = smaller(t + steps_ahead, sequences_.steps()), N = rows_ahead(shape_);
    Real* const xs = args_.scratch + parts_.xs;
    for (Index s = t + team.index; s < last; s += team.size) {
      for (Index j = 0; j < N; ++j) {
        Real* to = xs + ((s - t) * N + j) * (shape_.I + 1);
        if (j < sequences_.active(s))
          load_input(s, j, to);
        else
          zero_row(to, shape_.I + 1);
      }
    }
    team.barrier();
    for (Index group = groups.begin; group < groups.end; ++group) {
      panels_.multiply_inputs(group, (last - t) * N, xs, shape_.I + 1, gates_ahead(group, t, 0));
    }
  }

  // ---- A step

  // One group of some rows at one step; gates and saved begin with the first row.
  struct Piece {
    Index t, group;
    RowRange rows;
    Real *gates, *saved;
  };

  Real* saved_at(Index group, Index row) const {
    return saved_ ? saved_ + (group * sequences_.total() + row) * G::row : nullptr;
  }

  void step(Index t, RowRange rows, RowRange groups, Index offset) const {
    if (ahead(t)) return step_ahead(t, rows, groups, offset);
    alignas(64) Real gates[gate_rows * G::row];
    for (Index group = groups.begin; group < groups.end; ++group) {
      for (Index first = rows.begin; first < rows.end; first += gate_rows) {
        const RowRange some{first, smaller(first + gate_rows, rows.end)};
        panels_.multiply(group, some.size(), input(t, first), stride_, gates, false);
        const Piece piece{t, group, some, gates, saved_at(group, offset + first)};
        activate(piece);
        leave(piece);
      }
    }
  }

  // Few rows: the groups go side by side, so that a processor overlaps their activations.
  void step_ahead(Index t, RowRange rows, RowRange groups, Index offset) const {
    const auto piece = [&](Index group) {
      return Piece{t, group, rows, gates_ahead(group, t, rows.begin),
                   saved_at(group, offset + rows.begin)};
    };
    for (Index group = groups.begin; group < groups.end; ++group) {
      panels_.multiply_state(group, rows.size(), input(t, rows.begin), stride_,
                             gates_ahead(group, t, rows.begin));
    }
    for (Index group = groups.begin; group < groups.end; ++group) activate(piece(group));
    for (Index group = groups.begin; group < groups.end; ++group) leave(piece(group));
  }

  // Calls body(CellPlace, row, gates, saved) for each row of each block of units.
  template <class Body>
  UNROLL_SIMD_FN void for_cells(const RecurrentForward& of, const Piece& piece, const Body& body) {
    for (int block = 0; block < Layout::blocks; ++block) {
      const Index unit = piece.group * G::units + block * S::lanes;
      if (unit >= of.shape_.H) return;
      CellPlace place{.t = piece.t, .n = 0, .unit = unit, .count = of.shape_.H - unit};
      const Index at = block * G::block_vectors * S::lanes;
      for (Index r = 0; r < piece.rows.size(); ++r) {
        place.n = of.sequences_.index(piece.rows.begin + r);
        body(place, piece.rows.begin + r, piece.gates + at + r * G::row,
             piece.saved ? piece.saved + r * G::row : nullptr);
      }
    }
  }

  void activate(const Piece& piece) const {
    G::spread(piece.rows.size(), G::held(shape_.H, piece.group), piece.gates);
    for_cells(*this, piece, [&](const CellPlace& place, Index, Real* gates, Real* saved) {
      Cell::activate(shape_, args_, place, gates, saved);
    });
  }

  void leave(const Piece& piece) const {
    for_cells(*this, piece, [&](const CellPlace& place, Index row, Real* gates, Real* saved) {
      const Index state = shape_.I + 1 + place.unit;
      const auto after =
          Cell::output(shape_, args_, place, gates, saved, S::load(input(place.t, row) + state));
      S::store(input(place.t + 1, row) + state, after);
      store_part<S>(h(place.t + 1, place.n) + place.unit, after, place.count);
      if (args_.y) {
        Real* y = args_.y + sequences_.row(place.t, place.n) * y_stride_;
        store_part<S>(y + place.unit, after, place.count);
      }
    });
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
  const Parts parts_;
  const GatePanels<S, Layout> panels_;
  Real* const saved_;
  const Index h_stride_, y_stride_, stride_;
  Index first_ahead_ = 0;
};

}  // namespace unroll::UNROLL_ISA_NS
