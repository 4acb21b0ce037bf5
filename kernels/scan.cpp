#include "kernels/scan.h"

#include "kernels/parallel_loop.h"

namespace unroll::UNROLL_ISA_NS {

// Lines computed side by side, so that the inner loop is over adjacent numbers.
inline constexpr std::int64_t scan_lines = 128;

template <class T>
void scan(const ScanShape& s, const ScanArgs<T>& args) noexcept {
  if (s.count == 0) return;
  const std::int64_t strips = (s.inner + scan_lines - 1) / scan_lines;
  const std::int64_t step = s.reverse ? -s.inner : s.inner;
  for_each_index(s.outer * strips, 2 * s.outer * s.count * s.inner, [&](std::int64_t i) {
    const std::int64_t first = i % strips * scan_lines;
    const std::int64_t width = s.inner - first < scan_lines ? s.inner - first : scan_lines;
    std::int64_t at = i / strips * s.count * s.inner + first;
    if (s.reverse) at += (s.count - 1) * s.inner;
    for (std::int64_t j = 0; j < width; j++) args.y[at + j] = args.b[at + j];
    for (std::int64_t t = 1; t < s.count; t++) {
      const T* before = args.y + at;
      at += step;
      const T* b = args.b + at;
      T* y = args.y + at;
      if (args.a) {
        const T* a = args.a + at;
        for (std::int64_t j = 0; j < width; j++) y[j] = a[j] * before[j] + b[j];
      } else {
        for (std::int64_t j = 0; j < width; j++) y[j] = before[j] + b[j];
      }
    }
  });
}

template void scan<float>(const ScanShape&, const ScanArgs<float>&) noexcept;
template void scan<double>(const ScanShape&, const ScanArgs<double>&) noexcept;

}  // namespace unroll::UNROLL_ISA_NS
