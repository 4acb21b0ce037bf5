#include "kernels/gru.h"

#include "kernels/gru_steps.h"
#include "kernels/recurrent_pullback_simd.h"
#include "kernels/recurrent_pushforward_simd.h"
#include "kernels/recurrent_steps_forward_simd.h"
#include "kernels/recurrent_steps_pullback_simd.h"
#include "kernels/recurrent_steps_pushforward_simd.h"
#include "kernels/simd.h"

namespace unroll::UNROLL_ISA_NS {
namespace {

// Rows of a group: [n_x | r | z | n_h] before the activations, and their cotangents. The input's
// product faces the first three, the state's product the last three. Saved: [r | z | n | n_h].
struct GruLayout {
  static constexpr int gates = 3, vectors = 4, blocks = 1;
  static constexpr int window = 3, panel_vectors = 3, input_first = 0, hidden_first = 1;
  static constexpr Slot input_slots[] = {{2, 0}, {0, 0}, {1, 0}};
  static constexpr Slot hidden_slots[] = {{0, 0}, {1, 0}, {2, 0}};
  static constexpr bool carries_state = true;
};

template <class S>
UNROLL_SIMD_FN GruPre<S> load_pre(const typename S::Real* p) {
  constexpr int L = S::lanes;
  return {S::load(p), S::load(p + L), S::load(p + 2 * L), S::load(p + 3 * L)};
}
template <class S>
UNROLL_SIMD_FN GruGates<S> load_gates(const typename S::Real* p) {
  constexpr int L = S::lanes;
  return {S::load(p), S::load(p + L), S::load(p + 2 * L), S::load(p + 3 * L)};
}

// h before the step.
template <class Args>
inline auto* state_at(const GruShape& shape, const Args& args, const CellPlace& place) {
  const Index stride = shape.h_stride ? shape.h_stride : shape.H;
  return args.h + (place.t * shape.N + place.n) * stride + place.unit;
}
template <class S, class Args>
UNROLL_SIMD_FN typename S::Vec state_before(const GruShape& shape, const Args& args,
                                            const CellPlace& place) {
  return load_part<S>(state_at(shape, args, place), place.count);
}

template <class S>
struct ForwardCell {
  using Real = typename S::Real;
  using Args = GruForward<Real>;

  UNROLL_SIMD_FN void activate(const GruShape&, const Args&, const CellPlace&, Real* gates, Real*) {
    constexpr int L = S::lanes;
    S::store(gates + L, S::sigmoid(S::load(gates + L)));
    S::store(gates + 2 * L, S::sigmoid(S::load(gates + 2 * L)));
  }

  UNROLL_SIMD_FN typename S::Vec output(const GruShape&, const Args&, const CellPlace&,
                                        const Real* gates, Real* saved, typename S::Vec h_before) {
    constexpr int L = S::lanes;
    const auto r = S::load(gates + L), z = S::load(gates + 2 * L), n_h = S::load(gates + 3 * L);
    const auto n = gru_candidate<S>(S::load(gates), r, n_h);
    if (saved) {
      S::store(saved, r);
      S::store(saved + L, z);
      S::store(saved + 2 * L, n);
      S::store(saved + 3 * L, n_h);
    }
    return gru_output<S>({.r = r, .z = z, .n = n, .n_h = n_h}, h_before);
  }

  static void finish(const GruShape&, const Args&, Index, Index) {}
};

template <class S>
struct PullbackCell {
  using Real = typename S::Real;
  using Args = GruPullback<Real>;

  static void start(const GruShape&, const Args&, Index, Real*, Index) {}
  UNROLL_SIMD_FN void prepare(const GruShape&, const Args&, const CellPlace&, Real*) {}
  UNROLL_SIMD_FN typename S::Vec step(const GruShape& shape, const Args& args,
                                      const CellPlace& place, const Real* saved, typename S::Vec dh,
                                      Real*, Real* d_gates) {
    constexpr int L = S::lanes;
    const GruCotangents<S> d =
        gru_step_pullback<S>(load_gates<S>(saved), state_before<S>(shape, args, place), dh);
    S::store(d_gates, d.pre.n_x);
    S::store(d_gates + L, d.pre.r);
    S::store(d_gates + 2 * L, d.pre.z);
    S::store(d_gates + 3 * L, d.pre.n_h);
    return d.h_before;
  }
  static void prefetch(const GruShape& shape, const Args& args, const CellPlace& place) {
    __builtin_prefetch(state_at(shape, args, place));
  }
  static void finish(const GruShape&, const Args&, Index, const Real*) {}
};

template <class S>
struct PushforwardCell {
  using Real = typename S::Real;
  using Args = GruPushforward<Real>;

  static void start(const GruShape&, const Args&, Index, Real*, Index) {}
  UNROLL_SIMD_FN typename S::Vec step(const GruShape& shape, const Args& args,
                                      const CellPlace& place, const Real* saved, const Real* d_pre,
                                      typename S::Vec dh_before, Real*) {
    return gru_step_pushforward<S>(load_gates<S>(saved), state_before<S>(shape, args, place),
                                   load_pre<S>(d_pre), dh_before);
  }
  static void finish(const GruShape&, const Args&, Index, const Real*) {}
};

template <class Real>
using Forward =
    RecurrentForward<Simd<Real>, GruLayout, ForwardCell<Simd<Real>>, GruShape, GruForward<Real>>;
template <class Real>
using Pullback =
    RecurrentPullback<Simd<Real>, GruLayout, PullbackCell<Simd<Real>>, GruShape, GruPullback<Real>>;
template <class Real>
using Pushforward = RecurrentPushforward<Simd<Real>, GruLayout, PushforwardCell<Simd<Real>>,
                                         GruShape, GruPushforward<Real>>;

template <class Real>
using GeneralForward = StepsForward<Simd<Real>, GruSteps<SimdSteps<Real>>, GruForward<Real>>;
template <class Real>
using GeneralPullback = StepsPullback<Simd<Real>, GruSteps<SimdSteps<Real>>, GruPullback<Real>>;
template <class Real>
using GeneralPushforward =
    StepsPushforward<Simd<Real>, GruSteps<SimdSteps<Real>>, GruPushforward<Real>>;

}  // namespace

template <class Real>
GruSizes gru_sizes(const GruShape& shape) noexcept {
  if (gru_needs_general(shape)) {
    const StepsShape all = steps_shape(shape);
    return {.saved = saved_size(all),
            .forward_scratch = GeneralForward<Real>::scratch_size(all),
            .pullback_scratch = GeneralPullback<Real>::scratch_size(all),
            .pushforward_scratch = GeneralPushforward<Real>::scratch_size(all),
            .side_by_side = GeneralForward<Real>::side_by_side(all)};
  }
  using G = Groups<Simd<Real>, GruLayout>;
  return {.saved = Sequences(shape).total() * G::count(shape.H) * G::row,
          .forward_scratch = Forward<Real>::scratch_size(shape),
          .pullback_scratch = Pullback<Real>::scratch_size(shape),
          .pushforward_scratch = Pushforward<Real>::scratch_size(shape),
          .side_by_side = Forward<Real>::side_by_side(shape),
          .packed = Forward<Real>::packed_size(shape),
          .layout = Forward<Real>::layout(shape)};
}

template <class Real>
void gru_forward(const GruShape& shape, const GruForward<Real>& args) noexcept {
  if (!gru_needs_general(shape)) return Forward<Real>(shape, args, args.saved).run();
  GeneralForward<Real>(steps_shape(shape), args, weights_of<Real>(args)).run();
}

template <class Real>
void gru_pullback(const GruShape& shape, const GruPullback<Real>& args) noexcept {
  if (!gru_needs_general(shape)) return Pullback<Real>(shape, args, args.saved).run();
  GeneralPullback<Real>(steps_shape(shape), args, weights_of<Real>(args), d_weights_of<Real*>(args),
                        betas_of<Real>(args))
      .run();
}

template <class Real>
void gru_pushforward(const GruShape& shape, const GruPushforward<Real>& args) noexcept {
  if (!gru_needs_general(shape)) return Pushforward<Real>(shape, args, args.saved).run();
  GeneralPushforward<Real>(steps_shape(shape), args, weights_of<Real>(args),
                           d_weights_of<const Real*>(args))
      .run();
}

#define UNROLL_INSTANTIATE(Real)                                                        \
  template GruSizes gru_sizes<Real>(const GruShape&) noexcept;                          \
  template void gru_forward<Real>(const GruShape&, const GruForward<Real>&) noexcept;   \
  template void gru_pullback<Real>(const GruShape&, const GruPullback<Real>&) noexcept; \
  template void gru_pushforward<Real>(const GruShape&, const GruPushforward<Real>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)

}  // namespace unroll::UNROLL_ISA_NS
