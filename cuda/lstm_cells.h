// The LSTM as the loops over time see it (cuda/recurrent_forward.h and its kin): one unit of one
// sequence at one step. Args: of kernels/lstm.h, or of kernels/recurrent_half.h.
#pragma once

#include "cuda/recurrent_step.h"
#include "kernels/lstm.h"

namespace unroll::UNROLL_GPU {

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

template <class Real, class Args_ = LstmForward<Real>>
struct LstmForwardCell : LstmRows<Real, Args_> {
  using Base = LstmRows<Real, Args_>;
  using typename Base::Args, typename Base::Math;

  __device__ static Real step(const LstmShape& s, const Args& args, const StepPlace& p, const auto*,
                              const Real (&from_h)[4], Real* row, bool keep) {
    const auto gate = lstm_activate<Math>(Base::plus(Base::load(row, s.H), from_h));
    const Real c = lstm_cell<Math>(gate, Base::cell(s, args, p, p.t));
    Base::cell(s, args, p, p.t + 1) = c;
    if (keep) Base::store(row, s.H, gate);
    return lstm_output<Math>(gate.o, c);
  }
};

template <class Real, class Args_ = LstmPullback<Real>>
struct LstmPullCell : LstmRows<Real, Args_> {
  using Base = LstmRows<Real, Args_>;
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

template <class Real, class Args_ = LstmPushforward<Real>>
struct LstmPushCell : LstmRows<Real, Args_> {
  using Base = LstmRows<Real, Args_>;
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

}  // namespace unroll::UNROLL_GPU
