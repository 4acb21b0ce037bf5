#include "kernels/elementwise.h"

#include <array>
#include <functional>

#include "tests/kernel_testing.h"

namespace unroll {
namespace {

using namespace unroll::testing;

template <class T>
class ElementwiseKernel : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ElementwiseKernel, Reals);

struct UnaryCase {
  Unary op;
  double (*f)(double);
  double p0 = 0, p1 = 0;
  double condition = 0;  // how much of a rounding of the inner function's argument is seen
};
const UnaryCase unary_cases[] = {
    {Unary::neg, [](double x) { return -x; }},
    {Unary::abs, [](double x) { return std::fabs(x); }},
    {Unary::sign, [](double x) { return x > 0   ? 1
                                        : x < 0 ? -1
                                                : x; }},
    {Unary::square, [](double x) { return x * x; }},
    {Unary::reciprocal, [](double x) { return 1 / x; }},
    {Unary::sqrt, [](double x) { return std::sqrt(x); }},
    {Unary::rsqrt, [](double x) { return 1 / std::sqrt(x); }},
    {Unary::exp, [](double x) { return std::exp(x); }},
    {Unary::expm1, [](double x) { return std::expm1(x); }},
    {Unary::log, [](double x) { return std::log(x); }},
    {Unary::log1p, [](double x) { return std::log1p(x); }},
    {Unary::sin, [](double x) { return std::sin(x); }},
    {Unary::cos, [](double x) { return std::cos(x); }},
    {Unary::tanh, [](double x) { return std::tanh(x); }},
    {Unary::one_minus_square, [](double x) { return (1 - x) * (1 + x); }},
    {Unary::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }},
    {Unary::sigmoid_slope, [](double x) { return x * (1 - x); }},
    {Unary::relu, [](double x) { return x <= 0 ? 0 : x; }},
    {Unary::step, [](double x) { return x > 0 ? 1. : 0.; }},
    {Unary::softplus, [](double x) { return x > 30 ? x : std::log1p(std::exp(x)); }},
    {Unary::erf, [](double x) { return std::erf(x); }},
    {Unary::floor, [](double x) { return std::floor(x); }},
    {Unary::ceil, [](double x) { return std::ceil(x); }},
    {Unary::round, [](double x) { return std::nearbyint(x); }},
    {Unary::add_scalar, [](double x) { return x + 0.75; }, 0.75},
    {Unary::mul_scalar, [](double x) { return x * -2.5; }, -2.5},
    {Unary::pow_scalar, [](double x) { return x * x * x; }, 3},
    {Unary::pow_scalar, [](double x) { return x * x; }, 2},
    {Unary::pow_scalar, [](double x) { return 1 / x; }, -1},
    {Unary::pow_scalar, [](double x) { return std::sqrt(x); }, 0.5},
    {Unary::pow_scalar, [](double x) { return 1 / std::sqrt(x); }, -0.5},
    {Unary::pow_scalar, [](double) { return 1.0; }, 0},
    {Unary::clamp, [](double x) { return x < -0.5   ? -0.5
                                         : x > 1.25 ? 1.25
                                                    : x; }, -0.5, 1.25},
    {Unary::inside, [](double x) { return x >= -0.5 && x <= 1.25 ? 1. : 0.; }, -0.5, 1.25},
    {Unary::hardtanh, [](double x) { return x < -0.5   ? -0.5
                                            : x > 1.25 ? 1.25
                                                       : x; }, -0.5, 1.25},
    {Unary::between, [](double x) { return x > -0.5 && x < 1.25 ? 1. : 0.; }, -0.5, 1.25},
    {Unary::erfc, [](double x) { return std::erfc(x); }},
    {Unary::leaky_relu, [](double x) { return x > 0 ? x : 0.25 * x; }, 0.25},
    {Unary::leaky_step, [](double x) { return x > 0 ? 1 : 0.25; }, 0.25},
    {Unary::elu, [](double x) { return x > 0 ? x : 0.75 * std::expm1(0.5 * x); }, 0.75, 0.5},
    {Unary::elu_slope, [](double x) { return x > 0 ? 1 : 0.375 * std::exp(0.5 * x); }, 0.75, 0.5},
    {Unary::softsign, [](double x) { return x / (1 + std::fabs(x)); }},
    {Unary::silu, [](double x) { return x / (1 + std::exp(-x)); }},
    {Unary::mish, [](double x) { return x > 30 ? x : x * std::tanh(std::log1p(std::exp(x))); }},
    {Unary::logsigmoid, [](double x) { return x < -30 ? x : -std::log1p(std::exp(-x)); }},
    // erfc and exp of these multiply a rounding of their argument by up to 2 x^2 and 2u.
    {Unary::gelu, [](double x) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); }, 0, 0, 12},
    {Unary::gelu_tanh,
     [](double x) {
       const double u = std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x);
       return x / (1 + std::exp(-2 * u));
     },
     0, 0, 12},
};

template <class T>
std::vector<T> unary_inputs() {
  std::vector<T> x = normals<T>(100, 1);
  for (const double special : {0.0, -0.0, 0.5, 1.5, 2.5, -0.5, 1.25, 1e-3, -1e-3, 30.0, -30.0, 80.0,
                               -80.0, 300.0, -300.0, infinity, -infinity, nan}) {
    x.push_back(T(special));
  }
  return x;
}

TYPED_TEST(ElementwiseKernel, UnaryValues) {
  using T = TypeParam;
  // The worst of the vector functions is within 3 ulp; the reference is rounded once more.
  const double tolerance = 4 * double(std::numeric_limits<T>::epsilon());
  const std::vector<T> x = unary_inputs<T>();
  for_each_isa([&] {
    for (const UnaryCase& c : unary_cases) {
      std::vector<T> y(x.size());
      const std::int64_t n = std::int64_t(x.size());
      cpu::unary<T>({.op = c.op, .space = flat(n, 2), .p0 = c.p0, .p1 = c.p1},
                    {.x = x.data(), .y = y.data()});
      for (std::size_t i = 0; i < x.size(); i++) {
        const T want = T(c.f(double(x[i])));
        SCOPED_TRACE(::testing::Message() << "op " << int(c.op) << " x " << x[i]);
        if (std::isnan(want)) {
          EXPECT_TRUE(std::isnan(y[i])) << y[i];
        } else if (std::isinf(want)) {
          EXPECT_EQ(y[i], want);
        } else {
          EXPECT_NEAR(y[i], want,
                      (tolerance + c.condition * double(std::numeric_limits<T>::epsilon())) *
                              std::fabs(double(want)) +
                          double(std::numeric_limits<T>::denorm_min()));
        }
      }
    }
  });
}

// The value at one place is the value at any other: vector bodies, padded tails, strides, blocks,
// threads.
TYPED_TEST(ElementwiseKernel, ValueDoesNotDependOnPosition) {
  using T = TypeParam;
  const std::vector<T> x = unary_inputs<T>();
  const std::int64_t n = std::int64_t(x.size());
  for_each_isa([&] {
    for (const UnaryCase& c : unary_cases) {
      std::vector<T> whole(x.size()), single(x.size()), strided(3 * x.size());
      const UnaryShape shape{.op = c.op, .space = flat(n, 2), .p0 = c.p0, .p1 = c.p1};
      cpu::unary<T>(shape, {.x = x.data(), .y = whole.data()});
      UnaryShape one = shape, spread = shape;
      one.space = {};
      for (std::size_t i = 0; i < x.size(); i++) {
        cpu::unary<T>(one, {.x = &x[i], .y = &single[i]});
      }
      EXPECT_TRUE(same_bits(whole, single)) << int(c.op);
      spread.space.stride[0][0] = 3;
      cpu::unary<T>(spread, {.x = x.data(), .y = strided.data()});
      for (std::size_t i = 0; i < x.size(); i++) single[i] = strided[3 * i];
      EXPECT_TRUE(same_bits(whole, single)) << int(c.op);
    }
  });
}

TYPED_TEST(ElementwiseKernel, SameBitsForAnyNumberOfThreads) {
  using T = TypeParam;
  const std::vector<T> x = normals<T>(100001, 2);
  const std::int64_t n = std::int64_t(x.size());
  for_each_isa([&] {
    std::vector<T> first;
    for_each_thread_count([&](int threads) {
      std::vector<T> y(x.size());
      cpu::unary<T>({.op = Unary::tanh, .space = flat(n, 2)}, {.x = x.data(), .y = y.data()});
      if (threads == 1) first = y;
      EXPECT_TRUE(same_bits(first, y));
    });
  });
}

// Outputs past the caches are the same numbers: dense, broadcast, in place and off alignment.
TYPED_TEST(ElementwiseKernel, LargeOutputs) {
  using T = TypeParam;
  const std::int64_t columns = 2053, rows = (17 << 20) / std::int64_t(sizeof(T)) / columns;
  const std::int64_t n = rows * columns;
  const std::vector<T> x = normals<T>(n, 5), row = normals<T>(columns, 6);
  const Strided broadcast{
      .rank = 2, .size = {rows, columns}, .stride = {{columns, 1}, {columns, 1}, {0, 1}}};
  for_each_isa([&] {
    for (const std::size_t offset : {0, 1}) {
      std::vector<T> y(std::size_t(n) + 1, T(-7));
      cpu::unary<T>({.op = Unary::square, .space = flat(n, 2)},
                    {.x = x.data(), .y = y.data() + offset});
      EXPECT_EQ(y[offset == 0 ? std::size_t(n) : 0], T(-7));
      std::int64_t wrong = 0;
      for (std::size_t i = 0; i < x.size(); i++) wrong += y[i + offset] != x[i] * x[i];
      EXPECT_EQ(wrong, 0);
      cpu::binary<T>({.op = Binary::add, .space = broadcast},
                     {.a = x.data(), .b = row.data(), .z = y.data() + offset});
      for (std::size_t i = 0; i < x.size(); i++) {
        wrong += y[i + offset] != x[i] + row[i % std::size_t(columns)];
      }
      EXPECT_EQ(wrong, 0);
    }
    std::vector<T> own = x;
    cpu::binary<T>({.op = Binary::sub, .space = flat(n, 3)},
                   {.a = own.data(), .b = x.data(), .z = own.data()});
    EXPECT_EQ(own, std::vector<T>(x.size(), T(0)));
  });
}

struct BinaryCase {
  Binary op;
  double (*f)(double, double);
};
const BinaryCase binary_cases[] = {
    {Binary::add, [](double a, double b) { return a + b; }},
    {Binary::sub, [](double a, double b) { return a - b; }},
    {Binary::mul, [](double a, double b) { return a * b; }},
    {Binary::div, [](double a, double b) { return a / b; }},
    {Binary::maximum, [](double a, double b) { return a != a || b != b ? nan
                                                      : a > b          ? a
                                                                       : b; }},
    {Binary::minimum, [](double a, double b) { return a != a || b != b ? nan
                                                      : a < b          ? a
                                                                       : b; }},
    {Binary::pow, [](double a, double b) { return std::pow(a, b); }},
    {Binary::share, [](double a, double b) { return a > b    ? 1
                                                    : a == b ? 0.5
                                                             : 0; }},
    {Binary::tanh_pull, [](double a, double b) { return a * (1 - b * b); }},
    {Binary::sigmoid_pull, [](double a, double b) { return a * (b * (1 - b)); }},
    {Binary::relu_pull, [](double a, double b) { return b > 0 ? a : 0; }},
};

template <class T>
void expect_close(T got, T want, double scale) {
  if (std::isnan(want)) {
    EXPECT_TRUE(std::isnan(got)) << got;
  } else if (std::isinf(want) || got == want) {
    EXPECT_EQ(got, want);
  } else {
    EXPECT_NEAR(got, want, scale * double(std::numeric_limits<T>::epsilon()));
  }
}

// Broadcasting of every kind: strides of 0, transposed inputs, axes of size 1, several blocks, a
// strided output.
std::vector<Strided> binary_spaces() {
  std::vector<Strided> spaces{flat(1037, 3), Strided{}};
  Strided s = dense_space({5, 7, 3});  // a dense, b along the last axis
  const std::int64_t dense[] = {21, 3, 1}, last[] = {0, 0, 1}, middle[] = {0, 1, 0},
                     turned[] = {1, 5, 35};
  const auto set = [&s](int k, const std::int64_t* strides) {
    for (int d = 0; d < s.rank; d++) s.stride[k][d] = strides[d];
  };
  set(1, dense), set(2, last), spaces.push_back(s);
  set(1, middle), set(2, dense), spaces.push_back(s);
  set(1, turned), set(2, dense), spaces.push_back(s);
  set(0, turned), spaces.push_back(s);
  s = dense_space(
      {40, 1, 33});  // rows longer than a vector, more than one block, a broadcast scalar
  const std::int64_t rows[] = {33, 33, 1}, column[] = {1, 0, 0};
  set(1, rows), set(2, column), spaces.push_back(s);
  for (int d = 0; d < 3; d++) s.stride[1][d] = 0;
  spaces.push_back(s);
  return spaces;
}

TYPED_TEST(ElementwiseKernel, BinaryValuesUnderBroadcasting) {
  using T = TypeParam;
  std::vector<T> a = normals<T>(1400, 3), b = normals<T>(1400, 4);
  const double specials[] = {0, -0.0, 1, infinity, -infinity, nan, 300};
  for (std::size_t i = 0; i < 49; i++) a[i] = T(specials[i / 7]), b[i] = T(specials[i % 7]);
  for_each_isa([&] {
    for (const Strided& space : binary_spaces()) {
      for (const BinaryCase& c : binary_cases) {
        std::vector<T> z(1400);
        cpu::binary<T>({.op = c.op, .space = space}, {.a = a.data(), .b = b.data(), .z = z.data()});
        const auto to = offsets(space, 0), ia = offsets(space, 1), ib = offsets(space, 2);
        for (std::size_t i = 0; i < to.size(); i++) {
          const T x = a[std::size_t(ia[i])], y = b[std::size_t(ib[i])];
          SCOPED_TRACE(::testing::Message() << "op " << int(c.op) << " of " << x << ", " << y);
          const T want = T(c.f(double(x), double(y)));
          expect_close(z[std::size_t(to[i])], want,
                       4 * (1 + std::fabs(double(want)) + std::fabs(double(x))));
        }
      }
    }
  });
}

TYPED_TEST(ElementwiseKernel, ComparisonsAndTests) {
  using T = TypeParam;
  const std::vector<T> v{0, 1, -1, T(-0.0), T(infinity), T(-infinity), T(nan)};
  for_each_isa([&] {
    const std::int64_t n = std::int64_t(v.size());
    Strided s = dense_space({n, n});
    s.stride[1][0] = 1, s.stride[2][1] = 1;
    const auto check = [&](Compare op, auto f) {
      std::array<bool, 49> z;
      cpu::compare<T>({.op = op, .space = s}, {.a = v.data(), .b = v.data(), .z = z.data()});
      for (std::size_t i = 0; i < z.size(); i++)
        EXPECT_EQ(z[i], f(v[i / 7], v[i % 7])) << int(op) << " " << i;
    };
    check(Compare::eq, [](T a, T b) { return a == b; });
    check(Compare::ne, [](T a, T b) { return a != b; });
    check(Compare::lt, [](T a, T b) { return a < b; });
    check(Compare::le, [](T a, T b) { return a <= b; });
    check(Compare::gt, [](T a, T b) { return a > b; });
    check(Compare::ge, [](T a, T b) { return a >= b; });
    std::array<bool, 7> is_nan, is_finite;
    cpu::test<T>({.op = Test::isnan, .space = flat(n, 2)}, {.x = v.data(), .y = is_nan.data()});
    cpu::test<T>({.op = Test::isfinite, .space = flat(n, 2)},
                 {.x = v.data(), .y = is_finite.data()});
    for (std::size_t i = 0; i < v.size(); i++) {
      EXPECT_EQ(is_nan[i], std::isnan(v[i]));
      EXPECT_EQ(is_finite[i], std::isfinite(v[i]));
    }
  });
}

TYPED_TEST(ElementwiseKernel, WhereTakesOneAndIgnoresTheOther) {
  using T = TypeParam;
  const bool condition[] = {true, false, true};
  const T a[] = {1, T(nan), 3}, b[] = {T(nan)};
  T z[3] = {};
  Strided s = flat(3, 4);
  s.stride[3][0] = 0;
  for_each_isa([&] {
    cpu::where<T>({.space = s}, {.condition = condition, .a = a, .b = b, .z = z});
    EXPECT_EQ(z[0], 1);
    EXPECT_TRUE(std::isnan(z[1]));
    EXPECT_EQ(z[2], 3);
  });
}

TYPED_TEST(ElementwiseKernel, EmptySpacesTouchNothing) {
  using T = TypeParam;
  for_each_isa([&] {
    for (Strided s : {flat(0, 4), dense_space({3, 0, 2}), dense_space({0, 1})}) {
      cpu::unary<T>({.op = Unary::exp, .space = s}, {.x = nullptr, .y = nullptr});
      cpu::binary<T>({.op = Binary::add, .space = s}, {.a = nullptr, .b = nullptr, .z = nullptr});
      cpu::compare<T>({.op = Compare::eq, .space = s}, {.a = nullptr, .b = nullptr, .z = nullptr});
      cpu::where<T>({.space = s}, {.condition = nullptr, .a = nullptr, .b = nullptr, .z = nullptr});
    }
  });
}

TYPED_TEST(ElementwiseKernel, WorksInPlace) {
  using T = TypeParam;
  for_each_isa([&] {
    std::vector<T> x = normals<T>(1000, 5), y(x.size());
    cpu::unary<T>({.op = Unary::sigmoid, .space = flat(1000, 2)}, {.x = x.data(), .y = y.data()});
    cpu::unary<T>({.op = Unary::sigmoid, .space = flat(1000, 2)}, {.x = x.data(), .y = x.data()});
    EXPECT_TRUE(same_bits(x, y));
  });
}

TEST(ElementwiseKernelInteger, Arithmetic) {
  for_each_isa([] {
    const std::int64_t a[] = {7, -7, 5, INT64_MIN, 0}, b[] = {2, 2, 0, -1, 3};
    std::int64_t z[5];
    cpu::binary<std::int64_t>({.op = Binary::div, .space = flat(5, 3)}, {.a = a, .b = b, .z = z});
    EXPECT_EQ(std::vector<std::int64_t>(z, z + 5),
              (std::vector<std::int64_t>{3, -3, 0, INT64_MIN, 0}));
    cpu::binary<std::int64_t>({.op = Binary::maximum, .space = flat(5, 3)},
                              {.a = a, .b = b, .z = z});
    EXPECT_EQ(std::vector<std::int64_t>(z, z + 5), (std::vector<std::int64_t>{7, 2, 5, -1, 3}));
    cpu::unary<std::int64_t>({.op = Unary::clamp, .space = flat(5, 2), .p0 = -1, .p1 = 5},
                             {.x = a, .y = z});
    EXPECT_EQ(std::vector<std::int64_t>(z, z + 5), (std::vector<std::int64_t>{5, -1, 5, -1, 0}));
  });
}

}  // namespace
}  // namespace unroll
