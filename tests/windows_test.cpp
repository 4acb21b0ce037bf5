// Windows and batches: which elements come where, what is shuffled, what is padded.
#include "models/windows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "core/memory.h"
#include "core/view.h"
#include "tests/temporary.h"

namespace unroll {
namespace {

using Indices = std::vector<std::int64_t>;

// Element [t,c] is 10 t + c.
Tensor counting(std::int64_t T, std::int64_t C, Dtype dtype = Dtype::float64) {
  Tensor x = empty({T, C}, Dtype::float64);
  for (std::int64_t t = 0; t < T; t++)
    for (std::int64_t c = 0; c < C; c++)
      x.mutable_data<double>()[t * C + c] = static_cast<double>(10 * t + c);
  return cast_copy(x, dtype);
}

TEST(SlidingWindows, AreAView) {
  const Tensor series = counting(10, 2);
  const Tensor windows = sliding_windows(series, 4);
  EXPECT_EQ(windows.shape(), (Shape{7, 4, 2}));
  EXPECT_TRUE(windows.shares_storage(series));
  for (std::int64_t i = 0; i < 7; i++)
    for (std::int64_t t = 0; t < 4; t++)
      for (std::int64_t c = 0; c < 2; c++)
        ASSERT_EQ(windows.item({i, t, c}), double(10 * (i + t) + c));
}

TEST(SlidingWindows, WithAStrideOverAnyView) {
  const Tensor series = counting(11, 3);
  const Tensor windows = sliding_windows(view::slice(series, 1, 1, 3), 4, 3);
  EXPECT_EQ(windows.shape(), (Shape{3, 4, 2}));
  EXPECT_EQ(windows.item({2, 3, 1}), 92);
  EXPECT_EQ(sliding_windows(view::slice(series, 0, 0, 10), 4, 3).shape()[0], 3);
  EXPECT_EQ(sliding_windows(view::slice(series, 0, 0, 9), 4, 3).shape()[0], 2);
  EXPECT_EQ(sliding_windows(series, 11, INT64_MAX).shape(), (Shape{1, 11, 3}));
  const Tensor turned = view::transpose(counting(2, 8), 0, 1);  // [8,2]
  EXPECT_EQ(sliding_windows(turned, 3).item({4, 2, 1}), turned.item({6, 1}));
}

TEST(SlidingWindows, WhatHasNone) {
  EXPECT_ERROR(sliding_windows(counting(3, 1), 4), "3 steps", "window of 4");
  EXPECT_ERROR(sliding_windows(counting(3, 1), 0), "at least 1");
  EXPECT_ERROR(sliding_windows(counting(3, 1), 2, 0), "at least 1");
  EXPECT_ERROR(sliding_windows(ones({3}), 2), "[3]");
  EXPECT_ERROR(sliding_windows(Tensor(), 2), "[T,C]");
}

TEST(GatherWindows, PutsTimeFirst) {
  for (const Dtype from : {Dtype::float32, Dtype::float64})
    for (const Dtype to : {Dtype::float32, Dtype::float64}) {
      const Tensor windows = sliding_windows(counting(10, 2, from), 4);
      const Indices chosen = {5, 0, 5};
      const Tensor x = gather_windows(windows, chosen, to);
      EXPECT_EQ(x.shape(), (Shape{4, 3, 2}));
      EXPECT_EQ(x.dtype(), to);
      for (std::int64_t t = 0; t < 4; t++)
        for (std::int64_t n = 0; n < 3; n++)
          for (std::int64_t c = 0; c < 2; c++)
            ASSERT_EQ(x.item({t, n, c}), double(10 * (chosen[n] + t) + c));
    }
  EXPECT_EQ(gather_windows(sliding_windows(counting(5, 2), 2), {}).shape(), (Shape{2, 0, 2}));
  const Indices high = {4}, low = {-1};
  const Tensor four = sliding_windows(counting(5, 2), 2);
  EXPECT_ERROR(gather_windows(four, high), "index 4", "4 windows");
  EXPECT_ERROR(gather_windows(four, low), "index -1");
  EXPECT_ERROR(gather_windows(four, high, Dtype::int64), "int64");
  EXPECT_ERROR(gather_windows(ones({2, 2}), high), "[count,T,C]");
}

TEST(RandomLengths, AreInRangeAndReachBothEnds) {
  Random random(1);
  const Lengths lengths = random_lengths(random, 2000, 10, 20);
  Indices counts(21);
  for (const std::int64_t n : lengths.values()) {
    ASSERT_TRUE(n >= 10 && n <= 20);
    counts[n]++;
  }
  for (int n = 10; n <= 20; n++) EXPECT_NEAR(double(counts[n]), 2000 / 11., 60) << n;
  EXPECT_EQ(random_lengths(random, 3, 0, 0).total(), 0);
  EXPECT_ERROR(random_lengths(random, 3, 4, 3), "4..3");
  EXPECT_ERROR(random_lengths(random, 3, -1, 3), "-1..3");
}

// The sequences of an epoch, in order.
Indices epoch_of(Batches& batches, std::int64_t epoch) {
  Indices all;
  for (std::int64_t i = 0; i < batches.count(); i++)
    for (const std::int64_t index : batches.indices(epoch, i)) all.push_back(index);
  return all;
}

bool is_a_permutation(Indices all, std::int64_t count) {
  std::sort(all.begin(), all.end());
  Indices expected(static_cast<std::size_t>(count));
  std::iota(expected.begin(), expected.end(), 0);
  return all == expected;
}

TEST(BatchesTest, AnEpochHasEachWindowOnce) {
  Batches batches(sliding_windows(counting(53, 1), 4), {.size = 8, .seed = 3});
  EXPECT_EQ(batches.sequences(), 50);
  EXPECT_EQ(batches.count(), 7);
  const Indices first = epoch_of(batches, 0), second = epoch_of(batches, 1);
  EXPECT_TRUE(is_a_permutation(first, 50));
  EXPECT_TRUE(is_a_permutation(second, 50));
  EXPECT_NE(first, second);
  EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));
  EXPECT_EQ(epoch_of(batches, 0), first) << "an epoch can be asked for again";
  EXPECT_EQ(batches.indices(0, 6).size(), 2u);
}

TEST(BatchesTest, TheSeedDecidesAndResumingIsExact) {
  const Tensor windows = sliding_windows(counting(53, 1), 4);
  Batches a(windows, {.size = 8, .seed = 3}), b(windows, {.size = 8, .seed = 3}),
      c(windows, {.size = 8, .seed = 4});
  epoch_of(a, 0);
  EXPECT_EQ(to_vector<float>(a.get(5, 2).x), to_vector<float>(b.get(5, 2).x));
  EXPECT_NE(epoch_of(a, 5), epoch_of(c, 5));
}

TEST(BatchesTest, TheContentIsThatOfTheIndices) {
  const Tensor windows = sliding_windows(counting(20, 2), 4);
  Batches batches(windows, {.size = 5, .dtype = Dtype::float64});
  const Batch batch = batches.get(2, 1);
  EXPECT_FALSE(batch.lengths);
  EXPECT_EQ(batch.x.shape(), (Shape{4, 5, 2}));
  const auto indices = batches.indices(2, 1);
  for (std::int64_t n = 0; n < 5; n++)
    EXPECT_EQ(batch.x.item({3, n, 1}), windows.item({indices[n], 3, 1}));
}

TEST(BatchesTest, OptionsOfTheLastBatchAndTheOrder) {
  const Tensor windows = sliding_windows(counting(13, 1), 4);
  Batches dropping(windows, {.size = 4, .drop_last = true});
  EXPECT_EQ(dropping.count(), 2);
  Batches plain(windows, {.size = 4, .shuffle = false});
  EXPECT_EQ(plain.count(), 3);
  EXPECT_EQ(epoch_of(plain, 7), (Indices{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_ERROR(plain.get(0, 3), "batch 3", "has 3");
  EXPECT_ERROR(plain.get(-1, 0), "epoch -1");
  EXPECT_ERROR(Batches(windows, {.size = 0}), "size 0");
  EXPECT_ERROR(Batches(windows, {.size = 11, .drop_last = true}), "10 sequences", "11");
  EXPECT_ERROR(Batches(ones({2, 2})), "[count,T,C]");
  EXPECT_ERROR(Batches(cast_copy(windows, Dtype::int64)), "int64");
}

TEST(BatchesTest, SteadyStateTakesNothingNewFromTheSystem) {
  Batches batches(sliding_windows(counting(200, 2), 20), {.size = 16, .drop_last = true});
  for (std::int64_t i = 0; i < 3; i++) batches.get(0, i);
  const memory::Stats before = memory::stats();
  for (std::int64_t i = 0; i < batches.count(); i++) batches.get(0, i);
  const memory::Stats after = memory::stats();
  EXPECT_EQ(before.live, after.live);
  EXPECT_EQ(before.live + before.pooled, after.live + after.pooled);
}

std::vector<Tensor> sequences_of(const Indices& lengths) {
  std::vector<Tensor> all;
  for (std::size_t i = 0; i < lengths.size(); i++)
    all.push_back(full({lengths[i], 2}, static_cast<double>(i + 1), Dtype::float64));
  return all;
}

TEST(BatchesTest, DifferentLengthsArePaddedWithZeros) {
  Batches batches(sequences_of({3, 5, 0, 2}), {.size = 4, .shuffle = false, .by_length = false});
  const Batch batch = batches.get(0, 0);
  EXPECT_EQ(batch.x.shape(), (Shape{5, 4, 2}));
  const Indices lengths = {3, 5, 0, 2};
  const auto values = batch.lengths.values();
  EXPECT_EQ(Indices(values.begin(), values.end()), lengths);
  for (std::int64_t t = 0; t < 5; t++)
    for (std::int64_t n = 0; n < 4; n++)
      EXPECT_EQ(batch.x.item({t, n, 1}), t < lengths[n] ? double(n + 1) : 0.0);
}

TEST(BatchesTest, EqualLengthsAreFull) {
  Batches batches(sequences_of({4, 4, 4}), {.size = 3});
  EXPECT_FALSE(batches.get(0, 0).lengths);
  EXPECT_EQ(batches.get(0, 0).x.shape(), (Shape{4, 3, 2}));
}

TEST(BatchesTest, ByLengthPadsLittleAndStillShuffles) {
  Random random(9);
  Indices lengths = to_vector<std::int64_t>(random.integers({100}, 1, 30));
  Batches similar(sequences_of(lengths), {.size = 10}),
      mixed(sequences_of(lengths), {.size = 10, .by_length = false});
  const auto padded = [&](Batches& batches) {
    std::int64_t cells = 0;
    for (std::int64_t i = 0; i < batches.count(); i++) {
      const Shape shape = batches.get(0, i).x.shape();
      cells += shape[0] * shape[1];
    }
    return cells - std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  };
  EXPECT_LT(padded(similar), 200);
  EXPECT_GT(padded(mixed), 800);
  EXPECT_TRUE(is_a_permutation(epoch_of(similar, 0), 100));
  EXPECT_NE(epoch_of(similar, 0), epoch_of(similar, 1));
  Indices firsts;  // batches come in no order of their length
  for (std::int64_t i = 0; i < 10; i++) firsts.push_back(similar.get(0, i).x.shape()[0]);
  EXPECT_FALSE(std::is_sorted(firsts.rbegin(), firsts.rend()));
  std::set<Indices> partners;  // who shares a batch changes where lengths tie
  for (std::int64_t epoch = 0; epoch < 5; epoch++) {
    Indices with_longest;
    for (std::int64_t i = 0; i < 10; i++) {
      const auto span = similar.indices(epoch, i);
      Indices batch(span.begin(), span.end());
      std::sort(batch.begin(), batch.end());
      if (std::find(batch.begin(), batch.end(), 0) != batch.end()) with_longest = batch;
    }
    partners.insert(with_longest);
  }
  EXPECT_GT(partners.size(), 1u);
}

TEST(BatchesTest, SequencesThatDoNotFitTogether) {
  EXPECT_ERROR(Batches(std::vector<Tensor>{ones({2, 2}), ones({2, 3})}), "same C");
  EXPECT_ERROR(Batches(std::vector<Tensor>{ones({2})}), "[T,C]");
  EXPECT_ERROR(Batches(std::vector<Tensor>{Tensor()}), "[T,C]");
  EXPECT_ERROR(Batches(std::vector<Tensor>{}), "0 sequences");
}

}  // namespace
}  // namespace unroll
