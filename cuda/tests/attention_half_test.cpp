// Attention with half storage on a GPU against the CPU's in float, on the same rounded
// numbers.
#include "cuda/attention_plan.h"
#include "cuda/tests/attention_meter.h"
#include "cuda/tests/attention_testing.h"

namespace unroll::gpu_test {
namespace {

template <class Stored>
class GpuAttentionHalf : public ::testing::Test {};
using Halves = ::testing::Types<Float16, Bfloat16>;
TYPED_TEST_SUITE(GpuAttentionHalf, Halves);

// Beside the small cases of the CPU's test: rows of whole 16 bytes and rows that are none, in both
// widths of tiles and in two tiles and more, and rows of an even and an odd number of packs.
std::vector<Case> half_cases() {
  std::vector<Case> all(std::begin(cases), std::end(cases));
  std::erase_if(all, [](const Case& c) { return c.B * c.Hq * c.Tq * c.Tk > 12000; });
  all.push_back({.B = 1,
                 .Hq = 2,
                 .Hk = 1,
                 .Tq = 35,
                 .Tk = 66,
                 .D = 72,
                 .Dv = 136,
                 .key_lengths = {65},
                 .scale = 0.1,
                 .causal = true});
  all.push_back({.B = 1,
                 .Hq = 1,
                 .Hk = 1,
                 .Tq = 66,
                 .Tk = 70,
                 .D = 64,
                 .Dv = 24,
                 .query_lengths = {65},
                 .scale = 0.125,
                 .attend = true,
                 .bias = true});
  all.push_back(most_options);
  return all;
}

TYPED_TEST(GpuAttentionHalf, ForwardIsTheCpusRounded) {
  bool weights = false;
  for (const Case& c : half_cases()) {
    SCOPED_TRACE(sizes_of(c));
    expect_forward<TypeParam>(c, weights = !weights);
  }
}

TYPED_TEST(GpuAttentionHalf, PushIsTheCpusRounded) {
  bool all = false;
  for (const Case& c : half_cases()) {
    SCOPED_TRACE(sizes_of(c));
    expect_push<TypeParam>(c, all = !all);
  }
}

TYPED_TEST(GpuAttentionHalf, PullIsTheCpusRounded) {
  std::size_t turn = std::is_same_v<TypeParam, Float16>;
  for (const Case& c : half_cases()) {
    const std::size_t wish = turn++ % std::size(wishes);
    SCOPED_TRACE(sizes_of(c) << ", wish " << wish);
    expect_pull<TypeParam>(c, wishes[wish]);
  }
}

#ifdef __CUDACC__
TYPED_TEST(GpuAttentionHalf, FillsTheGpu) { expect_many_blocks<TypeParam>(); }
#endif

// Of one key the weight is 1: nothing is rounded, not the largest number nor the least.
TYPED_TEST(GpuAttentionHalf, OneKeyGivesItsValue) {
  const Case c{.B = 1, .Hq = 1, .Hk = 1, .Tq = 1, .Tk = 1, .D = 3, .Dv = 7};
  auto in = inputs<TypeParam>(c, 1, 1);
  in.v = {65504.f, -65504.f, 0x1p-24f, 0x1.8p-14f, 1.f, -0x1.01p3f, 0.f};
  in.v = rounded<TypeParam>(in.v);
  EXPECT_EQ(on_gpu<TypeParam>(c, in).out, in.v);
}

TYPED_TEST(GpuAttentionHalf, NoQueryNoLaunch) {
  const Case c{.B = 2, .Hq = 1, .Hk = 1, .Tq = 0, .Tk = 2, .D = 3, .Dv = 3};
  const auto in = inputs<TypeParam>(c, 1, 1), tangent = inputs<TypeParam>(c, K, 10);
  expect_no_launch([&] { push_on_gpu<TypeParam>(c, in, on_gpu<TypeParam>(c, in), tangent, true); });
}

TEST(GpuAttentionHalfBits, SameInEveryOrder) { expect_same_bits<Bfloat16>(two_tiles); }

TYPED_TEST(GpuAttentionHalf, ExtremeScores) { expect_distributions<TypeParam>(); }

// ---- the plan

// Sides take half of the room: heads of 128 are held whole, which are not in float.
TEST(GpuAttentionHalfPlan, HoldsMoreThanFloat) {
  const std::int64_t D = 128;
  const auto plan = [&]<class Stored>(Stored) {
    using Tile = gpu::AttentionTile<float, gpu::attention_narrow, Stored>;
    return gpu::attention_space<float, Tile>({.sides = 4,
                                              .columns = {D, D, D, D},
                                              .stream = {1, 1, 0, 0},
                                              .reused = {true, true, true, true},
                                              .score_tiles = 2,
                                              .rows = 4,
                                              .outputs = 2 * gpu::attention_chunks(D, Tile::n)});
  };
  const auto space = plan(Float16{});
  EXPECT_TRUE(space.held[3]);
  EXPECT_FALSE(plan(0.f).held[3]);
  EXPECT_LE(space.numbers * sizeof(float), gpu::attention_room);
  for (const int side : space.side) EXPECT_EQ(side % 4, 0) << "not aligned";
}

#ifndef __CUDACC__  // the meter is the simulator's
// ---- the meter: both half types move the same bytes

TEST(GpuAttentionHalfMeter, ForwardMovesItsTiledMinimum) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "the meter needs kernels with checks";
  expect_least_of_forward<Bfloat16>();
}
TEST(GpuAttentionHalfMeter, PullMovesItsTiledMinimum) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "the meter needs kernels with checks";
  expect_least_of_pull<Bfloat16>();
}
TEST(GpuAttentionHalfMeter, PushMovesItsTiledMinimum) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "the meter needs kernels with checks";
  expect_least_of_push<Bfloat16>();
}
#endif

}  // namespace
}  // namespace unroll::gpu_test
