#include "kernels/gru.h"

#include "cuda/recurrent_forward.h"
#include "cuda/recurrent_pullback.h"
#include "cuda/recurrent_pushforward.h"
#include "cuda/recurrent_steps_forward.h"
#include "cuda/recurrent_steps_pullback.h"
#include "cuda/recurrent_steps_pushforward.h"
#include "kernels/gru_steps.h"

namespace unroll::UNROLL_GPU {
namespace {

// Gate rows [r z n_x n_h]: w_ih faces the first three, w_hh all but n_x. Saved: [r z n n_h].
template <class Real_, class Args_>
struct GruRows {
  using Real = Real_;
  using Shape = GruShape;
  using Args = Args_;
  using Math = ScalarCell<Real>;
  static constexpr int gates = 3, width = 4;

  __device__ static GruGates<Math> saved_gates(const Real* row, std::int64_t H) {
    return {.r = row[0], .z = row[H], .n = row[2 * H], .n_h = row[3 * H]};
  }
  __device__ static Real state_before(const Shape& s, const Args& args, const StepPlace& p) {
    return args.h[(p.t * s.N + p.n) * h_stride_of(s) + p.unit];
  }
};

UNROLL_HOST_DEVICE Skip beyond_n_x(std::int64_t H) { return {.from = 2 * H, .by = H}; }

template <class Real>
struct GruForwardCell : GruRows<Real, GruForward<Real>> {
  using Base = GruRows<Real, GruForward<Real>>;
  using typename Base::Args, typename Base::Math;

  __device__ static Real step(const GruShape& s, const Args& args, const StepPlace& p,
                              const Real (&from_h)[3], Real* row, bool keep) {
    const std::int64_t H = s.H;
    GruGates<Math> gate{.r = Math::sigmoid(row[0] + from_h[0]),
                        .z = Math::sigmoid(row[H] + from_h[1]),
                        .n = 0,
                        .n_h = from_h[2]};
    gate.n = gru_candidate<Math>(row[2 * H], gate.r, gate.n_h);
    if (keep) row[0] = gate.r, row[H] = gate.z, row[2 * H] = gate.n, row[3 * H] = gate.n_h;
    return gru_output<Math>(gate, Base::state_before(s, args, p));
  }
};

template <class Real>
struct GruPullCell : GruRows<Real, GruPullback<Real>> {
  using Base = GruRows<Real, GruPullback<Real>>;
  using typename Base::Args, typename Base::Math;
  static constexpr bool carries_c = false, carries_h = true;
  UNROLL_HOST_DEVICE static Skip hidden(std::int64_t H) { return beyond_n_x(H); }

  __device__ static Real pull(const GruShape& s, const Args& args, const StepPlace& p,
                              const Real* saved, Real dh, Real, Real* d) {
    const std::int64_t H = s.H;
    const GruCotangents<Math> back =
        gru_step_pullback<Math>(Base::saved_gates(saved, H), Base::state_before(s, args, p), dh);
    d[0] = back.pre.r, d[H] = back.pre.z, d[2 * H] = back.pre.n_x, d[3 * H] = back.pre.n_h;
    return back.h_before;
  }
};

template <class Real>
struct GruPushCell : GruRows<Real, GruPushforward<Real>> {
  using Base = GruRows<Real, GruPushforward<Real>>;
  using typename Base::Args, typename Base::Math;
  static constexpr bool carries_c = false;
  UNROLL_HOST_DEVICE static Skip hidden(std::int64_t H) { return beyond_n_x(H); }

  __device__ static Real push(const GruShape& s, const Args& args, const StepPlace& p,
                              const Real* saved, const Real* pre, const Real (&from_h)[3], Real dh,
                              Real&) {
    const std::int64_t H = s.H;
    return gru_step_pushforward<Math>(Base::saved_gates(saved, H), Base::state_before(s, args, p),
                                      {.n_x = pre[2 * H],
                                       .r = pre[0] + from_h[0],
                                       .z = pre[H] + from_h[1],
                                       .n_h = pre[3 * H] + from_h[2]},
                                      dh);
  }
};

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
