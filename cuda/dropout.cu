// The mask of dropout: a thread makes one block of random bits, four factors, and writes them at
// once.
#include "kernels/dropout.h"

#include "core/philox.h"
#include "cuda/backend.h"
#include "cuda/pack.h"

namespace unroll::UNROLL_GPU {
namespace {

template <class T>
__global__ void __launch_bounds__(256)
    dropout_mask_kernel(DropoutShape s, DropoutArgs<T> args, T kept, double below, bool whole) {
  const std::int64_t b = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const PhiloxBlock bits = philox_block(s.seed, s.stream, s.counter + std::uint64_t(b));
  Pack<T, 4> factors;
  for (int i = 0; i < 4; i++) factors.at[i] = double(bits.word[i]) < below ? T(0) : kept;
  store_pack(args.y, 4 * b, s.count, factors, whole);
}

}  // namespace

template <class T>
void dropout_mask(const DropoutShape& s, const DropoutArgs<T>& args) noexcept {
  if (s.count == 0) return;
  const Alignment how = alignment_of<T>({args.y});
  const T kept = s.p < 1 ? T(1 / (1 - s.p)) : T(0);
  launch(dropout_mask_kernel<T>,
         {.name = "dropout_mask",
          .grid = blocks_of(s.blocks(), 256),
          .block = 256,
          .stream = current_stream()},
         s, args, kept, s.p * 0x1p32, how.lead == 0);
}

UNROLL_GPU_KERNEL(dropout_mask, void, DropoutShape, DropoutArgs)

}  // namespace unroll::UNROLL_GPU
