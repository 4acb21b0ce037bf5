#include "cuda/attention_push.h"
#include "cuda/half_storage.h"
#include "kernels/attention_half.h"

namespace unroll::UNROLL_GPU {

template <class Stored>
void attention_half_push(const AttentionShape& s, const AttentionPushHalf<Stored>& args) noexcept {
  using OnDevice = DeviceHalf<Stored>;
  push_attention<float, OnDevice>(s, std::bit_cast<AttentionPushHalf<OnDevice>>(args));
}

UNROLL_GPU_KERNEL_FOR(Float16, attention_half_push, void, AttentionShape, AttentionPushHalf)
UNROLL_GPU_KERNEL_FOR(Bfloat16, attention_half_push, void, AttentionShape, AttentionPushHalf)

}  // namespace unroll::UNROLL_GPU
