#include "kernels/lstm.h"

#include "kernels/lstm_steps.h"
#include "kernels/recurrent_pullback_simd.h"
#include "kernels/recurrent_pushforward_simd.h"
#include "kernels/recurrent_steps_forward_simd.h"
#include "kernels/recurrent_steps_pullback_simd.h"
#include "kernels/recurrent_steps_pushforward_simd.h"
#include "kernels/simd.h"

namespace unroll::UNROLL_ISA_NS {
namespace {

// Rows of a group: [i | f | g | o], before the activations, after them (saved) or their cotangents.
struct LstmLayout {
  static constexpr int gates = 4, vectors = 4, blocks = 1;
  static constexpr int window = 4, panel_vectors = 2, input_first = 0, hidden_first = 0;
  static constexpr Slot input_slots[] = {{0, 0}, {1, 0}, {2, 0}, {3, 0}};
  static constexpr const Slot* hidden_slots = input_slots;
  static constexpr bool carries_state = false;
};

template <class S>
UNROLL_SIMD_FN LstmGates<S> load_gates(const typename S::Real* p) {
  constexpr int L = S::lanes;
  return {S::load(p), S::load(p + L), S::load(p + 2 * L), S::load(p + 3 * L)};
}
template <class S>
UNROLL_SIMD_FN void store_gates(typename S::Real* p, const LstmGates<S>& gates) {
  constexpr int L = S::lanes;
  S::store(p, gates.i);
  S::store(p + L, gates.f);
  S::store(p + 2 * L, gates.g);
  S::store(p + 3 * L, gates.o);
}

// The cell before (step t) or after (step t + 1) a step.
template <class S, class Args>
UNROLL_SIMD_FN auto* cell_at(const LstmShape& shape, const Args& args, const CellPlace& place,
                             Index t) {
  return args.c + (t * shape.N + place.n) * shape.H + place.unit;
}

template <class S>
struct ForwardCell {
  using Real = typename S::Real;
  using Args = LstmForward<Real>;

  UNROLL_SIMD_FN void activate(const LstmShape& shape, const Args& args, const CellPlace& place,
                               Real* gates, Real* saved) {
    const LstmGates<S> active = lstm_activate<S>(load_gates<S>(gates));
    const auto before = load_part<S>(cell_at<S>(shape, args, place, place.t), place.count);
    const auto after = lstm_cell<S>(active, before);
    store_part<S>(cell_at<S>(shape, args, place, place.t + 1), after, place.count);
    if (saved) store_gates<S>(saved, active);
    S::store(gates, active.o);  // what the output needs
    S::store(gates + S::lanes, after);
  }

  UNROLL_SIMD_FN typename S::Vec output(const LstmShape&, const Args&, const CellPlace&,
                                        const Real* gates, Real*, typename S::Vec) {
    return lstm_output<S>(S::load(gates), S::load(gates + S::lanes));
  }

  static void finish(const LstmShape& shape, const Args& args, Index n, Index length) {
    const Index H = shape.H;
    if (args.c_n) copy_row(args.c_n + n * H, args.c + (length * shape.N + n) * H, H);
    for (Index t = length; t < segment_steps(shape); ++t)
      zero_row(args.c + ((t + 1) * shape.N + n) * H, H);
  }
};

template <class S>
struct PullbackCell {
  using Real = typename S::Real;
  using Args = LstmPullback<Real>;

  static void start(const LstmShape& shape, const Args& args, Index kn, Real* dc, Index padded) {
    zero_row(dc, padded);
    if (args.dc_n) copy_row(dc, args.dc_n + kn * shape.H, shape.H);
  }

  UNROLL_SIMD_FN void prepare(const LstmShape& shape, const Args& args, const CellPlace& place,
                              Real* d_gates) {
    const auto after = load_part<S>(cell_at<S>(shape, args, place, place.t + 1), place.count);
    S::store(d_gates, S::tanh(after));
  }

  UNROLL_SIMD_FN typename S::Vec step(const LstmShape& shape, const Args& args,
                                      const CellPlace& place, const Real* saved, typename S::Vec dh,
                                      Real* dc, Real* d_gates) {
    const auto before = load_part<S>(cell_at<S>(shape, args, place, place.t), place.count);
    const LstmCotangents<S> d = lstm_step_pullback<S>(
        load_gates<S>(saved), before, S::load(d_gates), {.h = dh, .c = S::load(dc)});
    store_gates<S>(d_gates, d.pre);
    S::store(dc, d.c_before);
    return S::zero();
  }

  UNROLL_SIMD_FN void prefetch(const LstmShape& shape, const Args& args, const CellPlace& place) {
    __builtin_prefetch(cell_at<S>(shape, args, place, place.t));
    __builtin_prefetch(cell_at<S>(shape, args, place, place.t + 1));
  }

  static void finish(const LstmShape& shape, const Args& args, Index kn, const Real* dc) {
    if (args.dc0) blend_row<S>(args.dc0 + kn * shape.H, dc, args.beta_dc0, shape.H);
  }
};

template <class S>
struct PushforwardCell {
  using Real = typename S::Real;
  using Args = LstmPushforward<Real>;

  static void start(const LstmShape& shape, const Args& args, Index kn, Real* dc, Index padded) {
    zero_row(dc, padded);
    if (args.dc0) copy_row(dc, args.dc0 + kn * shape.H, shape.H);
  }

  UNROLL_SIMD_FN typename S::Vec step(const LstmShape& shape, const Args& args,
                                      const CellPlace& place, const Real* saved, const Real* d_pre,
                                      typename S::Vec, Real* dc) {
    const auto before = load_part<S>(cell_at<S>(shape, args, place, place.t), place.count);
    const auto after = load_part<S>(cell_at<S>(shape, args, place, place.t + 1), place.count);
    const LstmState<S> d = lstm_step_pushforward<S>(load_gates<S>(saved), before, S::tanh(after),
                                                    load_gates<S>(d_pre), S::load(dc));
    S::store(dc, d.c);
    return d.h;
  }

  static void finish(const LstmShape& shape, const Args& args, Index kn, const Real* dc) {
    if (args.dc_n) copy_row(args.dc_n + kn * shape.H, dc, shape.H);
  }
};

template <class Real>
using Forward =
    RecurrentForward<Simd<Real>, LstmLayout, ForwardCell<Simd<Real>>, LstmShape, LstmForward<Real>>;
template <class Real>
using Pullback = RecurrentPullback<Simd<Real>, LstmLayout, PullbackCell<Simd<Real>>, LstmShape,
                                   LstmPullback<Real>>;
template <class Real>
using Pushforward = RecurrentPushforward<Simd<Real>, LstmLayout, PushforwardCell<Simd<Real>>,
                                         LstmShape, LstmPushforward<Real>>;

template <class Real>
using GeneralForward = StepsForward<Simd<Real>, LstmSteps<SimdSteps<Real>>, LstmForward<Real>>;
template <class Real>
using GeneralPullback = StepsPullback<Simd<Real>, LstmSteps<SimdSteps<Real>>, LstmPullback<Real>>;
template <class Real>
using GeneralPushforward =
    StepsPushforward<Simd<Real>, LstmSteps<SimdSteps<Real>>, LstmPushforward<Real>>;

}  // namespace

template <class Real>
LstmSizes lstm_sizes(const LstmShape& shape) noexcept {
  if (lstm_needs_general(shape)) {
    const StepsShape all = steps_shape(shape);
    return {.saved = saved_size(all),
            .forward_scratch = GeneralForward<Real>::scratch_size(all),
            .pullback_scratch = GeneralPullback<Real>::scratch_size(all),
            .pushforward_scratch = GeneralPushforward<Real>::scratch_size(all),
            .side_by_side = GeneralForward<Real>::side_by_side(all)};
  }
  using G = Groups<Simd<Real>, LstmLayout>;
  return {.saved = Sequences(shape).total() * G::count(shape.H) * G::row,
          .forward_scratch = Forward<Real>::scratch_size(shape),
          .pullback_scratch = Pullback<Real>::scratch_size(shape),
          .pushforward_scratch = Pushforward<Real>::scratch_size(shape),
          .side_by_side = Forward<Real>::side_by_side(shape),
          .packed = Forward<Real>::packed_size(shape),
          .layout = Forward<Real>::layout(shape)};
}

template <class Real>
void lstm_forward(const LstmShape& shape, const LstmForward<Real>& args) noexcept {
  if (!lstm_needs_general(shape)) return Forward<Real>(shape, args, args.saved).run();
  auto weights = weights_of<Real>(args);
  set_extra(weights, args.extra);
  GeneralForward<Real>(steps_shape(shape), args, weights).run();
}

template <class Real>
void lstm_pullback(const LstmShape& shape, const LstmPullback<Real>& args) noexcept {
  if (!lstm_needs_general(shape)) return Pullback<Real>(shape, args, args.saved).run();
  auto weights = weights_of<Real>(args);
  set_extra(weights, args.extra);
  auto d_weights = d_weights_of<Real*>(args);
  set_extra(d_weights, args.d_extra);
  auto betas = betas_of<Real>(args);
  set_extra(betas, args.beta_extra);
  GeneralPullback<Real>(steps_shape(shape), args, weights, d_weights, betas).run();
}

template <class Real>
void lstm_pushforward(const LstmShape& shape, const LstmPushforward<Real>& args) noexcept {
  if (!lstm_needs_general(shape)) return Pushforward<Real>(shape, args, args.saved).run();
  auto weights = weights_of<Real>(args);
  set_extra(weights, args.extra);
  auto tangents = d_weights_of<const Real*>(args);
  set_extra(tangents, args.d_extra);
  GeneralPushforward<Real>(steps_shape(shape), args, weights, tangents).run();
}

#define UNROLL_INSTANTIATE(Real)                                                           \
  template LstmSizes lstm_sizes<Real>(const LstmShape&) noexcept;                          \
  template void lstm_forward<Real>(const LstmShape&, const LstmForward<Real>&) noexcept;   \
  template void lstm_pullback<Real>(const LstmShape&, const LstmPullback<Real>&) noexcept; \
  template void lstm_pushforward<Real>(const LstmShape&, const LstmPushforward<Real>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::UNROLL_ISA_NS
