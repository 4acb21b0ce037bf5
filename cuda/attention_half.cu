#include "kernels/attention_half.h"

#include "cuda/attention_forward.h"
#include "cuda/half_storage.h"

namespace unroll::UNROLL_GPU {

template <class Stored>
std::size_t attention_half_scratch(const AttentionShape& s) noexcept {
  return gpu::attention_pass<float>(s).numbers * sizeof(float);
}

template <class Stored>
void attention_half(const AttentionShape& s, const AttentionArgsHalf<Stored>& args) noexcept {
  using OnDevice = DeviceHalf<Stored>;
  attend<float, OnDevice>(s, std::bit_cast<AttentionArgsHalf<OnDevice>>(args));
}

template std::size_t attention_half_scratch<Float16>(const AttentionShape&) noexcept;
template std::size_t attention_half_scratch<Bfloat16>(const AttentionShape&) noexcept;
UNROLL_GPU_KERNEL_FOR(Float16, attention_half, void, AttentionShape, AttentionArgsHalf)
UNROLL_GPU_KERNEL_FOR(Bfloat16, attention_half, void, AttentionShape, AttentionArgsHalf)

}  // namespace unroll::UNROLL_GPU
