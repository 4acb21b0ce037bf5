// What the loops over time of the RNN, the LSTM and the GRU stand on: which sequences are active,
// who works on which rows, and how the gates of a cell are laid out and packed.
//
// Sequences are kept sorted by descending length, so that the active ones of a step come first.
// Their gates live in rows of `vectors` SIMD vectors per *group* of hidden units:
//
//   LSTM, a group of one lane per unit:  [i | f | g | o]
//   GRU                                  [n_x | r | z | n_h]   the input's product faces the first
//                                                              three, the hidden one the last three
//   RNN, a group of two lanes per unit:  [h | h']
//
// A `Layout` says this of a cell, at compile time; `Slot` names the rows of the weights that a
// vector stands for.
#pragma once

#ifdef _OPENMP
#include <omp.h>
#endif
#include <sched.h>

#include <cstdint>
#include <cstring>

#include "kernels/panel_simd.h"
#include "kernels/recurrent.h"
#include "kernels/simd.h"

namespace unroll::UNROLL_ISA_NS {

using Index = std::int64_t;

inline Index smaller(Index a, Index b) { return a < b ? a : b; }
inline Index larger(Index a, Index b) { return a > b ? a : b; }
inline Index rounded_up(Index n, Index multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// ---- Sequences and threads

// The sequences of a batch, in sorted order where lengths are given, in the steps of a call: step t
// is its t-th, and length its number of them.
class Sequences {
 public:
  explicit Sequences(const RecurrentShape& shape)
      : view_(shape.lengths),
        T_(shape.T),
        N_(shape.N),
        first_(shape.first_step),
        segment_(segment_steps(shape)),
        reverse_(shape.reverse) {
    steps_ = within(view_.length ? view_.longest : T_);
    total_ = view_.length ? 0 : steps_ * N_;
    for (Index t = 0; view_.length && t < steps_; ++t) total_ += active(t);
  }
  Index steps() const { return steps_; }
  Index total() const { return total_; }
  Index active(Index t) const {
    if (t >= steps_) return 0;
    return view_.length ? view_.active[first_ + t] : N_;
  }
  Index index(Index sorted) const { return view_.order ? view_.order[sorted] : sorted; }
  Index length(Index n) const { return within(whole_length(n)); }
  // Of all T steps.
  Index whole_length(Index n) const { return view_.length ? view_.length[n] : T_; }
  // Where step t of the run of sequence n lies in time, as a row of [T,N].
  Index row(Index t, Index n) const {
    const Index step = first_ + t;
    return (reverse_ ? whole_length(n) - 1 - step : step) * N_ + n;
  }

 private:
  // How many of the first `steps` steps of the run are the call's.
  Index within(Index steps) const { return smaller(larger(steps - first_, 0), segment_); }

  LengthsView view_;
  Index T_, N_, first_, segment_, steps_, total_;
  bool reverse_;
};

// Where a team waits for its last member. A waiting thread soon gives way: on a machine that is
// busy with other work, OpenMP's own barrier spins away the time that the last member needs.
class Meeting {
 public:
  void wait(int size) {
    const int round = __atomic_load_n(&round_, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&arrived_, 1, __ATOMIC_ACQ_REL) == size) {
      __atomic_store_n(&arrived_, 0, __ATOMIC_RELAXED);
      __atomic_store_n(&round_, round + 1, __ATOMIC_RELEASE);
      return;
    }
    for (int tries = 0; __atomic_load_n(&round_, __ATOMIC_ACQUIRE) == round; ++tries) {
      if (tries > 2000) sched_yield();
    }
  }

 private:
  alignas(64) int arrived_ = 0;
  alignas(64) int round_ = 0;
};

// One thread of those that work on a call.
struct Team {
  int index, size;
  Meeting* meeting;
  // All or none of a team call it, in the same order.
  void barrier() const {
    if (size > 1) meeting->wait(size);
  }
  // This thread's part of n equal pieces of work.
  Index begin(Index n) const { return n * index / size; }
  Index end(Index n) const { return n * (index + 1) / size; }
};

// Threads that pay for `rows` independent rows and this many multiply-adds in all. A thread needs
// a tile's height of rows, and about 20 microseconds of work to be worth waking.
inline int useful_threads(Index rows, double multiply_adds) {
#ifdef _OPENMP
  if (omp_in_parallel()) return 1;
  const double by_work = multiply_adds / 5e5;
  const Index by_rows = rows / tile_rows<2>();
  const Index most = smaller(omp_get_max_threads(), by_rows);
  const Index threads = by_work < double(most) ? Index(by_work) : most;
  return int(larger(threads, 1));
#else
  (void)rows, (void)multiply_adds;
  return 1;
#endif
}

template <class Body>
inline void run_team(int threads, const Body& body) {
#ifdef _OPENMP
  if (threads > 1) {
    Meeting meeting;
#pragma omp parallel num_threads(threads)
    body(Team{omp_get_thread_num(), omp_get_num_threads(), &meeting});
    return;
  }
#endif
  (void)threads;
  body(Team{0, 1, nullptr});
}

// Rows [begin, end) of K rows per sorted sequence, such that every thread has nearly the same
// number of valid steps.
struct RowRange {
  Index begin, end;
  RowRange before(Index limit) const { return {smaller(begin, limit), smaller(end, limit)}; }
  RowRange from(Index limit) const { return {larger(begin, limit), larger(end, limit)}; }
};

inline Index first_row_of(const Sequences& sequences, Index N, Index K, int part, int parts) {
  if (part == 0) return 0;
  if (part == parts) return N * K;
  double target = double(sequences.total()) * double(K) * part / parts;
  for (Index j = 0; j < N; ++j) {
    const double steps = double(sequences.length(sequences.index(j)));
    if (target < steps * double(K)) return j * K + Index(target / steps);
    target -= steps * double(K);
  }
  return N * K;
}

inline RowRange rows_of(const Team& team, const Sequences& sequences, Index N, Index K) {
  if (team.size == 1) return {0, N * K};
  return {first_row_of(sequences, N, K, team.index, team.size),
          first_row_of(sequences, N, K, team.index + 1, team.size)};
}

// ---- Vectors of a part of a row

template <class S>
UNROLL_SIMD_FN typename S::Vec load_part(const typename S::Real* p, Index count) {
  return count >= S::lanes ? S::load(p) : S::load_n(p, int(count));
}
template <class S>
UNROLL_SIMD_FN void store_part(typename S::Real* p, typename S::Vec a, Index count) {
  if (count >= S::lanes) return S::store(p, a);
  S::store_n(p, a, int(count));
}
template <class Real>
inline void copy_row(Real* to, const Real* from, Index count) {
  if (count == 1) {  // the width of a single series
    *to = *from;
    return;
  }
  std::memcpy(to, from, std::size_t(count) * sizeof(Real));
}
template <class Real>
inline void zero_row(Real* to, Index count) {
  std::memset(to, 0, std::size_t(count) * sizeof(Real));
}
// Zeros where sequence n is padded, in direction k of x, whose [K,T,N] rows are `stride` apart. Of
// the segments of a run the first does it for all.
template <class Real>
inline void zero_padding(const RecurrentShape& s, const Sequences& sequences, Index k, Index n,
                         Real* x, Index stride, Index size) {
  if (s.first_step > 0) return;
  for (Index t = sequences.whole_length(n); t < s.T; ++t) {
    zero_row(x + ((k * s.T + t) * s.N + n) * stride, size);
  }
}
// to = beta to + from; to is not read for beta 0; from null is zero.
template <class S>
inline void blend_row(typename S::Real* to, const typename S::Real* from, typename S::Real beta,
                      Index count) {
  const auto factor = S::set(beta);
  for (Index i = 0; i < count; i += S::lanes) {
    auto value = from ? load_part<S>(from + i, count - i) : S::zero();
    if (beta != 0) value = S::fma(factor, load_part<S>(to + i, count - i), value);
    store_part<S>(to + i, value, count - i);
  }
}

// ---- Groups of hidden units

// A vector of gates stands for the rows gate * H + (group's first unit) + block * lanes ... of the
// weights.
struct Slot {
  int gate, block;
};

template <class S, class Layout>
struct Groups {
  using Real = typename S::Real;
  static constexpr int lanes = S::lanes;
  static constexpr int units = Layout::blocks * lanes;  // of one group
  static constexpr int row = Layout::vectors * lanes;   // of gates, in elements
  static constexpr int block_vectors = Layout::vectors / Layout::blocks;
  static constexpr int window = Layout::window * lanes;        // that faces one product
  static constexpr int panel = Layout::panel_vectors * lanes;  // of forward weights
  static constexpr int panels = Layout::window / Layout::panel_vectors;
  static constexpr bool joint = Layout::input_first == Layout::hidden_first;

  static Index count(Index H) { return (H + units - 1) / units; }
  static Index padded(Index H) { return count(H) * units; }
};

// ---- Forward weights: gates = [x 1 h] (panels of every group)

// The row that a sequence shows the weights: its input, a one that faces the biases, its state.
template <class S, class Layout>
inline Index gate_input_stride(const RecurrentShape& shape) {
  return shape.I + 1 + Groups<S, Layout>::padded(shape.H);
}

template <class Real>
struct GateWeights {
  const Real *w_ih, *w_hh, *b_ih, *b_hh;  // each may be null for zero
};

// Packed so that one product gives all gates of a group where the same vectors face the input and
// the state (joint); else the input's panels come first, the state's after them.
template <class S, class Layout>
class GatePanels {
  using Real = typename S::Real;
  using G = Groups<S, Layout>;

 public:
  static Index size(const RecurrentShape& shape) {
    const Index depth = shape.I + 1 + shape.H + (G::joint ? 0 : 1);
    return G::count(shape.H) * depth * G::window;
  }

  GatePanels(const RecurrentShape& shape, Real* storage)
      : I_(shape.I), H_(shape.H), panels_(storage) {}

  // Packs this thread's groups; a barrier must follow.
  void pack(const GateWeights<Real>& w, const Team& team) const {
    const Index groups = G::count(H_);
    for (Index group = team.begin(groups); group < team.end(groups); ++group) {
      for (int v = 0; v < Layout::window; ++v) {
        const int lane = v % Layout::panel_vectors * S::lanes;
        Real* input = input_panel(group, v / Layout::panel_vectors) + lane;
        Real* state = state_panel(group, v / Layout::panel_vectors) + lane;
        const Slot in = Layout::input_slots[v], hidden = Layout::hidden_slots[v];
        pack_vector(w.w_ih, I_, group, in, input);
        pack_vector(w.w_hh, H_, group, hidden, state + G::panel);
        // Joint: input's last row and state's first are the same row and hold both biases.
        pack_bias(w.b_ih, group, in, input + I_ * G::panel, false);
        pack_bias(w.b_hh, group, hidden, state, G::joint);
      }
    }
  }

  // gates [rows][row] of a group = (accumulate ? gates : 0) + a [rows][x 1 h] weights.
  void multiply(Index group, Index rows, const Real* a, Index a_stride, Real* gates,
                bool accumulate) const {
    PanelProduct<Real> p{.rows = rows,
                         .depth = I_ + 1 + H_,
                         .a = a,
                         .a_stride = a_stride,
                         .out_stride = G::row,
                         .accumulate = accumulate};
    if constexpr (G::joint) {
      for (int q = 0; q < G::panels; ++q) {
        p.panel = input_panel(group, q);
        p.out = gates + q * G::panel;
        multiply_panel<S, Layout::panel_vectors, Left::row_major>(p);
      }
    } else {
      static_assert(G::panels == 1 && Layout::input_first == 0);
      constexpr int last = (Layout::vectors - 1) * S::lanes;  // the state's product alone faces it
      if (!accumulate) {
        for (Index r = 0; r < rows; ++r) S::store(gates + r * G::row + last, S::zero());
      }
      p.depth = I_ + 1;
      p.panel = input_panel(group, 0);
      p.out = gates;
      multiply_panel<S, Layout::panel_vectors, Left::row_major>(p);
      p.depth = 1 + H_;
      p.a = a + I_;
      p.panel = state_panel(group, 0);
      p.out = gates + Layout::hidden_first * S::lanes;
      p.accumulate = true;
      multiply_panel<S, Layout::panel_vectors, Left::row_major>(p);
    }
  }

 private:
  Real* input_panel(Index group, Index q) const {
    const Index depth = I_ + 1 + (G::joint ? H_ : 0);
    return panels_ + (group * G::panels + q) * depth * G::panel;
  }
  // Its first row is the bias.
  Real* state_panel(Index group, Index q) const {
    if constexpr (G::joint) return input_panel(group, q) + I_ * G::panel;
    return input_panel(G::count(H_), 0) + (group * G::panels + q) * (1 + H_) * G::panel;
  }

  Index unit(Index group, Slot slot) const { return group * G::units + slot.block * S::lanes; }

  void pack_vector(const Real* w, Index columns, Index group, Slot slot, Real* to) const {
    const Index first = unit(group, slot);
    for (int lane = 0; lane < S::lanes; ++lane) {
      const bool real_unit = w && first + lane < H_;
      const Real* from = real_unit ? w + (slot.gate * H_ + first + lane) * columns : nullptr;
      for (Index k = 0; k < columns; ++k) to[k * G::panel + lane] = from ? from[k] : Real(0);
    }
  }

  void pack_bias(const Real* b, Index group, Slot slot, Real* to, bool add) const {
    const Index first = unit(group, slot);
    for (int lane = 0; lane < S::lanes; ++lane) {
      const Real value = b && first + lane < H_ ? b[slot.gate * H_ + first + lane] : Real(0);
      to[lane] = add ? to[lane] + value : value;
    }
  }

  Index I_, H_;
  Real* panels_;
};

}  // namespace unroll::UNROLL_ISA_NS
