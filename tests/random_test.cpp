// Random numbers: the reference vectors of Philox, the distributions, independence of threads.
#include "core/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "core/parallel.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

TEST(RandomNumbers, PhiloxGivesTheReferenceVectors) {
  // kat_vectors of Random123 1.14, philox4x32 with 10 rounds.
  using Block = std::array<std::uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t f = 0xffffffff;
  EXPECT_EQ(philox({f, f, f, f}, {f, f}), (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomNumbers, UniformHasItsMoments) {
  const auto x = to_vector<double>(Random(1).uniform({200000}, -1, 3, Dtype::float64));
  double sum = 0, squares = 0;
  for (const double v : x) {
    ASSERT_TRUE(v >= -1 && v < 3);
    sum += v;
    squares += (v - 1) * (v - 1);
  }
  EXPECT_NEAR(sum / 200000, 1, 0.01);
  EXPECT_NEAR(squares / 200000, 16. / 12, 0.015);
}

TEST(RandomNumbers, UniformNeverReachesItsUpperBound) {
  // Between these bounds float32 has two numbers: half of all draws would round up.
  const auto wide = to_vector<float>(Random(2).uniform({1000}, 0x1p24, 0x1p24 + 2));
  EXPECT_EQ(*std::max_element(wide.begin(), wide.end()), 0x1p24f);
  const auto narrow = to_vector<double>(Random(2).uniform({1000}, 1, 1 + 0x1p-52, Dtype::float64));
  EXPECT_EQ(*std::max_element(narrow.begin(), narrow.end()), 1.0);
  EXPECT_EQ(Random(2).uniform({}, 0.1, 0.1).item(), static_cast<double>(0.1f));
  EXPECT_EQ(Random(2).uniform({}, -3, -3, Dtype::float64).item(), -3);
}

TEST(RandomNumbers, NormalHasItsMomentsAndTails) {
  const auto x = to_vector<double>(Random(3).normal({400000}, 2, 3, Dtype::float64));
  double moment[5] = {}, beyond = 0;
  for (double v : x) {
    v = (v - 2) / 3;
    for (int k = 1; k < 5; k++) moment[k] += std::pow(v, k) / 400000;
    beyond += std::abs(v) > 2;
  }
  EXPECT_NEAR(moment[1], 0, 0.006);
  EXPECT_NEAR(moment[2], 1, 0.01);
  EXPECT_NEAR(moment[3], 0, 0.02);
  EXPECT_NEAR(moment[4], 3, 0.06);
  EXPECT_NEAR(beyond / 400000, 0.0455, 0.0015);
  EXPECT_EQ(Random(3).normal({3}, 5, 0).item({2}), 5);
}

TEST(RandomNumbers, IntegersCoverTheirRange) {
  std::vector<int> count(7);
  for (const std::int64_t v : to_vector<std::int64_t>(Random(4).integers({70000}, -3, 4))) {
    ASSERT_TRUE(v >= -3 && v < 4);
    count[v + 3]++;
  }
  for (const int c : count) EXPECT_NEAR(c, 10000, 400);
  const auto far = to_vector<std::int64_t>(Random(4).integers({1000}, INT64_MIN, INT64_MAX));
  EXPECT_LT(*std::min_element(far.begin(), far.end()), INT64_MIN / 2);
  EXPECT_GT(*std::max_element(far.begin(), far.end()), INT64_MAX / 2);
}

TEST(RandomNumbers, PermutationsAreUniform) {
  Random random(5);
  std::vector<int> first(4);
  std::set<std::vector<std::int64_t>> seen;
  for (int i = 0; i < 4000; i++) {
    auto order = to_vector<std::int64_t>(random.permutation(4));
    first[order[0]]++;
    seen.insert(order);
    std::sort(order.begin(), order.end());
    ASSERT_EQ(order, (std::vector<std::int64_t>{0, 1, 2, 3}));
  }
  EXPECT_EQ(seen.size(), 24u);
  for (const int c : first) EXPECT_NEAR(c, 1000, 130);
  EXPECT_EQ(random.permutation(0).numel(), 0);
}

TEST(RandomNumbers, DependOnSeedStreamAndCounterAlone) {
  Random a(7), b(7), other_seed(8), other_stream(7, 1);
  const auto x = to_vector<float>(a.normal({64}));
  EXPECT_EQ(to_vector<float>(b.normal({64})), x);
  EXPECT_NE(to_vector<float>(other_seed.normal({64})), x);
  EXPECT_NE(to_vector<float>(other_stream.normal({64})), x);
  EXPECT_EQ(a.counter(), 64u);
  a.set_counter(0);
  EXPECT_EQ(to_vector<float>(a.normal({64})), x) << "setting the counter resumes";
  Random pieces(7);
  std::vector<float> joined;
  for (int i = 0; i < 4; i++)
    for (const float v : to_vector<float>(pieces.normal({16}))) joined.push_back(v);
  EXPECT_EQ(joined, x) << "element i is a function of counter + i";
  Random single(7);
  EXPECT_EQ(static_cast<float>(single.normal()), x[0]);
}

TEST(RandomNumbers, DoNotDependOnThreads) {
  const int before = num_threads();
  set_num_threads(1);
  const auto one = to_vector<float>(Random(9).normal({70000}));
  set_num_threads(3);
  const auto three = to_vector<float>(Random(9).normal({70000}));
  set_num_threads(before);
  EXPECT_EQ(one, three);
  EXPECT_ERROR(set_num_threads(0), "set_num_threads", "0");
}

TEST(RandomNumbers, Float32IsFloat64Rounded) {
  const auto wide = to_vector<double>(Random(10).normal({1000}, 0, 1, Dtype::float64));
  const auto narrow = to_vector<float>(Random(10).normal({1000}));
  for (int i = 0; i < 1000; i++) EXPECT_EQ(narrow[i], static_cast<float>(wide[i]));
}

TEST(RandomNumbers, WhatCannotBeDrawn) {
  Random random(1);
  EXPECT_ERROR(random.uniform({2}, 1, 0), "uniform");
  EXPECT_ERROR(random.uniform({2}, 0, std::nan("")), "uniform");
  EXPECT_ERROR(random.uniform({2}, 0, std::numeric_limits<double>::infinity()), "uniform");
  EXPECT_ERROR(random.uniform({2}, 0, 1, Dtype::int64), "float32 or float64");
  EXPECT_ERROR(random.normal({2}, 0, -1), "normal", "negative");
  EXPECT_ERROR(random.normal({2}, 0, 1, Dtype::boolean), "float32 or float64");
  EXPECT_ERROR(random.integers({2}, 3, 3), "empty range");
  EXPECT_ERROR(random.integer(3, 2), "empty range");
  EXPECT_ERROR(random.permutation(-1), "negative");
  EXPECT_ERROR(random.normal({-1}), "negative");
}

}  // namespace
}  // namespace unroll
