#include "kernels/lstm.h"

#include "cuda/lstm_cells.h"
#include "cuda/recurrent_forward.h"
#include "cuda/recurrent_pullback.h"
#include "cuda/recurrent_pushforward.h"
#include "cuda/recurrent_steps_forward.h"
#include "cuda/recurrent_steps_pullback.h"
#include "cuda/recurrent_steps_pushforward.h"
#include "kernels/lstm_steps.h"

namespace unroll::UNROLL_GPU {
namespace {

template <class Real>
using Cell = LstmSteps<LaneSteps<Real>>;
template <class Real>
using AnyForward = GeneralForward<Cell<Real>, LstmForward<Real>, Real>;
template <class Real>
using AnyPullback = GeneralPullback<Cell<Real>, LstmPullback<Real>, Real>;
template <class Real>
using AnyPushforward = GeneralPushforward<Cell<Real>, LstmPushforward<Real>, Real>;

}  // namespace

template <class Real>
LstmSizes lstm_sizes(const LstmShape& shape) noexcept {
  if (lstm_needs_general(shape)) {
    const StepsShape all = steps_shape(shape);
    return {.saved = saved_rows_size(all),
            .forward_scratch = AnyForward<Real>::scratch_size(all),
            .pullback_scratch = AnyPullback<Real>::scratch_size(all),
            .pushforward_scratch = AnyPushforward<Real>::scratch_size(all)};
  }
  return {.saved = Steps(shape).total() * 4 * shape.H,
          .forward_scratch = Forward<LstmForwardCell<Real>>::scratch_size(shape),
          .pullback_scratch = Pullback<LstmPullCell<Real>>::scratch_size(shape),
          .pushforward_scratch = Pushforward<LstmPushCell<Real>>::scratch_size(shape)};
}

template <class Real>
void lstm_forward(const LstmShape& shape, const LstmForward<Real>& args) noexcept {
  if (!lstm_needs_general(shape))
    return Forward<LstmForwardCell<Real>>(shape, args, args.saved).run();
  auto weights = weights_of<Real>(args);
  set_extra(weights, args.extra);
  AnyForward<Real>(steps_shape(shape), args, weights).run();
}

template <class Real>
void lstm_pullback(const LstmShape& shape, const LstmPullback<Real>& args) noexcept {
  if (!lstm_needs_general(shape))
    return Pullback<LstmPullCell<Real>>(shape, args, args.saved).run();
  auto weights = weights_of<Real>(args);
  set_extra(weights, args.extra);
  auto d_weights = d_weights_of<Real*>(args);
  set_extra(d_weights, args.d_extra);
  auto betas = betas_of<Real>(args);
  set_extra(betas, args.beta_extra);
  AnyPullback<Real>(steps_shape(shape), args, weights, d_weights, betas).run();
}

template <class Real>
void lstm_pushforward(const LstmShape& shape, const LstmPushforward<Real>& args) noexcept {
  if (!lstm_needs_general(shape))
    return Pushforward<LstmPushCell<Real>>(shape, args, args.saved).run();
  auto weights = weights_of<Real>(args);
  set_extra(weights, args.extra);
  auto tangents = d_weights_of<const Real*>(args);
  set_extra(tangents, args.d_extra);
  AnyPushforward<Real>(steps_shape(shape), args, weights, tangents).run();
}

UNROLL_GPU_SHAPE(lstm_sizes, LstmSizes, LstmShape)
UNROLL_GPU_KERNEL(lstm_forward, void, LstmShape, LstmForward)
UNROLL_GPU_KERNEL(lstm_pullback, void, LstmShape, LstmPullback)
UNROLL_GPU_KERNEL(lstm_pushforward, void, LstmShape, LstmPushforward)

}  // namespace unroll::UNROLL_GPU
