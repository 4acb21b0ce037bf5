// The vector functions of kernels/simd.h, seen through the elementwise kernels that are compiled
// for each instruction set: at most 4 ulp from long double, and the special values.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"
#include "kernels/elementwise.h"
#include "kernels/isa.h"
#include "tests/kernel_testing.h"

namespace unroll::testing {
namespace {

template <class Real>
std::vector<Real> applied(Unary op, const std::vector<Real>& x) {
  std::vector<Real> y(x.size());
  const UnaryShape shape{
      .op = op, .space = {.rank = 1, .size = {std::int64_t(x.size())}, .stride = {{1}, {1}}}};
  cpu::unary<Real>(shape, {.x = x.data(), .y = y.data()});
  return y;
}

long double exact(Unary op, long double x) {
  if (op == Unary::exp) return std::exp(x);
  if (op == Unary::tanh) return std::tanh(x);
  return x > 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}

// Distance in units of the last place of the exact value (of the smallest subnormal near zero).
template <class Real>
double ulps(Real got, long double want) {
  using Limits = std::numeric_limits<Real>;
  if (std::fabs(want) > (long double)Limits::max()) return got == Real(want) ? 0 : 1e30;
  int exponent = 0;
  std::frexp(want, &exponent);
  exponent = std::max(exponent, Limits::min_exponent);
  return double(std::fabs((long double)got - want) / std::ldexp(1.0L, exponent - Limits::digits));
}

// Numbers of all magnitudes and both signs, from the smallest subnormal to the largest; many of
// those that matter to exp, and dense ones around zero.
template <class Real>
std::vector<Real> samples() {
  using Limits = std::numeric_limits<Real>;
  std::vector<Real> x;
  for (Real magnitude = Limits::denorm_min(); magnitude < Limits::max() / 2;
       magnitude *= Real(1.7)) {  // 1.7 of the smallest rounds to 2
    x.push_back(magnitude);
    x.push_back(-magnitude);
  }
  x.insert(x.end(), {Limits::max(), Limits::lowest(), Limits::min(), -Limits::min()});
  for (double magnitude = 1e-6; magnitude < 800; magnitude *= 1.00037) {
    x.push_back(Real(magnitude));
    x.push_back(Real(-magnitude));
  }
  for (int i = -4000; i <= 4000; ++i) x.push_back(Real(i * 0.0173));
  return x;
}

template <class Real>
void expect_accurate(Unary op, const std::string& name) {
  const std::vector<Real> x = samples<Real>(), y = applied(op, x);
  double worst = 0;
  Real at = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = ulps(y[i], exact(op, x[i]));
    if (!(error <= worst)) worst = error, at = x[i];
  }
  EXPECT_LE(worst, 4) << name << "(" << at << ") in " << 8 * sizeof(Real) << " bits";
}

TEST(Simd, ExponentialsAreWithinFourUlp) {
  for_each_isa([] {
    expect_accurate<float>(Unary::exp, "exp");
    expect_accurate<double>(Unary::exp, "exp");
    expect_accurate<float>(Unary::sigmoid, "sigmoid");
    expect_accurate<double>(Unary::sigmoid, "sigmoid");
    expect_accurate<float>(Unary::tanh, "tanh");
    expect_accurate<double>(Unary::tanh, "tanh");
  });
}

template <class Real>
void expect_special_values() {
  const Real inf = std::numeric_limits<Real>::infinity(), not_a_number = std::nan("");
  const std::vector<Real> x = {not_a_number, inf, -inf, Real(0), Real(-0.0), 1000, -1000};
  const std::vector<Real> e = applied(Unary::exp, x), s = applied(Unary::sigmoid, x),
                          t = applied(Unary::tanh, x);
  EXPECT_TRUE(std::isnan(e[0]) && std::isnan(s[0]) && std::isnan(t[0]));
  EXPECT_EQ(std::vector<Real>(e.begin() + 1, e.end()), (std::vector<Real>{inf, 0, 1, 1, inf, 0}));
  EXPECT_EQ(std::vector<Real>(s.begin() + 1, s.end()),
            (std::vector<Real>{1, 0, Real(0.5), Real(0.5), 1, 0}));
  EXPECT_EQ(std::vector<Real>(t.begin() + 1, t.end()), (std::vector<Real>{1, -1, 0, 0, 1, -1}));
  EXPECT_FALSE(std::signbit(t[3]));
  EXPECT_TRUE(std::signbit(t[4]));
}

TEST(Simd, SpecialValues) {
  for_each_isa([] {
    expect_special_values<float>();
    expect_special_values<double>();
  });
}

// A value does not depend on its lane, nor on the lanes beside it.
TEST(Simd, LanesAreIndependent) {
  for_each_isa([] {
    for (std::size_t n = 1; n <= 40; ++n) {
      std::vector<float> x(n, std::numeric_limits<float>::quiet_NaN());
      x[n - 1] = 0.37f;
      const float alone = applied<float>(Unary::tanh, {0.37f})[0];
      EXPECT_EQ(std::memcmp(&applied(Unary::tanh, x)[n - 1], &alone, sizeof alone), 0) << n;
    }
  });
}

TEST(Isa, BaselineIsAlwaysThere) {
  EXPECT_TRUE(isa_available(Isa::base));
  EXPECT_TRUE(isa_available(isa()));
  const Isa before = isa();
  use_isa(Isa::base);
  EXPECT_EQ(isa(), Isa::base);
  use_isa(before);
}

TEST(Isa, NamesAreThoseOfTheEnvironment) {
  EXPECT_STREQ(isa_name(Isa::base), "baseline");
  EXPECT_STREQ(isa_name(Isa::avx2), "avx2");
  EXPECT_STREQ(isa_name(Isa::avx512), "avx512");
}

TEST(Isa, AnImpossibleChoiceIsAnErrorThatNamesIt) {
  const char* const before = std::getenv("UNROLL_ISA");
  const std::string saved = before ? before : "";
  setenv("UNROLL_ISA", "mmx", 1);
  try {
    require_isa();
    ADD_FAILURE() << "require_isa accepted 'mmx'";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'mmx'"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("baseline"), std::string::npos) << error.what();
  }
  before ? setenv("UNROLL_ISA", saved.c_str(), 1) : unsetenv("UNROLL_ISA");
  EXPECT_NO_THROW(require_isa());
}

}  // namespace
}  // namespace unroll::testing
