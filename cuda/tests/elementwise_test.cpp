// Elementwise kernels against the CPU's, the same formulas: every op, every way through the
// operands.
#include "kernels/elementwise.h"

#include <array>
#include <cstring>

#include "cuda/tests/testing.h"
#include "cuda/tests/traffic.h"

namespace unroll {
namespace {

using namespace gpu_test;

constexpr int unary_ops = int(Unary::gelu_tanh) + 1;
constexpr int binary_ops = int(Binary::relu_pull) + 1;

// Which ops T has; the others leave the output alone, or write anything.
template <class T, class Op, int count>
consteval std::array<bool, count> ops_of() {
  std::array<bool, count> has{};
  for (int i = 0; i < count; i++) has[std::size_t(i)] = !is_integer<T> || integer_has(Op(i));
  return has;
}

template <class T>
constexpr double tolerance = std::is_same_v<T, float> ? 2e-6 : 1e-14;

// Numbers of both signs and all sizes, and what is special.
template <class T>
std::vector<T> values(std::size_t n, unsigned seed = 1) {
  std::vector<T> x = normal<T>(n, seed);
  if constexpr (std::is_same_v<T, std::int64_t>) {
    for (std::size_t i = 0; i < n; i++) x[i] = static_cast<T>(i * 7 % 11) - 5;
  } else if constexpr (!std::is_same_v<T, bool>) {
    const T special[] = {0, T(-0.0), 300, -300, T(NAN), T(HUGE_VAL), T(-HUGE_VAL), T(0.5), 1, -1};
    for (std::size_t i = 0; i < n && i < std::size(special); i++) x[i] = special[i];
  }
  return x;
}

// Each of `got` within the tolerance of what is expected, relative to itself.
template <class T>
void expect_near(const std::vector<T>& got, const std::vector<T>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  const double tiny = std::is_same_v<T, float> ? 1e-37 : 1e-300;
  for (std::size_t i = 0; i < got.size(); i++) {
    if (got[i] == expected[i] || (got[i] != got[i] && expected[i] != expected[i])) continue;
    const double bar = tolerance<T> * std::fabs(static_cast<double>(expected[i])) + tiny;
    ASSERT_LE(std::fabs(static_cast<double>(got[i]) - static_cast<double>(expected[i])), bar)
        << "at " << i << ": " << got[i] << ", not " << expected[i];
  }
}

Strided dense(std::int64_t n) {
  Strided s{};
  s.rank = 1, s.size[0] = n;
  for (auto& stride : s.stride) stride[0] = 1;
  return s;
}

Strided space(std::vector<std::int64_t> sizes, std::vector<std::vector<std::int64_t>> strides) {
  Strided s{};
  s.rank = static_cast<int>(sizes.size());
  for (std::size_t d = 0; d < sizes.size(); d++) {
    s.size[d] = sizes[d];
    for (std::size_t k = 0; k < strides.size(); k++) s.stride[k][d] = strides[k][d];
  }
  return s;
}

// Spaces of an output and one input in 256 elements each; the output's elements are distinct.
std::vector<Strided> spaces_of_two() {
  return {dense(0),
          dense(1),
          dense(5),
          dense(64),
          dense(255),
          space({}, {{}, {}}),
          space({16, 8}, {{8, 1}, {8, 1}}),
          space({16, 8}, {{8, 1}, {0, 1}}),   // a row for all
          space({40, 4}, {{4, 1}, {0, 1}}),   // of many
          space({16, 8}, {{8, 1}, {1, 0}}),   // a column for all
          space({16, 8}, {{8, 1}, {0, 0}}),   // a number for all
          space({16, 8}, {{1, 16}, {8, 1}}),  // transposed
          space({7, 5}, {{5, 1}, {6, 1}}),    // rows with gaps, of no whole vectors
          space({8, 8}, {{16, 1}, {12, 1}}),  // of whole vectors
          space({5, 3}, {{-5, -1}, {3, 1}}),  // backwards, from the end
          space({2, 3, 4, 5}, {{60, 20, 5, 1}, {1, 0, 24, 2}})};
}

std::int64_t start_of(const Strided& s, int operand) {
  std::int64_t at = 0;
  for (int d = 0; d < s.rank; d++)
    if (s.stride[operand][d] < 0) at -= s.stride[operand][d] * (s.size[d] - 1);
  return at;
}

template <class T>
void check_unary(Unary op, double p0, double p1, const Strided& s, std::size_t shift = 0) {
  SCOPED_TRACE("op " + std::to_string(int(op)));
  const UnaryShape shape{op, s, p0, p1};
  const std::size_t n = 256 + shift;
  const std::vector<T> x = values<T>(n);
  std::vector<T> expected(n, T(7));
  cpu::unary<T>(shape, {x.data() + shift, expected.data() + shift + start_of(s, 0)});
  const DeviceArray<T> from(x), to(std::vector<T>(n, T(7)));
  device::unary<T>(shape, {from.data() + shift, to.data() + shift + start_of(s, 0)});
  expect_near(to.values(), expected);
}

template <class T>
class ElementwiseOf : public ::testing::Test {};
using Numbers = ::testing::Types<float, double, std::int64_t>;
TYPED_TEST_SUITE(ElementwiseOf, Numbers);

TYPED_TEST(ElementwiseOf, EveryUnaryOp) {
  constexpr auto has = ops_of<TypeParam, Unary, unary_ops>();
  for (int op = 0; op < unary_ops; op++) {
    if (!has[std::size_t(op)]) continue;
    check_unary<TypeParam>(Unary(op), 2, 3, dense(256));
    check_unary<TypeParam>(Unary(op), -1, 2.5, space({16, 8}, {{1, 16}, {8, 1}}));
    if (this->HasFatalFailure()) return;
  }
  for (const double power : {2.0, 1.0, 0.5, 0.0, -1.0, -0.5, 2.5, 3.0})
    if (!is_integer<TypeParam>) check_unary<TypeParam>(Unary::pow_scalar, power, 0, dense(256));
}

TYPED_TEST(ElementwiseOf, EverySpace) {
  for (const Strided& s : spaces_of_two())
    for (const std::size_t shift : {0, 1}) check_unary<TypeParam>(Unary::neg, 0, 0, s, shift);
}

TYPED_TEST(ElementwiseOf, EveryBinaryOpAndSpace) {
  using T = TypeParam;
  const std::vector<T> a = values<T>(256, 2), b = values<T>(256, 3);
  const DeviceArray<T> at(a), bt(b);
  const auto check = [&](Binary op, Strided s) {
    for (int d = 0; d < s.rank; d++) s.stride[2][d] = s.stride[0][d] > 0 ? s.stride[0][d] : 1;
    const BinaryShape shape{op, s};
    std::vector<T> expected(256, T(7));
    cpu::binary<T>(shape, {a.data(), b.data(), expected.data() + start_of(s, 0)});
    const DeviceArray<T> to(std::vector<T>(256, T(7)));
    device::binary<T>(shape, {at.data(), bt.data(), to.data() + start_of(s, 0)});
    SCOPED_TRACE("op " + std::to_string(int(op)));
    expect_near(to.values(), expected);
  };
  constexpr auto has = ops_of<T, Binary, binary_ops>();
  for (int op = 0; op < binary_ops; op++) {
    if (!has[std::size_t(op)]) continue;
    check(Binary(op), dense(256));
    check(Binary(op), space({16, 8}, {{1, 16}, {8, 1}, {8, 1}}));
  }
  for (const Strided& s : spaces_of_two()) check(Binary::sub, s);
}

TEST(Elementwise, WholeNumbersDivideAsOnTheCpu) {
  const std::vector<std::int64_t> a{7, -7, 5, INT64_MIN, INT64_MIN, 3},
      b{2, 2, 0, -1, 1, INT64_MIN};
  const BinaryShape shape{Binary::div, dense(6)};
  std::vector<std::int64_t> expected(6);
  cpu::binary<std::int64_t>(shape, {a.data(), b.data(), expected.data()});
  const DeviceArray<std::int64_t> at(a), bt(b), to(6);
  device::binary<std::int64_t>(shape, {at.data(), bt.data(), to.data()});
  EXPECT_EQ(to.values(), expected);
}

// Bytes, as vectors and as bools.
std::vector<std::uint8_t> bytes_of(const DeviceArray<bool>& flags) {
  std::vector<std::uint8_t> host(flags.size());
  device::download(host.data(), flags.data(), flags.size());
  return host;
}
void set_bytes(const DeviceArray<bool>& flags, const std::vector<std::uint8_t>& host) {
  device::upload(flags.data(), host.data(), host.size());
}

template <class T>
void check_compare(const Strided& s) {
  const std::vector<T> a = values<T>(256, 2), b = values<T>(256, 2);
  std::vector<T> moved = b;
  for (std::size_t i = 0; i < moved.size(); i += 3) moved[i] = b[(i + 1) % 256];
  const DeviceArray<T> at(a), bt(moved);
  for (int op = 0; op <= int(Compare::ge); op++) {
    const CompareShape shape{Compare(op), s};
    std::vector<std::uint8_t> expected(256, 1);
    cpu::compare<T>(shape, {a.data(), moved.data(), reinterpret_cast<bool*>(expected.data())});
    const DeviceArray<bool> to(256);
    set_bytes(to, std::vector<std::uint8_t>(256, 1));
    device::compare<T>(shape, {at.data(), bt.data(), to.data()});
    EXPECT_EQ(bytes_of(to), expected) << "op " << op;
  }
}

TEST(Elementwise, ComparisonsAndTests) {
  for (const Strided& s : {dense(256), dense(77), space({16, 8}, {{8, 1}, {8, 1}, {0, 1}}),
                           space({16, 8}, {{1, 16}, {8, 1}, {1, 0}})}) {
    check_compare<float>(s);
    check_compare<double>(s);
    check_compare<std::int64_t>(s);
    for (const unroll::Test op : {unroll::Test::isnan, unroll::Test::isfinite}) {
      const std::vector<float> x = values<float>(256);
      const TestShape shape{op, s};
      std::vector<std::uint8_t> expected(256, 1);
      cpu::test<float>(shape, {x.data(), reinterpret_cast<bool*>(expected.data())});
      const DeviceArray<float> from(x);
      const DeviceArray<bool> to(256);
      set_bytes(to, std::vector<std::uint8_t>(256, 1));
      device::test<float>(shape, {from.data(), to.data()});
      EXPECT_EQ(bytes_of(to), expected);
    }
  }
}

TEST(Elementwise, ComparesAndSelectsBools) {
  std::vector<std::uint8_t> a(64), b(64), expected(64);
  for (std::size_t i = 0; i < 64; i++) a[i] = i % 2, b[i] = i / 2 % 2;
  const DeviceArray<bool> at(64), bt(64), to(64);
  set_bytes(at, a), set_bytes(bt, b);
  device::compare<bool>({Compare::lt, dense(64)}, {at.data(), bt.data(), to.data()});
  for (std::size_t i = 0; i < 64; i++) expected[i] = a[i] < b[i];
  EXPECT_EQ(bytes_of(to), expected);
  device::where<bool>({dense(64)}, {at.data(), bt.data(), at.data(), to.data()});
  for (std::size_t i = 0; i < 64; i++) expected[i] = a[i] ? b[i] : a[i];
  EXPECT_EQ(bytes_of(to), expected);
}

template <class T>
void check_where(const Strided& s) {
  std::vector<std::uint8_t> condition(256);
  for (std::size_t i = 0; i < 256; i++) condition[i] = i % 3 == 0;
  const std::vector<T> a = values<T>(256, 2), b = values<T>(256, 3);
  std::vector<T> expected(256, T(7));
  const WhereShape shape{s};
  cpu::where<T>(shape, {reinterpret_cast<const bool*>(condition.data()), a.data(), b.data(),
                        expected.data()});
  const DeviceArray<bool> ct(256);
  set_bytes(ct, condition);
  const DeviceArray<T> at(a), bt(b), to(std::vector<T>(256, T(7)));
  device::where<T>(shape, {ct.data(), at.data(), bt.data(), to.data()});
  expect_near(to.values(), expected);
}

TEST(Elementwise, Where) {
  for (const Strided& s : {dense(256), dense(77), space({16, 8}, {{8, 1}, {1, 0}, {8, 1}, {0, 0}}),
                           space({16, 8}, {{8, 1}, {0, 1}, {0, 0}, {8, 1}}),
                           space({16, 8}, {{1, 16}, {8, 1}, {1, 0}, {8, 1}})}) {
    check_where<float>(s);
    check_where<double>(s);
    check_where<std::int64_t>(s);
  }
}

TEST(Elementwise, TheSameBitsInEveryOrderAndInPlace) {
  std::vector<float> first;
  in_every_order([&] {
    const DeviceArray<float> x(values<float>(1000));
    device::unary<float>({Unary::tanh, dense(1000)}, {x.data(), x.data()});
    device::unary<float>({Unary::mul_scalar, dense(1000), 3}, {x.data(), x.data()});
    if (first.empty()) first = x.values();
    const std::vector<float> now = x.values();
    EXPECT_EQ(std::memcmp(first.data(), now.data(), 4000), 0);
  });
}

#ifndef __CUDACC__  // the meter is the simulator's
class ElementwiseTraffic : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!sim::kernels_have_checks()) GTEST_SKIP() << "needs kernels with checks";
  }
  void expect_least(const char* kernel) {
    sim::synchronize();
    const sim::KernelMeter row = meter_of(kernel);
    EXPECT_GE(bytes_moved(row), double(row.read.least + row.written.least)) << kernel;
    expect_lean(row);
    sim::reset_meter();
  }

 private:
  const Metered now_;
};

TEST_F(ElementwiseTraffic, IsTheElements) {
  constexpr std::size_t M = 64, N = 512;
  const DeviceArray<float> a(values<float>(M * N)), b(values<float>(M * N)), c(M * N);
  const DeviceArray<double> wide(values<double>(M * N)), wide_to(M * N);
  const DeviceArray<bool> flags(M * N);
  device::unary<float>({Unary::exp, dense(M * N)}, {a.data(), c.data()});
  expect_least("unary");
  device::unary<double>({Unary::exp, dense(M * N - 1)}, {wide.data(), wide_to.data()});
  expect_least("unary");
  device::binary<float>({Binary::add, dense(M * N)}, {a.data(), b.data(), c.data()});
  expect_least("binary");
  device::compare<float>({Compare::lt, dense(M * N)}, {a.data(), b.data(), flags.data()});
  expect_least("compare");
  device::where<float>({dense(M * N)}, {flags.data(), a.data(), b.data(), c.data()});
  expect_least("where");
}

TEST_F(ElementwiseTraffic, OfBroadcastOperandsIsTheirElements) {
  constexpr std::int64_t M = 64, N = 512;
  const DeviceArray<float> a(values<float>(M * N)), b(values<float>(N)), c(M * N);
  for (const std::vector<std::int64_t>& second :
       {std::vector<std::int64_t>{0, 1}, {1, 0}, {0, 0}}) {
    device::binary<float>({Binary::mul, space({M, N}, {{N, 1}, {N, 1}, second})},
                          {a.data(), b.data(), c.data()});
    expect_least("binary");
  }
}
#endif

}  // namespace
}  // namespace unroll
