// The weights of a forward loop, packed: gates = [x 1 h] weights, group of hidden units by group.
//
// The one faces the biases. Where the same vectors of a group face the input and the state (joint:
// LSTM, RNN), one product gives all gates; else (GRU) the input's panels come first, the state's,
// with their own biases, after them.
#pragma once

#include "kernels/recurrent_simd.h"
#include "kernels/transpose_tile_simd.h"

namespace unroll::UNROLL_ISA_NS {

// The row that a sequence shows the weights: its input, a one, its state. An odd number of cache
// lines, so that the rows of a tile do not fall into the same few sets of the first cache.
template <class S, class Layout>
inline Index gate_input_stride(const RecurrentShape& shape) {
  constexpr Index line = 64 / sizeof(typename S::Real);
  const Index size = shape.I + 1 + Groups<S, Layout>::padded(shape.H);
  return ((size + line - 1) / line | 1) * line;
}

template <class Real>
struct GateWeights {
  const Real *w_ih, *w_hh, *b_ih, *b_hh;  // each may be null for zero
};

template <class S, class Layout>
class GatePanels {
  using Real = typename S::Real;
  using G = Groups<S, Layout>;
  static constexpr Index lanes = S::lanes;

 public:
  static Index size(const RecurrentShape& shape) {
    return vectors_of(shape.H) * lanes * (input_depth(shape.I, shape.H) + state_depth(shape.H));
  }

  // Of panels for up to `rows` rows: those of one layout lie alike.
  static int layout(Index rows) { return rows <= few_rows ? 1 : 0; }

  // rows: of a step at most.
  GatePanels(const RecurrentShape& shape, Real* storage, Index rows)
      : I_(shape.I), H_(shape.H), few_(layout(rows) == 1), panels_(storage) {}

  // Packs this thread's groups; a barrier must follow.
  void pack(const GateWeights<Real>& w, const Team& team) const {
    const Index groups = G::count(H_);
    for (Index group = team.begin(groups); group < team.end(groups); ++group) {
      const Index held = G::held(H_, group);
      if (held == G::units) {
        for (int v = 0; v < Layout::window; ++v) pack_vector(w, group, v);
      } else {
        for (Index i = 0; i < tail_vectors(H_) * lanes; ++i) pack_lane(w, group, held, i);
      }
    }
  }

  // gates [rows][row] of a group = (accumulate ? gates : 0) + a [rows][x 1 h] weights; dense.
  void multiply(Index group, Index rows, const Real* a, Index a_stride, Real* gates,
                bool accumulate) const {
    if constexpr (G::joint) {
      run(group, {input_at(group), I_ + 1 + H_, 0, I_ + 1 + H_, few_}, rows, a, a_stride, gates,
          accumulate);
    } else {
      multiply_input(group, rows, a, a_stride, gates, accumulate, few_);
      multiply_state(group, rows, a, a_stride, gates);
    }
  }

  // The part of [x 1] of the rows of many steps: never in two sums, as what would be summed so
  // depends on how many steps there are.
  void multiply_inputs(Index group, Index rows, const Real* a, Index a_stride, Real* gates) const {
    multiply_input(group, rows, a, a_stride, gates, false, false);
  }

  // The part of [x 1] of the rows of one step: as multiply() where the state is zero.
  void multiply_without_state(Index group, Index rows, const Real* a, Index a_stride,
                              Real* gates) const {
    multiply_input(group, rows, a, a_stride, gates, false, few_);
  }

  // Adds the rest.
  void multiply_state(Index group, Index rows, const Real* a, Index a_stride, Real* gates) const {
    const Index first = G::dense(Layout::hidden_first, G::held(H_, group));
    const Source from = G::joint ? Source{input_at(group), input_depth(I_, H_), I_ + 1, H_, few_}
                                 : Source{state_at(group), 1 + H_, 0, 1 + H_, few_};
    run(group, from, rows, a + I_ + (G::joint ? 1 : 0), a_stride, gates + first, true);
  }

 private:
  void multiply_input(Index group, Index rows, const Real* a, Index a_stride, Real* gates,
                      bool accumulate, bool two_sums) const {
    static_assert(Layout::input_first == 0);
    run(group, {input_at(group), input_depth(I_, H_), 0, I_ + 1, two_sums}, rows, a, a_stride,
        gates, accumulate);
    if (G::joint || accumulate) return;
    const Index begin = G::dense_window(G::held(H_, group));  // the state's product alone faces it
    for (Index r = 0; r < rows; ++r) zero_row(gates + r * G::row + begin, G::row - begin);
  }

  // Rows [begin, begin + depth) of the panels of a group, each of which has panel_depth.
  struct Source {
    Real* panels;
    Index panel_depth, begin, depth;
    bool two_sums;
  };

  static Index tail_vectors(Index H) {
    const Index held = H - G::full(H) * G::units;
    return (G::dense_window(held) + lanes - 1) / lanes;
  }
  static Index vectors_of(Index H) { return G::full(H) * Layout::window + tail_vectors(H); }
  static Index input_depth(Index I, Index H) { return I + 1 + (G::joint ? H : 0); }
  static Index state_depth(Index H) { return G::joint ? 0 : 1 + H; }

  Index vectors(Index group) const {
    return group < G::full(H_) ? Layout::window : tail_vectors(H_);
  }
  Index width(Index group) const {
    if (group == G::full(H_)) return tail_vectors(H_);
    return few_ ? Layout::window : Layout::panel_vectors;
  }
  Real* input_at(Index group) const { return panels_ + group * input_depth(I_, H_) * G::window; }
  Real* state_at(Index group) const {
    return panels_ + vectors_of(H_) * lanes * input_depth(I_, H_) +
           group * state_depth(H_) * G::window;
  }

  void run(Index group, const Source& from, Index rows, const Real* a, Index a_stride, Real* out,
           bool accumulate) const {
    const Index row = width(group) * lanes;
    PanelProduct<Real> p{.rows = rows,
                         .depth = from.depth,
                         .a = a,
                         .a_stride = a_stride,
                         .panel = from.panels + from.begin * row,
                         .out = out,
                         .out_stride = G::row,
                         .accumulate = accumulate,
                         .two_sums = from.two_sums};
    for (Index v = 0; v < vectors(group); v += width(group)) {
      multiply_panel_of<S, Left::row_major>(width(group), p);
      p.panel += from.panel_depth * row;
      p.out += row;
    }
  }

  // Where element i of a group's window lies in its panels: the rows of the input and of the state,
  // the first of which is the bias. Joint: the input's bias row is the state's.
  struct Place {
    Real *input, *state;
    Index stride;
  };
  Place place(Index group, Index i) const {
    const Index stride = width(group) * lanes, q = i / stride, lane = i % stride;
    Real* input = input_at(group) + q * stride * input_depth(I_, H_) + lane;
    Real* state =
        G::joint ? input + I_ * stride : state_at(group) + q * stride * state_depth(H_) + lane;
    return {input, state, stride};
  }

  void pack_vector(const GateWeights<Real>& w, Index group, Index v) const {
    const Place to = place(group, v * lanes);
    const Index in = G::weight_row(Layout::input_slots, H_, group, v * lanes);
    const Index hidden = G::weight_row(Layout::hidden_slots, H_, group, v * lanes);
    pack_rows(w.w_ih, in, I_, to.input, to.stride);
    pack_rows(w.w_hh, hidden, H_, to.state + to.stride, to.stride);
    for (Index lane = 0; lane < lanes; ++lane) {
      pack_bias(w, in + lane, hidden + lane, {to.input + lane, to.state + lane, to.stride});
    }
  }

  // Rows [first, first + lanes) of w [*,columns] as the columns of `to`.
  static void pack_rows(const Real* w, Index first, Index columns, Real* to, Index stride) {
    const Real* from = w ? w + first * columns : nullptr;
    Index k = 0;
    if (from) {
      for (; k + lanes <= columns; k += lanes)
        transpose_tile<Real>(from + k, columns, to + k * stride, stride);
    }
    for (; k < columns; ++k) {
      for (Index lane = 0; lane < lanes; ++lane)
        to[k * stride + lane] = from ? from[lane * columns + k] : Real(0);
    }
  }

  void pack_lane(const GateWeights<Real>& w, Index group, Index held, Index i) const {
    const Place to = place(group, i);
    const bool real = i < G::dense_window(held);
    const Index in = real ? G::weight_row(Layout::input_slots, H_, group, i) : -1;
    const Index hidden = real ? G::weight_row(Layout::hidden_slots, H_, group, i) : -1;
    const Real* x = real && w.w_ih ? w.w_ih + in * I_ : nullptr;
    const Real* h = real && w.w_hh ? w.w_hh + hidden * H_ : nullptr;
    for (Index k = 0; k < I_; ++k) to.input[k * to.stride] = x ? x[k] : Real(0);
    for (Index k = 0; k < H_; ++k) to.state[(k + 1) * to.stride] = h ? h[k] : Real(0);
    pack_bias(w, in, hidden, to);
  }

  void pack_bias(const GateWeights<Real>& w, Index in, Index hidden, const Place& to) const {
    to.input[I_ * to.stride] = w.b_ih && in >= 0 ? w.b_ih[in] : Real(0);
    const Real bias = w.b_hh && hidden >= 0 ? w.b_hh[hidden] : Real(0);
    *to.state = G::joint ? *to.state + bias : bias;
  }

  Index I_, H_;
  bool few_;
  Real* panels_;
};

}  // namespace unroll::UNROLL_ISA_NS
