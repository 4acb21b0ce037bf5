// Which copy of the hot kernels runs, and the one line per kernel that dispatch*.cpp needs.
//
//   UNROLL_ISA=avx2 ./program        // baseline | avx2 | avx512 forces one
//   require_isa();                   // once, early: throws if that was impossible
//   if (isa() == Isa::avx512) ...
//
// Every kernels/*.cpp except isa.cpp and dispatch*.cpp is compiled once per instruction set, into
// the namespaces unroll::base, unroll::avx2 and unroll::avx512. The build defines UNROLL_ISA_AVX2
// and UNROLL_ISA_AVX512 where those copies exist. The choice is made once; it is safe to read from
// any thread.
#pragma once

#include "core/export.h"

namespace UNROLL_API unroll {

/// Instruction sets that kernels are compiled for.
enum class Isa { base, avx2, avx512 };

/// The instruction set in use: the best one built in that this machine runs, or what UNROLL_ISA
/// asks for if that is possible.
Isa isa() noexcept;

/// The same, but throws Error if UNROLL_ISA names no instruction set, or one that this build or
/// this machine lacks. Call it before the first kernel.
Isa require_isa();

/// Whether this build has the copy and this machine (processor and operating system) runs it.
bool isa_available(Isa) noexcept;

/// "baseline", "avx2" or "avx512": the value of UNROLL_ISA.
const char* isa_name(Isa) noexcept;

/// Switches to an available instruction set, for tests and benchmarks; no kernel may be running,
/// and scratch sizes asked for before are void. Throws Error if it is not available.
void use_isa(Isa);

}  // namespace unroll

#ifdef UNROLL_ISA_AVX2
#define UNROLL_IF_AVX2(...) __VA_ARGS__
#else
#define UNROLL_IF_AVX2(...)
#endif
#ifdef UNROLL_ISA_AVX512
#define UNROLL_IF_AVX512(...) __VA_ARGS__
#else
#define UNROLL_IF_AVX512(...)
#endif

// UNROLL_DISPATCH(matmul, void, MatmulShape, MatmulArgs) defines
//     template <class Real> void cpu::matmul(const MatmulShape&, const MatmulArgs<Real>&) noexcept
// as a call of base::matmul, avx2::matmul or avx512::matmul, and instantiates it for float and
// double. UNROLL_DISPATCH_FOR(Real, ...) instantiates it for further types. Use both inside
// namespace unroll.
#define UNROLL_DISPATCH(name, Result, Shape, Args)      \
  UNROLL_DISPATCH_TEMPLATE(name, Result, Shape, Args)   \
  UNROLL_DISPATCH_FOR(float, name, Result, Shape, Args) \
  UNROLL_DISPATCH_FOR(double, name, Result, Shape, Args)

#define UNROLL_DISPATCH_TEMPLATE(name, Result, Shape, Args)                        \
  UNROLL_DECLARE_COPY(base, name, Result, Shape, Args)                             \
  UNROLL_IF_AVX2(UNROLL_DECLARE_COPY(avx2, name, Result, Shape, Args))             \
  UNROLL_IF_AVX512(UNROLL_DECLARE_COPY(avx512, name, Result, Shape, Args))         \
  template <class Real>                                                            \
  Result cpu::name(const Shape& shape, const Args<Real>& args) noexcept {          \
    switch (isa()) {                                                               \
      UNROLL_IF_AVX512(case Isa::avx512 : return avx512::name<Real>(shape, args);) \
      UNROLL_IF_AVX2(case Isa::avx2 : return avx2::name<Real>(shape, args);)       \
      default: return base::name<Real>(shape, args);                               \
    }                                                                              \
  }

#define UNROLL_DISPATCH_FOR(Real, name, Result, Shape, Args) \
  template Result cpu::name<Real>(const Shape&, const Args<Real>&) noexcept;

#define UNROLL_DECLARE_COPY(isa_ns, name, Result, Shape, Args) \
  namespace isa_ns {                                           \
  template <class Real>                                        \
  Result name(const Shape&, const Args<Real>&) noexcept;       \
  }

// The same for functions of the shape alone, such as sizes:
//     template <class Real> Result cpu::name(const Shape&) noexcept
#define UNROLL_DISPATCH_SHAPE(name, Result, Shape)                           \
  UNROLL_DECLARE_SHAPE_COPY(base, name, Result, Shape)                       \
  UNROLL_IF_AVX2(UNROLL_DECLARE_SHAPE_COPY(avx2, name, Result, Shape))       \
  UNROLL_IF_AVX512(UNROLL_DECLARE_SHAPE_COPY(avx512, name, Result, Shape))   \
  template <class Real>                                                      \
  Result cpu::name(const Shape& shape) noexcept {                            \
    switch (isa()) {                                                         \
      UNROLL_IF_AVX512(case Isa::avx512 : return avx512::name<Real>(shape);) \
      UNROLL_IF_AVX2(case Isa::avx2 : return avx2::name<Real>(shape);)       \
      default: return base::name<Real>(shape);                               \
    }                                                                        \
  }                                                                          \
  template Result cpu::name<float>(const Shape&) noexcept;                   \
  template Result cpu::name<double>(const Shape&) noexcept;

#define UNROLL_DECLARE_SHAPE_COPY(isa_ns, name, Result, Shape) \
  namespace isa_ns {                                           \
  template <class Real>                                        \
  Result name(const Shape&) noexcept;                          \
  }
