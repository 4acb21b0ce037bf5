// Gradients of the weights and biases of the RNN, the LSTM and the GRU.
//
//   dw_ih = sum over t, n of dg^T x,   dw_hh = sum of dg^T h,   db = sum of dg   (dg: gates)
//
// Used by the pullback, chunk of steps by chunk: x and h of a chunk are gathered into panels in the
// order of the rows of dg, and threads take turns at parts of the result, so that every sum runs in
// one order.
#pragma once

#include "kernels/recurrent_simd.h"

namespace unroll::UNROLL_ISA_NS {

// A right operand [depth][columns], packed into panels of two vectors, or of another number of them
// (the last panel may have fewer).
template <class S>
class ColumnPanels {
  using Real = typename S::Real;

 public:
  static constexpr Index two = 2 * S::lanes;
  static Index size(Index depth, Index columns) { return depth * rounded_up(columns, S::lanes); }
  Index size() const { return size(depth_, columns_); }

  ColumnPanels(Real* storage, Index depth, Index columns, Index width = two)
      : data_(storage), depth_(depth), columns_(columns), width_(width) {}

  Index width() const { return width_; }
  Index count() const { return (columns_ + width_ - 1) / width_; }
  Index columns_in(Index panel) const { return smaller(width_, columns_ - panel * width_); }

  // from null: zeros.
  void set_row(Index k, const Real* from) const {
    for (Index q = 0; q < count(); ++q) {
      Real* to = row(q, k);
      for (Index i = 0; i < stride(q); i += S::lanes) {
        const Index left = columns_ - q * width_ - i;
        S::store(to + i, from ? load_part<S>(from + q * width_ + i, left) : S::zero());
      }
    }
  }

  // The product with the rows of one panel from first_depth on.
  template <Left left>
  void multiply(Index panel, PanelProduct<Real> p, Index first_depth = 0) const {
    p.panel = row(panel, first_depth);
    multiply_panel_of<S, left>(stride(panel) / S::lanes, p);
  }

  Real* row(Index panel, Index k) const {
    return data_ + panel * width_ * depth_ + k * stride(panel);
  }
  Index stride(Index panel) const { return rounded_up(columns_in(panel), S::lanes); }

 private:
  Real* data_;
  Index depth_, columns_, width_;
};

// Numbers that stream through the second cache at each step leave nothing else in it.
template <class Real>
inline bool beyond_second_cache(Index numbers) {
  return numbers * Index(sizeof(Real)) >= Index(1) << 19;
}

// Steps [begin, end) whose rows are kept at a time, `rows` in all.
struct Chunk {
  Index begin, end, rows;
};

// The longest chunk before step `end`, `each` rows for a sequence: at most `capacity` rows.
inline Chunk chunk_before(const Sequences& sequences, Index end, Index each, Index capacity) {
  Chunk chunk{end, end, 0};
  while (chunk.begin > 0) {
    const Index more = each * sequences.active(chunk.begin - 1);
    if (chunk.rows + more > capacity) break;
    chunk.rows += more;
    --chunk.begin;
  }
  return chunk;
}

// All chunks from the last to the first, and one where there is no step, so that the gradients are
// still written: steps(chunk) runs the rows of this thread, gradients(chunk, first) sums over all
// rows and begins with a barrier if it reads those of other threads.
template <class Steps, class Gradients>
void for_each_chunk_back(const Sequences& sequences, Index each, Index capacity, const Team& team,
                         const Steps& steps, const Gradients& gradients) {
  Index end = sequences.steps();
  bool first = true;
  do {
    const Chunk chunk = chunk_before(sequences, end, each, capacity);
    steps(chunk);
    gradients(chunk, first);
    if (chunk.begin > 0) team.barrier();  // the next chunk takes the place of this one's rows
    end = chunk.begin;
    first = false;
  } while (end > 0);
}

// Rows summed in one pass of the product, which then lie in the first cache.
inline constexpr Index sum_rows = 128;

// Up to this many inputs, each is a weighted sum of the gates: cheaper than a panel of mostly
// zeros.
inline constexpr Index narrow_inputs = 3;

template <class S, class Layout, class Shape, class Args>
class WeightGradients {
  using Real = typename S::Real;
  using G = Groups<S, Layout>;

 public:
  // capacity: rows of a chunk at most.
  static Index scratch_size(const RecurrentShape& shape, Index capacity) {
    return rounded_up(ColumnPanels<S>::size(capacity / shape.K, shape.I), 16) +
           ColumnPanels<S>::size(capacity / shape.K, shape.H);
  }

  // gates: those of group g begin at gates + g * group_stride.
  WeightGradients(const Shape& shape, const Args& args, const Sequences& sequences,
                  const Real* gates, Index group_stride, Real* scratch, Index capacity)
      : shape_(shape),
        args_(args),
        sequences_(sequences),
        gates_(gates),
        group_stride_(group_stride),
        x_(scratch),
        h_(scratch + rounded_up(ColumnPanels<S>::size(capacity / shape.K, shape.I), 16)) {}

  bool wanted() const { return args_.dw_ih || args_.dw_hh || args_.db_ih || args_.db_hh; }

  // x and h before each step of the chunk, in the order of the gates' rows. Steps take turns; a
  // barrier must follow.
  void gather(const Chunk& chunk, const Team& team) const {
    const ColumnPanels<S> to_x = x_panels(chunk), to_h = h_panels(chunk);
    const Index h_stride = shape_.h_stride ? shape_.h_stride : shape_.H;
    Index row = 0;
    for (Index t = chunk.begin; t < chunk.end; row += sequences_.active(t), ++t) {
      if (t % team.size != team.index) continue;
      for (Index j = 0; j < sequences_.active(t); ++j) {
        const Index n = sequences_.index(j);
        if (args_.dw_ih) to_x.set_row(row + j, args_.x + sequences_.row(t, n) * shape_.I);
        if (args_.dw_hh) to_h.set_row(row + j, args_.h + (t * shape_.N + n) * h_stride);
      }
    }
  }

  // Adds the chunk's part; `first` is the first chunk, where beta counts. The pieces - one group of
  // one direction times a panel of x, a panel of h, or ones - take turns.
  void add(const Chunk& chunk, bool first, const Team& team) const {
    const Target w_ih{args_.dw_ih, shape_.I, first ? args_.beta_dw_ih : Real(1),
                      Layout::input_first, Layout::input_slots};
    const Target w_hh{args_.dw_hh, shape_.H, first ? args_.beta_dw_hh : Real(1),
                      Layout::hidden_first, Layout::hidden_slots};
    const Index x_count = args_.dw_ih ? x_panels(chunk).count() : 0;
    const Index h_count = args_.dw_hh ? h_panels(chunk).count() : 0;
    Index turn = 0;
    const auto mine = [&] { return turn++ % team.size == team.index; };
    for (Index k = 0; k < shape_.K; ++k) {
      for (Index group = 0; group < G::count(shape_.H); ++group) {
        const Piece piece{chunk, k, group};
        if (shape_.I <= narrow_inputs) {
          if (x_count && mine()) add_narrow(piece, x_panels(chunk), w_ih);
        } else {
          for (Index q = 0; q < x_count; ++q) {
            if (mine()) add_panel(piece, x_panels(chunk), q, w_ih);
          }
        }
        for (Index q = 0; q < h_count; ++q) {
          if (mine()) add_panel(piece, h_panels(chunk), q, w_hh);
        }
        if ((args_.db_ih || args_.db_hh) && mine()) add_biases(piece, first);
      }
    }
  }

 private:
  struct Target {
    Real* dw;  // [K,gates,H,columns]
    Index columns;
    Real beta;
    int first_vector;  // of the gates that face these weights
    const Slot* slots;
  };
  struct Piece {
    Chunk chunk;
    Index k, group;
  };

  ColumnPanels<S> x_panels(const Chunk& chunk) const {
    return {x_, chunk.rows / shape_.K, shape_.I};
  }
  ColumnPanels<S> h_panels(const Chunk& chunk) const {
    return {h_, chunk.rows / shape_.K, shape_.H};
  }

  Index held(const Piece& piece) const { return G::held(shape_.H, piece.group); }
  // Row of the result that element i of the group's dense window belongs to.
  Index weight_row(const Piece& piece, const Slot* slots, Index i) const {
    return piece.k * Layout::gates * shape_.H + G::weight_row(slots, shape_.H, piece.group, i);
  }

  // dw[gates of the group, columns of panel q] += dg^T times the gathered rows.
  void add_panel(const Piece& piece, const ColumnPanels<S>& right, Index q,
                 const Target& target) const {
    constexpr Index width = ColumnPanels<S>::two;
    alignas(64) Real out[G::window * width];
    const Index rows = piece.chunk.rows / shape_.K, window = G::dense_window(held(piece));
    if (rows == 0) zero_row(out, window * width);
    const Real* gates = gates_ + piece.group * group_stride_ + piece.k * G::row +
                        G::dense(target.first_vector, held(piece));
    for (Index row = 0; row < rows; row += sum_rows) {
      right.template multiply<Left::column_major>(q,
                                                  {.rows = window,
                                                   .depth = smaller(sum_rows, rows - row),
                                                   .a = gates + row * shape_.K * G::row,
                                                   .a_stride = shape_.K * G::row,
                                                   .out = out,
                                                   .out_stride = width,
                                                   .accumulate = row > 0},
                                                  row);
    }
    for (Index i = 0; i < window; ++i) {
      const Index row = weight_row(piece, target.slots, i);
      blend_row<S>(target.dw + row * target.columns + q * width, out + i * width, target.beta,
                   right.columns_in(q));
    }
  }

  void add_narrow(const Piece& piece, const ColumnPanels<S>& right, const Target& target) const {
    alignas(64) Real sums[G::row];
    for (Index column = 0; column < target.columns; ++column) {
      sum_gates(piece, right.row(0, 0) + column, right.stride(0), sums);
      add_column(piece, sums, target, column);
    }
  }

  void add_biases(const Piece& piece, bool first) const {
    alignas(64) Real sums[G::row];
    const Real one = 1;
    sum_gates(piece, &one, 0, sums);
    if (args_.db_ih) {
      add_column(piece, sums,
                 {args_.db_ih, 1, first ? args_.beta_db_ih : one, Layout::input_first,
                  Layout::input_slots},
                 0);
    }
    if (args_.db_hh) {
      add_column(piece, sums,
                 {args_.db_hh, 1, first ? args_.beta_db_hh : one, Layout::hidden_first,
                  Layout::hidden_slots},
                 0);
    }
  }

  // sums [row] = the group's gates, dense, summed over the chunk, each times its factor.
  void sum_gates(const Piece& piece, const Real* factor, Index factor_stride, Real* sums) const {
    typename S::Vec sum[Layout::vectors];
    UNROLL_FULL_UNROLL
    for (int v = 0; v < Layout::vectors; ++v) sum[v] = S::zero();
    const Real* gates = gates_ + piece.group * group_stride_;
    for (Index row = piece.k; row < piece.chunk.rows; row += shape_.K, factor += factor_stride) {
      const auto weight = S::set(*factor);
      UNROLL_FULL_UNROLL
      for (int v = 0; v < Layout::vectors; ++v) {
        sum[v] = S::fma(weight, S::load(gates + row * G::row + v * S::lanes), sum[v]);
      }
    }
    UNROLL_FULL_UNROLL
    for (int v = 0; v < Layout::vectors; ++v) S::store(sums + v * S::lanes, sum[v]);
  }

  void add_column(const Piece& piece, const Real* sums, const Target& target, Index column) const {
    const Index begin = G::dense(target.first_vector, held(piece));
    for (Index i = 0; i < G::dense_window(held(piece)); ++i) {
      const Index row = weight_row(piece, target.slots, i);
      Real* to = target.dw + row * target.columns + column;
      const Real value = sums[begin + i];
      *to = target.beta == 0 ? value : *to * target.beta + value;
    }
  }

  const Shape& shape_;
  const Args& args_;
  const Sequences& sequences_;
  const Real* const gates_;
  const Index group_stride_;
  Real *const x_, *const h_;
};

}  // namespace unroll::UNROLL_ISA_NS
