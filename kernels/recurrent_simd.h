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

#include <cstdint>
#include <cstring>

#include "kernels/panel_simd.h"
#include "kernels/recurrent.h"
#include "kernels/recurrent_team_simd.h"
#include "kernels/simd.h"

namespace unroll::UNROLL_ISA_NS {

// ---- Sequences

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
  // Active sequences of a step, on the average, rounded up.
  Index mean_active() const { return steps_ > 0 ? (total_ + steps_ - 1) / steps_ : 0; }
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

// Multiply-adds of the gates of all steps.
inline double gate_products(const RecurrentShape& s, int gates) {
  return double(Sequences(s).total() * (s.I + s.H) * s.H) * gates;
}

// The first of the rows of a part, of K rows per sorted sequence, such that every part has nearly
// the same number of valid steps.
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

// This thread's rows.
inline RowRange rows_of(const Team& team, const Sequences& sequences, Index N, Index K) {
  if (team.size == 1) return {0, N * K};
  return {first_row_of(sequences, N, K, team.index, team.size),
          first_row_of(sequences, N, K, team.index + 1, team.size)};
}

// Up to this many rows, a product is bound by reading the weights and by the latency of an fma: its
// panels are then wider and its sums run in two parts.
inline constexpr Index few_rows = two_sums_rows;

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
  if (count > 0) std::memcpy(to, from, std::size_t(count) * sizeof(Real));  // else they may be null
}
template <class Real>
inline void zero_row(Real* to, Index count) {
  if (count > 0) std::memset(to, 0, std::size_t(count) * sizeof(Real));
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

// Where H is not a multiple of the units of a group, the last group, the *tail*, holds fewer. Its
// gates then come in two forms: *spread*, vector v from v * lanes on as in the other groups, which
// cells work on; and *dense*, the lanes without a unit left out, which products work on.
template <class S, class Layout>
struct Groups {
  using Real = typename S::Real;
  static constexpr int lanes = S::lanes;
  static constexpr int units = Layout::blocks * lanes;  // of one group
  static constexpr int row = Layout::vectors * lanes;   // of gates, in elements
  static constexpr int block_vectors = Layout::vectors / Layout::blocks;
  static constexpr int window = Layout::window * lanes;  // that faces one product
  static constexpr bool joint = Layout::input_first == Layout::hidden_first;
  static_assert(Layout::blocks == 1 || block_vectors == 1);

  static Index count(Index H) { return (H + units - 1) / units; }
  static Index full(Index H) { return H / units; }
  static Index padded(Index H) { return count(H) * units; }
  static Index held(Index H, Index group) { return smaller(units, H - group * units); }

  // Where vector v begins in the dense form; for v = vectors, its size.
  static Index dense(Index v, Index held) {
    return Layout::blocks == 1 ? v * held : smaller(v * lanes, held);
  }
  static Index dense_window(Index held) { return dense(Layout::window, held); }

  // The row of weights, of all gates, that element i of a dense window faces.
  static Index weight_row(const Slot* slots, Index H, Index group, Index i) {
    const Index width = Layout::blocks == 1 ? held(H, group) : lanes;
    const Slot slot = slots[i / width];
    return slot.gate * H + group * units + slot.block * lanes + i % width;
  }

  // Whole vectors move: what they carry beyond a gate is overwritten or has no unit.
  static void spread(Index rows, Index held, Real* gates) {
    if (Layout::blocks > 1 || held == units) return;
    for (; rows > 0; --rows, gates += row) {
      for (int v = Layout::vectors - 1; v > 0; --v)
        S::store(gates + v * lanes, S::load(gates + v * held));
    }
  }
  static void compress(Index rows, Index held, Real* gates) {
    if (Layout::blocks > 1 || held == units) return;
    for (; rows > 0; --rows, gates += row) {
      for (int v = 1; v < Layout::vectors; ++v)
        S::store(gates + v * held, S::load(gates + v * lanes));
    }
  }
};

}  // namespace unroll::UNROLL_ISA_NS
