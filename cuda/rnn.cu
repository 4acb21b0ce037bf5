#include "kernels/rnn.h"

#include "cuda/recurrent_forward.h"
#include "cuda/recurrent_pullback.h"
#include "cuda/recurrent_pushforward.h"
#include "cuda/recurrent_steps_forward.h"
#include "cuda/recurrent_steps_pullback.h"
#include "cuda/recurrent_steps_pushforward.h"
#include "kernels/rnn_steps.h"

namespace unroll::UNROLL_GPU {
namespace {

// Gate rows [h] before the activation. Nothing is saved: the slopes follow from h.
template <class Real_, class Args_>
struct RnnRows {
  using Real = Real_;
  using Shape = RnnShape;
  using Args = Args_;
  using Math = ScalarCell<Real>;
  static constexpr int gates = 1, width = 1;
};

// value times the slope of the activation at this place.
template <class Args, class Real>
__device__ Real times_slope(const RnnShape& s, const Args& args, const StepPlace& p, Real value) {
  const Real y = args.h[((p.t + 1) * s.N + p.n) * h_stride_of(s) + p.unit];
  return rnn_activated_slope<ScalarCell<Real>>(s.activation, y, value);
}

template <class Real>
struct RnnForwardCell : RnnRows<Real, RnnForward<Real>> {
  using Args = RnnForward<Real>;

  __device__ static Real step(const RnnShape& s, const Args&, const StepPlace&, const Real*,
                              const Real (&from_h)[1], const Real* row, bool) {
    return rnn_activated<ScalarCell<Real>>(s.activation, row[0] + from_h[0]);
  }
};

template <class Real>
struct RnnPullCell : RnnRows<Real, RnnPullback<Real>> {
  using Args = RnnPullback<Real>;
  static constexpr bool carries_c = false, carries_h = false;
  UNROLL_HOST_DEVICE static Skip hidden(std::int64_t) { return {}; }

  __device__ static Real pull(const RnnShape& s, const Args& args, const StepPlace& p, const Real*,
                              Real dh, Real, Real* d) {
    d[0] = times_slope(s, args, p, dh);
    return 0;
  }
};

template <class Real>
struct RnnPushCell : RnnRows<Real, RnnPushforward<Real>> {
  using Args = RnnPushforward<Real>;
  static constexpr bool carries_c = false;
  UNROLL_HOST_DEVICE static Skip hidden(std::int64_t) { return {}; }

  __device__ static Real push(const RnnShape& s, const Args& args, const StepPlace& p, const Real*,
                              const Real* pre, const Real (&from_h)[1], Real, Real&) {
    return times_slope(s, args, p, pre[0] + from_h[0]);
  }
};

template <class Real>
using Cell = RnnSteps<LaneSteps<Real>>;
template <class Real>
using AnyForward = GeneralForward<Cell<Real>, RnnForward<Real>, Real>;
template <class Real>
using AnyPullback = GeneralPullback<Cell<Real>, RnnPullback<Real>, Real>;
template <class Real>
using AnyPushforward = GeneralPushforward<Cell<Real>, RnnPushforward<Real>, Real>;

}  // namespace

template <class Real>
RnnSizes rnn_sizes(const RnnShape& shape) noexcept {
  if (rnn_needs_general(shape)) {
    const StepsShape all = steps_shape(shape);
    return {.saved = saved_rows_size(all),
            .forward_scratch = AnyForward<Real>::scratch_size(all),
            .pullback_scratch = AnyPullback<Real>::scratch_size(all),
            .pushforward_scratch = AnyPushforward<Real>::scratch_size(all)};
  }
  return {.saved = 0,
          .forward_scratch = Forward<RnnForwardCell<Real>>::scratch_size(shape),
          .pullback_scratch = Pullback<RnnPullCell<Real>>::scratch_size(shape),
          .pushforward_scratch = Pushforward<RnnPushCell<Real>>::scratch_size(shape)};
}

template <class Real>
void rnn_forward(const RnnShape& shape, const RnnForward<Real>& args) noexcept {
  if (!rnn_needs_general(shape)) return Forward<RnnForwardCell<Real>>(shape, args, nullptr).run();
  AnyForward<Real>(steps_shape(shape), args, weights_of<Real>(args)).run();
}

template <class Real>
void rnn_pullback(const RnnShape& shape, const RnnPullback<Real>& args) noexcept {
  if (!rnn_needs_general(shape)) return Pullback<RnnPullCell<Real>>(shape, args, nullptr).run();
  AnyPullback<Real>(steps_shape(shape), args, weights_of<Real>(args), d_weights_of<Real*>(args),
                    betas_of<Real>(args))
      .run();
}

template <class Real>
void rnn_pushforward(const RnnShape& shape, const RnnPushforward<Real>& args) noexcept {
  if (!rnn_needs_general(shape)) return Pushforward<RnnPushCell<Real>>(shape, args, nullptr).run();
  AnyPushforward<Real>(steps_shape(shape), args, weights_of<Real>(args),
                       d_weights_of<const Real*>(args))
      .run();
}

UNROLL_GPU_SHAPE(rnn_sizes, RnnSizes, RnnShape)
UNROLL_GPU_KERNEL(rnn_forward, void, RnnShape, RnnForward)
UNROLL_GPU_KERNEL(rnn_pullback, void, RnnShape, RnnPullback)
UNROLL_GPU_KERNEL(rnn_pushforward, void, RnnShape, RnnPushforward)

}  // namespace unroll::UNROLL_GPU
