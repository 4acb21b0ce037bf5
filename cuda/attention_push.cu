#include "cuda/attention_push.h"

namespace unroll::UNROLL_GPU {

template <class T>
void attention_push(const AttentionShape& s, const AttentionPush<T>& args) noexcept {
  push_attention<T, T>(s, args);
}

UNROLL_GPU_KERNEL(attention_push, void, AttentionShape, AttentionPush)

}  // namespace unroll::UNROLL_GPU
