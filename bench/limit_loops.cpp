#include "bench/limit_loops.h"

#include "kernels/vector_loop_simd.h"

namespace unroll::UNROLL_ISA_NS {

// Without fused multiply-add a link of the chain takes about 7 cycles, and two start in each.
inline constexpr int fma_chains = 14;

// Keeps the compiler from doing the passes of a loop only once.
static inline void forget() { asm volatile("" ::: "memory"); }

template <class T>
double fma_loop(const bench::FmaShape& s, const bench::FmaArgs<T>& args) noexcept {
  using S = Simd<T>;
  typename S::Vec x[fma_chains];
  for (int i = 0; i < fma_chains; i++) x[i] = S::set(T(i));
  const typename S::Vec a = S::set(T(0.5)), b = S::set(T(0.25));
  for (std::int64_t k = 0; k < s.rounds; k++) {
    UNROLL_FULL_UNROLL
    for (int i = 0; i < fma_chains; i++) x[i] = S::fma(x[i], a, b);
  }
  for (int i = 1; i < fma_chains; i++) x[0] += x[i];
  *args.sink = sum_of_lanes<T>(x[0]);
  return 2.0 * fma_chains * S::lanes * double(s.rounds);
}

// One pass: put(i, value of the vector at i), by stream_step numbers.
template <class T, bool past_caches, class Value>
static inline void put_all(std::int64_t count, T* out, Value value) {
  using S = Simd<T>;
  constexpr int vectors = int(bench::stream_step) / S::lanes;
  for (std::int64_t i = 0; i < count; i += bench::stream_step) {
    UNROLL_FULL_UNROLL
    for (int j = 0; j < vectors; j++) {
      const std::int64_t at = i + j * S::lanes;
      past_caches ? S::stream(out + at, value(at)) : S::store(out + at, value(at));
    }
  }
  if (past_caches) S::end_stream();
}

template <class T>
static inline T sum_all(std::int64_t count, const T* a) {
  using S = Simd<T>;
  constexpr int vectors = 8;
  typename S::Vec sum[vectors] = {};
  for (std::int64_t i = 0; i < count; i += vectors * S::lanes) {
    UNROLL_FULL_UNROLL
    for (int j = 0; j < vectors; j++) sum[j] += S::load(a + i + j * S::lanes);
  }
  for (int j = 1; j < vectors; j++) sum[0] += sum[j];
  return sum_of_lanes<T>(sum[0]);
}

template <class T, bool past_caches>
static int pass(const bench::StreamShape& s, const bench::StreamArgs<T>& args) {
  using S = Simd<T>;
  using Vec = typename S::Vec;
  const T *a = args.a, *b = args.b;
  T* const out = args.out;
  const Vec one = S::set(T(1.5));
  switch (s.traffic) {
    case bench::Traffic::read: *args.sink = sum_all(s.count, a); return 1;
    case bench::Traffic::write:
      put_all<T, past_caches>(s.count, out, [&](std::int64_t) -> Vec { return one; });
      return 1;
    case bench::Traffic::copy:
      put_all<T, past_caches>(s.count, out, [&](std::int64_t i) -> Vec { return S::load(a + i); });
      return 2;
    case bench::Traffic::add:
      put_all<T, past_caches>(
          s.count, out, [&](std::int64_t i) -> Vec { return S::load(a + i) + S::load(b + i); });
      return 3;
    case bench::Traffic::update:
      put_all<T, past_caches>(s.count, out,
                              [&](std::int64_t i) -> Vec { return S::load(out + i) * one; });
      return 2;
  }
  return 0;
}

template <class T>
double stream_loop(const bench::StreamShape& s, const bench::StreamArgs<T>& args) noexcept {
  int arrays = 0;
  for (std::int64_t k = 0; k < s.passes; k++) {
    arrays = s.past_caches ? pass<T, true>(s, args) : pass<T, false>(s, args);
    forget();
  }
  return double(arrays) * double(s.passes) * double(s.count) * double(sizeof(T));
}

template double fma_loop<float>(const bench::FmaShape&, const bench::FmaArgs<float>&) noexcept;
template double fma_loop<double>(const bench::FmaShape&, const bench::FmaArgs<double>&) noexcept;
template double stream_loop<float>(const bench::StreamShape&,
                                   const bench::StreamArgs<float>&) noexcept;

}  // namespace unroll::UNROLL_ISA_NS
