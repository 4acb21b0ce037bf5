#include "kernels/copy.h"

#include "kernels/strided_loop.h"

namespace unroll::UNROLL_ISA_NS {

template <class T>
void copy(const Strided& space, const CopyArgs<T>& args) noexcept {
  const Strided s = merged(space, 2);
  const Layout from = layout_of(s, 1);
  const bool direct = s.rank == 0 || layout_of(s, 0) == Layout::dense;
  for_each_block(element_count(s), 1, [&](std::int64_t begin, int n) {
    T gathered[block_size];
    T* to = direct ? args.y + begin : gathered;  // gathered straight to where it goes
    const T* x = read_block(s, 1, from, args.x, begin, n, to);
    if (!direct)
      write_block(s, args.y, begin, n, x);
    else if (x != to)
      __builtin_memcpy(to, x, std::size_t(n) * sizeof(T));
  });
}

template void copy<float>(const Strided&, const CopyArgs<float>&) noexcept;
template void copy<double>(const Strided&, const CopyArgs<double>&) noexcept;
template void copy<std::int64_t>(const Strided&, const CopyArgs<std::int64_t>&) noexcept;
template void copy<bool>(const Strided&, const CopyArgs<bool>&) noexcept;

}  // namespace unroll::UNROLL_ISA_NS
