#include "cuda/half_storage.h"
#include "cuda/lstm_cells.h"
#include "cuda/recurrent_forward.h"
#include "cuda/recurrent_pullback.h"
#include "cuda/recurrent_pushforward.h"
#include "kernels/recurrent_half.h"

namespace unroll::UNROLL_GPU {
namespace {

template <class Stored>
using HalfForward = Forward<LstmForwardCell<float, LstmForwardHalf<DeviceHalf<Stored>>>>;
template <class Stored>
using HalfPullback = Pullback<LstmPullCell<float, LstmPullbackHalf<DeviceHalf<Stored>>>>;
template <class Stored>
using HalfPushforward = Pushforward<LstmPushCell<float, LstmPushforwardHalf<DeviceHalf<Stored>>>>;

}  // namespace

template <class Stored>
LstmSizes lstm_half_sizes(const LstmShape& shape) noexcept {
  return {.saved = Steps(shape).total() * 4 * shape.H,
          .forward_scratch = HalfForward<Stored>::scratch_size(shape),
          .pullback_scratch = HalfPullback<Stored>::scratch_size(shape),
          .pushforward_scratch = HalfPushforward<Stored>::scratch_size(shape)};
}

template <class Stored>
void lstm_half_forward(const LstmShape& shape, const LstmForwardHalf<Stored>& args) noexcept {
  const auto here = std::bit_cast<LstmForwardHalf<DeviceHalf<Stored>>>(args);
  HalfForward<Stored>(shape, here, here.saved).run();
}

template <class Stored>
void lstm_half_pullback(const LstmShape& shape, const LstmPullbackHalf<Stored>& args) noexcept {
  const auto here = std::bit_cast<LstmPullbackHalf<DeviceHalf<Stored>>>(args);
  HalfPullback<Stored>(shape, here, here.saved).run();
}

template <class Stored>
void lstm_half_pushforward(const LstmShape& shape,
                           const LstmPushforwardHalf<Stored>& args) noexcept {
  const auto here = std::bit_cast<LstmPushforwardHalf<DeviceHalf<Stored>>>(args);
  HalfPushforward<Stored>(shape, here, here.saved).run();
}

#define UNROLL_HALF_KERNELS(Stored)                                                    \
  template LstmSizes lstm_half_sizes<Stored>(const LstmShape&) noexcept;               \
  UNROLL_GPU_KERNEL_FOR(Stored, lstm_half_forward, void, LstmShape, LstmForwardHalf)   \
  UNROLL_GPU_KERNEL_FOR(Stored, lstm_half_pullback, void, LstmShape, LstmPullbackHalf) \
  UNROLL_GPU_KERNEL_FOR(Stored, lstm_half_pushforward, void, LstmShape, LstmPushforwardHalf)
UNROLL_HALF_KERNELS(Float16)
UNROLL_HALF_KERNELS(Bfloat16)

}  // namespace unroll::UNROLL_GPU
