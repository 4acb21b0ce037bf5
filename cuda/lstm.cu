#include "kernels/lstm.h"

#include "cuda/recurrent_forward.h"
#include "cuda/recurrent_pullback.h"
#include "cuda/recurrent_pushforward.h"
#include "cuda/recurrent_steps_forward.h"
#include "cuda/recurrent_steps_pullback.h"
#include "cuda/recurrent_steps_pushforward.h"
#include "kernels/lstm_steps.h"

namespace unroll::UNROLL_GPU {
namespace {

// Gate rows [i f g o], saved after their activations.
template <class Real_, class Args_>
struct LstmRows {
  using Real = Real_;
  using Shape = LstmShape;
  using Args = Args_;
  using Math = ScalarCell<Real>;
  static constexpr int gates = 4, width = 4;

  __device__ static LstmGates<Math> load(const Real* row, std::int64_t H) {
    return {row[0], row[H], row[2 * H], row[3 * H]};
  }
  __device__ static void store(Real* row, std::int64_t H, const LstmGates<Math>& gate) {
    row[0] = gate.i, row[H] = gate.f, row[2 * H] = gate.g, row[3 * H] = gate.o;
  }
  __device__ static LstmGates<Math> plus(const LstmGates<Math>& a, const Real (&b)[4]) {
    return {a.i + b[0], a.f + b[1], a.g + b[2], a.o + b[3]};
  }
  // c before step t; behind it for t + 1.
  __device__ static auto& cell(const Shape& s, const Args& args, const StepPlace& p,
                               std::int64_t t) {
    return args.c[(t * s.N + p.n) * s.H + p.unit];
  }
};

template <class Real>
struct LstmForwardCell : LstmRows<Real, LstmForward<Real>> {
  using Base = LstmRows<Real, LstmForward<Real>>;
  using typename Base::Args, typename Base::Math;

  __device__ static Real step(const LstmShape& s, const Args& args, const StepPlace& p,
                              const Real (&from_h)[4], Real* row, bool keep) {
    const auto gate = lstm_activate<Math>(Base::plus(Base::load(row, s.H), from_h));
    const Real c = lstm_cell<Math>(gate, Base::cell(s, args, p, p.t));
    Base::cell(s, args, p, p.t + 1) = c;
    if (keep) Base::store(row, s.H, gate);
    return lstm_output<Math>(gate.o, c);
  }
};

template <class Real>
struct LstmPullCell : LstmRows<Real, LstmPullback<Real>> {
  using Base = LstmRows<Real, LstmPullback<Real>>;
  using typename Base::Args, typename Base::Math;
  static constexpr bool carries_c = true, carries_h = false;
  UNROLL_HOST_DEVICE static Skip hidden(std::int64_t) { return {}; }

  __device__ static Real pull(const LstmShape& s, const Args& args, const StepPlace& p,
                              const Real* saved, Real dh, Real dc, Real* d) {
    const Real tanh_c = Math::tanh(Base::cell(s, args, p, p.t + 1));
    const auto back = lstm_step_pullback<Math>(Base::load(saved, s.H), Base::cell(s, args, p, p.t),
                                               tanh_c, {.h = dh, .c = dc});
    Base::store(d, s.H, back.pre);
    return back.c_before;
  }
};

template <class Real>
struct LstmPushCell : LstmRows<Real, LstmPushforward<Real>> {
  using Base = LstmRows<Real, LstmPushforward<Real>>;
  using typename Base::Args, typename Base::Math;
  static constexpr bool carries_c = true;
  UNROLL_HOST_DEVICE static Skip hidden(std::int64_t) { return {}; }

  __device__ static Real push(const LstmShape& s, const Args& args, const StepPlace& p,
                              const Real* saved, const Real* pre, const Real (&from_h)[4], Real,
                              Real& dc) {
    const Real tanh_c = Math::tanh(Base::cell(s, args, p, p.t + 1));
    const LstmState<Math> after =
        lstm_step_pushforward<Math>(Base::load(saved, s.H), Base::cell(s, args, p, p.t), tanh_c,
                                    Base::plus(Base::load(pre, s.H), from_h), dc);
    dc = after.c;
    return after.h;
  }
};

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
