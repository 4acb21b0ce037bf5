#include "cuda/attention_pull.h"

namespace unroll::UNROLL_GPU {

template <class T>
void attention_pull(const AttentionShape& s, const AttentionPull<T>& args) noexcept {
  pull_attention<T, T>(s, args);
}

UNROLL_GPU_KERNEL(attention_pull, void, AttentionShape, AttentionPull)

}  // namespace unroll::UNROLL_GPU
