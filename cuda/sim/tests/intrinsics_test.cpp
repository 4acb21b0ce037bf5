// Every function of the stand-ins against its meaning, written out here once more.
#include "cuda/sim/tests/intrinsics.h"

#include <bit>
#include <cmath>

#include "core/half.h"
#include "cuda/sim/tests/testing.h"

namespace unroll::sim_test {
namespace {

TEST(Intrinsics, OfAWarp) {
  std::vector<int> x(32), want(9 * 32);
  for (int lane = 0; lane < 32; lane++) x[std::size_t(lane)] = (lane * 7 + 3) % 32;
  const auto at = [&](int lane) { return x[std::size_t(lane)]; };
  for (int lane = 0; lane < 32; lane++) {
    int ballot = 0, least = 99, most = 0, bits = 0, common = ~0, odd = 0;
    for (int other = lane % 2; other < 32; other += 2) {
      if (at(other) > 10) ballot = int(unsigned(ballot) | 1u << other);
      least = std::min(least, at(other)), most = std::max(most, at(other));
      bits |= at(other), common &= 8 | other, odd ^= at(other);
    }
    const int row[] = {at(5),
                       at(lane / 8 * 8 + (lane + 1) % 8),
                       lane + 3 < 32 ? at(lane + 3) : at(lane),
                       lane % 16 >= 3 ? at(lane - 3) : at(lane),
                       at(lane ^ 2),
                       ballot,
                       lane % 2 == 0 ? 2 : 1,
                       least + 1000 * most,
                       bits + 100 * common + 10000 * odd};
    for (int r = 0; r < 9; r++) want[std::size_t(r * 32 + lane)] = row[r];
  }
  const DeviceArray<int> dx(x);
  for_schedules(2, [&] {
    const DeviceArray<int> out(want.size());
    warp_functions(dx.data(), out.data());
    EXPECT_EQ(out.values(), want);
  });
}

TEST(Intrinsics, Atomics) {
  const DeviceArray<int> words(std::vector<int>(8, 12)), old(8);
  atomics(words.data(), old.data());
  EXPECT_EQ(words.values(), (std::vector<int>{17, 7, 20, 3, 5, 9, 7, 1}));
  EXPECT_EQ(old.values(), (std::vector<int>{12, 12, 12 + 20, 12 + 3, 12 + 4, 12, 12, 12 + 1}));
}

TEST(Intrinsics, CoordinatesInThreeDimensions) {
  std::vector<int> want;
  for (int block = 0; block < 12; block++)
    for (int thread = 0; thread < 16; thread++)
      want.push_back(thread % 4 + 10 * (thread / 4 % 2) + 100 * (thread / 8) + 1000 * (block % 2) +
                     10000 * (block / 2 % 3) + 100000 * (block / 6));
  for_schedules(1, [&] {
    const DeviceArray<int> out(want.size());
    coordinates(out.data());
    EXPECT_EQ(out.values(), want);
  });
}

TEST(Intrinsics, CooperativeGroups) {
  for_schedules(2, [] {
    const DeviceArray<int> out(12);
    group_facts(out.data());
    EXPECT_EQ(out.values(),
              (std::vector<int>{64, 18, 128, 1, 16, 2, 1, 4, 4, 15 + 100 * 5, 3 + 100 * 16, 11}));
  });
}

TEST(Intrinsics, Scalars) {
  const DeviceArray<float> x(std::vector<float>{1.7f}), y(8);
  const DeviceArray<int> out(6);
  scalar_functions(x.data(), out.data(), y.data());
  EXPECT_EQ(out.values(), (std::vector<int>{8, 4, 0, 31, 32, 12345}));
  const double v = 1.7f;
  const double want[] = {std::exp(v), std::log(v), 1 / v, 1 / std::sqrt(v), 1 / v, 2 * v + 1, 3, v};
  const auto got = y.values();
  for (std::size_t i = 0; i < 8; i++) EXPECT_NEAR(got[i], want[i], 3e-7 * want[i]) << i;
}

TEST(Intrinsics, FastFunctionsAreOffAsOnAGpu) {
  int off = 0;
  for (int i = 0; i < 20; i++) {
    const float v = 1 + float(i) / 7;
    const DeviceArray<float> x(std::vector<float>{v}), y(8);
    const DeviceArray<int> out(6);
    scalar_functions(x.data(), out.data(), y.data());
    const float got = y.values()[0], exact = std::exp(v);
    const auto distance =
        std::abs(std::int64_t(std::bit_cast<int>(got)) - std::bit_cast<int>(exact));
    EXPECT_LE(distance, 2);
    off += distance > 0;
  }
  EXPECT_GT(off, 5);
}

TEST(Intrinsics, HalfTypes) {
  const float a = 1.2345f, b = -3.21f;
  const DeviceArray<float> x(std::vector<float>{a, b}), y(10);
  half_functions(x.data(), y.data());
  const auto h = [](double v) { return to_double(to_float16(v)); };
  const auto bf = [](double v) { return to_double(to_bfloat16(v)); };
  const double p = h(a), q = h(b), r = bf(a), s = bf(b);
  const double want[] = {p, h(p + q),  h(p - q),  h(p * q), h(float(p) / float(q)),
                         r, bf(r + s), bf(r * s), p,        q};
  const auto got = y.values();
  for (std::size_t i = 0; i < 10; i++) EXPECT_EQ(got[i], want[i]) << i;
}

}  // namespace
}  // namespace unroll::sim_test
