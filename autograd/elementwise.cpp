// Elementwise ops of two operands, comparisons and selection; those of one operand: unary.cpp.
#include "autograd/elementwise.h"

#include "autograd/operands.h"

namespace unroll {

using namespace detail;

Tensor detail::run(Binary op, const Tensor& a, const Tensor& b, const Shape& out) {
  Tensor z = empty(out, a.dtype(), a.device());
  const BinaryShape shape{op, space_of(z, {&a, &b})};
  const auto call = [&](auto type) {
    using T = decltype(type);
    UNROLL_ON_DEVICE(a.device(), binary<T>(shape, {a.data<T>(), b.data<T>(), z.mutable_data<T>()}));
  };
  if (a.dtype() == Dtype::int64)
    call(std::int64_t{});
  else
    with_real(a.dtype(), call);
  return z;
}

namespace {

// ---- two operands

constexpr const char* binary_name(Binary op) {
  switch (op) {
    case Binary::add: return "add";
    case Binary::sub: return "sub";
    case Binary::mul: return "mul";
    case Binary::div: return "div";
    case Binary::pow: return "pow";
    case Binary::maximum: return "maximum";
    case Binary::minimum: return "minimum";
    case Binary::share: return "share";
    default: return "?";
  }
}

Tensor share(const Tensor& a, const Tensor& b) {  // a constant almost everywhere: not recorded
  const NoTape none;
  return run(Binary::share, a, b, broadcast_shapes("share", a.shape(), b.shape()));
}

template <Binary op>
struct BinaryRule {
  static constexpr const char* name = binary_name(op);
  Tensor a, b, z;  // kept only where the derivative needs them
  Shape a_shape, b_shape, out;

  auto saved() const { return std::tie(a, b, z); }

  Tensor by_a(const Tensor& d) const {  // d times dz/da
    if constexpr (op == Binary::mul)
      return mul(d, b);
    else if constexpr (op == Binary::div)
      return div(d, b);
    else if constexpr (op == Binary::maximum)
      return mul(d, share(a, b));
    else if constexpr (op == Binary::minimum)
      return mul(d, share(b, a));
    else if constexpr (op == Binary::pow)
      return mul(d, mul(b, pow(safe_base(), add(b, -1))));
    else
      return d;
  }
  Tensor by_b(const Tensor& d) const {
    if constexpr (op == Binary::sub)
      return neg(d);
    else if constexpr (op == Binary::mul)
      return mul(d, a);
    else if constexpr (op == Binary::div)
      return neg(mul(d, div(z, b)));
    else if constexpr (op == Binary::maximum)
      return mul(d, share(b, a));
    else if constexpr (op == Binary::minimum)
      return mul(d, share(a, b));
    else if constexpr (op == Binary::pow)
      return mul(d, mul(z, log_base()));
    else
      return d;
  }
  // log a, but 0 where z is 0 so that 0^b with b > 0 has derivative 0, not NaN.
  Tensor log_base() const {
    const Tensor zero = number_like(a, 0);
    return where(eq(z, zero), zero, log(safe_base()));
  }
  // a, but 1 where a and b are 0: both derivatives of 0^0 are 0, as in PyTorch.
  Tensor safe_base() const {
    const Tensor zero = number_like(a, 0);
    return where(eq(a, zero), where(eq(b, zero), number_like(a, 1), a), a);
  }

  void pull(Pullback& s) const {
    const Tensor& d = s.cotangent();
    if (s.wants(0)) s.add(0, fit(by_a(d), a_shape, out));
    if (s.wants(1)) s.add(1, fit(by_b(d), b_shape, out));
  }
  void push(Pushforward& s) const {
    const Tensor &da = s.tangent(0), &db = s.tangent(1);
    s.set(0, either(da ? by_a(spread(da, a_shape, out)) : da,
                    db ? by_b(spread(db, b_shape, out)) : db));
  }
};

template <Binary op>
Tensor apply(const Tensor& a, const Tensor& b) {
  require_alike(binary_name(op), a, b);
  if constexpr (op == Binary::pow) require_real(binary_name(op), a);
  const Shape out = broadcast_shapes(binary_name(op), a.shape(), b.shape());
  if (is_recording() && is_real(a.dtype())) {
    if (a.rank() != b.rank()) {
      const Aligned both = aligned(a, b);
      return apply<op>(both.a, both.b);
    }
    Tensor z = run(op, a, b, out);
    constexpr bool keeps = op != Binary::add && op != Binary::sub;
    constexpr bool keeps_a = keeps && op != Binary::div;
    constexpr bool keeps_z = op == Binary::div || op == Binary::pow;
    record(BinaryRule<op>{keeps_a ? a : Tensor(), keeps ? b : Tensor(), keeps_z ? z : Tensor(),
                          a.shape(), b.shape(), out},
           {&a, &b}, {&z});
    return z;
  }
  return run(op, a, b, out);
}

// ---- comparisons

Tensor run(Compare op, const char* name, const Tensor& a, const Tensor& b) {
  require_alike(name, a, b);
  Tensor z = empty(broadcast_shapes(name, a.shape(), b.shape()), Dtype::boolean, a.device());
  const CompareShape shape{op, space_of(z, {&a, &b})};
  with_dtype(a.dtype(), [&](auto type) {
    using T = decltype(type);
    UNROLL_ON_DEVICE(a.device(),
                     compare<T>(shape, {a.data<T>(), b.data<T>(), z.mutable_data<bool>()}));
  });
  return z;
}

Tensor run(Test op, const char* name, const Tensor& x) {
  require_real(name, x);
  Tensor y = empty(x.shape(), Dtype::boolean, x.device());
  const TestShape shape{op, space_of(y, {&x})};
  with_real(x.dtype(), [&](auto type) {
    using T = decltype(type);
    UNROLL_ON_DEVICE(x.device(), test<T>(shape, {x.data<T>(), y.mutable_data<bool>()}));
  });
  return y;
}

// ---- where

struct WhereRule {
  static constexpr const char* name = "where";
  Tensor condition;
  Shape a_shape, b_shape, out;

  auto saved() const { return std::tie(condition); }

  void pull(Pullback& s) const {
    const Tensor& d = s.cotangent();
    const Tensor zero = number_like(d, 0);
    if (s.wants(1)) s.add(1, fit(where(condition, d, zero), a_shape, out));
    if (s.wants(2)) s.add(2, fit(where(condition, zero, d), b_shape, out));
  }
  void push(Pushforward& s) const {
    const Tensor &da = s.tangent(1), &db = s.tangent(2);
    const Tensor zero = number_like(da ? da : db, 0);
    s.set(0, where(condition, da ? spread(da, a_shape, out) : zero,
                   db ? spread(db, b_shape, out) : zero));
  }
};

}  // namespace

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  require_alike("where", a, b);
  require_defined("where", condition);
  if (condition.dtype() != Dtype::boolean) fail("where", "the condition must be bool");
  const Shape out =
      broadcast_shapes("where", condition.shape(), broadcast_shapes("where", a.shape(), b.shape()));
  if (is_recording() && is_real(a.dtype()) &&
      (a.rank() != out.rank() || b.rank() != out.rank() || condition.rank() != out.rank())) {
    const auto full_rank = [&](Tensor t) {
      while (t.rank() < out.rank()) t = unsqueeze(t, 0);
      return t;
    };
    return where(full_rank(condition), full_rank(a), full_rank(b));
  }
  Tensor z = empty(out, a.dtype(), a.device());
  const WhereShape shape{space_of(z, {&condition, &a, &b})};
  with_dtype(a.dtype(), [&](auto type) {
    using T = decltype(type);
    UNROLL_ON_DEVICE(a.device(), where<T>(shape, {condition.data<bool>(), a.data<T>(), b.data<T>(),
                                                  z.mutable_data<T>()}));
  });
  if (is_recording() && is_real(a.dtype()))
    record(WhereRule{condition, a.shape(), b.shape(), out}, {&condition, &a, &b}, {&z});
  return z;
}

Tensor add(const Tensor& a, const Tensor& b) { return apply<Binary::add>(a, b); }
Tensor sub(const Tensor& a, const Tensor& b) { return apply<Binary::sub>(a, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return apply<Binary::mul>(a, b); }
Tensor div(const Tensor& a, const Tensor& b) { return apply<Binary::div>(a, b); }
Tensor pow(const Tensor& a, const Tensor& b) { return apply<Binary::pow>(a, b); }
Tensor maximum(const Tensor& a, const Tensor& b) { return apply<Binary::maximum>(a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return apply<Binary::minimum>(a, b); }

Tensor eq(const Tensor& a, const Tensor& b) { return run(Compare::eq, "eq", a, b); }
Tensor ne(const Tensor& a, const Tensor& b) { return run(Compare::ne, "ne", a, b); }
Tensor lt(const Tensor& a, const Tensor& b) { return run(Compare::lt, "lt", a, b); }
Tensor le(const Tensor& a, const Tensor& b) { return run(Compare::le, "le", a, b); }
Tensor gt(const Tensor& a, const Tensor& b) { return run(Compare::gt, "gt", a, b); }
Tensor ge(const Tensor& a, const Tensor& b) { return run(Compare::ge, "ge", a, b); }
Tensor isnan(const Tensor& x) { return run(Test::isnan, "isnan", x); }
Tensor isfinite(const Tensor& x) { return run(Test::isfinite, "isfinite", x); }

void detail::add_into(Tensor& y, const Tensor& x) {
  const BinaryShape shape{Binary::add, space_of(y, {&y, &x})};
  with_real(y.dtype(), [&](auto type) {
    using T = decltype(type);
    T* to = y.mutable_data<T>();
    UNROLL_ON_DEVICE(y.device(), binary<T>(shape, {to, x.data<T>(), to}));
  });
}

}  // namespace unroll
