#include "cuda/attention_pull.h"
#include "cuda/half_storage.h"
#include "kernels/attention_half.h"

namespace unroll::UNROLL_GPU {

template <class Stored>
void attention_half_pull(const AttentionShape& s, const AttentionPullHalf<Stored>& args) noexcept {
  using OnDevice = DeviceHalf<Stored>;
  pull_attention<float, OnDevice>(s, std::bit_cast<AttentionPullHalf<OnDevice>>(args));
}

UNROLL_GPU_KERNEL_FOR(Float16, attention_half_pull, void, AttentionShape, AttentionPullHalf)
UNROLL_GPU_KERNEL_FOR(Bfloat16, attention_half_pull, void, AttentionShape, AttentionPullHalf)

}  // namespace unroll::UNROLL_GPU
