// One vector type over the compilers' vector extensions, templated on the real type and the width
// in bytes.
//
//   using S = Simd<float>;      // as wide as the instruction set this file is compiled for
//   S::Vec v = S::load(x);      // S::lanes numbers; + - * / work lane by lane
//   S::store(y, S::fma(S::sigmoid(v), v, S::set(1)));
//
// Include it only from kernels/*.cpp, which are compiled once per instruction set: everything lives
// in the plain namespace of that copy (UNROLL_ISA_NS) and is inlined, so the linker has nothing to
// merge between the copies. For the same reason these files include no standard header that emits
// code.
#pragma once

#if defined(__FAST_MATH__)
#error "simd.h needs NaN, infinities and the order of additions: compile without -ffast-math"
#endif

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define UNROLL_SIMD_BYTES 64
#elif defined(__AVX2__) && defined(__FMA__)
#define UNROLL_SIMD_BYTES 32
#else
#define UNROLL_SIMD_BYTES 16
#endif

#define UNROLL_SIMD_FN static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL_FULL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL_FULL_UNROLL _Pragma("GCC unroll 32")
#pragma GCC diagnostic ignored "-Wpsabi"  // wide vectors pass only through inlined functions
#endif

#if defined(__SSE2__)
#define UNROLL_SIMD_MINMAX_16(op)                                                         \
  if constexpr (bytes == 16 && is_float) return (Vec)_mm_##op##_ps((__m128)a, (__m128)b); \
  if constexpr (bytes == 16 && !is_float) return (Vec)_mm_##op##_pd((__m128d)a, (__m128d)b);
#else
#define UNROLL_SIMD_MINMAX_16(op)
#endif
#if defined(__AVX__)
#define UNROLL_SIMD_MINMAX_32(op)                                                            \
  if constexpr (bytes == 32 && is_float) return (Vec)_mm256_##op##_ps((__m256)a, (__m256)b); \
  if constexpr (bytes == 32 && !is_float) return (Vec)_mm256_##op##_pd((__m256d)a, (__m256d)b);
#else
#define UNROLL_SIMD_MINMAX_32(op)
#endif
#if defined(__AVX512F__)  // the masked form avoids false "uninitialised" warnings of g++ 12
#define UNROLL_SIMD_MINMAX_64(op)                                        \
  if constexpr (bytes == 64 && is_float)                                 \
    return (Vec)_mm512_maskz_##op##_ps(all_lanes, (__m512)a, (__m512)b); \
  if constexpr (bytes == 64 && !is_float)                                \
    return (Vec)_mm512_maskz_##op##_pd(all_lanes, (__m512d)a, (__m512d)b);
#else
#define UNROLL_SIMD_MINMAX_64(op)
#endif
#define UNROLL_SIMD_MINMAX(op) \
  UNROLL_SIMD_MINMAX_16(op) UNROLL_SIMD_MINMAX_32(op) UNROLL_SIMD_MINMAX_64(op)

namespace unroll::UNROLL_ISA_NS {

// What exp needs to know about a real type: its layout, and e^r - 1 - r = r^2 q(r) for
// |r| <= ln(2)/2 (minimax; q from the highest power down). ln2 is split so that n * ln2_high is
// exact for every exponent n.
template <class Real>
struct ExpTraits;

template <>
struct ExpTraits<float> {
  using Int = std::int32_t;
  using Unsigned = std::uint32_t;
  static constexpr int exponent_bias = 127, mantissa_bits = 23;
  // x + this - this rounds x to an integer, which the low bits of the sum then hold.
  static constexpr float round_to_int = 0x1.8p23f;
  static constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
  static constexpr float q[] = {0x1.6bec02p-10f, 0x1.12279cp-7f, 0x1.555674p-5f, 0x1.5554b0p-3f,
                                0x1.fffffep-2f};
  static constexpr float exp_lowest = -105, exp_highest = 89;
  static constexpr int sigmoid_shift = 64;
  static constexpr float sigmoid_one = 0x1p-64f, sigmoid_highest = 41;  // sigmoid(41) rounds to 1
  static constexpr float tanh_one = 10;                                 // tanh(10) rounds to 1
};

template <>
struct ExpTraits<double> {
  using Int = std::int64_t;
  using Unsigned = std::uint64_t;
  static constexpr int exponent_bias = 1023, mantissa_bits = 52;
  static constexpr double round_to_int = 0x1.8p52;
  static constexpr double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
  static constexpr double q[] = {
      0x1.ae6babf95b180p-26, 0x1.28a1f98638154p-22, 0x1.71de8819d2a4ep-19, 0x1.a019a756e6e10p-16,
      0x1.a01a0175044abp-13, 0x1.6c16c17ee343dp-10, 0x1.1111111118fecp-7,  0x1.555555555229cp-5,
      0x1.5555555555539p-3,  0x1.0000000000005p-1};
  static constexpr double exp_lowest = -746, exp_highest = 710;
  static constexpr int sigmoid_shift = 512;
  static constexpr double sigmoid_one = 0x1p-512, sigmoid_highest = 300;
  static constexpr double tanh_one = 20;
};

#if defined(__AVX__)
// tail_mask + 8 - n (in 32-bit words) selects the first n words of eight.
alignas(64) static const std::int32_t tail_mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                       0,  0,  0,  0,  0,  0,  0,  0};
#endif

template <class Real_, int bytes = UNROLL_SIMD_BYTES>
struct Simd {
  using Real = Real_;
  using Traits = ExpTraits<Real>;
  using Int = typename Traits::Int;
  static constexpr int lanes = bytes / int(sizeof(Real));
  static constexpr bool is_float = sizeof(Real) == 4;

  typedef Real Vec __attribute__((vector_size(bytes), may_alias));
  typedef Real Unaligned __attribute__((vector_size(bytes), may_alias, aligned(sizeof(Real))));
  typedef Int Bits __attribute__((vector_size(bytes)));
  typedef typename Traits::Unsigned Pattern __attribute__((vector_size(bytes)));

  // ---- moving

  UNROLL_SIMD_FN Vec load(const Real* p) { return *reinterpret_cast<const Unaligned*>(p); }
  UNROLL_SIMD_FN void store(Real* p, Vec a) { *reinterpret_cast<Unaligned*>(p) = a; }
  UNROLL_SIMD_FN Vec zero() { return Vec{}; }
  UNROLL_SIMD_FN Vec set(Real x) {
    return x - Vec{};
  }  // x - (+0) is x, also for -0: folds to a broadcast

  // The first n lanes (0 <= n < lanes); the rest is zero. Touches no memory beyond them.
  UNROLL_SIMD_FN Vec load_n(const Real* p, int n) {
#if defined(__AVX512VL__)
    if constexpr (bytes == 64 && is_float) return (Vec)_mm512_maskz_loadu_ps(first(n), p);
    if constexpr (bytes == 64 && !is_float) return (Vec)_mm512_maskz_loadu_pd(first(n), p);
#endif
#if defined(__AVX__)
    if constexpr (bytes == 32 && is_float) return (Vec)_mm256_maskload_ps(p, first_words(n));
    if constexpr (bytes == 32 && !is_float) return (Vec)_mm256_maskload_pd(p, first_words(2 * n));
#endif
    alignas(bytes) Real buffer[lanes] = {};
    for (int i = 0; i < n; ++i) buffer[i] = p[i];
    return load(buffer);
  }
  UNROLL_SIMD_FN void store_n(Real* p, Vec a, int n) {
#if defined(__AVX512VL__)
    if constexpr (bytes == 64 && is_float) return _mm512_mask_storeu_ps(p, first(n), (__m512)a);
    if constexpr (bytes == 64 && !is_float) return _mm512_mask_storeu_pd(p, first(n), (__m512d)a);
#endif
#if defined(__AVX__)
    if constexpr (bytes == 32 && is_float) return _mm256_maskstore_ps(p, first_words(n), (__m256)a);
    if constexpr (bytes == 32 && !is_float)
      return _mm256_maskstore_pd(p, first_words(2 * n), (__m256d)a);
#endif
    for (int i = 0; i < n; ++i) p[i] = a[i];
  }

  // A store that does not bring its cache line in: for outputs that the caches would not hold
  // anyway. p is aligned to `bytes`. end_stream() comes before other threads read it.
  UNROLL_SIMD_FN void stream(Real* p, Vec a) {
#if defined(__AVX512F__)
    if constexpr (bytes == 64) return _mm512_stream_si512((__m512i*)p, (__m512i)a);
#endif
#if defined(__AVX__)
    if constexpr (bytes == 32) return _mm256_stream_si256((__m256i*)p, (__m256i)a);
#endif
#if defined(__SSE2__)
    if constexpr (bytes == 16) return _mm_stream_si128((__m128i*)p, (__m128i)a);
#endif
    store(p, a);
  }
  UNROLL_SIMD_FN void end_stream() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
  }

  // ---- arithmetic

  // a b + c, with one rounding where the instruction set has it, else two.
  UNROLL_SIMD_FN Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
    if constexpr (bytes == 64 && is_float)
      return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
    if constexpr (bytes == 64 && !is_float)
      return (Vec)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#endif
#if defined(__FMA__)
    if constexpr (bytes == 32 && is_float)
      return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
    if constexpr (bytes == 32 && !is_float)
      return (Vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
    if constexpr (bytes == 16 && is_float)
      return (Vec)_mm_fmadd_ps((__m128)a, (__m128)b, (__m128)c);
    if constexpr (bytes == 16 && !is_float)
      return (Vec)_mm_fmadd_pd((__m128d)a, (__m128d)b, (__m128d)c);
#endif
    return a * b + c;
  }
  // c - a b
  UNROLL_SIMD_FN Vec fnma(Vec a, Vec b, Vec c) { return fma(-a, b, c); }

  UNROLL_SIMD_FN Vec sqrt(Vec a) {
#if defined(__AVX512F__)
    if constexpr (bytes == 64 && is_float) return (Vec)_mm512_maskz_sqrt_ps(all_lanes, (__m512)a);
    if constexpr (bytes == 64 && !is_float) return (Vec)_mm512_maskz_sqrt_pd(all_lanes, (__m512d)a);
#endif
#if defined(__AVX__)
    if constexpr (bytes == 32 && is_float) return (Vec)_mm256_sqrt_ps((__m256)a);
    if constexpr (bytes == 32 && !is_float) return (Vec)_mm256_sqrt_pd((__m256d)a);
#endif
#if defined(__SSE2__)
    if constexpr (bytes == 16 && is_float) return (Vec)_mm_sqrt_ps((__m128)a);
    if constexpr (bytes == 16 && !is_float) return (Vec)_mm_sqrt_pd((__m128d)a);
#endif
    for (int i = 0; i < lanes; ++i) a[i] = is_float ? __builtin_sqrtf(a[i]) : __builtin_sqrt(a[i]);
    return a;
  }

  // min and max: if either is NaN, b. The instruction is named because g++ makes a comparison and a
  // blend of the ternary.
  UNROLL_SIMD_FN Vec min(Vec a, Vec b) {
    UNROLL_SIMD_MINMAX(min)
    return a < b ? a : b;
  }
  UNROLL_SIMD_FN Vec max(Vec a, Vec b) {
    UNROLL_SIMD_MINMAX(max)
    return a > b ? a : b;
  }
  // lo where x < lo, hi where x > hi; NaN stays NaN.
  UNROLL_SIMD_FN Vec clamp(Vec x, Real lo, Real hi) { return max(set(lo), min(set(hi), x)); }
  UNROLL_SIMD_FN Vec abs(Vec a) { return real(bits(a) & ~sign_bit()); }
  // a, which is not negative, with the sign of x.
  UNROLL_SIMD_FN Vec with_sign_of(Vec x, Vec a) { return real(bits(a) | (bits(x) & sign_bit())); }
  // value where x > 0, else 0: the derivative of relu applied to value. NaN in x counts as not
  // positive.
  UNROLL_SIMD_FN Vec where_positive(Vec x, Vec value) {
    return real(bits(value) & (Bits)(x > zero()));
  }

  // 0 where x > bound, else value: NaN in x leaves the value.
  UNROLL_SIMD_FN Vec where_not_above(Vec x, Vec bound, Vec value) {
    return real(bits(value) & ~(Bits)(x > bound));
  }

  // ---- exponentials: within 3 ulp, right through the subnormals; NaN stays NaN

  UNROLL_SIMD_FN Vec exp(Vec x) {
    const Reduced e = reduce<false>(clamp(x, Traits::exp_lowest, Traits::exp_highest));
    // 2^n as two factors, because n may lie outside the exponents of a normal number.
    const Bits half = bits(fma(e.n, set(Real(0.5)), set(Traits::round_to_int)));
    const Vec a = power_of_two(half, 0);
    const Vec b = power_of_two(Bits(Pattern(e.n_bits) - Pattern(half)), 0);
    return fma(a, e.p, a) * b;
  }

  // 1 / (1 + e^-x), top and bottom times 2^-shift: then no factor overflows or is subnormal.
  UNROLL_SIMD_FN Vec sigmoid(Vec x) {
    const Reduced e = reduce<true>(clamp(x, Traits::exp_lowest, Traits::sigmoid_highest));
    const Vec one = set(Traits::sigmoid_one),
              scale = power_of_two(e.n_bits, -Traits::sigmoid_shift);
    return one / fma(scale, e.p, scale + one);
  }

  // E / (E + 2) with E = e^2|x| - 1, and the sign put back: exactly odd, -0 kept.
  UNROLL_SIMD_FN Vec tanh(Vec x) {
    const Vec a = min(set(Traits::tanh_one), abs(x));
    const Reduced e = reduce<false>(a + a);
    const Vec scale = power_of_two(e.n_bits, 0);
    const Vec E = fma(scale, e.p, scale - set(1));
    return with_sign_of(x, E / (E + set(2)));
  }

 private:
  // 2^n (1 + p); n also as an integer, in the low bits of n_bits.
  struct Reduced {
    Vec p, n;
    Bits n_bits;
  };
  // e^x, or e^-x if negative: each sign is written where an fma takes it at no cost.
  template <bool negative>
  UNROLL_SIMD_FN Reduced reduce(Vec x) {
    const Vec per_ln2 = set(Real(0x1.71547652b82fep0));
    const Vec rounded = fma(negative ? -x : x, per_ln2, set(Traits::round_to_int));
    const Vec n = rounded - set(Traits::round_to_int);
    Vec r = fma(negative ? n : -n, set(Traits::ln2_high), x);
    r = fma(-n, set(Traits::ln2_low), negative ? -r : r);
    Vec q = set(Traits::q[0]);
    UNROLL_FULL_UNROLL
    for (unsigned i = 1; i < sizeof(Traits::q) / sizeof(Real); ++i)
      q = fma(q, r, set(Traits::q[i]));
    return {fma(r * r, q, r), n, bits(rounded)};
  }
  // Of a NaN's n_bits the result means nothing, but is no overflow.
  UNROLL_SIMD_FN Vec power_of_two(Bits n_bits, int shift) {
    using Unsigned = typename Traits::Unsigned;
    const Unsigned bias = Unsigned(Traits::exponent_bias + shift) << Traits::mantissa_bits;
    return real(Bits((Pattern(n_bits) << Traits::mantissa_bits) + bias));
  }

  UNROLL_SIMD_FN Bits bits(Vec a) { return __builtin_bit_cast(Bits, a); }
  UNROLL_SIMD_FN Vec real(Bits a) { return __builtin_bit_cast(Vec, a); }
  UNROLL_SIMD_FN Bits sign_bit() { return bits(set(Real(-0.0))); }

  static constexpr unsigned all_lanes = (1u << lanes) - 1;
  UNROLL_SIMD_FN unsigned first(int n) { return (1u << n) - 1; }
#if defined(__AVX__)
  UNROLL_SIMD_FN __m256i first_words(int words) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tail_mask + 8 - words));
  }
#endif
};

}  // namespace unroll::UNROLL_ISA_NS

#undef UNROLL_SIMD_MINMAX
#undef UNROLL_SIMD_MINMAX_16
#undef UNROLL_SIMD_MINMAX_32
#undef UNROLL_SIMD_MINMAX_64
