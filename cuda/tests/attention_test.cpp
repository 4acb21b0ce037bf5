// Attention on a GPU against the CPU's, with every option of the contract.
#include "cuda/attention_plan.h"
#include "cuda/tests/attention_meter.h"
#include "cuda/tests/attention_testing.h"

namespace unroll::gpu_test {
namespace {

template <class T>
class GpuAttention : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(GpuAttention, Reals);

// Beside the cases of the CPU's test: two tiles and more of each kind, rows that no 16 bytes
// divide, columns of more than one chunk, and more than a block can hold.
const Case more_cases[] = {
    {.B = 1, .Hq = 2, .Hk = 1, .Tq = 66, .Tk = 130, .D = 64, .Dv = 64, .scale = 0.125},
    {.B = 1,
     .Hq = 1,
     .Hk = 1,
     .Tq = 20,
     .Tk = 35,
     .D = 70,
     .Dv = 131,
     .scale = 0.1,
     .causal = true},
    {.B = 1, .Hq = 1, .Hk = 1, .Tq = 3, .Tk = 18, .D = 700, .Dv = 650, .scale = 0.03},
    most_options,
    {.B = 1, .Hq = 1, .Hk = 1, .Tq = 3, .Tk = 18, .D = 8, .Dv = 1300, .scale = 0.3},
};

std::vector<Case> all_cases() {
  std::vector<Case> all(std::begin(cases), std::end(cases));
  all.insert(all.end(), std::begin(more_cases), std::end(more_cases));
  return all;
}
// Less where each access is checked, for time's sake: the largest runs without.
std::vector<Case> sweep_cases() {
  std::vector<Case> all = all_cases();
  if (kernels_have_checks())
    std::erase_if(all, [](const Case& c) { return c.B * c.Hq * c.Tq * c.Tk > 12000; });
  return all;
}

TYPED_TEST(GpuAttention, ForwardIsTheCpus) {
  bool weights = sizeof(TypeParam) == 4;
  for (const Case& c : all_cases()) {
    SCOPED_TRACE(sizes_of(c));
    expect_forward<TypeParam>(c, weights = !weights);
  }
}

TYPED_TEST(GpuAttention, PushIsTheCpus) {
  bool all = sizeof(TypeParam) == 8;
  for (const Case& c : sweep_cases()) {
    SCOPED_TRACE(sizes_of(c));
    expect_push<TypeParam>(c, all = !all);
  }
}

TYPED_TEST(GpuAttention, PullIsTheCpus) {
  std::size_t turn = sizeof(TypeParam) / 4;  // each case has one wish, another for each type
  for (const Case& c : sweep_cases()) {
    const std::size_t wish = turn++ % std::size(wishes);
    SCOPED_TRACE(sizes_of(c) << ", wish " << wish);
    expect_pull<TypeParam>(c, wishes[wish]);
  }
}

#ifdef __CUDACC__
TYPED_TEST(GpuAttention, FillsTheGpu) { expect_many_blocks<TypeParam>(); }
#endif

TYPED_TEST(GpuAttention, SameBitsInEveryOrder) {
  Case additive = two_tiles;
  additive.additive = true, additive.D = 3, additive.Dv = 2;
  for (const Case& c : {two_tiles, additive}) expect_same_bits<TypeParam>(c);
}

TYPED_TEST(GpuAttention, ExtremeScores) { expect_distributions<TypeParam>(); }

// Products of no columns have barriers nevertheless, between several tiles and heads.
TYPED_TEST(GpuAttention, NoColumns) {
  for (const auto& [D, Dv] : {std::pair{0, 0}, {0, 3}, {3, 0}}) {
    const Case c{.B = 1, .Hq = 2, .Hk = 1, .Tq = 35, .Tk = 71, .D = D, .Dv = Dv, .bias = true};
    SCOPED_TRACE(sizes_of(c) << ", Dv " << Dv);
    expect_forward<TypeParam>(c, true);
    expect_push<TypeParam>(c, true);
    expect_pull<TypeParam>(c, {});
  }
}

TYPED_TEST(GpuAttention, PullOfWeightsAlone) {
  expect_pull<TypeParam>(two_tiles, {.dout = false});
  expect_pull<TypeParam>(two_tiles, {.dout = false, .dk = false});
}

// x [*,times,size] from time `length` on.
template <class T>
void expect_zeros(const std::vector<T>& x, std::int64_t times, std::int64_t size,
                  std::int64_t length) {
  for (std::size_t i = 0; i < x.size(); i++)
    EXPECT_TRUE(std::int64_t(i) / size % times < length || x[i] == 0) << "at " << i << ": " << x[i];
}

// Padding is 0 beside numbers that are NaN, of which not even 0 times is 0.
TYPED_TEST(GpuAttention, PaddingIsZeroBesideNan) {
  using T = TypeParam;
  for (const std::int64_t Tk : {6, 7}) {  // the bias is over queries, over keys
    const Case c{.B = 1,
                 .Hq = 2,
                 .Hk = 1,
                 .Tq = 5,
                 .Tk = Tk,
                 .D = 3,
                 .Dv = 4,
                 .key_lengths = {4},
                 .query_lengths = {3},
                 .bias = true};
    SCOPED_TRACE(sizes_of(c));
    Inputs<T> in(c, 1, 1), tangent(c, K, 10);
    for (auto* x : {&in.q, &in.k, &in.v, &tangent.q, &tangent.k, &tangent.v})
      x->assign(x->size(), T(NAN));
    const Outputs<T> out = on_gpu<T>(c, in), u(c, K);
    expect_zeros(out.out, c.Tq, c.Dv, 3), expect_zeros(out.stats, c.Tq, 1, 3);
    const auto moved = push_on_gpu<T>(c, in, out, tangent, true);
    expect_zeros(moved[0], c.Tq, c.Dv, 3);
    for (auto* weights : {&out.weights, &moved[1]})
      expect_zeros(*weights, c.Tq, Tk, 3), expect_zeros(*weights, Tk, 1, 4);
    const auto d = pull_on_gpu<T>(c, in, out, u, {});
    expect_zeros(d.q, c.Tq, c.D, 3);
    expect_zeros(d.k, Tk, c.D, 4), expect_zeros(d.v, Tk, c.Dv, 4);
    over_keys(c) ? expect_zeros(d.bias, Tk, 1, 4) : expect_zeros(d.bias, c.Tq, 1, 3);
  }
}

// ---- the plan

TEST(GpuAttentionPlan, FitsAndHoldsWhatFits) {
  using Tile = gpu::AttentionTile<float, gpu::attention_narrow>;
  for (const std::int64_t D : {1, 32, 64, 128, 700, 5000}) {
    const std::int64_t chunks = gpu::attention_chunks(D, Tile::n);
    const auto space = gpu::attention_space<float, Tile>({.sides = 4,
                                                          .columns = {D, D, D, D},
                                                          .stream = {1, 1, 0, 0},
                                                          .reused = {true, true, true, true},
                                                          .score_tiles = 2,
                                                          .rows = 4,
                                                          .outputs = 2 * chunks});
    EXPECT_LE(space.numbers * sizeof(float), gpu::attention_room) << D;
    EXPECT_GE(space.parts * space.outputs, 2 * chunks) << D;
    EXPECT_LT((space.parts - 1) * space.outputs, 2 * chunks) << D;
    EXPECT_EQ(space.parts == 1, D <= 256) << D;
    EXPECT_EQ(space.held[3], D <= 64) << D;
    EXPECT_EQ(space.side[0] % 4 + space.side[3] % 4 + space.sums % 4, 0) << "not aligned";
  }
}

#ifndef __CUDACC__  // the meter is the simulator's
// ---- the meter

// What each kernel of the three passes did.
template <class T>
std::vector<sim::KernelMeter> run_all(const Case& c) {
  const Inputs<T> in(c, 1, 1), tangent(c, K, 10);
  const Outputs<T> out = on_cpu(c, in), u = random_cotangent<T>(c, 20);
  sim::reset_meter();
  on_gpu<T>(c, in);
  pull_on_gpu<T>(c, in, out, u, {});
  push_on_gpu<T>(c, in, out, tangent, true);
  return sim::meter();
}

// Each tile of queries meets each of keys once; tiles without a pair, which are padded or behind
// the causal mask, are passed over. The barriers tell how many are not.
TYPED_TEST(GpuAttention, VisitsNoTileInVain) {
  using T = TypeParam;
  if (sim::kernels_have_checks()) GTEST_SKIP() << "barriers are counted in kernels without checks";
  constexpr std::int64_t n = gpu::attention_wide / sizeof(T);
  const Case one{
      .B = 1, .Hq = 1, .Hk = 1, .Tq = n, .Tk = n, .D = 4, .Dv = 4, .scale = 0.3, .bias = true};
  Case padded = one, high = one, square = one;
  padded.Tq = padded.Tk = 2 * n, padded.query_lengths = padded.key_lengths = {n};
  high.Tq = 2 * n;
  square.Tq = square.Tk = 2 * n;
  const auto few = run_all<T>(one), more = run_all<T>(padded);
  const auto all = run_all<T>(square), on_high = run_all<T>(high);
  square.causal = high.causal = true;
  const auto causal = run_all<T>(square), causal_high = run_all<T>(high);
  for (std::size_t i = 0; i < few.size(); i++) {
    SCOPED_TRACE(few[i].kernel);
    EXPECT_LE(more[i].block_barriers - few[i].block_barriers, 2 * (more[i].blocks - few[i].blocks));
    EXPECT_LE(all[i].block_barriers, 4 * few[i].block_barriers);
    EXPECT_LE(double(causal[i].block_barriers), 0.8 * double(all[i].block_barriers));
    EXPECT_LE(causal_high[i].block_barriers, on_high[i].block_barriers);
  }
}

// Of blocks that are padding the lengths are read, and no rows.
TYPED_TEST(GpuAttention, ReadsNoPadding) {
  using T = TypeParam;
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "the meter needs kernels with checks";
  constexpr std::int64_t n = narrow_tile<T>;
  Case full{.B = 1,
            .Hq = 1,
            .Hk = 1,
            .Tq = n,
            .Tk = n,
            .D = 32,
            .Dv = 32,
            .key_lengths = {n},
            .query_lengths = {n},
            .scale = 0.3,
            .bias = true};
  Case padded = full;
  padded.Tq = padded.Tk = 3 * n;
  const Metered metered;
  const auto few = run_all<T>(full), more = run_all<T>(padded);
  for (std::size_t i = 0; i < few.size(); i++)
    EXPECT_LE(more[i].read.sectors - few[i].read.sectors, 40 * (more[i].blocks - few[i].blocks))
        << few[i].kernel << "\n"
        << sim::meter_table();
}

TYPED_TEST(GpuAttention, ForwardMovesItsTiledMinimum) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "the meter needs kernels with checks";
  expect_least_of_forward<TypeParam>();
}
TYPED_TEST(GpuAttention, PullMovesItsTiledMinimum) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "the meter needs kernels with checks";
  expect_least_of_pull<TypeParam>();
}
TYPED_TEST(GpuAttention, PushMovesItsTiledMinimum) {
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "the meter needs kernels with checks";
  expect_least_of_push<TypeParam>();
}
#endif

}  // namespace
}  // namespace unroll::gpu_test
