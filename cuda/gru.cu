#include "kernels/gru.h"

#include "cuda/gru_cells.h"
#include "cuda/recurrent_forward.h"
#include "cuda/recurrent_pullback.h"
#include "cuda/recurrent_pushforward.h"
#include "cuda/recurrent_steps_forward.h"
#include "cuda/recurrent_steps_pullback.h"
#include "cuda/recurrent_steps_pushforward.h"
#include "kernels/gru_steps.h"

namespace unroll::UNROLL_GPU {
namespace {

template <class Real>
using Cell = GruSteps<LaneSteps<Real>>;
template <class Real>
using AnyForward = GeneralForward<Cell<Real>, GruForward<Real>, Real>;
template <class Real>
using AnyPullback = GeneralPullback<Cell<Real>, GruPullback<Real>, Real>;
template <class Real>
using AnyPushforward = GeneralPushforward<Cell<Real>, GruPushforward<Real>, Real>;

}  // namespace

template <class Real>
GruSizes gru_sizes(const GruShape& shape) noexcept {
  if (gru_needs_general(shape)) {
    const StepsShape all = steps_shape(shape);
    return {.saved = saved_rows_size(all),
            .forward_scratch = AnyForward<Real>::scratch_size(all),
            .pullback_scratch = AnyPullback<Real>::scratch_size(all),
            .pushforward_scratch = AnyPushforward<Real>::scratch_size(all)};
  }
  return {.saved = Steps(shape).total() * 4 * shape.H,
          .forward_scratch = Forward<GruForwardCell<Real>>::scratch_size(shape),
          .pullback_scratch = Pullback<GruPullCell<Real>>::scratch_size(shape),
          .pushforward_scratch = Pushforward<GruPushCell<Real>>::scratch_size(shape)};
}

template <class Real>
void gru_forward(const GruShape& shape, const GruForward<Real>& args) noexcept {
  if (!gru_needs_general(shape))
    return Forward<GruForwardCell<Real>>(shape, args, args.saved).run();
  AnyForward<Real>(steps_shape(shape), args, weights_of<Real>(args)).run();
}

template <class Real>
void gru_pullback(const GruShape& shape, const GruPullback<Real>& args) noexcept {
  if (!gru_needs_general(shape)) return Pullback<GruPullCell<Real>>(shape, args, args.saved).run();
  AnyPullback<Real>(steps_shape(shape), args, weights_of<Real>(args), d_weights_of<Real*>(args),
                    betas_of<Real>(args))
      .run();
}

template <class Real>
void gru_pushforward(const GruShape& shape, const GruPushforward<Real>& args) noexcept {
  if (!gru_needs_general(shape))
    return Pushforward<GruPushCell<Real>>(shape, args, args.saved).run();
  AnyPushforward<Real>(steps_shape(shape), args, weights_of<Real>(args),
                       d_weights_of<const Real*>(args))
      .run();
}

UNROLL_GPU_SHAPE(gru_sizes, GruSizes, GruShape)
UNROLL_GPU_KERNEL(gru_forward, void, GruShape, GruForward)
UNROLL_GPU_KERNEL(gru_pullback, void, GruShape, GruPullback)
UNROLL_GPU_KERNEL(gru_pushforward, void, GruShape, GruPushforward)

}  // namespace unroll::UNROLL_GPU
