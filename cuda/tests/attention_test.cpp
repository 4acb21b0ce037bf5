// Attention on the simulator against the CPU's, with every option of the contract.
#include "kernels/attention.h"

#include <cstring>

#include "cuda/attention_plan.h"
#include "cuda/tests/testing.h"
#include "cuda/tests/traffic.h"
#include "tests/attention_reference.h"

namespace unroll {
namespace {

using namespace gpu_test;
using namespace unroll::testing::attention;
using unroll::testing::Scratch;

template <class T>
class GpuAttention : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(GpuAttention, Reals);

template <class T>
constexpr double tolerance = sizeof(T) == 4 ? 2e-5 : 2e-13;

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
    {.B = 2,
     .Hq = 2,
     .Hk = 1,
     .Tq = 18,
     .Tk = 17,
     .D = 40,
     .Dv = 5,
     .key_lengths = {17, 0},
     .query_lengths = {7, 18},
     .scale = 0.5,
     .causal = true,
     .bias = true,
     .additive = true,
     .drop = 0.2},
};

std::vector<Case> all_cases() {
  std::vector<Case> all(std::begin(cases), std::end(cases));
  all.insert(all.end(), std::begin(more_cases), std::end(more_cases));
  return all;
}
// Less where each access is checked, for time's sake: the largest runs without.
std::vector<Case> sweep_cases() {
  std::vector<Case> all = all_cases();
  if (sim::kernels_have_checks())
    std::erase_if(all, [](const Case& c) { return c.B * c.Hq * c.Tq * c.Tk > 12000; });
  return all;
}

// The inputs of a problem in device memory, and the shape with its lengths there.
template <class T>
struct OnDevice {
  DeviceArray<T> q, k, v, vector, bias;
  DeviceArray<char> attend;
  DeviceArray<std::int64_t> key_lengths, query_lengths;
  AttentionShape s;
  AttentionInputs<T> in;

  OnDevice(const Case& c, const Inputs<T>& host, std::int64_t directions)
      : q(host.q),
        k(host.k),
        v(host.v),
        vector(host.vector),
        bias(host.bias),
        attend(attend_mask(c)),
        key_lengths(c.key_lengths),
        query_lengths(c.query_lengths),
        s(shape_of(c, directions)),
        in{.q = q.data(),
           .k = k.data(),
           .v = v.data(),
           .vector = c.additive ? vector.data() : nullptr,
           .attend = c.attend ? reinterpret_cast<const bool*>(attend.data()) : nullptr,
           .bias = c.bias ? bias.data() : nullptr} {
    if (s.key_lengths) s.key_lengths = key_lengths.data();
    if (s.query_lengths) s.query_lengths = query_lengths.data();
  }
};

template <class T>
Outputs<T> on_cpu(const Case& c, const Inputs<T>& in, bool weights = true) {
  Outputs<T> out(c, 1);
  const std::vector<char> attend = attend_mask(c);
  Scratch scratch(cpu::attention_scratch<T>(shape_of(c)));
  cpu::attention<T>(shape_of(c), {.in = inputs_of(c, in, attend),
                                  .out = out.out.data(),
                                  .stats = out.stats.data(),
                                  .weights = weights ? out.weights.data() : nullptr,
                                  .scratch = scratch.get()});
  return out;
}
template <class T>
Outputs<T> on_sim(const Case& c, const Inputs<T>& in, bool weights = true) {
  Outputs<T> out(c, 1);
  const OnDevice<T> x(c, in, 1);
  DeviceArray<T> y(out.out), stats(out.stats), w(out.weights);
  sim::attention<T>(x.s, {.in = x.in,
                          .out = y.data(),
                          .stats = stats.data(),
                          .weights = weights ? w.data() : nullptr,
                          .scratch = nullptr});
  out.out = y.values(), out.stats = stats.values(), out.weights = w.values();
  return out;
}

TYPED_TEST(GpuAttention, ForwardIsTheCpus) {
  using T = TypeParam;
  bool weights = sizeof(T) == 4;
  for (const Case& c : all_cases()) {
    SCOPED_TRACE(::testing::Message() << c.Tq << " queries, " << c.Tk << " keys, D " << c.D);
    weights = !weights;
    const Inputs<T> in(c, 1, 1);
    const Outputs<T> got = on_sim(c, in, weights), want = on_cpu(c, in, weights);
    expect_close(got.out, want.out, tolerance<T>);
    expect_close(got.weights, want.weights, tolerance<T>);
    expect_close(got.stats, want.stats, tolerance<T>);
  }
}

template <class T>
std::vector<std::vector<T>> push_on_cpu(const Case& c, const Inputs<T>& in, const Outputs<T>& out,
                                        const Inputs<T>& tangent, bool all) {
  Outputs<T> moved(c, K);
  const std::vector<char> attend = attend_mask(c);
  Scratch scratch(cpu::attention_scratch<T>(shape_of(c)));
  cpu::attention_push<T>(shape_of(c), {.in = inputs_of(c, in, attend),
                                       .out = out.out.data(),
                                       .stats = out.stats.data(),
                                       .weights = out.weights.data(),
                                       .tq = tangent.q.data(),
                                       .tk = all ? tangent.k.data() : nullptr,
                                       .tv = all ? tangent.v.data() : nullptr,
                                       .tvector = c.additive ? tangent.vector.data() : nullptr,
                                       .tbias = c.bias && all ? tangent.bias.data() : nullptr,
                                       .tout = moved.out.data(),
                                       .tweights = all ? moved.weights.data() : nullptr,
                                       .scratch = scratch.get()});
  return {moved.out, moved.weights};
}
template <class T>
std::vector<std::vector<T>> push_on_sim(const Case& c, const Inputs<T>& in, const Outputs<T>& out,
                                        const Inputs<T>& tangent, bool all) {
  const Outputs<T> empty(c, K);
  const OnDevice<T> x(c, in, K), t(c, tangent, K);
  const DeviceArray<T> y(out.out), stats(out.stats), w(out.weights);
  const DeviceArray<T> tout(empty.out), tweights(empty.weights);
  sim::attention_push<T>(x.s, {.in = x.in,
                               .out = y.data(),
                               .stats = stats.data(),
                               .weights = w.data(),
                               .tq = t.in.q,
                               .tk = all ? t.in.k : nullptr,
                               .tv = all ? t.in.v : nullptr,
                               .tvector = c.additive ? t.vector.data() : nullptr,
                               .tbias = c.bias && all ? t.bias.data() : nullptr,
                               .tout = tout.data(),
                               .tweights = all ? tweights.data() : nullptr,
                               .scratch = nullptr});
  return {tout.values(), tweights.values()};
}

TYPED_TEST(GpuAttention, PushIsTheCpus) {
  using T = TypeParam;
  bool all = sizeof(T) == 8;
  for (const Case& c : sweep_cases()) {
    SCOPED_TRACE(::testing::Message() << c.Tq << " queries, " << c.Tk << " keys, D " << c.D);
    all = !all;
    const Inputs<T> in(c, 1, 1), tangent(c, K, 10);
    const Outputs<T> out = on_cpu(c, in);
    const auto got = push_on_sim(c, in, out, tangent, all);
    const auto want = push_on_cpu(c, in, out, tangent, all);
    for (std::size_t i = 0; i < got.size(); i++)
      expect_close(got[i], want[i], tolerance<T>, 1);  // of one key, the weight does not move
  }
}

// Which cotangents are there and which gradients are wanted.
struct Wish {
  bool dout = true, dweights = true, dq = true, dk = true, dv = true, dvector = true, dbias = true;
  double beta = 0;
};
const Wish wishes[] = {
    {.beta = 1},
    {.dout = false, .dk = false},
    {.dweights = false, .dq = false, .dvector = false, .dbias = false},
};

template <class T>
Outputs<T> random_cotangent(const Case& c, unsigned seed) {
  Outputs<T> u(c, K);
  u.out = series<T>(c, K, c.Hq, c.Tq, c.Dv, c.query_lengths, seed);
  u.weights = series<T>(c, K, c.Hq, c.Tq, c.Tk, c.query_lengths, seed + 1);
  return u;
}

// What the gradients hold before: numbers where they are added to, else NaN.
template <class T>
Inputs<T> before_pull(const Case& c, const Wish& w) {
  Inputs<T> d(c, K, 30);
  for (auto* each : d.all()) each->assign(each->size(), w.beta == 0 ? T(NAN) : T(0.5));
  return d;
}

template <class T, class Pointer>
AttentionPull<T> wished(const Case& c, const Wish& w, AttentionPull<T> args, Pointer of) {
  args.dout = w.dout ? args.dout : nullptr, args.dweights = w.dweights ? args.dweights : nullptr;
  args.dq = w.dq ? of(0) : nullptr, args.dk = w.dk ? of(1) : nullptr;
  args.dv = w.dv ? of(2) : nullptr, args.dvector = w.dvector && c.additive ? of(3) : nullptr;
  args.dbias = w.dbias && c.bias ? of(4) : nullptr;
  args.beta_q = args.beta_k = args.beta_v = args.beta_vector = args.beta_bias = w.beta;
  return args;
}

template <class T>
Inputs<T> pull_on_cpu(const Case& c, const Inputs<T>& in, const Outputs<T>& out,
                      const Outputs<T>& u, const Wish& w) {
  Inputs<T> d = before_pull<T>(c, w);
  const std::vector<char> attend = attend_mask(c);
  Scratch scratch(cpu::attention_scratch<T>(shape_of(c)));
  cpu::attention_pull<T>(shape_of(c), wished<T>(c, w,
                                                {.in = inputs_of(c, in, attend),
                                                 .out = out.out.data(),
                                                 .stats = out.stats.data(),
                                                 .weights = out.weights.data(),
                                                 .dout = u.out.data(),
                                                 .dweights = u.weights.data(),
                                                 .scratch = scratch.get()},
                                                [&](std::size_t i) { return d.all()[i]->data(); }));
  return d;
}
template <class T>
Inputs<T> pull_on_sim(const Case& c, const Inputs<T>& in, const Outputs<T>& out,
                      const Outputs<T>& u, const Wish& w) {
  Inputs<T> d = before_pull<T>(c, w);
  const OnDevice<T> x(c, in, K), results(c, d, K);
  const DeviceArray<T> y(out.out), stats(out.stats), weights(out.weights), uy(u.out), uw(u.weights);
  const DeviceArray<char> scratch(sim::attention_scratch<T>(x.s));
  const std::array arrays{&results.q, &results.k, &results.v, &results.vector, &results.bias};
  sim::attention_pull<T>(x.s, wished<T>(c, w,
                                        {.in = x.in,
                                         .out = y.data(),
                                         .stats = stats.data(),
                                         .weights = weights.data(),
                                         .dout = uy.data(),
                                         .dweights = uw.data(),
                                         .scratch = scratch.data()},
                                        [&](std::size_t i) { return arrays[i]->data(); }));
  for (std::size_t i = 0; i < arrays.size(); i++) *d.all()[i] = arrays[i]->values();
  return d;
}

TYPED_TEST(GpuAttention, PullIsTheCpus) {
  using T = TypeParam;
  std::size_t turn = sizeof(T) / 4;  // each case has one wish, another for each type
  for (const Case& c : sweep_cases()) {
    const Wish& wish = wishes[turn++ % std::size(wishes)];
    SCOPED_TRACE(::testing::Message() << c.Tq << " queries, " << c.Tk << " keys, D " << c.D
                                      << ", wish " << &wish - wishes);
    const Inputs<T> in(c, 1, 1);
    const Outputs<T> out = on_cpu(c, in), u = random_cotangent<T>(c, 20);
    const Inputs<T> got = pull_on_sim(c, in, out, u, wish);
    const Inputs<T> want = pull_on_cpu(c, in, out, u, wish);
    for (std::size_t i = 0; i < got.all().size(); i++) {
      SCOPED_TRACE(i);
      if (i == 4 && c.bias && wish.dbias && !over_keys(c) && wish.beta == 0) {
        // Every row of dS sums up to 0.
        for (const T d : *got.all()[i]) EXPECT_NEAR(d, 0, 20 * tolerance<T>);
        continue;
      }
      expect_close(*got.all()[i], *want.all()[i], 4 * tolerance<T>);
    }
  }
}

template <class T>
void expect_bits(const std::vector<T>& a, const std::vector<T>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_TRUE(a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

TYPED_TEST(GpuAttention, SameBitsInEveryOrder) {
  using T = TypeParam;
  const Case small{.B = 1,
                   .Hq = 2,
                   .Hk = 1,
                   .Tq = 34,
                   .Tk = 37,
                   .D = 8,
                   .Dv = 36,
                   .key_lengths = {35},
                   .scale = 0.3,
                   .causal = true,
                   .bias = true,
                   .drop = 0.2};
  Case additive = small;
  additive.additive = true, additive.D = 3, additive.Dv = 2;
  for (const Case& c : {small, additive}) {
    const Inputs<T> in(c, 1, 1), tangent(c, K, 10);
    const Outputs<T> out = on_sim(c, in), u = random_cotangent<T>(c, 20);
    const Inputs<T> d = pull_on_sim(c, in, out, u, {});
    const auto moved = push_on_sim(c, in, out, tangent, true);
    in_every_order([&] {
      const Outputs<T> again = on_sim(c, in);
      expect_bits(again.out, out.out), expect_bits(again.stats, out.stats);
      expect_bits(again.weights, out.weights);
      const Inputs<T> pulled = pull_on_sim(c, in, out, u, {});
      for (std::size_t i = 0; i < d.all().size(); i++) expect_bits(*pulled.all()[i], *d.all()[i]);
      const auto pushed = push_on_sim(c, in, out, tangent, true);
      for (std::size_t i = 0; i < moved.size(); i++) expect_bits(pushed[i], moved[i]);
    });
  }
}

// A row whose scores are all far below, or all -infinity, is still a distribution, or zero.
TYPED_TEST(GpuAttention, ExtremeScores) {
  using T = TypeParam;
  const Case c{.B = 1, .Hq = 1, .Hk = 1, .Tq = 4, .Tk = 75, .D = 2, .Dv = 1, .bias = true};
  for (const double level : {-1e30, 1e30, -300.0, 300.0, -double(INFINITY)}) {
    Inputs<T> in(c, 1, 1);
    in.bias.assign(in.bias.size(), T(level));
    const Outputs<T> out = on_sim(c, in);
    for (std::int64_t i = 0; i < c.Tq; i++) {
      double sum = 0;
      for (std::int64_t j = 0; j < c.Tk; j++) sum += double(out.weights[std::size_t(i * c.Tk + j)]);
      EXPECT_NEAR(sum, std::isinf(level) ? 0 : 1, 1e-5);
      EXPECT_TRUE(std::isfinite(out.out[std::size_t(i)]));
    }
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

// ---- the meter

// Heads of one chunk, tiles that are full: what a pass must move, in numbers.
struct Sizes {
  std::int64_t heads = 2, tiles = 2, n,
               D;  // query heads of one key head; tiles of n queries and keys
  std::int64_t rows() const { return tiles * n; }
  std::int64_t side() const { return rows() * D; }  // of one head
};
template <class T>
Case case_of(const Sizes& z) {
  return {.B = 1,
          .Hq = z.heads,
          .Hk = 1,
          .Tq = z.rows(),
          .Tk = z.rows(),
          .D = z.D,
          .Dv = z.D,
          .scale = 0.1};
}

template <class T>
void expect_least(const char* kernel, std::int64_t numbers) {
  expect_lean(meter_of(kernel), double(numbers) * double(sizeof(T)));
}

// Each tile of q once; k and v once for each tile of q.
TYPED_TEST(GpuAttention, ForwardMovesItsTiledMinimum) {
  using T = TypeParam;
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "the meter needs kernels with checks";
  const Metered metered;
  const Sizes z{.n = gpu::attention_wide / sizeof(T), .D = gpu::attention_wide / sizeof(T)};
  on_sim(case_of<T>(z), Inputs<T>(case_of<T>(z), 1, 1), false);
  const std::int64_t each = z.side() + z.tiles * 2 * z.side() + z.side() + 2 * z.rows();
  expect_least<T>("attention", z.heads * each);
}

// dq: q and dout once, k and v once for each tile of q. dk and dv: k and v once, q and dout once
// for each tile of keys. delta: out and dout once.
TYPED_TEST(GpuAttention, PullMovesItsTiledMinimum) {
  using T = TypeParam;
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "the meter needs kernels with checks";
  const Sizes z{.n = gpu::attention_narrow / sizeof(T), .D = gpu::attention_wide / sizeof(T)};
  const Case c = case_of<T>(z);
  const Inputs<T> in(c, 1, 1);
  const Outputs<T> out = on_cpu(c, in), u = random_cotangent<T>(c, 20);
  const Metered metered;
  pull_on_sim(c, in, out, u, {.dweights = false});
  const std::int64_t rows = K * z.heads * 3 * z.rows(), side = K * z.side();
  expect_least<T>("attention_pull_delta", z.heads * 2 * side + rows / 3);
  expect_least<T>("attention_pull_queries", z.heads * (3 + 2 * z.tiles) * side + rows);
  expect_least<T>("attention_pull_keys", (4 + z.heads * 2 * z.tiles) * side + z.tiles * rows);
}

// q and tq once; k, v and their tangents once for each tile of q.
TYPED_TEST(GpuAttention, PushMovesItsTiledMinimum) {
  using T = TypeParam;
  if (!sim::kernels_have_checks()) GTEST_SKIP() << "the meter needs kernels with checks";
  const Sizes z{.n = gpu::attention_narrow / sizeof(T), .D = gpu::attention_wide / sizeof(T)};
  const Case c = case_of<T>(z);
  const Inputs<T> in(c, 1, 1), tangent(c, K, 10);
  const Outputs<T> out = on_cpu(c, in);
  const Metered metered;
  push_on_sim(c, in, out, tangent, true);
  const std::int64_t scores =
      z.rows() * z.rows();  // tweights: written, read and written; weights read
  const std::int64_t each = (2 + 4 * z.tiles + 2) * z.side() + 2 * z.rows() + 4 * scores;
  expect_least<T>("attention_push", K * z.heads * each);
}

}  // namespace
}  // namespace unroll
