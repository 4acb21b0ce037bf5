#include "kernels/attention.h"

#include "cuda/attention_forward.h"

namespace unroll::UNROLL_GPU {

template <class T>
std::size_t attention_scratch(const AttentionShape& s) noexcept {
  return gpu::attention_pass<T>(s).numbers * sizeof(T);
}

template <class T>
void attention(const AttentionShape& s, const AttentionArgs<T>& args) noexcept {
  attend<T, T>(s, args);
}

UNROLL_GPU_SHAPE(attention_scratch, std::size_t, AttentionShape)
UNROLL_GPU_KERNEL(attention, void, AttentionShape, AttentionArgs)

}  // namespace unroll::UNROLL_GPU
