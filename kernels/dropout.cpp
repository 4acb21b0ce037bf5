#include "kernels/dropout.h"

#include "core/philox.h"
#include "kernels/parallel_loop.h"

namespace unroll::UNROLL_ISA_NS {

// Blocks of random bits that a thread makes at a time.
inline constexpr std::int64_t piece = 256;

// Additions that take as long as a block of random bits.
inline constexpr std::int64_t block_cost = 16;

template <class T>
void dropout_mask(const DropoutShape& s, const DropoutArgs<T>& args) noexcept {
  const T kept = s.p < 1 ? T(1 / (1 - s.p)) : T(0);
  const double below = s.p * 0x1p32;
  const std::int64_t blocks = s.blocks();
  for_each_index((blocks + piece - 1) / piece, blocks * block_cost, [&](std::int64_t part) {
    const std::int64_t first = part * piece, left = blocks - first;
    for (std::int64_t b = first; b < first + (left < piece ? left : piece); b++) {
      const PhiloxBlock bits = philox_block(s.seed, s.stream, s.counter + std::uint64_t(b));
      const std::int64_t rest = s.count - 4 * b;
      for (int i = 0; i < (rest < 4 ? rest : 4); i++) {
        args.y[4 * b + i] = double(bits.word[i]) < below ? T(0) : kept;
      }
    }
  });
}

#define UNROLL_INSTANTIATE(T) \
  template void dropout_mask<T>(const DropoutShape&, const DropoutArgs<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
