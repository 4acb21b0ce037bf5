// float16 and bfloat16: every value, every halfway point, and that no op takes them.
#include "core/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "tests/op_cases.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

template <class H>
struct Traits;
template <>
struct Traits<Float16> {
  static constexpr int bias = 15, fraction_bits = 10;
  static Float16 from(double x) { return to_float16(x); }
};
template <>
struct Traits<Bfloat16> {
  static constexpr int bias = 127, fraction_bits = 7;
  static Bfloat16 from(double x) { return to_bfloat16(x); }
};

template <class H>
class Half : public ::testing::Test {
 protected:
  using Of = Traits<H>;
  static constexpr int infinity_bits = (2 * Of::bias + 1) << Of::fraction_bits;
  static H at(int bits) { return {static_cast<std::uint16_t>(bits)}; }
  // What the bits of a positive number mean, by the definition of the formats.
  static double meaning(int bits) {
    const int exponent = bits >> Of::fraction_bits, fraction = bits % (1 << Of::fraction_bits);
    const double scale = std::ldexp(1.0, std::max(exponent, 1) - Of::bias - Of::fraction_bits);
    return (fraction + (exponent > 0 ? 1 << Of::fraction_bits : 0)) * scale;
  }
};
using Halves = ::testing::Types<Float16, Bfloat16>;
TYPED_TEST_SUITE(Half, Halves);

TYPED_TEST(Half, EveryValueWidensExactlyAndComesBack) {
  for (int bits = 0; bits < 0x8000; bits++) {
    const double x = to_double(this->at(bits)), negative = to_double(this->at(bits | 0x8000));
    if (bits < this->infinity_bits) {
      ASSERT_EQ(x, this->meaning(bits)) << bits;
      ASSERT_EQ(negative, -x) << bits;
    } else if (bits == this->infinity_bits) {
      ASSERT_EQ(x, inf);
      ASSERT_EQ(negative, -inf);
    } else {
      ASSERT_TRUE(std::isnan(x) && std::isnan(negative)) << bits;
    }
    ASSERT_TRUE(std::signbit(negative) && !std::signbit(x)) << bits;
    const int quiet = bits > this->infinity_bits ? 1 << (TestFixture::Of::fraction_bits - 1) : 0;
    ASSERT_EQ(TestFixture::Of::from(x).bits, bits | quiet);
    ASSERT_EQ(TestFixture::Of::from(negative).bits, bits | quiet | 0x8000);
  }
}

// Between two neighbours the nearer one is chosen, halfway the one with an even last bit; infinity
// stands where the next number would be.
TYPED_TEST(Half, RoundsToTheNearestAndHalfwayToEven) {
  for (int bits = 0; bits < this->infinity_bits; bits++) {
    const double halfway = (this->meaning(bits) + this->meaning(bits + 1)) / 2;
    for (const double sign : {1.0, -1.0}) {
      const int top = sign < 0 ? 0x8000 : 0;
      const auto rounded = [&](double x) { return TestFixture::Of::from(sign * x).bits; };
      ASSERT_EQ(rounded(halfway), (bits % 2 ? bits + 1 : bits) | top) << bits;
      ASSERT_EQ(rounded(std::nextafter(halfway, 0)), bits | top) << bits;
      ASSERT_EQ(rounded(std::nextafter(halfway, inf)), (bits + 1) | top) << bits;
    }
  }
  EXPECT_EQ(TestFixture::Of::from(1e300).bits, this->infinity_bits);
  EXPECT_EQ(TestFixture::Of::from(-1e300).bits, this->infinity_bits | 0x8000);
  EXPECT_EQ(TestFixture::Of::from(5e-324).bits, 0);
  EXPECT_EQ(TestFixture::Of::from(-5e-324).bits, 0x8000);
}

TYPED_TEST(Half, TensorsAreConvertedBothWays) {
  const Dtype half = dtype_of<TypeParam>();
  const Tensor x = from_values<double>({1, -2.5, 1e9, -0.0, 0.1, 3e-8}, {2, 3});
  for (const Dtype from : {Dtype::float32, Dtype::float64}) {
    const Tensor h = to(to(x, from), half);
    EXPECT_EQ(h.dtype(), half);
    EXPECT_EQ(h.item({0, 1}), -2.5);
    EXPECT_TRUE(std::signbit(h.item({1, 0})));
    for (const Dtype into : {Dtype::float32, Dtype::float64})
      for (int i = 0; i < 6; i++)
        EXPECT_EQ(to(h, into).item({i / 3, i % 3}),
                  to_double(TestFixture::Of::from(to(x, from).item({i / 3, i % 3}))));
  }
  const Tensor whole = to(from_values<std::int64_t>({3, -70000}, {2}), half);
  EXPECT_EQ(whole.item({0}), 3);
  EXPECT_EQ(to(full({1}, 7, half), Dtype::int64).item(), 7);
  EXPECT_EQ(to(from_values<bool>({true}, {1}), half).item(), 1);
  EXPECT_EQ(to(to(zeros({1}), half), Dtype::boolean).item(), 0);
  EXPECT_ERROR(to(full({1}, inf, half), Dtype::int64), "to: inf does not fit int64");
}

// Beyond 53 bits double alone would round twice: 2^60 + 2^52 is halfway in bfloat16, this is more.
TEST(HalfIntegers, RoundOnce) {
  const std::int64_t halfway = (std::int64_t{1} << 60) + (std::int64_t{1} << 52);
  const auto rounded = [](std::int64_t x) {
    return to(from_values<std::int64_t>({x}, {1}), Dtype::bfloat16).item();
  };
  EXPECT_EQ(rounded(halfway), 0x1p60);
  EXPECT_EQ(rounded(halfway + 1), 0x1p60 + 0x1p53);
  EXPECT_EQ(rounded(-halfway - 1), -0x1p60 - 0x1p53);
  EXPECT_EQ(rounded(halfway - 1), 0x1p60);
  EXPECT_EQ(rounded(INT64_MAX), 0x1p63);
  EXPECT_EQ(rounded(INT64_MIN), -0x1p63);
}

TEST(HalfTensors, AreCopiedFilledAndPrinted) {
  Tensor h = full({2, 3}, 1.5, Dtype::float16);
  EXPECT_EQ(to_string(view::select(h, 0, 0)), "tensor([1.5, 1.5, 1.5], float16[3])");
  EXPECT_EQ(to_string(scalar(-2, Dtype::bfloat16)), "tensor(-2, bfloat16[])");
  Tensor column = view::select(h, 1, 1);
  fill(column, 0.25);
  EXPECT_EQ(contiguous_copy(view::transpose(h, 0, 1)).item({1, 0}), 0.25);
  EXPECT_EQ(eye(2, Dtype::bfloat16).item({1, 1}), 1);
  EXPECT_EQ(arange(3, Dtype::float16).item({2}), 2);
  EXPECT_EQ(to_vector<float>(column), (std::vector<float>{0.25, 0.25}));
  EXPECT_ERROR(h.data<float>(), "the tensor holds float16, not float32");
  EXPECT_ERROR(Random(1).normal({2}, 0, 1, Dtype::float16), "normal");
}

TEST(HalfTensors, EveryOpRefusesThem) {
  for (const OpCase& c : op_cases()) {
    if (c.op == "to" || c.op == "length_mask") continue;
    for (const Dtype half : {Dtype::float16, Dtype::bfloat16}) {
      Tensors x;
      bool any = false;
      for (const Tensor& t : c.make_inputs()) {
        x.push_back(is_real(t.dtype()) ? cast_copy(t, half) : t);
        any |= is_real(t.dtype());
      }
      if (!any) continue;
      Tape tape;
      const std::string message = message_of([&] { c.f(x); });
      EXPECT_NE(message.find(std::string(": does not take ") + name(half)), std::string::npos)
          << c.name() << ": " << message;
      EXPECT_EQ(tape.size(), 0u) << c.name();
    }
  }
}

TEST(HalfTensors, AreConstantsUnderATape) {
  const Tensor x = random_normal({3});
  Tape tape;
  const Tensor y = sum(x * to(to(x, Dtype::bfloat16), Dtype::float64));
  EXPECT_LE(difference(tape.pull(y, number(1), {x})[0], to(to(x, Dtype::bfloat16), Dtype::float64)),
            0);
}

}  // namespace
}  // namespace unroll::testing
