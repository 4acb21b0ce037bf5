// The loop backwards over time that carries cotangents of the outputs to cotangents of the inputs.
//
//   recurrence   dh[t] = dy[t] + dg[t+1] w_hh,  dg[t] = the cell's pullback of dh[t]   (dg: gates)
//   inputs       dx[t] = dg[t] w_ih
//   weights      dw_ih = sum over t, n of dg^T x,  dw_hh = sum of dg^T h
//
// The steps run in chunks: dg of one chunk is kept, so that the weights' products have a long sum
// and still find it in the second cache. K directions are K rows per sequence; row = sorted
// sequence * K + direction, so the rows of a step come first among all rows. In the recurrence
// threads own rows or hidden units, in the inputs rows of the chunk, in the weights parts of the
// result. Sums over rows run in one order. In the tail of H the gates are kept dense.
#pragma once

#include "kernels/recurrent_forward_simd.h"
#include "kernels/recurrent_weights_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Elements of gates in a chunk: about what the second cache holds. Fewer rows than the least would
// read and write the gradients of the weights too often, more than the most would not help.
inline constexpr Index chunk_elements = Index(1) << 18;
inline constexpr Index least_chunk_rows = 1024, most_chunk_rows = 2048;

// Cell: struct {
//   static Vec step(shape, args, CellPlace, saved, dh, dc, d_gates): the cotangent of h[t] that
//   does
//       not come through the weights (if Layout::carries_state), d_gates written
//   static void prefetch(shape, args, CellPlace): what a step will read of its own
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
        plan_(plan_recurrence(sequences_.mean_active() * shape.K,
                              pieces(shape, ColumnPanels<S>::two), sequences_.steps(),
                              2 * shape.K * gate_products(shape, Layout::gates))),
        w_ih_(args.scratch + parts_.w_ih, window_sum(shape), shape.I, ColumnPanels<S>::two),
        w_hh_(args.scratch + parts_.w_hh, window_sum(shape), shape.H, panel_width()),
        weights_(shape, args, sequences_, args.scratch + parts_.gates, parts_.gate_rows * G::row,
                 args.scratch + parts_.weights, chunk_capacity(shape)) {}

  void run() {
    run_team(plan_.threads, [this](const Team& team) {
      if (args_.dx) pack(w_ih_, args_.w_ih, shape_.I, Layout::input_slots, team);
      pack(w_hh_, args_.w_hh, shape_.H, Layout::hidden_slots, team);
      const RowRange own = rows_of(team, sequences_, shape_.N, shape_.K);
      start(own);
      team.barrier();
      const Index panels = w_hh_.count();
      Share mine{own, {0, panels}, {0, 1, nullptr}};
      if (plan_.by_units) mine = {{0, shape_.N * shape_.K}, part_of(team, panels), team};
      chunks(mine, team);
      finish(mine, own);
    });
  }

 private:
  // What a thread does of a step: rows, panels of w_hh - and so hidden units -, and those whom it
  // waits for.
  struct Share {
    RowRange rows, panels;
    Team team;
  };

  static Index window_sum(const RecurrentShape& s) {
    return G::full(s.H) * G::window + G::dense_window(s.H - G::full(s.H) * G::units);
  }
  static Index pieces(const RecurrentShape& s, Index width) { return (s.H + width - 1) / width; }
  static bool few(const RecurrentShape& s) { return s.N * s.K <= few_rows; }
  // Wide where rows are few, if there is a panel for each thread.
  Index panel_width() const {
    constexpr Index wide = 2 * ColumnPanels<S>::two;
    return few(shape_) && pieces(shape_, wide) >= plan_.threads ? wide : ColumnPanels<S>::two;
  }
  RowRange groups_of(RowRange panels) const {
    const RowRange all{0, G::count(shape_.H)};
    const Index each = w_hh_.width() / G::units;
    return RowRange{panels.begin * each, panels.end * each}.before(all.end);
  }

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

  // out (+)= a window of all gates of `rows` rows from `row` on, times a panel of weights.
  void multiply_gates(const ColumnPanels<S>& weights, Index panel, Index first_vector, Index row,
                      PanelProduct<Real> p) const {
    const Index full = G::full(shape_.H), held = shape_.H - full * G::units;
    p.segments = full;
    p.depth = G::window;
    p.a = gates(0, row) + first_vector * S::lanes;
    p.a_segment = parts_.gate_rows * G::row;
    p.a_stride = G::row;
    if (full > 0) weights.template multiply<Left::row_major>(panel, p);
    if (held == 0) return;
    p.segments = 1;
    p.depth = G::dense_window(held);
    p.a = gates(full, row) + G::dense(first_vector, held);
    p.accumulate = p.accumulate || full > 0;
    weights.template multiply<Left::row_major>(panel, p, full * G::window);
  }

  // ---- Before and after the loop

  void pack(const ColumnPanels<S>& to, const Real* w, Index columns, const Slot* slots,
            const Team& team) const {
    const Index groups = G::count(shape_.H);
    for (Index group = team.begin(groups); group < team.end(groups); ++group) {
      for (Index i = 0; i < G::dense_window(G::held(shape_.H, group)); ++i) {
        to.set_row(group * G::window + i, w + G::weight_row(slots, shape_.H, group, i) * columns);
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

  void finish(const Share& mine, RowRange own) const {
    if (args_.dh0) {
      through_state_weights(mine, active(mine.rows, 0), 0);
      mine.team.barrier();
    }
    for_rows(own, [&](Index row, Index k, Index n, Index) {
      const Index kn = k * shape_.N + n;
      if (args_.dh0) blend_row<S>(args_.dh0 + kn * shape_.H, dh(row), args_.beta_dh0, shape_.H);
      Cell::finish(shape_, args_, kn, dc(row));
      if (args_.dx && args_.beta_dx == 0) {
        zero_padding(shape_, sequences_, k, n, args_.dx, shape_.I, shape_.I);
      }
    });
  }

  // ---- The loop

  // whole: the team, which shares the chunk's sums in any case.
  void chunks(const Share& mine, const Team& whole) const {
    Index saved_offset = sequences_.total();
    for_each_chunk_back(
        sequences_, shape_.K, chunk_capacity(shape_), whole,
        [&](const Chunk& chunk) { steps(chunk, mine, saved_offset); },
        [&](const Chunk& chunk, bool first) {
          if (weights_.wanted()) weights_.gather(chunk, whole);
          if (weights_.wanted() || args_.dx) whole.barrier();
          if (weights_.wanted()) weights_.add(chunk, first, whole);
          if (args_.dx) through_input_weights(chunk, part_of(whole, chunk.rows));
        });
  }

  // saved_offset: of the saved rows behind the chunk, which moves to its first.
  void steps(const Chunk& chunk, const Share& mine, Index& saved_offset) const {
    keep_following_step(chunk, mine);
    mine.team.barrier();
    Index offset = chunk.rows;
    for (Index t = chunk.end - 1; t >= chunk.begin; --t) {
      through_state_weights(mine, active(mine.rows, t + 1), offset);
      offset -= shape_.K * sequences_.active(t);
      saved_offset -= sequences_.active(t);
      through_cells(t, mine, offset, saved_offset);
      mine.team.barrier();
    }
  }

  // The step after the chunk was the first of the previous chunk: its gates move behind this one's.
  void keep_following_step(const Chunk& chunk, const Share& mine) const {
    const RowRange rows = active(mine.rows, chunk.end), groups = groups_of(mine.panels);
    for (Index group = groups.begin; group < groups.end; ++group) {
      copy_row(gates(group, chunk.rows + rows.begin), gates(group, rows.begin),
               rows.size() * G::row);
    }
  }

  // dh of the rows (+)= their gates, which begin at the offset, times w_hh.
  void through_state_weights(const Share& mine, RowRange rows, Index offset) const {
    PanelProduct<Real> p{.rows = rows.size(),
                         .out_stride = G::padded(shape_.H),
                         .accumulate = Layout::carries_state,
                         .two_sums = few(shape_)};
    for (Index q = mine.panels.begin; q < mine.panels.end; ++q) {
      p.out = dh(rows.begin) + q * w_hh_.width();
      multiply_gates(w_hh_, q, Layout::hidden_first, offset + rows.begin, p);
    }
  }

  // dx of some rows of a chunk.
  void through_input_weights(const Chunk& chunk, RowRange rows) const {
    constexpr Index width = ColumnPanels<S>::two;
    alignas(64) Real out[gate_rows * width];
    if (shape_.H == 0) zero_row(out, gate_rows * width);  // sums of nothing
    ChunkRows at(*this, chunk, rows.begin);
    for (Index first = rows.begin; first < rows.end; first += gate_rows) {
      const Index count = smaller(gate_rows, rows.end - first);
      Index place[gate_rows];
      for (Index r = 0; r < count; ++r) place[r] = at.next();
      for (Index q = 0; q < w_ih_.count(); ++q) {
        multiply_gates(w_ih_, q, Layout::input_first, first,
                       {.rows = count, .out = out, .out_stride = width});
        for (Index r = 0; r < count; ++r) {
          blend_row<S>(args_.dx + place[r] * shape_.I + q * width, out + r * width, args_.beta_dx,
                       w_ih_.columns_in(q));
        }
      }
    }
  }

  // The rows of [K,T,N] that the rows of a chunk stand for, one after the other.
  class ChunkRows {
   public:
    ChunkRows(const RecurrentPullback& of, const Chunk& chunk, Index row)
        : of_(of), t_(chunk.begin), row_(row) {
      while (t_ < chunk.end && row_ >= active()) row_ -= active(), ++t_;
    }
    Index next() {
      const RecurrentShape& s = of_.shape_;
      const Index n = of_.sequences_.index(row_ / s.K), k = row_ % s.K;
      const Index place = k * s.T * s.N + of_.sequences_.row(t_, n);
      if (++row_ == active()) row_ = 0, ++t_;
      return place;
    }

   private:
    Index active() const { return of_.shape_.K * of_.sequences_.active(t_); }
    const RecurrentPullback& of_;
    Index t_, row_;
  };

  void through_cells(Index t, const Share& mine, Index offset, Index saved_offset) const {
    const RowRange rows = active(mine.rows, t), groups = groups_of(mine.panels);
    for (Index group = groups.begin; group < groups.end; ++group) {
      const Real* saved =
          saved_ ? saved_ + (group * sequences_.total() + saved_offset) * G::row : nullptr;
      for (Index first = rows.begin; first < rows.end; first += gate_rows) {
        const RowRange some{first, smaller(first + gate_rows, rows.end)};
        for (int block = 0; block < Layout::blocks; ++block) {
          const Index at = block * G::block_vectors * S::lanes;
          cells(t, some, group * G::units + block * S::lanes, saved, gates(group, offset) + at);
        }
        G::compress(some.size(), G::held(shape_.H, group), gates(group, offset + first));
      }
    }
  }

  // Rows of one block of units; saved begins with the step's first sequence, d_gates with its
  // first row.
  void cells(Index t, RowRange rows, Index unit, const Real* saved, Real* d_gates) const {
    CellPlace place{.t = t, .n = 0, .unit = unit, .count = shape_.H - unit};
    if (place.count <= 0) return;
    const Real* const dy = args_.dy ? args_.dy + unit : nullptr;
    // Backwards and in steps, memory is read in an order that no processor foresees. What this step
    // reads was asked for one step ago; weights beyond the second cache have driven it out again.
    if (beyond_second_cache<Real>(w_hh_.size())) {
      for_rows(rows, [&](Index, Index k, Index n, Index j) {
        ask_for({t, n, unit, place.count}, saved ? saved + j * G::row : nullptr, dy, k);
      });
    }
    for_rows(rows, [&](Index row, Index k, Index n, Index j) {
      place.n = n;
      Cell::prepare(shape_, args_, place, d_gates + row * G::row);
      if (t == 0) return;
      ask_for({t - 1, n, unit, place.count},
              saved ? saved + (j - sequences_.active(t - 1)) * G::row : nullptr, dy, k);
    });
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
  }

  // What the cells of a place read; saved is its row.
  void ask_for(const CellPlace& place, const Real* saved, const Real* dy, Index k) const {
    if (saved) prefetch_row(saved);
    if (dy) {
      const Index at = k * shape_.T * shape_.N + sequences_.row(place.t, place.n);
      __builtin_prefetch(dy + at * dy_stride_);
    }
    Cell::prefetch(shape_, args_, place);
  }
  static void prefetch_row(const Real* row) {
    constexpr int line = 64 / sizeof(Real);
    UNROLL_FULL_UNROLL
    for (int i = 0; i < G::row; i += line) __builtin_prefetch(row + i);
  }

  const Shape& shape_;
  const Args& args_;
  const Sequences sequences_;
  const Real* const saved_;
  const Index dy_stride_;
  const Parts parts_;
  const RecurrentPlan plan_;
  const ColumnPanels<S> w_ih_, w_hh_;
  const WeightGradients<S, Layout, Shape, Args> weights_;
};

}  // namespace unroll::UNROLL_ISA_NS
