// The GRU as the loops over time see it (cuda/recurrent_forward.h and its kin): one unit of one
// sequence at one step. Args: of kernels/gru.h, or of kernels/recurrent_half.h.
#pragma once

#include "cuda/recurrent_step.h"
#include "kernels/gru.h"

namespace unroll::UNROLL_GPU {

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

template <class Real, class Args_ = GruForward<Real>>
struct GruForwardCell : GruRows<Real, Args_> {
  using Base = GruRows<Real, Args_>;
  using typename Base::Args, typename Base::Math;

  __device__ static Real step(const GruShape& s, const Args&, const StepPlace&, const auto* before,
                              const Real (&from_h)[3], Real* row, bool keep) {
    const std::int64_t H = s.H;
    GruGates<Math> gate{.r = Math::sigmoid(row[0] + from_h[0]),
                        .z = Math::sigmoid(row[H] + from_h[1]),
                        .n = 0,
                        .n_h = from_h[2]};
    gate.n = gru_candidate<Math>(row[2 * H], gate.r, gate.n_h);
    if (keep) row[0] = gate.r, row[H] = gate.z, row[2 * H] = gate.n, row[3 * H] = gate.n_h;
    return gru_output<Math>(gate, Real(*before));
  }
};

template <class Real, class Args_ = GruPullback<Real>>
struct GruPullCell : GruRows<Real, Args_> {
  using Base = GruRows<Real, Args_>;
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

template <class Real, class Args_ = GruPushforward<Real>>
struct GruPushCell : GruRows<Real, Args_> {
  using Base = GruRows<Real, Args_>;
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

}  // namespace unroll::UNROLL_GPU
