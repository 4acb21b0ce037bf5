#include "bench/compare/peak.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "kernels/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace unroll::compare {
namespace {

constexpr int trials = 10, repeats = 5;
constexpr long turns = 20000;
constexpr int chains = 10;  // independent sums: latency 4 x 2 per cycle, and some to spare

// Each adds `turns` products to `chains` vectors; returns a number that depends on all of them.
#if defined(__x86_64__)
__attribute__((target("avx512f"))) float multiply_avx512() {
  __m512 sum[chains], factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(0.001f);
  for (__m512& s : sum) s = term;
  for (long i = 0; i < turns; i++)
    for (__m512& s : sum) s = _mm512_fmadd_ps(s, factor, term);
  float total = 0;
  for (const __m512& s : sum) total += _mm512_cvtss_f32(s);
  return total;
}

__attribute__((target("avx2,fma"))) float multiply_avx2() {
  __m256 sum[chains], factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(0.001f);
  for (__m256& s : sum) s = term;
  for (long i = 0; i < turns; i++)
    for (__m256& s : sum) s = _mm256_fmadd_ps(s, factor, term);
  float total = 0;
  for (const __m256& s : sum) total += _mm256_cvtss_f32(s);
  return total;
}
#endif

float multiply_base() {
  typedef float Four __attribute__((vector_size(16)));
  Four sum[chains], factor = Four{} + 0.999f, term = Four{} + 0.001f;
  for (Four& s : sum) s = term;
  for (long i = 0; i < turns; i++)
    for (Four& s : sum) s = s * factor + term;
  float total = 0;
  for (const Four& s : sum) total += s[0];
  return total;
}

struct Loop {
  float (*run)();
  int lanes;
};

Loop loop_of(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512) return {multiply_avx512, 16};
  if (isa == Isa::avx2) return {multiply_avx2, 8};
#endif
  return {multiply_base, 4};
}

}  // namespace

double peak_gflops() {
  const Loop loop = loop_of(isa());
  const double work = 2.0 * chains * loop.lanes * turns * repeats;
  double rate = 0;
  volatile float sink = 0;
#pragma omp parallel reduction(+ : rate)
  {
    double least = INFINITY;  // of this thread: others may be disturbed at another time
    for (int trial = 0; trial < trials; trial++) {
      const auto start = std::chrono::steady_clock::now();
      float total = 0;
      for (int i = 0; i < repeats; i++) total += loop.run();
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      least = std::min(least, taken.count());
#pragma omp critical
      sink = sink + total;
    }
    rate = work / least;
  }
  return rate / 1e9;
}

}  // namespace unroll::compare
