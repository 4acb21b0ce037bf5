// The general loop over time: any options of a cell, none included. Beside the fused loops
// (recurrent_{forward,pullback,pushforward}_simd.h), whose oracle it is.
//
// Stages, rows and cells: recurrent_steps.h.
#pragma once

#include "core/philox.h"
#include "kernels/recurrent_steps.h"
#include "kernels/recurrent_weights_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Of all valid steps; one row even for none, so that there is a place to point at.
inline Index saved_size(const StepsShape& s) {
  return larger(Sequences(s).total(), 1) * SavedFields(s).size;
}

// One vector of a row, of lanes or fewer numbers.
template <class S>
struct Part {
  using Real = typename S::Real;
  Index at, count;
  UNROLL_HOST_DEVICE typename S::Vec load(const Real* row) const {
    return load_part<S>(row + at, count);
  }
  UNROLL_HOST_DEVICE void store(Real* row, typename S::Vec v) const {
    store_part<S>(row + at, v, count);
  }
  UNROLL_HOST_DEVICE void add(Real* row, typename S::Vec v) const { store(row, load(row) + v); }
};

template <class S, class Body>
UNROLL_SIMD_FN void for_parts(Index size, const Body& body) {
  for (Index at = 0; at < size; at += S::lanes) body(Part<S>{at, size - at});
}

// ---- A matrix packed once per call, the right operand of products with many rows

template <class S>
class StepMatrix {
  using Real = typename S::Real;

 public:
  static Index size(Index depth, Index columns) { return ColumnPanels<S>::size(depth, columns); }
  StepMatrix(Real* storage, Index depth, Index columns)
      : panels_(storage, depth, columns), depth_(depth), columns_(columns) {}

  // This thread's part of w [depth, columns]; a barrier must follow. Null: zeros.
  void pack(const Real* w, const Team& team) const {
    for (Index k = team.begin(depth_); k < team.end(depth_); ++k) {
      panels_.set_row(k, w ? w + k * columns_ : nullptr);
    }
  }

  // The same of the transpose of w [columns, depth].
  void pack_transposed(const Real* w, const Team& team) const {
    for (Index q = team.begin(panels_.count()); q < team.end(panels_.count()); ++q) {
      for (Index i = 0; i < panels_.stride(q); ++i) {
        const bool real = w && i < panels_.columns_in(q);
        const Real* from = real ? w + (q * ColumnPanels<S>::two + i) * depth_ : nullptr;
        for (Index k = 0; k < depth_; ++k) panels_.row(q, k)[i] = from ? from[k] : Real(0);
      }
    }
  }

  // out [rows, columns] (+)= a [rows, depth] times this. Rows of out have room for whole vectors.
  void multiply(Index rows, const Rows<Real>& a, const Rows<Real>& out, bool accumulate) const {
    PanelProduct<Real> p{.rows = rows,
                         .depth = depth_,
                         .a = a.data,
                         .a_stride = a.stride,
                         .out_stride = out.stride,
                         .accumulate = accumulate};
    for (Index q = 0; q < panels_.count(); ++q) {
      p.out = out.data + q * ColumnPanels<S>::two;
      panels_.template multiply<Left::row_major>(q, p);
    }
  }

 private:
  ColumnPanels<S> panels_;
  Index depth_, columns_;
};

// ---- Normalisation of a row:  hat = scale (v - mean v),  scale = (var v + 1e-5)^(-1/2)

template <class S>
inline typename S::Real sum_of(typename S::Vec v) {
  alignas(64) typename S::Real lane[S::lanes];
  S::store(lane, v);
  typename S::Real sum = 0;
  for (int i = 0; i < S::lanes; ++i) sum += lane[i];
  return sum;
}

// hat, which may be v; returns the scale.
template <class S>
inline typename S::Real normalise(const typename S::Real* v, typename S::Real* hat, Index size) {
  using Real = typename S::Real;
  auto sum = S::zero();
  for_parts<S>(size, [&](Part<S> i) { sum += i.load(v); });
  const Real mean = sum_of<S>(sum) / Real(size);
  Real squares = 0;
  for (Index i = 0; i < size; ++i) squares += (v[i] - mean) * (v[i] - mean);
  const Real scale = Real(1) / Real(__builtin_sqrt(double(squares / Real(size) + Real(1e-5))));
  for_parts<S>(size, [&](Part<S> i) { i.store(hat, (i.load(v) - S::set(mean)) * S::set(scale)); });
  return scale;
}

// to = scale (d - mean d - hat mean(d hat)): the tangent of hat from that of v, and, the map being
// symmetric, the cotangent of v from that of hat. to may be d.
template <class S>
inline void normalise_slope(const typename S::Real* hat, typename S::Real scale,
                            const typename S::Real* d, typename S::Real* to, Index size) {
  using Real = typename S::Real;
  auto sum = S::zero(), along = S::zero();
  for_parts<S>(size, [&](Part<S> i) {
    sum += i.load(d);
    along = S::fma(i.load(d), i.load(hat), along);
  });
  const auto mean = S::set(sum_of<S>(sum) / Real(size));
  const auto slope = S::set(sum_of<S>(along) / Real(size));
  for_parts<S>(size, [&](Part<S> i) {
    i.store(to, (S::fnma(i.load(hat), slope, i.load(d) - mean)) * S::set(scale));
  });
}

// How cells walk a row (recurrent_steps.h): vector by vector.
template <class Real_>
struct SimdSteps : Simd<Real_> {
  using Real = Real_;
  using Part = ::unroll::UNROLL_ISA_NS::Part<Simd<Real>>;

  template <class Body>
  UNROLL_SIMD_FN void for_parts(Index size, const Body& body) {
    ::unroll::UNROLL_ISA_NS::for_parts<Simd<Real>>(size, body);
  }
  static Real normalise(const Real* v, Real* hat, Index size) {
    return ::unroll::UNROLL_ISA_NS::normalise<Simd<Real>>(v, hat, size);
  }
  static void normalise_slope(const Real* hat, Real scale, const Real* d, Real* to, Index size) {
    ::unroll::UNROLL_ISA_NS::normalise_slope<Simd<Real>>(hat, scale, d, to, size);
  }
  static void put(Real* to, Real number) { *to = number; }
};

// ---- What the three passes share

template <class S, class Cell>
class Steps {
 protected:
  using Real = typename S::Real;

  // numbers: [N,P] of scratch for the dropout masks.
  Steps(const StepsShape& shape, const Parameters<const Real*>& weights, Real* numbers)
      : shape_(shape),
        sequences_(shape),
        saved_fields_(shape),
        fields_(shape),
        weights_(weights),
        cell_{shape_, fields_, saved_fields_, weights_},
        h_stride_(shape.h_stride ? shape.h_stride : shape.P),
        drop_{numbers, shape.P} {}

  static Index mask_size(const StepsShape& s) { return dropping(s) ? s.N * s.P : 0; }
  static bool dropping(const StepsShape& s) { return s.options.training && s.options.dropout > 0; }
  bool dropping() const { return dropping(shape_); }

  // Multiply-adds of the gates of all steps.
  static double products(const StepsShape& s) {
    return double(Sequences(s).total() * (s.I + s.P) * s.H) * double(s.gates);
  }
  int threads(Index passes) const {
    return useful_threads(shape_.N, double(passes * shape_.K) * products(shape_));
  }

  void draw_dropout(RowRange sequences) const {
    if (!dropping()) return;
    const RecurrentOptions& o = shape_.options;
    for (Index j = sequences.begin; j < sequences.end; ++j) {
      const Index n = sequences_.index(j);
      for (Index u = 0; u < shape_.P; ++u) {
        const double draw =
            uniform_at(o.seed, o.stream, o.counter + std::uint64_t(n * shape_.P + u));
        drop_[n][u] = Real(draw < o.dropout ? 0 : 1 / (1 - o.dropout));
      }
    }
  }

  // The work row of step t of sequence n. x, h and c may be null where no one asks for them.
  void load(Index t, Index n, const Real* x, const Real* h, const Real* c, Real* work) const {
    const Index P = shape_.P, H = shape_.H;
    if (x) copy_row(work + fields_.x, x + sequences_.row(t, n) * shape_.I, shape_.I);
    if (h) {
      copy_row(work + fields_.h, h + (t * shape_.N + n) * h_stride_, P);
      copy_row(work + fields_.m, work + fields_.h, P);
      mask(n, work + fields_.m);
    }
    if (c) copy_row(work + fields_.c, c + (t * shape_.N + n) * H, H);
    const RecurrentOptions& o = shape_.options;
    const Index begin = shape_.N * P, step = (shape_.first_step + t) * shape_.N + n;
    if (o.zoneout_h > 0) keep(o.zoneout_h, begin + step * P, work + fields_.keep_h, P);
    if (o.zoneout_c > 0) {
      keep(o.zoneout_c, begin + shape_.T * shape_.N * P + step * H, work + fields_.keep_c, H);
    }
  }

  void mask(Index n, Real* m) const {
    if (!dropping()) return;
    for_parts<S>(shape_.P, [&](Part<S> u) { u.store(m, u.load(m) * u.load(drop_[n])); });
  }

  // c of the arguments, or null for a family without one.
  template <class Args>
  static const Real* cells(const Args& args) {
    if constexpr (Cell::has_cell) return args.c;
    return nullptr;
  }

  // How much of the old value each unit keeps.
  void keep(double rate, Index first, Real* to, Index size) const {
    const RecurrentOptions& o = shape_.options;
    for (Index u = 0; u < size; ++u) {
      if (!o.training) {
        to[u] = Real(rate);
        continue;
      }
      to[u] = uniform_at(o.seed, o.stream, o.counter + std::uint64_t(first + u)) < rate ? 1 : 0;
    }
  }

  // row = gain row + bias; each may be null.
  static void affine(Real* row, const Real* gain, const Real* bias, Index size) {
    for_parts<S>(size, [&](Part<S> i) {
      auto v = i.load(row);
      if (gain) v *= i.load(gain);
      if (bias) v += i.load(bias);
      i.store(row, v);
    });
  }

  const StepsShape shape_;
  const Sequences sequences_;
  const SavedFields saved_fields_;
  const StepFields fields_;
  const Parameters<const Real*> weights_;
  const Cell cell_;
  const Index h_stride_;
  const Rows<Real> drop_;
};

// The matrices of a step as values see them: transposed, so that rows of inputs face them.
template <class S>
class StepWeights {
  using Real = typename S::Real;

 public:
  static Index size(const StepsShape& s) { return places(s).used; }
  StepWeights(const StepsShape& s, Real* storage)
      : shape_(s),
        input_(storage + places(s).at[0], s.I, s.gates * s.H),
        hidden_(storage + places(s).at[1], s.P, outer_rows(s)),
        inner_(storage + places(s).at[2], s.reset_first ? s.H : 0, s.H),
        projection_(storage + places(s).at[3], s.projection ? s.H : 0, s.P) {}

  void pack(const Parameters<const Real*>& w, const Team& team) const {
    const Real* hidden = w[Parameter::w_hh];
    input_.pack_transposed(w[Parameter::w_ih], team);
    hidden_.pack_transposed(hidden, team);
    if (shape_.reset_first) {
      inner_.pack_transposed(hidden ? hidden + outer_rows(shape_) * shape_.P : nullptr, team);
    }
    if (shape_.projection) projection_.pack_transposed(w[Parameter::w_hr], team);
  }

  // from_x = w_ih x and from_h = w_hh m of `rows` rows; input() and hidden() may add to them.
  void gates(Index rows, const Rows<Real>& from, const Rows<Real>& to, const StepFields& f) const {
    input(rows, from, to, f, false);
    hidden(rows, from, to, f, false);
  }
  void input(Index rows, const Rows<Real>& from, const Rows<Real>& to, const StepFields& f,
             bool accumulate) const {
    input_.multiply(rows, from.field(f.x), to.field(f.from_x), accumulate);
  }
  void hidden(Index rows, const Rows<Real>& from, const Rows<Real>& to, const StepFields& f,
              bool accumulate) const {
    hidden_.multiply(rows, from.field(f.m), to.field(f.from_h), accumulate);
    if (!shape_.reset_first) return;
    const Index outer = outer_rows(shape_);  // the last gate's product is the inner one
    for (Index row = 0; row < rows; ++row) zero_row(to[row] + f.from_h + outer, shape_.H);
  }
  void inner(Index rows, const Rows<Real>& q, const Rows<Real>& to, bool accumulate) const {
    inner_.multiply(rows, q, to, accumulate);
  }
  void project(Index rows, const Rows<Real>& out, const Rows<Real>& to, bool accumulate) const {
    projection_.multiply(rows, out, to, accumulate);
  }

 private:
  struct Starts {
    Index at[4], used;
  };
  static Starts places(const StepsShape& s) {
    Places at;
    Starts p{};
    p.at[0] = at.take(StepMatrix<S>::size(s.I, s.gates * s.H));
    p.at[1] = at.take(StepMatrix<S>::size(s.P, outer_rows(s)));
    p.at[2] = at.take(s.reset_first ? StepMatrix<S>::size(s.H, s.H) : 0);
    p.at[3] = at.take(s.projection ? StepMatrix<S>::size(s.H, s.P) : 0);
    p.used = at.used;
    return p;
  }

  const StepsShape shape_;
  const StepMatrix<S> input_, hidden_, inner_, projection_;
};

}  // namespace unroll::UNROLL_ISA_NS
