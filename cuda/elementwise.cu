// Elementwise kernels: every thread computes whole vectors of 16 bytes where the operands lie
// densely, so that the traffic is the elements and nothing more; cuda/strided.h walks the rest.
#include "kernels/elementwise.h"

#include <type_traits>

#include "cuda/strided.h"

namespace unroll::UNROLL_GPU {
namespace {

using UnaryOps = std::make_integer_sequence<int, int(Unary::gelu_tanh) + 1>;
using BinaryOps = std::make_integer_sequence<int, int(Binary::relu_pull) + 1>;
using CompareOps = std::make_integer_sequence<int, int(Compare::ge) + 1>;

// ---- The functions of an element, compiled for one op: the formulas of the contract

template <Unary op, class T>
struct UnaryOf {
  T p0, p1;
  UNROLL_HOST_DEVICE T operator()(T x) const { return unary_formula<op, ScalarMath<T>>(x, p0, p1); }
};

template <Binary op, class T>
struct BinaryOf {
  UNROLL_HOST_DEVICE T operator()(T a, T b) const {
    if constexpr (is_integer<T> && op == Binary::div)
      return quotient(a, b);
    else
      return binary_formula<op, ScalarMath<T>>(a, b);
  }
};

template <Compare op, class T>
struct CompareOf {
  UNROLL_HOST_DEVICE bool operator()(T a, T b) const { return compare_formula<op>(a, b); }
};

template <class T>
struct TestOf {
  Test op;
  UNROLL_HOST_DEVICE bool operator()(T x) const {
    const bool nan = x != x, inf = x == T(HUGE_VAL) || x == T(-HUGE_VAL);
    return op == Test::isnan ? nan : !nan && !inf;
  }
};

template <class T>
struct Where {
  UNROLL_HOST_DEVICE T operator()(bool c, T a, T b) const { return c ? a : b; }
};

// ---- From the op, a number, to its function

template <class T>
UNROLL_HOST_DEVICE constexpr bool has(Unary op) {
  return !is_integer<T> || integer_has(op);
}
template <class T>
UNROLL_HOST_DEVICE constexpr bool has(Binary op) {
  return !is_integer<T> || integer_has(op);
}

template <class Op, Op op>
using Constant = std::integral_constant<Op, op>;

// The functions that choose their op when they run: for operands that lie anywhere, where finding
// the elements costs more than the choice. One kernel instead of forty.
template <class T>
struct AnyUnary {
  Unary op;
  T p0, p1;

  template <int... i>
  UNROLL_HOST_DEVICE T chosen(T x, std::integer_sequence<int, i...>) const {
    T y = x;
    (try_op<Unary(i)>(x, y), ...);
    return y;
  }
  template <Unary candidate>
  UNROLL_HOST_DEVICE void try_op(T x, T& y) const {
    if constexpr (has<T>(candidate)) {
      if (op == candidate) y = UnaryOf<candidate, T>{p0, p1}(x);
    }
  }
  UNROLL_HOST_DEVICE T operator()(T x) const { return chosen(x, UnaryOps()); }
};

template <class T>
struct AnyBinary {
  Binary op;

  template <int... i>
  UNROLL_HOST_DEVICE T chosen(T a, T b, std::integer_sequence<int, i...>) const {
    T z = a;
    (try_op<Binary(i)>(a, b, z), ...);
    return z;
  }
  template <Binary candidate>
  UNROLL_HOST_DEVICE void try_op(T a, T b, T& z) const {
    if constexpr (has<T>(candidate)) {
      if (op == candidate) z = BinaryOf<candidate, T>{}(a, b);
    }
  }
  UNROLL_HOST_DEVICE T operator()(T a, T b) const { return chosen(a, b, BinaryOps()); }
};

template <class T>
struct AnyCompare {
  Compare op;

  template <int... i>
  UNROLL_HOST_DEVICE bool chosen(T a, T b, std::integer_sequence<int, i...>) const {
    bool z = false;
    ((op == Compare(i) ? void(z = CompareOf<Compare(i), T>{}(a, b)) : void()), ...);
    return z;
  }
  UNROLL_HOST_DEVICE bool operator()(T a, T b) const { return chosen(a, b, CompareOps()); }
};

// Calls f(Constant<Op, op>()) for the op of this number among 0 .. i.
template <class Op, class F, int... i>
void with_op(Op op, const F& f, std::integer_sequence<int, i...>) {
  ((op == Op(i) ? f(Constant<Op, Op(i)>()) : void()), ...);
}

}  // namespace

template <class T>
void unary(const UnaryShape& shape, const UnaryArgs<T>& args) noexcept {
  const Unary chosen = simplified(shape.op, shape.p0);
  const T p0 = T(shape.p0), p1 = T(shape.p1);
  const auto run = [&](auto op) {
    if constexpr (has<T>(op()))
      for_each_element(shape.space, "unary", UnaryOf<op(), T>{p0, p1}, AnyUnary<T>{op(), p0, p1},
                       args.y, args.x);
  };
  with_op(chosen, run, UnaryOps());
}

template <class T>
void binary(const BinaryShape& shape, const BinaryArgs<T>& args) noexcept {
  const auto run = [&](auto op) {
    if constexpr (has<T>(op()))
      for_each_element(shape.space, "binary", BinaryOf<op(), T>{}, AnyBinary<T>{op()}, args.z,
                       args.a, args.b);
  };
  with_op(shape.op, run, BinaryOps());
}

template <class T>
void compare(const CompareShape& shape, const CompareArgs<T>& args) noexcept {
  const auto run = [&](auto op) {
    for_each_element(shape.space, "compare", CompareOf<op(), T>{}, AnyCompare<T>{op()}, args.z,
                     args.a, args.b);
  };
  with_op(shape.op, run, CompareOps());
}

template <class T>
void test(const TestShape& shape, const TestArgs<T>& args) noexcept {
  const TestOf<T> f{shape.op};
  for_each_element(shape.space, "test", f, f, args.y, args.x);
}

template <class T>
void where(const WhereShape& shape, const WhereArgs<T>& args) noexcept {
  const Where<T> f{};
  for_each_element(shape.space, "where", f, f, args.z, args.condition, args.a, args.b);
}

UNROLL_GPU_KERNEL(unary, void, UnaryShape, UnaryArgs)
UNROLL_GPU_KERNEL_FOR(std::int64_t, unary, void, UnaryShape, UnaryArgs)
UNROLL_GPU_KERNEL(binary, void, BinaryShape, BinaryArgs)
UNROLL_GPU_KERNEL_FOR(std::int64_t, binary, void, BinaryShape, BinaryArgs)
UNROLL_GPU_KERNEL(compare, void, CompareShape, CompareArgs)
UNROLL_GPU_KERNEL_FOR(std::int64_t, compare, void, CompareShape, CompareArgs)
UNROLL_GPU_KERNEL_FOR(bool, compare, void, CompareShape, CompareArgs)
UNROLL_GPU_KERNEL(test, void, TestShape, TestArgs)
UNROLL_GPU_KERNEL(where, void, WhereShape, WhereArgs)
UNROLL_GPU_KERNEL_FOR(std::int64_t, where, void, WhereShape, WhereArgs)
UNROLL_GPU_KERNEL_FOR(bool, where, void, WhereShape, WhereArgs)

}  // namespace unroll::UNROLL_GPU
