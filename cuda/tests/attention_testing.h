// Runs the attention kernels of a type of storage on a GPU, and compares them with the
// CPU's.
//
//   for (const Case& c : cases) expect_forward<Bfloat16>(c);
//
// Stored is float or double, or a half type of kernels/attention_half.h; on the host all is
// Real<Stored>, with operands that Stored has exactly. Padding that must not be read is NaN, and so
// is memory before it is written.
//
// The CPU's sums have another order, and may differ by `tolerance` of the largest magnitude. Behind
// that, a result is rounded once, where it is written as Stored: by half a unit in its last
// place, which is at most `eps` of its magnitude, or of the least normal number if that is larger.
#pragma once

#include <array>
#include <cstring>

#include "cuda/tests/testing.h"
#include "kernels/attention_half.h"
#include "tests/attention_reference.h"

namespace unroll::gpu_test {

using testing::Scratch;
using namespace testing::attention;

// ---- Kernels by one name

template <class Stored>
struct Kernels {
  using Real = Stored;
  using Inputs = AttentionInputs<Real>;
  using Pull = AttentionPull<Real>;
  static constexpr auto scratch = device::attention_scratch<Real>;
  static constexpr auto forward = device::attention<Real>;
  static constexpr auto pull = device::attention_pull<Real>;
  static constexpr auto push = device::attention_push<Real>;
  static constexpr double eps = 0, least = 0;
  static Real round(Real x) { return x; }
  static Real widen(Real x) { return x; }
};
template <class Stored, Stored (*to_stored)(double) noexcept>
struct HalfKernels {
  using Real = float;
  using Inputs = AttentionInputsHalf<Stored>;
  using Pull = AttentionPullHalf<Stored>;
  static constexpr auto scratch = device::attention_half_scratch<Stored>;
  static constexpr auto forward = device::attention_half<Stored>;
  static constexpr auto pull = device::attention_half_pull<Stored>;
  static constexpr auto push = device::attention_half_push<Stored>;
  static Stored round(float x) { return to_stored(double(x)); }
  static float widen(Stored x) { return float(to_double(x)); }
};
template <>
struct Kernels<Float16> : HalfKernels<Float16, to_float16> {
  static constexpr double eps = 0x1p-11, least = 0x1p-14;
};
template <>
struct Kernels<Bfloat16> : HalfKernels<Bfloat16, to_bfloat16> {
  static constexpr double eps = 0x1p-8, least = 0x1p-126;
};

template <class Stored>
using Real = typename Kernels<Stored>::Real;
template <class Stored>
inline constexpr double tolerance = sizeof(Real<Stored>) == 4 ? 2e-5 : 2e-13;

inline ::testing::Message sizes_of(const Case& c) {
  return ::testing::Message() << c.Tq << " queries, " << c.Tk << " keys, D " << c.D;
}

// ---- Numbers

template <class Stored>
std::vector<Stored> stored(const std::vector<Real<Stored>>& x) {
  std::vector<Stored> y;
  for (const auto e : x) y.push_back(Kernels<Stored>::round(e));
  return y;
}
template <class Stored>
std::vector<Real<Stored>> widened(const std::vector<Stored>& x) {
  std::vector<Real<Stored>> y;
  for (const auto e : x) y.push_back(Kernels<Stored>::widen(e));
  return y;
}
template <class Stored>
std::vector<Real<Stored>> rounded(const std::vector<Real<Stored>>& x) {
  return widened(stored<Stored>(x));
}

/// expect_close() for what is written as Stored.
template <class Stored>
void expect_stored(const std::vector<Real<Stored>>& got, const std::vector<Real<Stored>>& want,
                   double of_sums, double terms = 0) {
  constexpr double eps = Kernels<Stored>::eps;
  ASSERT_EQ(got.size(), want.size());
  double largest = terms;
  for (const double x : want)
    if (std::isfinite(x)) largest = std::max(largest, std::fabs(x));
  for (std::size_t i = 0; i < got.size(); i++) {
    if (std::isnan(want[i])) {
      EXPECT_TRUE(std::isnan(got[i])) << "at " << i << ": " << got[i];
    } else {
      const double rounding = eps * std::max(std::fabs(double(want[i])), Kernels<Stored>::least);
      EXPECT_NEAR(got[i], want[i], rounding + (1 + eps) * of_sums * largest) << "at " << i;
    }
    if (::testing::Test::HasFailure()) return;
  }
}

template <class Stored>
Inputs<Real<Stored>> inputs(const Case& c, std::int64_t directions, unsigned seed) {
  Inputs<Real<Stored>> in(c, directions, seed);
  for (auto* x : {&in.q, &in.k, &in.v}) *x = rounded<Stored>(*x);
  return in;
}

// The inputs of a problem in device memory, and the shape with its lengths there.
template <class Stored>
struct OnDevice {
  DeviceArray<Stored> q, k, v;
  DeviceArray<Real<Stored>> vector, bias;
  DeviceArray<char> attend;
  DeviceArray<std::int64_t> key_lengths, query_lengths;
  AttentionShape s;
  typename Kernels<Stored>::Inputs in;

  OnDevice(const Case& c, const Inputs<Real<Stored>>& host, std::int64_t directions)
      : q(stored<Stored>(host.q)),
        k(stored<Stored>(host.k)),
        v(stored<Stored>(host.v)),
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

// ---- The forward pass

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
template <class Stored>
Outputs<Real<Stored>> on_gpu(const Case& c, const Inputs<Real<Stored>>& in, bool weights = true) {
  Outputs<Real<Stored>> out(c, 1);
  const OnDevice<Stored> x(c, in, 1);
  const DeviceArray<Stored> y(out.out.size());
  const DeviceArray<Real<Stored>> stats(out.stats), w(out.weights);
  Kernels<Stored>::forward(x.s, {.in = x.in,
                                 .out = y.data(),
                                 .stats = stats.data(),
                                 .weights = weights ? w.data() : nullptr,
                                 .scratch = nullptr});
  out.out = widened(y.values()), out.stats = stats.values(), out.weights = w.values();
  return out;
}

template <class Stored>
void expect_forward(const Case& c, bool weights) {
  const auto in = inputs<Stored>(c, 1, 1);
  const auto got = on_gpu<Stored>(c, in, weights), want = on_cpu(c, in, weights);
  expect_stored<Stored>(got.out, want.out, tolerance<Stored>);
  expect_close(got.weights, want.weights, tolerance<Stored>);
  expect_close(got.stats, want.stats, tolerance<Stored>);
}

/// What the sweeps read of the forward pass.
template <class Stored>
Outputs<Real<Stored>> forward_of(const Case& c, const Inputs<Real<Stored>>& in) {
  Outputs<Real<Stored>> out = on_cpu(c, in);
  out.out = rounded<Stored>(out.out);
  return out;
}

// ---- The pushforward

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
template <class Stored>
std::vector<std::vector<Real<Stored>>> push_on_gpu(const Case& c, const Inputs<Real<Stored>>& in,
                                                   const Outputs<Real<Stored>>& out,
                                                   const Inputs<Real<Stored>>& tangent, bool all) {
  const Outputs<Real<Stored>> empty(c, K);
  const OnDevice<Stored> x(c, in, K), t(c, tangent, K);
  const DeviceArray<Stored> y(stored<Stored>(out.out)), tout(empty.out.size());
  const DeviceArray<Real<Stored>> stats(out.stats), w(out.weights), tweights(empty.weights);
  Kernels<Stored>::push(x.s, {.in = x.in,
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
  return {widened(tout.values()), tweights.values()};
}

/// all: with every tangent, and those of the weights; else with q's alone.
template <class Stored>
void expect_push(const Case& c, bool all) {
  const auto in = inputs<Stored>(c, 1, 1), tangent = inputs<Stored>(c, K, 10);
  const auto out = forward_of<Stored>(c, in);
  const auto got = push_on_gpu<Stored>(c, in, out, tangent, all);
  const auto want = push_on_cpu(c, in, out, tangent, all);
  // Of one key, the weight does not move.
  expect_stored<Stored>(got[0], want[0], tolerance<Stored>, 1);
  expect_close(got[1], want[1], tolerance<Stored>, 1);
}

// ---- The pullback

// Which cotangents are there and which gradients are wanted.
struct Wish {
  bool dout = true, dweights = true, dq = true, dk = true, dv = true, dvector = true, dbias = true;
  double beta = 0;
};
inline const Wish wishes[] = {
    {.beta = 1},
    {.dout = false, .dk = false},
    {.dweights = false, .dq = false, .dvector = false, .dbias = false},
};

template <class Stored>
Outputs<Real<Stored>> random_cotangent(const Case& c, unsigned seed) {
  using T = Real<Stored>;
  Outputs<T> u(c, K);
  u.out = rounded<Stored>(series<T>(c, K, c.Hq, c.Tq, c.Dv, c.query_lengths, seed));
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

// The call with what is not wished left out. results: dq, dk, dv, dvector, dbias.
template <class Pull, class Results>
Pull wished(const Case& c, const Wish& w, Pull args, Results& results) {
  args.dout = w.dout ? args.dout : nullptr, args.dweights = w.dweights ? args.dweights : nullptr;
  args.dq = w.dq ? results.q.data() : nullptr, args.dk = w.dk ? results.k.data() : nullptr;
  args.dv = w.dv ? results.v.data() : nullptr;
  args.dvector = w.dvector && c.additive ? results.vector.data() : nullptr;
  args.dbias = w.dbias && c.bias ? results.bias.data() : nullptr;
  args.beta_q = args.beta_k = args.beta_v = args.beta_vector = args.beta_bias = w.beta;
  return args;
}

template <class T>
Inputs<T> pull_on_cpu(const Case& c, const Inputs<T>& in, const Outputs<T>& out,
                      const Outputs<T>& u, const Wish& w) {
  Inputs<T> d = before_pull<T>(c, w);
  const std::vector<char> attend = attend_mask(c);
  Scratch scratch(cpu::attention_scratch<T>(shape_of(c)));
  const AttentionPull<T> args{.in = inputs_of(c, in, attend),
                              .out = out.out.data(),
                              .stats = out.stats.data(),
                              .weights = out.weights.data(),
                              .dout = u.out.data(),
                              .dweights = u.weights.data(),
                              .scratch = scratch.get()};
  cpu::attention_pull<T>(shape_of(c), wished(c, w, args, d));
  return d;
}
template <class Stored>
Inputs<Real<Stored>> pull_on_gpu(const Case& c, const Inputs<Real<Stored>>& in,
                                 const Outputs<Real<Stored>>& out, const Outputs<Real<Stored>>& u,
                                 const Wish& w) {
  using T = Real<Stored>;
  Inputs<T> d = before_pull<T>(c, w);
  const OnDevice<Stored> x(c, in, K), results(c, d, K);
  const DeviceArray<Stored> y(stored<Stored>(out.out)), uy(stored<Stored>(u.out));
  const DeviceArray<T> stats(out.stats), weights(out.weights), uw(u.weights);
  const DeviceArray<char> scratch(Kernels<Stored>::scratch(x.s));
  const typename Kernels<Stored>::Pull args{.in = x.in,
                                            .out = y.data(),
                                            .stats = stats.data(),
                                            .weights = weights.data(),
                                            .dout = uy.data(),
                                            .dweights = uw.data(),
                                            .scratch = scratch.data()};
  Kernels<Stored>::pull(x.s, wished(c, w, args, results));
  d.q = widened(results.q.values()), d.k = widened(results.k.values());
  d.v = widened(results.v.values());
  d.vector = results.vector.values(), d.bias = results.bias.values();
  return d;
}

template <class Stored>
void expect_pull(const Case& c, const Wish& wish) {
  const auto in = inputs<Stored>(c, 1, 1);
  const auto out = forward_of<Stored>(c, in), u = random_cotangent<Stored>(c, 20);
  const auto got = pull_on_gpu<Stored>(c, in, out, u, wish);
  const auto want = pull_on_cpu(c, in, out, u, wish);
  expect_stored<Stored>(got.q, want.q, 4 * tolerance<Stored>);
  expect_stored<Stored>(got.k, want.k, 4 * tolerance<Stored>);
  expect_stored<Stored>(got.v, want.v, 4 * tolerance<Stored>);
  expect_close(got.vector, want.vector, 4 * tolerance<Stored>);
  if (c.bias && wish.dbias && !over_keys(c) && wish.beta == 0)
    for (const auto d : got.bias)  // every row of dS sums up to 0
      EXPECT_NEAR(d, 0, 20 * tolerance<Stored>);
  else
    expect_close(got.bias, want.bias, 4 * tolerance<Stored>);
}

// ---- Bits

template <class T>
void expect_bits(const std::vector<T>& a, const std::vector<T>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_TRUE(a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

/// Two tiles of queries and of keys, and two sequences with most of the options, for every type.
inline const Case two_tiles{.B = 1,
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
inline const Case most_options{.B = 2,
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
                               .drop = 0.2};

#ifdef __CUDACC__  // the simulator would take minutes
/// All passes with tiles for all the multiprocessors that a GPU has.
template <class Stored>
void expect_many_blocks() {
  const Case c{.B = 4,
               .Hq = 8,
               .Hk = 4,
               .Tq = 300,
               .Tk = 333,
               .D = 128,
               .Dv = 128,
               .key_lengths = {333, 300, 17, 256},
               .scale = 0.09,
               .causal = true};
  expect_forward<Stored>(c, false);
  expect_push<Stored>(c, true);
  expect_pull<Stored>(c, {});
}
#endif

/// All passes of a problem, in every order.
template <class Stored>
void expect_same_bits(const Case& c) {
  const auto in = inputs<Stored>(c, 1, 1), tangent = inputs<Stored>(c, K, 10);
  const auto out = on_gpu<Stored>(c, in), u = random_cotangent<Stored>(c, 20);
  const auto d = pull_on_gpu<Stored>(c, in, out, u, {});
  const auto moved = push_on_gpu<Stored>(c, in, out, tangent, true);
  in_every_order([&] {
    const auto again = on_gpu<Stored>(c, in);
    expect_bits(again.out, out.out), expect_bits(again.stats, out.stats);
    expect_bits(again.weights, out.weights);
    const auto pulled = pull_on_gpu<Stored>(c, in, out, u, {});
    for (std::size_t i = 0; i < d.all().size(); i++) expect_bits(*pulled.all()[i], *d.all()[i]);
    const auto pushed = push_on_gpu<Stored>(c, in, out, tangent, true);
    for (std::size_t i = 0; i < moved.size(); i++) expect_bits(pushed[i], moved[i]);
  });
}

/// A row whose scores are all far below, or all -infinity, is still a distribution, or zero.
template <class Stored>
void expect_distributions() {
  const Case c{.B = 1, .Hq = 1, .Hk = 1, .Tq = 4, .Tk = 75, .D = 2, .Dv = 1, .bias = true};
  for (const double level : {-1e30, 1e30, -300.0, 300.0, -double(INFINITY)}) {
    auto in = inputs<Stored>(c, 1, 1);
    in.bias.assign(in.bias.size(), Real<Stored>(level));
    const auto out = on_gpu<Stored>(c, in);
    for (std::int64_t i = 0; i < c.Tq; i++) {
      double sum = 0;
      for (std::int64_t j = 0; j < c.Tk; j++) sum += double(out.weights[std::size_t(i * c.Tk + j)]);
      EXPECT_NEAR(sum, std::isinf(level) ? 0 : 1, 1e-5);
      EXPECT_TRUE(std::isfinite(out.out[std::size_t(i)]));
    }
  }
}

}  // namespace unroll::gpu_test
