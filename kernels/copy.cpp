#include "kernels/copy.h"

#include "kernels/past_caches_simd.h"

namespace unroll::UNROLL_ISA_NS {

template <class T>
void copy(const Strided& space, const CopyArgs<T>& args) noexcept {
  const Strided s = merged(space, 2);
  const Layout from = layout_of(s, 1);
  const bool direct = s.rank == 0 || layout_of(s, 0) == Layout::dense;
  const bool past = goes_past_caches(args.y, element_count(s), false);
  for_each_filled_block(element_count(s), 1, past, [&](std::int64_t begin, int n) {
    if (!direct) {
      T gathered[block_size];
      const T* const x = read_block(s, 1, from, args.x, begin, n, gathered);
      return write_block(s, args.y, begin, n, x);
    }
    fill_block(args.y + begin, n, past, [&](T* to) {  // gathered straight to where it goes
      const T* const x = read_block(s, 1, from, args.x, begin, n, to);
      if (x != to) __builtin_memcpy(to, x, std::size_t(n) * sizeof(T));
    });
  });
}

template void copy<float>(const Strided&, const CopyArgs<float>&) noexcept;
template void copy<double>(const Strided&, const CopyArgs<double>&) noexcept;
template void copy<std::int64_t>(const Strided&, const CopyArgs<std::int64_t>&) noexcept;
template void copy<bool>(const Strided&, const CopyArgs<bool>&) noexcept;

}  // namespace unroll::UNROLL_ISA_NS
