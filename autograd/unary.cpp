// Elementwise ops of one operand: values from kernels/elementwise.h, derivatives as ops of the
// input or the value.
#include <cmath>
#include <numbers>

#include "autograd/elementwise.h"
#include "autograd/operands.h"

namespace unroll {

using namespace detail;

namespace {

Tensor run(Unary op, const Tensor& x, double p0 = 0, double p1 = 0) {
  Tensor y = empty_like(x);
  const UnaryShape shape{op, space_of(y, {&x}), p0, p1};
  const auto call = [&](auto type) {
    using T = decltype(type);
    UNROLL_ON_DEVICE(x.device(), unary<T>(shape, {x.data<T>(), y.mutable_data<T>()}));
  };
  if (x.dtype() == Dtype::int64)
    call(std::int64_t{});
  else
    with_real(x.dtype(), call);
  return y;
}

constexpr const char* unary_name(Unary op) {
  switch (op) {
    case Unary::neg: return "neg";
    case Unary::abs: return "abs";
    case Unary::sign: return "sign";
    case Unary::square: return "square";
    case Unary::reciprocal: return "reciprocal";
    case Unary::sqrt: return "sqrt";
    case Unary::rsqrt: return "rsqrt";
    case Unary::exp: return "exp";
    case Unary::expm1: return "expm1";
    case Unary::log: return "log";
    case Unary::log1p: return "log1p";
    case Unary::sin: return "sin";
    case Unary::cos: return "cos";
    case Unary::tanh: return "tanh";
    case Unary::one_minus_square: return "one_minus_square";
    case Unary::sigmoid: return "sigmoid";
    case Unary::sigmoid_slope: return "sigmoid_slope";
    case Unary::relu: return "relu";
    case Unary::step: return "step";
    case Unary::softplus: return "softplus";
    case Unary::erf: return "erf";
    case Unary::erfc: return "erfc";
    case Unary::floor: return "floor";
    case Unary::ceil: return "ceil";
    case Unary::round: return "round";
    case Unary::add_scalar: return "add";
    case Unary::mul_scalar: return "mul";
    case Unary::pow_scalar: return "pow";
    case Unary::clamp: return "clamp";
    case Unary::inside: return "inside";
    case Unary::hardtanh: return "hardtanh";
    case Unary::between: return "between";
    case Unary::leaky_relu: return "leaky_relu";
    case Unary::leaky_step: return "leaky_step";
    case Unary::elu: return "elu";
    case Unary::elu_slope: return "elu_slope";
    case Unary::softsign: return "softsign";
    case Unary::silu: return "silu";
    case Unary::mish: return "mish";
    case Unary::logsigmoid: return "logsigmoid";
    case Unary::gelu: return "gelu";
    case Unary::gelu_tanh: return "gelu_tanh";
  }
  return "?";
}

// The derivative is a function of the value y rather than of x: then only y is kept.
constexpr bool by_value(Unary op) {
  return op == Unary::reciprocal || op == Unary::sqrt || op == Unary::rsqrt || op == Unary::exp ||
         op == Unary::expm1 || op == Unary::tanh || op == Unary::sigmoid || op == Unary::relu;
}
constexpr bool is_flat(Unary op) {
  return op == Unary::sign || op == Unary::floor || op == Unary::ceil || op == Unary::round ||
         op == Unary::step || op == Unary::inside || op == Unary::between ||
         op == Unary::leaky_step;
}
constexpr bool is_affine(Unary op) {
  return op == Unary::neg || op == Unary::add_scalar || op == Unary::mul_scalar;
}

template <Unary op>
Tensor apply(const Tensor& x, double p0 = 0, double p1 = 0);

// Those with formulas of several ops.
Tensor silu_slope(const Tensor& x) {
  const Tensor s = sigmoid(x);
  return add(s, mul(x, apply<Unary::sigmoid_slope>(s)));
}
Tensor mish_slope(const Tensor& x) {
  const Tensor t = tanh(softplus(x));
  return add(t, mul(mul(x, sigmoid(x)), apply<Unary::one_minus_square>(t)));
}
Tensor gelu_slope(const Tensor& x) {
  const Tensor below = mul(erfc(mul(x, -1 / std::numbers::sqrt2)), 0.5);
  const Tensor density = mul(exp(mul(square(x), -0.5)), 1 / std::sqrt(2 * std::numbers::pi));
  return add(below, mul(x, density));
}
Tensor gelu_tanh_slope(const Tensor& x) {
  const double k = std::sqrt(8 / std::numbers::pi), c = 0.044715;
  const Tensor x2 = square(x), s = sigmoid(mul(mul(x, add(mul(x2, c), 1)), k));
  const Tensor slope = mul(add(mul(x2, 3 * c), 1), k);
  return add(s, mul(mul(x, apply<Unary::sigmoid_slope>(s)), slope));
}

// dy/dx as a tensor, from v = y (by_value) or v = x.
template <Unary op>
Tensor slope(const Tensor& v, double p0, double p1) {
  if constexpr (op == Unary::abs) return sign(v);
  if constexpr (op == Unary::square) return mul(v, 2);
  if constexpr (op == Unary::reciprocal) return neg(square(v));
  if constexpr (op == Unary::sqrt) return mul(reciprocal(v), 0.5);
  if constexpr (op == Unary::rsqrt) return mul(mul(square(v), v), -0.5);
  if constexpr (op == Unary::exp) return v;
  if constexpr (op == Unary::expm1) return add(v, 1);
  if constexpr (op == Unary::log) return reciprocal(v);
  if constexpr (op == Unary::log1p) return reciprocal(add(v, 1));
  if constexpr (op == Unary::sin) return cos(v);
  if constexpr (op == Unary::cos) return neg(sin(v));
  if constexpr (op == Unary::tanh) return apply<Unary::one_minus_square>(v);
  if constexpr (op == Unary::one_minus_square) return mul(v, -2);
  if constexpr (op == Unary::sigmoid) return apply<Unary::sigmoid_slope>(v);
  if constexpr (op == Unary::sigmoid_slope) return add(mul(v, -2), 1);
  if constexpr (op == Unary::relu) return apply<Unary::step>(v);
  if constexpr (op == Unary::softplus) return sigmoid(v);
  if constexpr (op == Unary::erf) return mul(exp(neg(square(v))), 2 / std::sqrt(std::numbers::pi));
  if constexpr (op == Unary::erfc)
    return mul(exp(neg(square(v))), -2 / std::sqrt(std::numbers::pi));
  if constexpr (op == Unary::hardtanh) return apply<Unary::between>(v, p0, p1);
  if constexpr (op == Unary::leaky_relu) return apply<Unary::leaky_step>(v, p0);
  if constexpr (op == Unary::elu) return apply<Unary::elu_slope>(v, p0, p1);
  if constexpr (op == Unary::elu_slope)
    return mul(sub(apply<Unary::elu_slope>(v, p0, p1), apply<Unary::step>(v)), p1);
  if constexpr (op == Unary::softsign) return square(reciprocal(add(abs(v), 1)));
  if constexpr (op == Unary::silu) return silu_slope(v);
  if constexpr (op == Unary::mish) return mish_slope(v);
  if constexpr (op == Unary::logsigmoid) return sigmoid(neg(v));
  if constexpr (op == Unary::gelu) return gelu_slope(v);
  if constexpr (op == Unary::gelu_tanh) return gelu_tanh_slope(v);
  if constexpr (op == Unary::pow_scalar) return mul(pow(v, p0 - 1), p0);
  if constexpr (op == Unary::clamp) return apply<Unary::inside>(v, p0, p1);
  static_cast<void>(p0), static_cast<void>(p1);
}

template <Unary op>
struct UnaryRule {
  static constexpr const char* name = unary_name(op);
  Tensor v;  // x or y
  double p0, p1;

  auto saved() const { return std::tie(v); }

  Tensor through(const Tensor& d) const {
    if constexpr (op == Unary::neg)
      return neg(d);
    else if constexpr (op == Unary::add_scalar)
      return d;
    else if constexpr (op == Unary::mul_scalar)
      return mul(d, p0);
    else {
      constexpr bool fused = op == Unary::tanh || op == Unary::sigmoid || op == Unary::relu;
      if constexpr (fused)
        if (!is_recording()) return detail::run(fused_pull(), d, v, d.shape());
      return mul(d, slope<op>(v, p0, p1));
    }
  }
  static constexpr Binary fused_pull() {
    return op == Unary::tanh      ? Binary::tanh_pull
           : op == Unary::sigmoid ? Binary::sigmoid_pull
                                  : Binary::relu_pull;
  }

  void pull(Pullback& s) const {
    if constexpr (!is_flat(op))
      if (!is_constant()) s.add(0, through(s.cotangent()));
  }
  void push(Pushforward& s) const {
    if constexpr (!is_flat(op))
      if (!is_constant()) s.set(0, through(s.tangent(0)));
  }
  bool is_constant() const { return op == Unary::pow_scalar && p0 == 0; }  // 0 * x^-1 is NaN at 0
};

template <Unary op>
Tensor apply(const Tensor& x, double p0, double p1) {
  require_real(unary_name(op), x);
  Tensor y = run(op, x, p0, p1);
  if (is_recording()) {
    const bool keeps = !is_affine(op) && !is_flat(op);
    record(UnaryRule<op>{!keeps ? Tensor() : by_value(op) ? y : x, p0, p1}, {&x}, {&y});
  }
  return y;
}

}  // namespace

Tensor neg(const Tensor& x) { return apply<Unary::neg>(x); }
Tensor abs(const Tensor& x) { return apply<Unary::abs>(x); }
Tensor sign(const Tensor& x) { return apply<Unary::sign>(x); }
Tensor square(const Tensor& x) { return apply<Unary::square>(x); }
Tensor reciprocal(const Tensor& x) { return apply<Unary::reciprocal>(x); }
Tensor sqrt(const Tensor& x) { return apply<Unary::sqrt>(x); }
Tensor rsqrt(const Tensor& x) { return apply<Unary::rsqrt>(x); }
Tensor exp(const Tensor& x) { return apply<Unary::exp>(x); }
Tensor expm1(const Tensor& x) { return apply<Unary::expm1>(x); }
Tensor log(const Tensor& x) { return apply<Unary::log>(x); }
Tensor log1p(const Tensor& x) { return apply<Unary::log1p>(x); }
Tensor sin(const Tensor& x) { return apply<Unary::sin>(x); }
Tensor cos(const Tensor& x) { return apply<Unary::cos>(x); }
Tensor tanh(const Tensor& x) { return apply<Unary::tanh>(x); }
Tensor sigmoid(const Tensor& x) { return apply<Unary::sigmoid>(x); }
Tensor relu(const Tensor& x) { return apply<Unary::relu>(x); }
Tensor softplus(const Tensor& x) { return apply<Unary::softplus>(x); }
Tensor erf(const Tensor& x) { return apply<Unary::erf>(x); }
Tensor erfc(const Tensor& x) { return apply<Unary::erfc>(x); }
Tensor floor(const Tensor& x) { return apply<Unary::floor>(x); }
Tensor ceil(const Tensor& x) { return apply<Unary::ceil>(x); }
Tensor round(const Tensor& x) { return apply<Unary::round>(x); }
Tensor add(const Tensor& a, double b) { return apply<Unary::add_scalar>(a, b); }
Tensor mul(const Tensor& a, double b) { return apply<Unary::mul_scalar>(a, b); }
Tensor pow(const Tensor& x, double exponent) { return apply<Unary::pow_scalar>(x, exponent); }

Tensor clamp(const Tensor& x, double low, double high) {
  if (!(low <= high))
    fail("clamp", std::to_string(low) + ".." + std::to_string(high) + " is no interval");
  return apply<Unary::clamp>(x, low, high);
}

Tensor softsign(const Tensor& x) { return apply<Unary::softsign>(x); }
Tensor silu(const Tensor& x) { return apply<Unary::silu>(x); }
Tensor mish(const Tensor& x) { return apply<Unary::mish>(x); }
Tensor logsigmoid(const Tensor& x) { return apply<Unary::logsigmoid>(x); }
Tensor gelu(const Tensor& x) { return apply<Unary::gelu>(x); }
Tensor gelu_tanh(const Tensor& x) { return apply<Unary::gelu_tanh>(x); }
Tensor leaky_relu(const Tensor& x, double slope) { return apply<Unary::leaky_relu>(x, slope); }
Tensor elu(const Tensor& x, double alpha) { return apply<Unary::elu>(x, alpha, 1); }
// Constants of the paper: a fixed point of mean 0 and variance 1.
Tensor selu(const Tensor& x) {
  require_real("selu", x);
  return mul(elu(x, 1.6732632423543772848170429916717), 1.0507009873554804934193349852946);
}

Tensor celu(const Tensor& x, double alpha) {
  require_real("celu", x);
  if (alpha == 0) fail("celu", "alpha must not be 0");
  return apply<Unary::elu>(x, alpha, 1 / alpha);
}

Tensor hardtanh(const Tensor& x, double low, double high) {
  if (!(low < high))
    fail("hardtanh", std::to_string(low) + ".." + std::to_string(high) + " is no interval");
  return apply<Unary::hardtanh>(x, low, high);
}
Tensor relu6(const Tensor& x) {
  require_real("relu6", x);
  return apply<Unary::hardtanh>(x, 0, 6);
}
Tensor hardsigmoid(const Tensor& x) {
  require_real("hardsigmoid", x);
  return mul(relu6(add(x, 3)), 1.0 / 6);
}

}  // namespace unroll
