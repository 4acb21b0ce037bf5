#include "kernels/copy.h"

#include "kernels/strided_loop.h"

namespace unroll::UNROLL_ISA_NS {

template <class To, class From>
struct Convert {
  static inline To apply(From x) { return To(x); }
};
template <class From>
struct Convert<bool, From> {
  static inline bool apply(From x) { return x != From(0); }
};
template <class From>
struct RealToInteger {
  static inline std::int64_t apply(From x) {
    const bool fits = x >= From(-0x1p63) && x < From(0x1p63);  // false for NaN
    return fits ? std::int64_t(x) : INT64_MIN;
  }
};
template <>
struct Convert<std::int64_t, float> : RealToInteger<float> {};
template <>
struct Convert<std::int64_t, double> : RealToInteger<double> {};

template <class T>
inline constexpr int type_id = 0;
template <>
inline constexpr int type_id<float> = 1;
template <>
inline constexpr int type_id<double> = 2;
template <>
inline constexpr int type_id<std::int64_t> = 3;

template <class To, class From>
void copy(const Strided& space, const CopyArgs<To, From>& args) noexcept {
  const Strided s = merged(space, 2);
  const Layout from = layout_of(s, 1);
  const bool direct = s.rank == 0 || layout_of(s, 0) == Layout::dense;
  for_each_block(element_count(s), 1, [&](std::int64_t begin, int n) {
    if constexpr (type_id<To> == type_id<From>) {
      if (direct) {  // gathered straight to where it goes
        To* y = args.y + begin;
        const To* x = read_block(s, 1, from, args.x, begin, n, y);
        if (x != y) __builtin_memcpy(y, x, std::size_t(n) * sizeof(To));
        return;
      }
    }
    From in[block_size];
    To out[block_size];
    const From* x = read_block(s, 1, from, args.x, begin, n, in);
    To* y = direct ? args.y + begin : out;
    for (int i = 0; i < n; i++) y[i] = Convert<To, From>::apply(x[i]);
    if (!direct) write_block(s, args.y, begin, n, out);
  });
}

template <class T>
void fill(const Strided& space, const FillArgs<T>& args) noexcept {
  const Strided s = merged(space, 1);
  const bool direct = s.rank == 0 || layout_of(s, 0) == Layout::dense;
  for_each_block(element_count(s), 1, [&](std::int64_t begin, int n) {
    if (direct) {
      for (int i = 0; i < n; i++) args.y[begin + i] = args.value;
      return;
    }
    for_each_run(s, 0, begin, n, [&](std::int64_t offset, std::int64_t stride, int count) {
      for (int i = 0; i < count; i++) args.y[offset + i * stride] = args.value;
    });
  });
}

template <class T>
void axpy(const AxpyShape& shape, const AxpyArgs<T>& args) noexcept {
  const Strided s = merged(shape.space, 2);
  const Layout from = layout_of(s, 1), to = layout_of(s, 0);
  const bool direct = s.rank == 0 || to == Layout::dense;
  const T alpha = T(shape.alpha);
  for_each_block(element_count(s), 1, [&](std::int64_t begin, int n) {
    T in[block_size], sum[block_size];
    const T* x = read_block(s, 1, from, args.x, begin, n, in);
    const T* old = direct ? args.y + begin : read_block(s, 0, to, args.y, begin, n, sum);
    T* y = direct ? args.y + begin : sum;
    if (alpha == T(1)) {
      for (int i = 0; i < n; i++) y[i] = old[i] + x[i];
    } else {
      for (int i = 0; i < n; i++) y[i] = old[i] + alpha * x[i];
    }
    if (!direct) write_block(s, args.y, begin, n, sum);
  });
}

#define UNROLL_INSTANTIATE(To)                                                          \
  template void copy<To, float>(const Strided&, const CopyArgs<To, float>&) noexcept;   \
  template void copy<To, double>(const Strided&, const CopyArgs<To, double>&) noexcept; \
  template void copy<To, std::int64_t>(const Strided&,                                  \
                                       const CopyArgs<To, std::int64_t>&) noexcept;     \
  template void copy<To, bool>(const Strided&, const CopyArgs<To, bool>&) noexcept;     \
  template void fill<To>(const Strided&, const FillArgs<To>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
UNROLL_INSTANTIATE(std::int64_t)
UNROLL_INSTANTIATE(bool)
#undef UNROLL_INSTANTIATE

template void axpy<float>(const AxpyShape&, const AxpyArgs<float>&) noexcept;
template void axpy<double>(const AxpyShape&, const AxpyArgs<double>&) noexcept;
template void axpy<std::int64_t>(const AxpyShape&, const AxpyArgs<std::int64_t>&) noexcept;

}  // namespace unroll::UNROLL_ISA_NS
