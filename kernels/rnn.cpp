#include "kernels/rnn.h"

#include "kernels/recurrent_pullback_simd.h"
#include "kernels/recurrent_pushforward_simd.h"
#include "kernels/recurrent_steps_forward_simd.h"
#include "kernels/recurrent_steps_pullback_simd.h"
#include "kernels/recurrent_steps_pushforward_simd.h"
#include "kernels/rnn_steps.h"
#include "kernels/simd.h"

namespace unroll::UNROLL_ISA_NS {
namespace {

// Rows of a group: the only gate of two blocks of units, which makes panels of two vectors.
struct RnnLayout {
  static constexpr int gates = 1, vectors = 2, blocks = 2;
  static constexpr int window = 2, panel_vectors = 2, input_first = 0, hidden_first = 0;
  static constexpr Slot input_slots[] = {{0, 0}, {0, 1}};
  static constexpr const Slot* hidden_slots = input_slots;
  static constexpr bool carries_state = false;
};

// value times the slope of the activation at this place.
template <class Args>
inline auto* state_after(const RnnShape& shape, const Args& args, const CellPlace& place) {
  const Index stride = shape.h_stride ? shape.h_stride : shape.H;
  return args.h + ((place.t + 1) * shape.N + place.n) * stride + place.unit;
}
template <class S, class Args>
UNROLL_SIMD_FN typename S::Vec times_slope(const RnnShape& shape, const Args& args,
                                           const CellPlace& place, typename S::Vec value) {
  const auto y = load_part<S>(state_after(shape, args, place), place.count);
  return rnn_activated_slope<S>(shape.activation, y, value);
}

template <class S>
struct ForwardCell {
  using Real = typename S::Real;
  using Args = RnnForward<Real>;

  UNROLL_SIMD_FN void activate(const RnnShape&, const Args&, const CellPlace&, Real*, Real*) {}

  UNROLL_SIMD_FN typename S::Vec output(const RnnShape& shape, const Args&, const CellPlace&,
                                        const Real* gates, Real*, typename S::Vec) {
    return rnn_activated<S>(shape.activation, S::load(gates));
  }

  static void finish(const RnnShape&, const Args&, Index, Index) {}
};

template <class S>
struct PullbackCell {
  using Real = typename S::Real;
  using Args = RnnPullback<Real>;

  static void start(const RnnShape&, const Args&, Index, Real*, Index) {}
  UNROLL_SIMD_FN void prepare(const RnnShape&, const Args&, const CellPlace&, Real*) {}
  UNROLL_SIMD_FN typename S::Vec step(const RnnShape& shape, const Args& args,
                                      const CellPlace& place, const Real*, typename S::Vec dh,
                                      Real*, Real* d_gates) {
    S::store(d_gates, times_slope<S>(shape, args, place, dh));
    return S::zero();
  }
  static void prefetch(const RnnShape& shape, const Args& args, const CellPlace& place) {
    __builtin_prefetch(state_after(shape, args, place));
  }
  static void finish(const RnnShape&, const Args&, Index, const Real*) {}
};

template <class S>
struct PushforwardCell {
  using Real = typename S::Real;
  using Args = RnnPushforward<Real>;

  static void start(const RnnShape&, const Args&, Index, Real*, Index) {}
  UNROLL_SIMD_FN typename S::Vec step(const RnnShape& shape, const Args& args,
                                      const CellPlace& place, const Real*, const Real* d_pre,
                                      typename S::Vec, Real*) {
    return times_slope<S>(shape, args, place, S::load(d_pre));
  }
  static void finish(const RnnShape&, const Args&, Index, const Real*) {}
};

template <class Real>
using Forward =
    RecurrentForward<Simd<Real>, RnnLayout, ForwardCell<Simd<Real>>, RnnShape, RnnForward<Real>>;
template <class Real>
using Pullback =
    RecurrentPullback<Simd<Real>, RnnLayout, PullbackCell<Simd<Real>>, RnnShape, RnnPullback<Real>>;
template <class Real>
using Pushforward = RecurrentPushforward<Simd<Real>, RnnLayout, PushforwardCell<Simd<Real>>,
                                         RnnShape, RnnPushforward<Real>>;

template <class Real>
using GeneralForward = StepsForward<Simd<Real>, RnnSteps<SimdSteps<Real>>, RnnForward<Real>>;
template <class Real>
using GeneralPullback = StepsPullback<Simd<Real>, RnnSteps<SimdSteps<Real>>, RnnPullback<Real>>;
template <class Real>
using GeneralPushforward =
    StepsPushforward<Simd<Real>, RnnSteps<SimdSteps<Real>>, RnnPushforward<Real>>;

}  // namespace

template <class Real>
RnnSizes rnn_sizes(const RnnShape& shape) noexcept {
  if (rnn_needs_general(shape)) {
    const StepsShape all = steps_shape(shape);
    return {.saved = saved_size(all),
            .forward_scratch = GeneralForward<Real>::scratch_size(all),
            .pullback_scratch = GeneralPullback<Real>::scratch_size(all),
            .pushforward_scratch = GeneralPushforward<Real>::scratch_size(all),
            .side_by_side = GeneralForward<Real>::side_by_side(all)};
  }
  return {.saved = 0,
          .forward_scratch = Forward<Real>::scratch_size(shape),
          .pullback_scratch = Pullback<Real>::scratch_size(shape),
          .pushforward_scratch = Pushforward<Real>::scratch_size(shape),
          .side_by_side = Forward<Real>::side_by_side(shape),
          .packed = Forward<Real>::packed_size(shape),
          .layout = Forward<Real>::layout(shape)};
}

template <class Real>
void rnn_forward(const RnnShape& shape, const RnnForward<Real>& args) noexcept {
  if (!rnn_needs_general(shape)) return Forward<Real>(shape, args, nullptr).run();
  GeneralForward<Real>(steps_shape(shape), args, weights_of<Real>(args)).run();
}

template <class Real>
void rnn_pullback(const RnnShape& shape, const RnnPullback<Real>& args) noexcept {
  if (!rnn_needs_general(shape)) return Pullback<Real>(shape, args, nullptr).run();
  GeneralPullback<Real>(steps_shape(shape), args, weights_of<Real>(args), d_weights_of<Real*>(args),
                        betas_of<Real>(args))
      .run();
}

template <class Real>
void rnn_pushforward(const RnnShape& shape, const RnnPushforward<Real>& args) noexcept {
  if (!rnn_needs_general(shape)) return Pushforward<Real>(shape, args, nullptr).run();
  GeneralPushforward<Real>(steps_shape(shape), args, weights_of<Real>(args),
                           d_weights_of<const Real*>(args))
      .run();
}

#define UNROLL_INSTANTIATE(Real)                                                        \
  template RnnSizes rnn_sizes<Real>(const RnnShape&) noexcept;                          \
  template void rnn_forward<Real>(const RnnShape&, const RnnForward<Real>&) noexcept;   \
  template void rnn_pullback<Real>(const RnnShape&, const RnnPullback<Real>&) noexcept; \
  template void rnn_pushforward<Real>(const RnnShape&, const RnnPushforward<Real>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::UNROLL_ISA_NS
