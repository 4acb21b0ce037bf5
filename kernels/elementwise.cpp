#include "kernels/elementwise.h"

#include <utility>

#include "kernels/past_caches_simd.h"

namespace unroll::UNROLL_ISA_NS {

// The functions of a whole vector, for the formulas. What Simd does not have goes lane by lane
// through the C library.
template <class T>
struct LaneMath {
  using S = Simd<T>;
  using Vec = typename S::Vec;

  // Kept out of line and rolled up: the C library is what costs here, and this is compiled for many
  // functions.
  template <class F>
  static __attribute__((noinline)) void each_lane(T* lane, F f) {
    for (int i = 0; i < S::lanes; i++) lane[i] = f(lane[i]);
  }
  template <class F>
  UNROLL_SIMD_FN Vec mapped(Vec x, F f) {
    T lane[S::lanes];
    S::store(lane, x);
    each_lane(lane, f);
    return S::load(lane);
  }
  UNROLL_SIMD_FN Vec sqrt(Vec x) { return S::sqrt(x); }
  UNROLL_SIMD_FN Vec expm1(Vec x) {
    return mapped(x, [](T v) { return std::expm1(v); });
  }
  UNROLL_SIMD_FN Vec log(Vec x) {
    return mapped(x, [](T v) { return std::log(v); });
  }
  UNROLL_SIMD_FN Vec log1p(Vec x) {
    return mapped(x, [](T v) { return std::log1p(v); });
  }
  UNROLL_SIMD_FN Vec sin(Vec x) {
    return mapped(x, [](T v) { return std::sin(v); });
  }
  UNROLL_SIMD_FN Vec cos(Vec x) {
    return mapped(x, [](T v) { return std::cos(v); });
  }
  UNROLL_SIMD_FN Vec erf(Vec x) {
    return mapped(x, [](T v) { return std::erf(v); });
  }
  UNROLL_SIMD_FN Vec erfc(Vec x) {
    return mapped(x, [](T v) { return std::erfc(v); });
  }
  UNROLL_SIMD_FN Vec floor(Vec x) {
    return mapped(x, [](T v) { return std::floor(v); });
  }
  UNROLL_SIMD_FN Vec ceil(Vec x) {
    return mapped(x, [](T v) { return std::ceil(v); });
  }
  UNROLL_SIMD_FN Vec round(Vec x) {
    return mapped(x, [](T v) { return std::nearbyint(v); });
  }
  static __attribute__((noinline)) void pow_lanes(T* x, const T* y) {
    for (int i = 0; i < S::lanes; i++) x[i] = std::pow(x[i], y[i]);
  }
  UNROLL_SIMD_FN Vec pow(Vec x, Vec y) {
    T base[S::lanes], exponent[S::lanes];
    S::store(base, x);
    S::store(exponent, y);
    pow_lanes(base, exponent);
    return S::load(base);
  }
  template <class Mask>
  UNROLL_SIMD_FN Vec select(Mask c, Vec a, Vec b) {
    return c ? a : b;
  }
  UNROLL_SIMD_FN Vec set(double x) { return S::set(T(x)); }
  UNROLL_SIMD_FN Vec abs(Vec x) { return S::abs(x); }
  UNROLL_SIMD_FN Vec exp(Vec x) { return S::exp(x); }
  UNROLL_SIMD_FN Vec tanh(Vec x) { return S::tanh(x); }
  UNROLL_SIMD_FN Vec sigmoid(Vec x) { return S::sigmoid(x); }
};

template <>
struct LaneMath<std::int64_t> : ScalarMath<std::int64_t> {};

// The work of one element in additions, for the decision to use threads.
static int cost_of(Unary op) {
  switch (op) {
    case Unary::expm1:
    case Unary::log:
    case Unary::log1p:
    case Unary::sin:
    case Unary::cos:
    case Unary::softplus:
    case Unary::erf:
    case Unary::erfc:
    case Unary::elu:
    case Unary::logsigmoid:
    case Unary::gelu:
    case Unary::pow_scalar: return 16;
    case Unary::exp:
    case Unary::tanh:
    case Unary::elu_slope:
    case Unary::silu:
    case Unary::mish:
    case Unary::gelu_tanh:
    case Unary::sigmoid: return 4;
    default: return 1;
  }
}

// ---- inner loops over n adjacent elements; the tail is a padded vector, so that its bits are
// those of any other place

template <Unary op, class T>
static void unary_run(int n, const T* x, T* y, T p0, T p1) {
  using Math = LaneMath<T>;
  if constexpr (is_integer<T>) {
    if constexpr (integer_has(op)) {
      for (int i = 0; i < n; i++) y[i] = unary_formula<op, Math>(x[i], p0, p1);
    }
  } else {
    using S = Simd<T>;
    const auto q0 = S::set(p0), q1 = S::set(p1);
    int i = 0;
    for (; i + S::lanes <= n; i += S::lanes) {
      S::store(y + i, unary_formula<op, Math>(S::load(x + i), q0, q1));
    }
    if (i < n) S::store_n(y + i, unary_formula<op, Math>(S::load_n(x + i, n - i), q0, q1), n - i);
  }
}

template <Binary op, class T>
static void binary_run(int n, const T* a, const T* b, T* z) {
  using Math = LaneMath<T>;
  if constexpr (is_integer<T>) {
    if constexpr (op == Binary::div) {
      for (int i = 0; i < n; i++) z[i] = quotient(a[i], b[i]);
    } else if constexpr (integer_has(op)) {
      for (int i = 0; i < n; i++) z[i] = binary_formula<op, Math>(a[i], b[i]);
    }
  } else {
    using S = Simd<T>;
    int i = 0;
    for (; i + S::lanes <= n; i += S::lanes) {
      S::store(z + i, binary_formula<op, Math>(S::load(a + i), S::load(b + i)));
    }
    if (i < n) {
      const int left = n - i;
      S::store_n(z + i, binary_formula<op, Math>(S::load_n(a + i, left), S::load_n(b + i, left)),
                 left);
    }
  }
}

template <Compare op, class T>
static void compare_run(int n, const T* a, const T* b, bool* z) {
  for (int i = 0; i < n; i++) z[i] = compare_formula<op>(a[i], b[i]);
}

// ---- tables from op to inner loop, in the order of the enumerations

template <class T>
using UnaryRun = void (*)(int, const T*, T*, T, T);
template <class T>
using BinaryRun = void (*)(int, const T*, const T*, T*);
template <class T>
using CompareRun = void (*)(int, const T*, const T*, bool*);

template <class T, int... i>
static UnaryRun<T> unary_loop(Unary op, std::integer_sequence<int, i...>) {
  static constexpr UnaryRun<T> loops[] = {&unary_run<Unary(i), T>...};
  return loops[int(op)];
}
template <class T, int... i>
static BinaryRun<T> binary_loop(Binary op, std::integer_sequence<int, i...>) {
  static constexpr BinaryRun<T> loops[] = {&binary_run<Binary(i), T>...};
  return loops[int(op)];
}
template <class T, int... i>
static CompareRun<T> compare_loop(Compare op, std::integer_sequence<int, i...>) {
  static constexpr CompareRun<T> loops[] = {&compare_run<Compare(i), T>...};
  return loops[int(op)];
}

// ---- kernels

// Runs `run(n, x, y)` over every block of the space, whatever the strides.
template <class X, class Y, class Run>
static void map1(const Strided& space, int cost, const X* x, Y* y, Run run) {
  const std::int64_t flat = flat_count(space, 2);
  if (flat >= 0) {
    const bool past = goes_past_caches(y, flat, reinterpret_cast<const void*>(x) == y);
    return for_each_filled_block(flat, cost, past, [&](std::int64_t at, int n) {
      fill_block(y + at, n, past, [&](Y* to) { run(n, x + at, to); });
    });
  }
  const Strided s = merged(space, 2);
  const Layout to = layout_of(s, 0), from = layout_of(s, 1);
  const bool past = goes_past_caches(y, element_count(s), reinterpret_cast<const void*>(x) == y);
  for_each_filled_block(element_count(s), cost, past, [&](std::int64_t begin, int n) {
    X in[block_size];
    const X* p = read_block(s, 1, from, x, begin, n, in);
    if (to == Layout::dense || s.rank == 0) {
      return fill_block(y + begin, n, past, [&](Y* block) { run(n, p, block); });
    }
    Y out[block_size];
    run(n, p, out);
    write_block(s, y, begin, n, out);
  });
}

// The same with two inputs: `run(n, a, b, z)`.
template <class X, class Z, class Run>
static void map2(const Strided& space, int cost, const X* a, const X* b, Z* z, Run run) {
  const std::int64_t flat = flat_count(space, 3);
  if (flat >= 0) {
    const void* const to = z;
    const bool past = goes_past_caches(z, flat, to == a || to == b);
    return for_each_filled_block(flat, cost, past, [&](std::int64_t at, int n) {
      fill_block(z + at, n, past, [&](Z* block) { run(n, a + at, b + at, block); });
    });
  }
  const Strided s = merged(space, 3);
  const Layout to = layout_of(s, 0), from_a = layout_of(s, 1), from_b = layout_of(s, 2);
  const void* const target = z;
  const bool past = goes_past_caches(z, element_count(s), target == a || target == b);
  for_each_filled_block(element_count(s), cost, past, [&](std::int64_t begin, int n) {
    X in_a[block_size], in_b[block_size];
    const X* p = read_block(s, 1, from_a, a, begin, n, in_a);
    const X* q = read_block(s, 2, from_b, b, begin, n, in_b);
    if (to == Layout::dense || s.rank == 0) {
      return fill_block(z + begin, n, past, [&](Z* block) { run(n, p, q, block); });
    }
    Z out[block_size];
    run(n, p, q, out);
    write_block(s, z, begin, n, out);
  });
}

template <class T>
void unary(const UnaryShape& shape, const UnaryArgs<T>& args) noexcept {
  constexpr int ops = int(Unary::gelu_tanh) + 1;
  const Unary op = simplified(shape.op, shape.p0);
  const auto loop = unary_loop<T>(op, std::make_integer_sequence<int, ops>());
  const T p0 = T(shape.p0), p1 = T(shape.p1);
  map1(shape.space, cost_of(op), args.x, args.y,
       [&](int n, const T* x, T* y) { loop(n, x, y, p0, p1); });
}

template <class T>
void binary(const BinaryShape& shape, const BinaryArgs<T>& args) noexcept {
  constexpr int ops = int(Binary::relu_pull) + 1;
  const auto loop = binary_loop<T>(shape.op, std::make_integer_sequence<int, ops>());
  map2(shape.space, shape.op == Binary::pow ? 16 : 1, args.a, args.b, args.z, loop);
}

template <class T>
void compare(const CompareShape& shape, const CompareArgs<T>& args) noexcept {
  constexpr int ops = int(Compare::ge) + 1;
  const auto loop = compare_loop<T>(shape.op, std::make_integer_sequence<int, ops>());
  map2(shape.space, 1, args.a, args.b, args.z, loop);
}

template <class T>
void test(const TestShape& shape, const TestArgs<T>& args) noexcept {
  const T infinity = T(__builtin_inf());
  map1(shape.space, 1, args.x, args.y, [&](int n, const T* x, bool* y) {
    for (int i = 0; i < n; i++) {
      const bool nan = x[i] != x[i], inf = x[i] == infinity || x[i] == -infinity;
      y[i] = shape.op == Test::isnan ? nan : !nan && !inf;
    }
  });
}

template <class T>
void where(const WhereShape& shape, const WhereArgs<T>& args) noexcept {
  const Strided s = merged(shape.space, 4);
  const Layout to = layout_of(s, 0), from_c = layout_of(s, 1), from_a = layout_of(s, 2),
               from_b = layout_of(s, 3);
  for_each_block(element_count(s), 1, [&](std::int64_t begin, int n) {
    bool in_c[block_size];
    T in_a[block_size], in_b[block_size], out[block_size];
    const bool* c = read_block(s, 1, from_c, args.condition, begin, n, in_c);
    const T* a = read_block(s, 2, from_a, args.a, begin, n, in_a);
    const T* b = read_block(s, 3, from_b, args.b, begin, n, in_b);
    const bool direct = to == Layout::dense || s.rank == 0;
    T* z = direct ? args.z + begin : out;
    for (int i = 0; i < n; i++) z[i] = c[i] ? a[i] : b[i];
    if (!direct) write_block(s, args.z, begin, n, out);
  });
}

#define UNROLL_INSTANTIATE(T)                                              \
  template void unary<T>(const UnaryShape&, const UnaryArgs<T>&) noexcept; \
  template void binary<T>(const BinaryShape&, const BinaryArgs<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
UNROLL_INSTANTIATE(std::int64_t)
#undef UNROLL_INSTANTIATE

#define UNROLL_INSTANTIATE(T)                                                    \
  template void compare<T>(const CompareShape&, const CompareArgs<T>&) noexcept; \
  template void where<T>(const WhereShape&, const WhereArgs<T>&) noexcept;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
UNROLL_INSTANTIATE(std::int64_t)
UNROLL_INSTANTIATE(bool)
#undef UNROLL_INSTANTIATE

template void test<float>(const TestShape&, const TestArgs<float>&) noexcept;
template void test<double>(const TestShape&, const TestArgs<double>&) noexcept;

}  // namespace unroll::UNROLL_ISA_NS
