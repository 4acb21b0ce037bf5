// Elementwise kernels with broadcasting: y = f(x), z = f(a, b), comparisons, selection.
//
//   UnaryShape shape{.op = Unary::tanh, .space = {.rank = 1, .size = {n}, .stride = {{1}, {1}}}};
//   cpu::unary<float>(shape, {.x = x, .y = y});
//
// All functions are noexcept, allocate nothing and are safe to call from several threads on
// distinct outputs. An output may be one of its own inputs when both have the same strides; any
// other overlap is undefined. A value depends on its operands only, never on its position, the
// strides, the number of elements or of threads.
//
// NaN is handled as in PyTorch: maximum, minimum, relu and clamp pass it on, comparisons with it
// are false (ne is true).
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"
#include "kernels/backends.h"
#include "kernels/strided.h"

namespace unroll {

// p0 and p1 are the scalar attributes of UnaryShape.
enum class Unary : std::uint8_t {
  neg,               // -x
  abs,               // |x|
  sign,              // 1, -1, or x itself for +-0 and NaN
  square,            // x^2
  reciprocal,        // 1 / x
  sqrt,              // x^(1/2)
  rsqrt,             // x^(-1/2)
  exp,               // e^x
  expm1,             // e^x - 1, accurate near 0
  log,               // natural logarithm
  log1p,             // log(1 + x), accurate near 0
  sin,               // sine of x radians
  cos,               // cosine of x radians
  tanh,              // hyperbolic tangent
  one_minus_square,  // 1 - y^2: the slope of tanh in terms of its value
  sigmoid,           // 1 / (1 + e^-x)
  sigmoid_slope,     // y (1 - y): the slope of the sigmoid in terms of its value
  relu,              // max(x, 0)
  step,              // x > 0 ? 1 : 0, the slope of relu
  softplus,          // log(1 + e^x), without overflow
  erf,               // error function
  erfc,              // 1 - erf(x), accurate where erf is near 1
  floor,             // largest whole number <= x
  ceil,              // smallest whole number >= x
  round,             // nearest whole number, halves to even
  add_scalar,        // x + p0
  mul_scalar,        // x * p0
  pow_scalar,        // x^p0; p0 of 2, 1, 1/2, 0 and -1 are exact special cases
  clamp,             // min(max(x, p0), p1)
  inside,            // p0 <= x <= p1 ? 1 : 0, the slope of clamp
  hardtanh,          // the values of clamp
  between,           // p0 < x < p1 ? 1 : 0, the slope of hardtanh
  leaky_relu,        // x > 0 ? x : p0 x
  leaky_step,        // x > 0 ? 1 : p0, the slope of leaky_relu
  elu,               // x > 0 ? x : p0 (e^(p1 x) - 1)
  elu_slope,         // x > 0 ? 1 : p0 p1 e^(p1 x)
  softsign,          // x / (1 + |x|)
  silu,              // x / (1 + e^-x)
  mish,              // x tanh(log(1 + e^x))
  logsigmoid,        // log(1 / (1 + e^-x)), without overflow
  gelu,              // x P(a normal number < x) = x erfc(-x / sqrt 2) / 2
  gelu_tanh,         // its approximation x / (1 + e^-2u), u = sqrt(2/pi) (x + 0.044715 x^3)
};

enum class Binary : std::uint8_t {
  add,      // a + b
  sub,      // a - b
  mul,      // a * b
  div,      // a / b
  maximum,  // the larger
  minimum,  // the smaller
  pow,      // a^b
  share,    // a > b ? 1 : a == b ? 1/2 : 0: the slope of maximum in a (as PyTorch, ties are shared)
  tanh_pull,     // a (1 - b^2): cotangent a through tanh, whose value was b
  sigmoid_pull,  // a b (1 - b): cotangent a through the sigmoid, whose value was b
  relu_pull,     // b > 0 ? a : 0: cotangent a through relu at b
};

enum class Compare : std::uint8_t { eq, ne, lt, le, gt, ge };
enum class Test : std::uint8_t { isnan, isfinite };

struct UnaryShape {
  Unary op;
  Strided space;  // y, x
  double p0 = 0, p1 = 0;
};
template <class T>
struct UnaryArgs {
  const T* x;
  T* y;
};

struct BinaryShape {
  Binary op;
  Strided space;  // z, a, b
};
template <class T>
struct BinaryArgs {
  const T *a, *b;
  T* z;
};

struct CompareShape {
  Compare op;
  Strided space;  // z, a, b
};
template <class T>
struct CompareArgs {
  const T *a, *b;
  bool* z;
};

struct TestShape {
  Test op;
  Strided space;  // y, x
};
template <class T>
struct TestArgs {
  const T* x;
  bool* y;
};

struct WhereShape {
  Strided space;  // z, condition, a, b
};
template <class T>
struct WhereArgs {
  const bool* condition;
  const T *a, *b;
  T* z;  // condition ? a : b; the other one is never looked at, so a NaN there does no harm
};

namespace cpu {

// y = op(x), elementwise. T: float, double; also int64 for neg, abs, sign, square, relu, step,
// clamp, add_scalar and mul_scalar (attributes are truncated to whole numbers; any other op leaves
// y alone).
template <class T>
void unary(const UnaryShape&, const UnaryArgs<T>&) noexcept;

// z = op(a, b), elementwise with broadcasting. T: float, double; also int64 for add, sub, mul, div
// (truncating; 0 when the divisor is 0), maximum and minimum (any other op leaves z alone).
template <class T>
void binary(const BinaryShape&, const BinaryArgs<T>&) noexcept;

// z = a op b as bool. T: float, double, int64, bool.
template <class T>
void compare(const CompareShape&, const CompareArgs<T>&) noexcept;

// y = whether x is NaN or finite. T: float, double.
template <class T>
void test(const TestShape&, const TestArgs<T>&) noexcept;

// z = condition ? a : b. T: float, double, int64, bool.
template <class T>
void where(const WhereShape&, const WhereArgs<T>&) noexcept;

}  // namespace cpu

UNROLL_ON_GPU(unary, void, UnaryShape, UnaryArgs)
UNROLL_ON_GPU(binary, void, BinaryShape, BinaryArgs)
UNROLL_ON_GPU(compare, void, CompareShape, CompareArgs)
UNROLL_ON_GPU(test, void, TestShape, TestArgs)
UNROLL_ON_GPU(where, void, WhereShape, WhereArgs)

// ---- The formulas, once for every machine.
//
// V is what one lane group is: float, double, a vector of them. `Math` holds its functions:
// ScalarMath below, or the vector functions of elementwise.cpp.

// Functions of a scalar lane: for devices, and the reference of the tests.
template <class T>
struct ScalarMath {
  UNROLL_HOST_DEVICE static T set(double x) { return T(x); }
  UNROLL_HOST_DEVICE static T select(bool c, T a, T b) { return c ? a : b; }
  UNROLL_HOST_DEVICE static T abs(T x) { return std::fabs(x); }
  UNROLL_HOST_DEVICE static T sqrt(T x) { return std::sqrt(x); }
  UNROLL_HOST_DEVICE static T exp(T x) { return std::exp(x); }
  UNROLL_HOST_DEVICE static T expm1(T x) { return std::expm1(x); }
  UNROLL_HOST_DEVICE static T log(T x) { return std::log(x); }
  UNROLL_HOST_DEVICE static T log1p(T x) { return std::log1p(x); }
  UNROLL_HOST_DEVICE static T sin(T x) { return std::sin(x); }
  UNROLL_HOST_DEVICE static T cos(T x) { return std::cos(x); }
  UNROLL_HOST_DEVICE static T tanh(T x) { return std::tanh(x); }
  UNROLL_HOST_DEVICE static T sigmoid(T x) { return T(1) / (T(1) + std::exp(-x)); }
  UNROLL_HOST_DEVICE static T erf(T x) { return std::erf(x); }
  UNROLL_HOST_DEVICE static T erfc(T x) { return std::erfc(x); }
  UNROLL_HOST_DEVICE static T floor(T x) { return std::floor(x); }
  UNROLL_HOST_DEVICE static T ceil(T x) { return std::ceil(x); }
  UNROLL_HOST_DEVICE static T round(T x) { return std::nearbyint(x); }
  UNROLL_HOST_DEVICE static T pow(T x, T y) { return std::pow(x, y); }
};

// What the formulas ask of whole numbers, and the ops that whole numbers have.
template <>
struct ScalarMath<std::int64_t> {
  UNROLL_HOST_DEVICE static std::int64_t set(double x) { return std::int64_t(x); }
  UNROLL_HOST_DEVICE static std::int64_t select(bool c, std::int64_t a, std::int64_t b) {
    return c ? a : b;
  }
  UNROLL_HOST_DEVICE static std::int64_t abs(std::int64_t x) { return x < 0 ? -x : x; }
};

template <class T>
inline constexpr bool is_integer = T(0.5) == T(0);

UNROLL_HOST_DEVICE constexpr bool integer_has(Unary op) {
  return op == Unary::neg || op == Unary::abs || op == Unary::sign || op == Unary::square ||
         op == Unary::relu || op == Unary::step || op == Unary::clamp || op == Unary::add_scalar ||
         op == Unary::mul_scalar;
}
UNROLL_HOST_DEVICE constexpr bool integer_has(Binary op) {
  return op == Binary::add || op == Binary::sub || op == Binary::mul || op == Binary::div ||
         op == Binary::maximum || op == Binary::minimum;
}

// Of whole numbers. Division by -1 apart: least / -1 does not fit, traps, and here wraps around.
UNROLL_HOST_DEVICE std::int64_t quotient(std::int64_t a, std::int64_t b) {
  if (b == 0) return 0;
  return b == -1 ? std::int64_t(0 - std::uint64_t(a)) : a / b;
}

// Powers that have a formula of their own.
UNROLL_HOST_DEVICE Unary simplified(Unary op, double p0) {
  if (op != Unary::pow_scalar) return op;
  if (p0 == 2) return Unary::square;
  if (p0 == 0.5) return Unary::sqrt;
  if (p0 == -0.5) return Unary::rsqrt;
  if (p0 == -1) return Unary::reciprocal;
  return op;
}

// y = op(x). p0 and p1 are the attributes, spread over the lanes; pow_scalar's special cases are
// the caller's.
template <Unary op, class Math, class V>
UNROLL_HOST_DEVICE V unary_formula(V x, V p0, V p1) {
  const V zero = Math::set(0), one = Math::set(1);
  if constexpr (op == Unary::neg) return -x;
  if constexpr (op == Unary::abs) return Math::abs(x);
  if constexpr (op == Unary::sign) {
    return Math::select(x > zero, one, Math::select(x < zero, -one, x));
  }
  if constexpr (op == Unary::square) return x * x;
  if constexpr (op == Unary::reciprocal) return one / x;
  if constexpr (op == Unary::sqrt) return Math::sqrt(x);
  if constexpr (op == Unary::rsqrt) return one / Math::sqrt(x);
  if constexpr (op == Unary::exp) return Math::exp(x);
  if constexpr (op == Unary::expm1) return Math::expm1(x);
  if constexpr (op == Unary::log) return Math::log(x);
  if constexpr (op == Unary::log1p) return Math::log1p(x);
  if constexpr (op == Unary::sin) return Math::sin(x);
  if constexpr (op == Unary::cos) return Math::cos(x);
  if constexpr (op == Unary::tanh) return Math::tanh(x);
  // As a product: 1 - x x loses all digits near 1.
  if constexpr (op == Unary::one_minus_square) return (one - x) * (one + x);
  if constexpr (op == Unary::sigmoid) return Math::sigmoid(x);
  if constexpr (op == Unary::sigmoid_slope) return x * (one - x);
  if constexpr (op == Unary::relu) return Math::select(x <= zero, zero, x);
  if constexpr (op == Unary::step) return Math::select(x > zero, one, zero);
  if constexpr (op == Unary::softplus) {
    return Math::select(x <= zero, zero, x) + Math::log1p(Math::exp(-Math::abs(x)));
  }
  if constexpr (op == Unary::erf) return Math::erf(x);
  if constexpr (op == Unary::erfc) return Math::erfc(x);
  if constexpr (op == Unary::floor) return Math::floor(x);
  if constexpr (op == Unary::ceil) return Math::ceil(x);
  if constexpr (op == Unary::round) return Math::round(x);
  if constexpr (op == Unary::add_scalar) return x + p0;
  if constexpr (op == Unary::mul_scalar) return x * p0;
  if constexpr (op == Unary::pow_scalar) return Math::pow(x, p0);
  if constexpr (op == Unary::clamp || op == Unary::hardtanh) {
    const V floored = Math::select(x < p0, p0, x);
    return Math::select(floored > p1, p1, floored);
  }
  if constexpr (op == Unary::inside) {
    return Math::select(x < p0, zero, Math::select(x <= p1, one, zero));
  }
  if constexpr (op == Unary::between) {
    return Math::select(x <= p0, zero, Math::select(x < p1, one, zero));
  }
  if constexpr (op == Unary::leaky_relu) return Math::select(x > zero, x, p0 * x);
  if constexpr (op == Unary::leaky_step) return Math::select(x > zero, one, p0);
  if constexpr (op == Unary::elu) return Math::select(x > zero, x, p0 * Math::expm1(p1 * x));
  if constexpr (op == Unary::elu_slope) {
    return Math::select(x > zero, one, p0 * p1 * Math::exp(p1 * x));
  }
  if constexpr (op == Unary::softsign) return x / (one + Math::abs(x));
  // As a quotient: the product with the sigmoid would round in the subnormal numbers.
  if constexpr (op == Unary::silu) return x / (one + Math::exp(-x));
  // tanh(log(1 + w)) = n / (n + 2), n = w (w + 2); one where w^2 might overflow.
  if constexpr (op == Unary::mish) {
    const V w = Math::exp(x), n = w * (w + Math::set(2));
    return Math::select(x > Math::set(20), x, x * (n / (n + Math::set(2))));
  }
  if constexpr (op == Unary::logsigmoid) {
    return Math::select(x >= zero, zero, x) - Math::log1p(Math::exp(-Math::abs(x)));
  }
  if constexpr (op == Unary::gelu) {
    return Math::set(0.5) * x * Math::erfc(x * Math::set(-0.70710678118654752440));
  }
  if constexpr (op == Unary::gelu_tanh) {
    const V k = Math::set(-1.5957691216057307117);  // -2 sqrt(2/pi)
    return x / (one + Math::exp(k * x * (one + Math::set(0.044715) * x * x)));
  }
}

// z = op(a, b).
template <Binary op, class Math, class V>
UNROLL_HOST_DEVICE V binary_formula(V a, V b) {
  const V zero = Math::set(0), one = Math::set(1);
  if constexpr (op == Binary::add) return a + b;
  if constexpr (op == Binary::sub) return a - b;
  if constexpr (op == Binary::mul) return a * b;
  if constexpr (op == Binary::div) return a / b;
  // A NaN in a fails both comparisons with itself, one in b fails a > b: either way the NaN is what
  // is chosen.
  if constexpr (op == Binary::maximum) return Math::select(a != a, a, Math::select(a > b, a, b));
  if constexpr (op == Binary::minimum) return Math::select(a != a, a, Math::select(a < b, a, b));
  if constexpr (op == Binary::pow) return Math::pow(a, b);
  if constexpr (op == Binary::share) {
    return Math::select(a > b, one, Math::select(a == b, Math::set(0.5), zero));
  }
  if constexpr (op == Binary::tanh_pull) return a * ((one - b) * (one + b));
  if constexpr (op == Binary::sigmoid_pull) return a * (b * (one - b));
  if constexpr (op == Binary::relu_pull) return Math::select(b > zero, a, zero);
}

// The comparison a op b, as the lanes' own mask type (bool for a scalar).
template <Compare op, class V>
UNROLL_HOST_DEVICE auto compare_formula(V a, V b) {
  if constexpr (op == Compare::eq) return a == b;
  if constexpr (op == Compare::ne) return a != b;
  if constexpr (op == Compare::lt) return a < b;
  if constexpr (op == Compare::le) return a <= b;
  if constexpr (op == Compare::gt) return a > b;
  if constexpr (op == Compare::ge) return a >= b;
}

}  // namespace unroll
