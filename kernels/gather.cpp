#include "kernels/gather.h"

#include "kernels/parallel_loop.h"

namespace unroll::UNROLL_ISA_NS {

template <class T>
void index_select(const GatherShape& s, const GatherArgs<T>& args) noexcept {
  if (s.inner == 0) return;  // memcpy wants real addresses even for nothing
  for_each_index(s.outer * s.m, s.outer * s.m * s.inner, [&](std::int64_t i) {
    const T* x = args.x + (i / s.m * s.n + args.index[i % s.m]) * s.inner;
    __builtin_memcpy(args.y + i * s.inner, x, std::size_t(s.inner) * sizeof(T));
  });
}

template <class T>
void take_along(const GatherShape& s, const GatherArgs<T>& args) noexcept {
  for_each_index(s.outer * s.m, s.outer * s.m * s.inner, [&](std::int64_t i) {
    const T* x = args.x + i / s.m * s.n * s.inner;
    const std::int64_t* index = args.index + i * s.inner;
    T* y = args.y + i * s.inner;
    for (std::int64_t j = 0; j < s.inner; j++) y[j] = x[index[j] * s.inner + j];
  });
}

// Sums into shared places are split by output columns: each place is written by one thread, in the
// order of the indices.
inline constexpr std::int64_t strip = 64;

// Calls body(o, first, last) for every outer index and strip of inner columns.
template <class Body>
static void for_each_strip(const GatherShape& s, Body body) {
  const std::int64_t strips = (s.inner + strip - 1) / strip;
  for_each_index(s.outer * strips, s.outer * s.m * s.inner, [&](std::int64_t i) {
    const std::int64_t first = i % strips * strip;
    body(i / strips, first, first + strip < s.inner ? first + strip : s.inner);
  });
}

template <class T>
void index_add(const GatherShape& s, const GatherArgs<T>& args) noexcept {
  for_each_strip(s, [&](std::int64_t o, std::int64_t first, std::int64_t last) {
    for (std::int64_t j = 0; j < s.m; j++) {
      const T* x = args.x + (o * s.m + j) * s.inner;
      T* y = args.y + (o * s.n + args.index[j]) * s.inner;
      for (std::int64_t k = first; k < last; k++) y[k] += x[k];
    }
  });
}

template <class T>
void put_along_add(const GatherShape& s, const GatherArgs<T>& args) noexcept {
  for_each_strip(s, [&](std::int64_t o, std::int64_t first, std::int64_t last) {
    T* y = args.y + o * s.n * s.inner;
    for (std::int64_t j = 0; j < s.m; j++) {
      const T* x = args.x + (o * s.m + j) * s.inner;
      const std::int64_t* index = args.index + (o * s.m + j) * s.inner;
      for (std::int64_t k = first; k < last; k++) y[index[k] * s.inner + k] += x[k];
    }
  });
}

#define UNROLL_INSTANTIATE(T)                                                       \
  template void index_select<T>(const GatherShape&, const GatherArgs<T>&) noexcept; \
  template void take_along<T>(const GatherShape&, const GatherArgs<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
UNROLL_INSTANTIATE(std::int64_t)
UNROLL_INSTANTIATE(bool)
#undef UNROLL_INSTANTIATE

#define UNROLL_INSTANTIATE(T)                                                    \
  template void index_add<T>(const GatherShape&, const GatherArgs<T>&) noexcept; \
  template void put_along_add<T>(const GatherShape&, const GatherArgs<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace unroll::UNROLL_ISA_NS
