// The loop backwards over time that carries cotangents of the outputs to cotangents of the inputs.
//
//   recurrence   dh[t] = dy[t] + dg[t+1] w_hh,  dg[t] = the cell's pullback of dh[t]   (dg: gates)
//   inputs       dx[t] = dg[t] w_ih
//   weights      dw_ih = sum over t, n of dg^T x,  dw_hh = sum of dg^T h
//
// The steps run in chunks: dg of one chunk is kept, so that the weights' products have a long sum
// and still find it in the second cache. K directions are K rows per sequence; row = sorted
// sequence * K + direction, so the rows of a step come first among all rows. In the recurrence
// threads own rows; in the weights they own parts of the result. Sums over rows run in one order.
#pragma once

#include "kernels/recurrent_forward_simd.h"
#include "kernels/recurrent_weights_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Elements of gates in a chunk: about what the second cache holds. Fewer rows would leave the
// weights' sums short, more would not help.
inline constexpr Index chunk_elements = Index(1) << 18;
inline constexpr Index least_chunk_rows = 256, most_chunk_rows = 2048;

// Cell: struct {
//   static Vec step(shape, args, CellPlace, saved, dh, dc, d_gates): the cotangent of h[t] that
//   does
//       not come through the weights (if Layout::carries_state), d_gates written
//   static void start(...), finish(...) };
// dc is the carried cotangent of c (lanes numbers), for the cells that have one.
template <class S, class Layout, class Cell, class Shape, class Args>
class RecurrentPullback {
  using Real = typename S::Real;
  using G = Groups<S, Layout>;

  static Index chunk_capacity(const RecurrentShape& shape) {
    const Index fit = chunk_elements / larger(G::count(shape.H) * G::row, 1);
    const Index rows = larger(least_chunk_rows, smaller(fit, most_chunk_rows));
    // A chunk has at least one step, and no more rows than there are.
    return larger(smaller(rows, shape.K * shape.N * shape.T), shape.K * shape.N);
  }

  // Where the parts of scratch begin.
  struct Parts {
    Index w_ih, w_hh, gates, gate_rows, dh, dc, weights, end;
  };
  static Parts parts(const RecurrentShape& s) {
    const Index depth = G::count(s.H) * G::window, rows = s.K * s.N;
    const Index capacity = chunk_capacity(s);
    Parts p{};
    Index at = 0;
    const auto take = [&at](Index size) {
      const Index begin = at;
      at += rounded_up(size, 16);
      return begin;
    };
    p.gate_rows = capacity + rows;
    p.w_ih = take(ColumnPanels<S>::size(depth, s.I));
    p.w_hh = take(ColumnPanels<S>::size(depth, s.H));
    p.gates = take(G::count(s.H) * p.gate_rows * G::row);
    p.dh = take(rows * G::padded(s.H));
    p.dc = take(rows * G::padded(s.H));
    p.weights = take(WeightGradients<S, Layout, Shape, Args>::scratch_size(s, capacity));
    p.end = at;
    return p;
  }

 public:
  static Index scratch_size(const RecurrentShape& shape) { return parts(shape).end; }

  RecurrentPullback(const Shape& shape, const Args& args, const Real* saved)
      : shape_(shape),
        args_(args),
        sequences_(shape),
        saved_(saved),
        dy_stride_(args.dy_stride ? args.dy_stride : shape.H),
        parts_(parts(shape)),
        w_ih_(args.scratch + parts_.w_ih, G::count(shape.H) * G::window, shape.I),
        w_hh_(args.scratch + parts_.w_hh, G::count(shape.H) * G::window, shape.H),
        weights_(shape, args, sequences_, args.scratch + parts_.gates, parts_.gate_rows * G::row,
                 args.scratch + parts_.weights, chunk_capacity(shape)) {}

  void run() {
    const Index macs =
        2 * sequences_.total() * shape_.K * (shape_.I + shape_.H) * shape_.H * Layout::gates;
    run_team(useful_threads(shape_.N * shape_.K, double(macs)), [this](const Team& team) {
      if (args_.dx) pack(w_ih_, args_.w_ih, shape_.I, Layout::input_slots, team);
      pack(w_hh_, args_.w_hh, shape_.H, Layout::hidden_slots, team);
      team.barrier();
      const RowRange mine = rows_of(team, sequences_, shape_.N, shape_.K);
      start(mine);
      chunks(mine, team);
      finish(mine);
    });
  }

 private:
  // ---- Places

  Real* gates(Index group, Index row) const {
    return args_.scratch + parts_.gates + (group * parts_.gate_rows + row) * G::row;
  }
  Real* dh(Index row) const { return args_.scratch + parts_.dh + row * G::padded(shape_.H); }
  Real* dc(Index row) const { return args_.scratch + parts_.dc + row * G::padded(shape_.H); }
  RowRange active(RowRange rows, Index t) const {
    return rows.before(shape_.K * sequences_.active(t));
  }

  // Calls body(row, direction, n, sorted sequence) for each row.
  template <class Body>
  void for_rows(RowRange rows, const Body& body) const {
    Index j = rows.begin / shape_.K, k = rows.begin % shape_.K;
    for (Index row = rows.begin; row < rows.end; ++row) {
      body(row, k, sequences_.index(j), j);
      if (++k == shape_.K) k = 0, ++j;
    }
  }

  // A window of the gates of all groups, from `row` on, as the left operand of a product.
  PanelProduct<Real> gates_as_left(Index rows, Index first_vector, Index row) const {
    return {.rows = rows,
            .segments = G::count(shape_.H),
            .depth = G::window,
            .a = gates(0, row) + first_vector * S::lanes,
            .a_segment = parts_.gate_rows * G::row,
            .a_stride = G::row};
  }

  // ---- Before and after the loop

  void pack(const ColumnPanels<S>& to, const Real* w, Index columns, const Slot* slots,
            const Team& team) const {
    const Index groups = G::count(shape_.H);
    for (Index group = team.begin(groups); group < team.end(groups); ++group) {
      for (Index i = 0; i < G::window; ++i) {
        const Slot slot = slots[i / S::lanes];
        const Index unit = group * G::units + slot.block * S::lanes + i % S::lanes;
        const Real* row = unit < shape_.H ? w + (slot.gate * shape_.H + unit) * columns : nullptr;
        to.set_row(group * G::window + i, row);
      }
    }
  }

  void start(RowRange rows) const {
    const Index H = shape_.H;
    for_rows(rows, [&](Index row, Index k, Index n, Index) {
      const Index kn = k * shape_.N + n;
      zero_row(dh(row), G::padded(H));
      if (args_.dh_n) copy_row(dh(row), args_.dh_n + kn * H, H);
      Cell::start(shape_, args_, kn, dc(row), G::padded(H));
    });
  }

  void finish(RowRange rows) const {
    if (args_.dh0) through_state_weights(active(rows, 0), 0);
    for_rows(rows, [&](Index row, Index k, Index n, Index) {
      const Index kn = k * shape_.N + n;
      if (args_.dh0) blend_row<S>(args_.dh0 + kn * shape_.H, dh(row), args_.beta_dh0, shape_.H);
      Cell::finish(shape_, args_, kn, dc(row));
      if (args_.dx && args_.beta_dx == 0) {
        zero_padding(shape_, sequences_, k, n, args_.dx, shape_.I, shape_.I);
      }
    });
  }

  // ---- The loop

  void chunks(RowRange mine, const Team& team) const {
    Index saved_offset = sequences_.total();
    for_each_chunk_back(
        sequences_, shape_.K, chunk_capacity(shape_), team,
        [&](const Chunk& chunk) { steps(chunk, mine, saved_offset); },
        [&](const Chunk& chunk, bool first) {
          if (!weights_.wanted()) return;
          weights_.gather(chunk, team);
          team.barrier();
          weights_.add(chunk, first, team);
        });
  }

  // saved_offset: of the saved rows behind the chunk, which moves to its first.
  void steps(const Chunk& chunk, RowRange mine, Index& saved_offset) const {
    keep_following_step(chunk, mine);
    Index offset = chunk.rows;
    for (Index t = chunk.end - 1; t >= chunk.begin; --t) {
      const RowRange following = active(mine, t + 1), rows = active(mine, t);
      through_state_weights(following, offset);
      offset -= shape_.K * sequences_.active(t);
      saved_offset -= sequences_.active(t);
      through_cells(t, rows, offset, saved_offset);
      if (args_.dx) through_input_weights(t, rows, offset);
    }
  }

  // The step after the chunk was the first of the previous chunk: its gates move behind this one's.
  void keep_following_step(const Chunk& chunk, RowRange mine) const {
    const RowRange rows = active(mine, chunk.end);
    for (Index group = 0; group < G::count(shape_.H); ++group) {
      copy_row(gates(group, chunk.rows + rows.begin), gates(group, rows.begin),
               (rows.end - rows.begin) * G::row);
    }
  }

  // dh of the rows (+)= their gates, which begin at the offset, times w_hh.
  void through_state_weights(RowRange rows, Index offset) const {
    PanelProduct<Real> p =
        gates_as_left(rows.end - rows.begin, Layout::hidden_first, offset + rows.begin);
    p.out_stride = G::padded(shape_.H);
    p.accumulate = Layout::carries_state;
    for (Index q = 0; q < w_hh_.count(); ++q) {
      p.out = dh(rows.begin) + q * ColumnPanels<S>::width;
      w_hh_.template multiply<Left::row_major>(q, p);
    }
  }

  void through_input_weights(Index t, RowRange rows, Index offset) const {
    constexpr Index width = ColumnPanels<S>::width;
    alignas(64) Real out[gate_rows * width];
    for (Index q = 0; q < w_ih_.count(); ++q) {
      for (Index first = rows.begin; first < rows.end; first += gate_rows) {
        const RowRange some{first, smaller(first + gate_rows, rows.end)};
        PanelProduct<Real> p =
            gates_as_left(some.end - some.begin, Layout::input_first, offset + first);
        p.out = out;
        p.out_stride = width;
        w_ih_.template multiply<Left::row_major>(q, p);
        for_rows(some, [&](Index row, Index k, Index n, Index) {
          const Index at = k * shape_.T * shape_.N + sequences_.row(t, n);
          Real* dx = args_.dx + at * shape_.I + q * width;
          blend_row<S>(dx, out + (row - first) * width, args_.beta_dx, w_ih_.columns_in(q));
        });
      }
    }
  }

  void through_cells(Index t, RowRange rows, Index offset, Index saved_offset) const {
    for (Index group = 0; group < G::count(shape_.H); ++group) {
      const Real* saved =
          saved_ ? saved_ + (group * sequences_.total() + saved_offset) * G::row : nullptr;
      for (int block = 0; block < Layout::blocks; ++block) {
        for (Index first = rows.begin; first < rows.end; first += gate_rows) {
          const RowRange some{first, smaller(first + gate_rows, rows.end)};
          Real* d_gates = gates(group, offset) + block * G::block_vectors * S::lanes;
          cells(t, some, group * G::units + block * S::lanes, saved, d_gates);
        }
      }
    }
  }

  // Rows of one block of units; saved begins with the step's first sequence, d_gates with its
  // first row.
  void cells(Index t, RowRange rows, Index unit, const Real* saved, Real* d_gates) const {
    CellPlace place{.t = t, .n = 0, .unit = unit, .count = shape_.H - unit};
    if (place.count <= 0) return zero_lanes(rows, 0, d_gates);
    for_rows(rows, [&](Index row, Index, Index n, Index) {
      place.n = n;
      Cell::prepare(shape_, args_, place, d_gates + row * G::row);
    });
    const Real* const dy = args_.dy ? args_.dy + unit : nullptr;
    for_rows(rows, [&](Index row, Index k, Index n, Index j) {
      place.n = n;
      auto d = S::load(dh(row) + unit);
      if (dy) {
        const Index at = k * shape_.T * shape_.N + sequences_.row(t, n);
        d += load_part<S>(dy + at * dy_stride_, place.count);
      }
      const auto carried = Cell::step(shape_, args_, place, saved ? saved + j * G::row : nullptr, d,
                                      dc(row) + unit, d_gates + row * G::row);
      if (Layout::carries_state) S::store(dh(row) + unit, carried);
    });
    // Lanes without a unit must not bring a NaN into the sums.
    if (place.count < S::lanes) zero_lanes(rows, place.count, d_gates);
  }

  void zero_lanes(RowRange rows, Index from, Real* d_gates) const {
    for (Index row = rows.begin; row < rows.end; ++row) {
      for (int v = 0; v < G::block_vectors; ++v) {
        zero_row(d_gates + row * G::row + v * S::lanes + from, S::lanes - from);
      }
    }
  }

  const Shape& shape_;
  const Args& args_;
  const Sequences sequences_;
  const Real* const saved_;
  const Index dy_stride_;
  const Parts parts_;
  const ColumnPanels<S> w_ih_, w_hh_;
  const WeightGradients<S, Layout, Shape, Args> weights_;
};

}  // namespace unroll::UNROLL_ISA_NS
