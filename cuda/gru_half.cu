#include "cuda/gru_cells.h"
#include "cuda/half_storage.h"
#include "cuda/recurrent_forward.h"
#include "cuda/recurrent_pullback.h"
#include "cuda/recurrent_pushforward.h"
#include "kernels/recurrent_half.h"

namespace unroll::UNROLL_GPU {
namespace {

template <class Stored>
using HalfForward = Forward<GruForwardCell<float, GruForwardHalf<DeviceHalf<Stored>>>>;
template <class Stored>
using HalfPullback = Pullback<GruPullCell<float, GruPullbackHalf<DeviceHalf<Stored>>>>;
template <class Stored>
using HalfPushforward = Pushforward<GruPushCell<float, GruPushforwardHalf<DeviceHalf<Stored>>>>;

}  // namespace

template <class Stored>
GruSizes gru_half_sizes(const GruShape& shape) noexcept {
  return {.saved = Steps(shape).total() * 4 * shape.H,
          .forward_scratch = HalfForward<Stored>::scratch_size(shape),
          .pullback_scratch = HalfPullback<Stored>::scratch_size(shape),
          .pushforward_scratch = HalfPushforward<Stored>::scratch_size(shape)};
}

template <class Stored>
void gru_half_forward(const GruShape& shape, const GruForwardHalf<Stored>& args) noexcept {
  const auto here = std::bit_cast<GruForwardHalf<DeviceHalf<Stored>>>(args);
  HalfForward<Stored>(shape, here, here.saved).run();
}

template <class Stored>
void gru_half_pullback(const GruShape& shape, const GruPullbackHalf<Stored>& args) noexcept {
  const auto here = std::bit_cast<GruPullbackHalf<DeviceHalf<Stored>>>(args);
  HalfPullback<Stored>(shape, here, here.saved).run();
}

template <class Stored>
void gru_half_pushforward(const GruShape& shape, const GruPushforwardHalf<Stored>& args) noexcept {
  const auto here = std::bit_cast<GruPushforwardHalf<DeviceHalf<Stored>>>(args);
  HalfPushforward<Stored>(shape, here, here.saved).run();
}

#define UNROLL_HALF_KERNELS(Stored)                                                 \
  template GruSizes gru_half_sizes<Stored>(const GruShape&) noexcept;               \
  UNROLL_GPU_KERNEL_FOR(Stored, gru_half_forward, void, GruShape, GruForwardHalf)   \
  UNROLL_GPU_KERNEL_FOR(Stored, gru_half_pullback, void, GruShape, GruPullbackHalf) \
  UNROLL_GPU_KERNEL_FOR(Stored, gru_half_pushforward, void, GruShape, GruPushforwardHalf)
UNROLL_HALF_KERNELS(Float16)
UNROLL_HALF_KERNELS(Bfloat16)

}  // namespace unroll::UNROLL_GPU
