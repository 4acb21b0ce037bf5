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

namespace unroll::UNROLL_ISA_NS {

// A right operand [depth][columns], packed into panels of two vectors (the last may be one).
template <class S>
class ColumnPanels {
  using Real = typename S::Real;

 public:
  static constexpr Index width = 2 * S::lanes;
  static Index size(Index depth, Index columns) { return depth * rounded_up(columns, S::lanes); }

  ColumnPanels(Real* storage, Index depth, Index columns)
      : data_(storage), depth_(depth), columns_(columns) {}

  Index count() const { return (columns_ + width - 1) / width; }
  Index columns_in(Index panel) const { return smaller(width, columns_ - panel * width); }

  // from null: zeros.
  void set_row(Index k, const Real* from) const {
    for (Index q = 0; q < count(); ++q) {
      Real* to = row(q, k);
      const Index here = columns_in(q);
      if (from) copy_row(to, from + q * width, here);
      const Index used = from ? here : 0;
      zero_row(to + used, stride(q) - used);
    }
  }

  // The product with the rows of one panel from first_depth on.
  template <Left left>
  void multiply(Index panel, PanelProduct<Real> p, Index first_depth = 0) const {
    p.panel = row(panel, first_depth);
    if (stride(panel) == width) return multiply_panel<S, 2, left>(p);
    multiply_panel<S, 1, left>(p);
  }

 private:
  Index stride(Index panel) const { return columns_in(panel) > S::lanes ? width : S::lanes; }
  Real* row(Index panel, Index k) const {
    return data_ + panel * width * depth_ + k * stride(panel);
  }

  Real* data_;
  Index depth_, columns_;
};

// Rows of gates in a chunk (unless one step alone has more), and in one piece of a weight sum.
inline constexpr Index chunk_rows = 512;
inline constexpr Index sum_rows = 128;

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

  // Where the parts of scratch begin.
  struct Parts {
    Index w_ih, w_hh, gates, gate_rows, dh, dc, x, h, end;
  };
  static Parts parts(const RecurrentShape& s) {
    const Index depth = G::count(s.H) * G::window, rows = s.K * s.N;
    const Index capacity = larger(chunk_rows, rows);
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
    p.x = take(ColumnPanels<S>::size(capacity / s.K, s.I));
    p.h = take(ColumnPanels<S>::size(capacity / s.K, s.H));
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
        h_stride_(shape.h_stride ? shape.h_stride : shape.H),
        dy_stride_(args.dy_stride ? args.dy_stride : shape.H),
        parts_(parts(shape)),
        weights_wanted_(args.dw_ih || args.dw_hh || args.db_ih || args.db_hh),
        w_ih_(args.scratch + parts_.w_ih, G::count(shape.H) * G::window, shape.I),
        w_hh_(args.scratch + parts_.w_hh, G::count(shape.H) * G::window, shape.H) {}

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
      if (!args_.dx || args_.beta_dx != 0) return;
      for (Index t = sequences_.length(n); t < shape_.T; ++t) {
        zero_row(args_.dx + ((k * shape_.T + t) * shape_.N + n) * shape_.I, shape_.I);
      }
    });
  }

  // ---- The loop

  // Steps [begin, end); the gates of a step start at its offset within the chunk.
  struct Chunk {
    Index begin, end, rows;
  };
  Chunk chunk_before(Index end) const {
    Chunk chunk{end, end, 0};
    const Index capacity = larger(chunk_rows, shape_.K * shape_.N);
    while (chunk.begin > 0) {
      const Index more = shape_.K * sequences_.active(chunk.begin - 1);
      if (chunk.rows + more > capacity) break;
      chunk.rows += more;
      --chunk.begin;
    }
    return chunk;
  }

  // At least one chunk, so that without any step the weights' gradients are still written.
  void chunks(RowRange mine, const Team& team) const {
    Index saved_offset = sequences_.total(), end = sequences_.steps();
    bool first = true;
    do {
      const Chunk chunk = chunk_before(end);
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
      if (weights_wanted_) {
        gather(chunk, team);
        team.barrier();
        weight_gradients(chunk, first, team);
      }
      if (chunk.begin > 0) team.barrier();  // the next chunk takes the place of this one's gates
      end = chunk.begin;
      first = false;
    } while (end > 0);
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
          Real* dx = args_.dx + ((k * shape_.T + t) * shape_.N + n) * shape_.I + q * width;
          blend_row<S>(dx, out + (row - first) * width, args_.beta_dx, w_ih_.columns_in(q));
        });
      }
    }
  }

  void through_cells(Index t, RowRange rows, Index offset, Index saved_offset) const {
    for (Index group = 0; group < G::count(shape_.H); ++group) {
      for_rows(rows, [&](Index row, Index k, Index n, Index j) {
        const Real* saved =
            saved_ ? saved_ + (group * sequences_.total() + saved_offset + j) * G::row : nullptr;
        const Real* dy =
            args_.dy ? args_.dy + ((k * shape_.T + t) * shape_.N + n) * dy_stride_ : nullptr;
        cell_row({.t = t, .n = n}, row, group, saved, dy, gates(group, offset + row));
      });
    }
  }

  void cell_row(CellPlace place, Index row, Index group, const Real* saved, const Real* dy,
                Real* d_gates) const {
    for (int block = 0; block < Layout::blocks; ++block) {
      Real* d_block = d_gates + block * G::block_vectors * S::lanes;
      place.unit = group * G::units + block * S::lanes;
      place.count = shape_.H - place.unit;
      if (place.count <= 0) {
        zero_row(d_block, G::block_vectors * S::lanes);
        continue;
      }
      auto d = S::load(dh(row) + place.unit);
      if (dy) d += load_part<S>(dy + place.unit, place.count);
      const auto carried =
          Cell::step(shape_, args_, place, saved, d, dc(row) + place.unit, d_block);
      if (Layout::carries_state) S::store(dh(row) + place.unit, carried);
      if (place.count >= S::lanes) continue;
      // Lanes without a unit must not bring a NaN into the sums.
      for (int v = 0; v < G::block_vectors; ++v) {
        Real* lanes = d_block + v * S::lanes;
        zero_row(lanes + place.count, S::lanes - place.count);
      }
    }
  }

  // ---- Weights

  Index chunk_sequences(const Chunk& chunk) const { return chunk.rows / shape_.K; }
  ColumnPanels<S> gathered_x(const Chunk& chunk) const {
    return {args_.scratch + parts_.x, chunk_sequences(chunk), shape_.I};
  }
  ColumnPanels<S> gathered_h(const Chunk& chunk) const {
    return {args_.scratch + parts_.h, chunk_sequences(chunk), shape_.H};
  }

  // x and h before each step of the chunk, in the order of the gates' rows. Steps take turns.
  void gather(const Chunk& chunk, const Team& team) const {
    const ColumnPanels<S> to_x = gathered_x(chunk), to_h = gathered_h(chunk);
    Index row = 0;
    for (Index t = chunk.begin; t < chunk.end; row += sequences_.active(t), ++t) {
      if (t % team.size != team.index) continue;
      for (Index j = 0; j < sequences_.active(t); ++j) {
        const Index at = t * shape_.N + sequences_.index(j);
        if (args_.dw_ih) to_x.set_row(row + j, args_.x + at * shape_.I);
        if (args_.dw_hh) to_h.set_row(row + j, args_.h + at * h_stride_);
      }
    }
  }

  // Independent pieces take turns: (direction, group) times the panels of x, of h, and the biases.
  void weight_gradients(const Chunk& chunk, bool first_chunk, const Team& team) const {
    const ColumnPanels<S> x = gathered_x(chunk), h = gathered_h(chunk);
    const Index groups = G::count(shape_.H);
    Index turn = 0;
    const auto mine = [&] { return turn++ % team.size == team.index; };
    for (Index k = 0; k < shape_.K; ++k) {
      for (Index group = 0; group < groups; ++group) {
        for (Index q = 0; args_.dw_ih && q < x.count(); ++q) {
          if (mine())
            weight_piece(chunk, k, group, x, q, Layout::input_first, Layout::input_slots,
                         {args_.dw_ih, shape_.I, first_chunk ? args_.beta_dw_ih : 1});
        }
        for (Index q = 0; args_.dw_hh && q < h.count(); ++q) {
          if (mine())
            weight_piece(chunk, k, group, h, q, Layout::hidden_first, Layout::hidden_slots,
                         {args_.dw_hh, shape_.H, first_chunk ? args_.beta_dw_hh : 1});
        }
        if ((args_.db_ih || args_.db_hh) && mine()) bias_piece(chunk, k, group, first_chunk);
      }
    }
  }

  struct Target {
    Real* dw;
    Index columns;
    Real beta;
  };

  // dw[gates of the group, columns of panel q] = dg^T times the gathered rows.
  void weight_piece(const Chunk& chunk, Index k, Index group, const ColumnPanels<S>& right, Index q,
                    int first_vector, const Slot* slots, const Target& target) const {
    constexpr Index width = ColumnPanels<S>::width;
    alignas(64) Real out[G::window * width];
    const Index rows = chunk_sequences(chunk);
    if (rows == 0) zero_row(out, G::window * width);
    for (Index row = 0; row < rows; row += sum_rows) {
      right.template multiply<Left::column_major>(
          q,
          {.rows = G::window,
           .depth = smaller(sum_rows, rows - row),
           .a = gates(group, row * shape_.K + k) + first_vector * S::lanes,
           .a_stride = G::row * shape_.K,
           .out = out,
           .out_stride = width,
           .accumulate = row > 0},
          row);
    }
    for (Index i = 0; i < G::window; ++i) {
      const Slot slot = slots[i / S::lanes];
      const Index unit = group * G::units + slot.block * S::lanes + i % S::lanes;
      if (unit >= shape_.H) continue;
      Real* dw = target.dw + ((k * Layout::gates + slot.gate) * shape_.H + unit) * target.columns +
                 q * width;
      blend_row<S>(dw, out + i * width, target.beta, right.columns_in(q));
    }
  }

  void bias_piece(const Chunk& chunk, Index k, Index group, bool first_chunk) const {
    alignas(64) Real sums[G::row] = {};
    for (Index row = k; row < chunk.rows; row += shape_.K) {
      const Real* from = gates(group, row);
      for (Index i = 0; i < G::row; i += S::lanes) {
        S::store(sums + i, S::load(sums + i) + S::load(from + i));
      }
    }
    add_bias(sums + Layout::input_first * S::lanes, k, group, Layout::input_slots, args_.db_ih,
             first_chunk ? args_.beta_db_ih : 1);
    add_bias(sums + Layout::hidden_first * S::lanes, k, group, Layout::hidden_slots, args_.db_hh,
             first_chunk ? args_.beta_db_hh : 1);
  }

  void add_bias(const Real* sums, Index k, Index group, const Slot* slots, Real* db,
                Real beta) const {
    if (!db) return;
    for (Index v = 0; v < Layout::window; ++v) {
      const Index unit = group * G::units + slots[v].block * S::lanes;
      const Index count = smaller(S::lanes, shape_.H - unit);
      if (count <= 0) continue;
      Real* to = db + (k * Layout::gates + slots[v].gate) * shape_.H + unit;
      blend_row<S>(to, sums + v * S::lanes, beta, count);
    }
  }

  const Shape& shape_;
  const Args& args_;
  const Sequences sequences_;
  const Real* const saved_;
  const Index h_stride_, dy_stride_;
  const Parts parts_;
  const bool weights_wanted_;
  const ColumnPanels<S> w_ih_, w_hh_;
};

}  // namespace unroll::UNROLL_ISA_NS
