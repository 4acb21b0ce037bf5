// The attention kernels against the definition, with every option, in every instruction set.
#include "kernels/attention.h"

#include "tests/attention_reference.h"

namespace unroll {
namespace {

using namespace unroll::testing;
using namespace unroll::testing::attention;

template <class T>
class AttentionKernel : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(AttentionKernel, Reals);

template <class T>
Outputs<T> forward(const Case& c, const Inputs<T>& in) {
  Outputs<T> out(c, 1);
  const std::vector<char> attend = attend_mask(c);
  Scratch scratch(cpu::attention_scratch<T>(shape_of(c)));
  cpu::attention<T>(shape_of(c), {.in = inputs_of(c, in, attend),
                                  .out = out.out.data(),
                                  .stats = out.stats.data(),
                                  .weights = out.weights.data(),
                                  .scratch = scratch.get()});
  return out;
}

TYPED_TEST(AttentionKernel, ForwardIsTheDefinition) {
  using T = TypeParam;
  for_each_isa([] {
    for (const Case& c : cases) {
      const Inputs<T> in(c, 1, 1);
      Inputs<double> exact(c, 1, 1);
      for (std::size_t i = 0; i < in.all().size(); i++)
        exact.all()[i]->assign(in.all()[i]->begin(), in.all()[i]->end());
      const std::vector<double> want = reference(c, exact);
      const Outputs<T> out = forward(c, in);
      const double tolerance = 400 * double(std::numeric_limits<T>::epsilon());
      for (std::size_t i = 0; i < want.size(); i++) {
        const double got =
            double(i < out.out.size() ? out.out[i] : out.weights[i - out.out.size()]);
        ASSERT_NEAR(got, want[i], tolerance)
            << "case " << &c - cases << " element " << i << " of " << out.out.size();
      }
    }
  });
}

template <class T>
Outputs<T> push(const Case& c, const Inputs<T>& in, const Outputs<T>& out,
                const Inputs<T>& tangent) {
  Outputs<T> moved(c, K);
  const std::vector<char> attend = attend_mask(c);
  Scratch scratch(cpu::attention_scratch<T>(shape_of(c)));
  cpu::attention_push<T>(shape_of(c), {.in = inputs_of(c, in, attend),
                                       .out = out.out.data(),
                                       .stats = out.stats.data(),
                                       .weights = out.weights.data(),
                                       .tq = tangent.q.data(),
                                       .tk = tangent.k.data(),
                                       .tv = tangent.v.data(),
                                       .tvector = c.additive ? tangent.vector.data() : nullptr,
                                       .tbias = c.bias ? tangent.bias.data() : nullptr,
                                       .tout = moved.out.data(),
                                       .tweights = moved.weights.data(),
                                       .scratch = scratch.get()});
  return moved;
}

TEST(AttentionKernelMaps, PushIsTheDerivative) {
  for_each_isa([] {
    for (const Case& c : cases) {
      const Inputs<double> in(c, 1, 1), tangent(c, K, 10);
      const Outputs<double> moved = push(c, in, forward(c, in), tangent);
      for (std::int64_t k = 0; k < K; k++) {
        const double step = 1e-5;
        Inputs<double> up = in, down = in;
        for (std::size_t m = 0; m < in.all().size(); m++) {
          const std::size_t size = in.all()[m]->size();
          for (std::size_t i = 0; i < size; i++) {
            const double by = step * (*tangent.all()[m])[std::size_t(k) * size + i];
            (*up.all()[m])[i] += by, (*down.all()[m])[i] -= by;
          }
        }
        const std::vector<double> a = reference(c, up), b = reference(c, down);
        const std::size_t outs = moved.out.size() / std::size_t(K),
                          weights = moved.weights.size() / std::size_t(K);
        for (std::size_t i = 0; i < a.size(); i++) {
          const double got = i < outs ? moved.out[std::size_t(k) * outs + i]
                                      : moved.weights[std::size_t(k) * weights + i - outs];
          ASSERT_NEAR(got, (a[i] - b[i]) / (2 * step), 5e-8 * (1 + std::fabs(got)))
              << "case " << &c - cases << " element " << i << " of " << outs;
        }
      }
    }
  });
}

// Sum over everything that is not padding.
template <class T>
double dot(const std::vector<T>& a, const std::vector<T>& b, std::size_t from, std::size_t count) {
  double sum = 0;
  for (std::size_t i = from; i < from + count; i++) {
    if (!std::isnan(a[i]) && !std::isnan(b[i])) sum += double(a[i]) * double(b[i]);
  }
  return sum;
}

// A pullback of everything into d.
template <class T>
AttentionPull<T> pull_args(const Case& c, const Inputs<T>& in, const std::vector<char>& attend,
                           const Outputs<T>& out, const Outputs<T>& cotangent, Inputs<T>& d,
                           Scratch& scratch) {
  return {.in = inputs_of(c, in, attend),
          .out = out.out.data(),
          .stats = out.stats.data(),
          .weights = out.weights.data(),
          .dout = cotangent.out.data(),
          .dweights = cotangent.weights.data(),
          .dq = d.q.data(),
          .dk = d.k.data(),
          .dv = d.v.data(),
          .dvector = c.additive ? d.vector.data() : nullptr,
          .dbias = c.bias ? d.bias.data() : nullptr,
          .scratch = scratch.get()};
}

template <class T>
Inputs<T> pull(const Case& c, const Inputs<T>& in, const Outputs<T>& out,
               const Outputs<T>& cotangent) {
  Inputs<T> d(c, K, 30);
  const std::vector<char> attend = attend_mask(c);
  Scratch scratch(cpu::attention_scratch<T>(shape_of(c)));
  cpu::attention_pull<T>(shape_of(c), pull_args(c, in, attend, out, cotangent, d, scratch));
  if (!c.additive) d.vector.assign(d.vector.size(), T(0));
  if (!c.bias) d.bias.assign(d.bias.size(), T(0));
  return d;
}

// NaN in the cotangents of padded queries.
template <class T>
Outputs<T> random_cotangent(const Case& c, unsigned seed) {
  Outputs<T> u(c, K);
  u.out = series<T>(c, K, c.Hq, c.Tq, c.Dv, c.query_lengths, seed);
  u.weights = series<T>(c, K, c.Hq, c.Tq, c.Tk, c.query_lengths, seed + 1);
  return u;
}

TYPED_TEST(AttentionKernel, PullIsTheTransposeOfPush) {
  using T = TypeParam;
  const double tolerance = 1000 * double(std::numeric_limits<T>::epsilon());
  for_each_isa([&] {
    for (const Case& c : cases) {
      const Inputs<T> in(c, 1, 1), tangent(c, K, 10);
      const Outputs<T> out = forward(c, in), cotangent = random_cotangent<T>(c, 20);
      const Outputs<T> moved = push(c, in, out, tangent);
      const Inputs<T> d = pull(c, in, out, cotangent);
      for (const auto* gradient : d.all()) {
        for (const T value : *gradient) ASSERT_FALSE(std::isnan(value)) << "case " << &c - cases;
      }
      for (std::size_t k = 0; k < std::size_t(K); k++) {
        const auto part = [&](const auto& a, const auto& b) {
          const std::size_t size = a.size() / std::size_t(K);
          return dot(a, b, k * size, size);
        };
        const double left = part(cotangent.out, moved.out) + part(cotangent.weights, moved.weights);
        double right = 0;
        for (std::size_t i = 0; i < d.all().size(); i++)
          right += part(*d.all()[i], *tangent.all()[i]);
        EXPECT_NEAR(left, right, tolerance * (1 + std::fabs(left))) << "case " << &c - cases;
      }
    }
  });
}

TYPED_TEST(AttentionKernel, PullAddsAndLeavesOutWhatIsNotWanted) {
  using T = TypeParam;
  for_each_isa([] {
    for (const Case& c : cases) {
      const Inputs<T> in(c, 1, 1);
      const Outputs<T> out = forward(c, in), cotangent = random_cotangent<T>(c, 20);
      const std::vector<char> attend = attend_mask(c);
      Scratch scratch(cpu::attention_scratch<T>(shape_of(c)));
      const Inputs<T> written = pull(c, in, out, cotangent);
      Inputs<T> added(c, K, 30), single(c, K, 30);
      for (auto* gradient : added.all()) gradient->assign(gradient->size(), T(1));
      AttentionPull<T> args = pull_args(c, in, attend, out, cotangent, added, scratch);
      args.beta_q = args.beta_k = args.beta_v = args.beta_vector = args.beta_bias = 1;
      cpu::attention_pull<T>(shape_of(c), args);
      args = pull_args(c, in, attend, out, cotangent, single, scratch);
      args.dq = nullptr, args.dv = nullptr, args.dvector = nullptr;
      cpu::attention_pull<T>(shape_of(c), args);
      EXPECT_TRUE(same_bits(single.k, written.k));
      for (std::size_t m = 0; m < written.all().size(); m++) {
        if ((m == 3 && !c.additive) || (m == 4 && !c.bias)) continue;
        for (std::size_t i = 0; i < written.all()[m]->size(); i++) {
          const double gradient = double((*written.all()[m])[i]);
          ASSERT_NEAR((*added.all()[m])[i], gradient + 1, 2e-5 * (1 + std::fabs(gradient)));
        }
      }
    }
  });
}

// One thread walks through a head's tiles once; more threads than heads split it into blocks.
TYPED_TEST(AttentionKernel, SameBitsForAnyNumberOfThreads) {
  using T = TypeParam;
  const Case many{.B = 5,
                  .Hq = 2,
                  .Hk = 1,
                  .Tq = 30,
                  .Tk = 50,
                  .D = 24,
                  .Dv = 24,
                  .key_lengths = {50, 3, 0, 44, 17},
                  .scale = 0.2,
                  .bias = true,
                  .drop = 0.1};
  const Case one{.B = 1,
                 .Hq = 2,
                 .Hk = 1,
                 .Tq = 190,
                 .Tk = 180,
                 .D = 40,
                 .Dv = 40,
                 .scale = 0.2,
                 .causal = true};
  const Case additive{.B = 1,
                      .Hq = 1,
                      .Hk = 1,
                      .Tq = 90,
                      .Tk = 171,
                      .D = 20,
                      .Dv = 10,
                      .scale = 0.2,
                      .bias = true,
                      .additive = true};
  for_each_isa([&] {
    for (const Case& each : {many, one, additive}) {
      const Inputs<T> in(each, 1, 1);
      for (const bool single : {false, true}) {
        const Outputs<T> cotangent = random_cotangent<T>(each, 2);
        std::vector<T> first;
        for_each_thread_count([&](int threads) {
          AttentionShape s = shape_of(each, single ? 1 : K);
          const Outputs<T> out = forward(each, in);
          Inputs<T> d(each, K, 3);
          const std::vector<char> attend = attend_mask(each);
          Scratch scratch(cpu::attention_scratch<T>(s));
          cpu::attention_pull<T>(s, pull_args(each, in, attend, out, cotangent, d, scratch));
          std::vector<T> all = out.out;
          for (const auto* part : d.all()) all.insert(all.end(), part->begin(), part->end());
          if (threads == 1) first = all;
          EXPECT_TRUE(same_bits(first, all));
        });
      }
    }
  });
}

// A row whose scores are all far below, or all -infinity, is still a distribution, or zero.
TYPED_TEST(AttentionKernel, ExtremeScores) {
  using T = TypeParam;
  Case c{.B = 1, .Hq = 1, .Hk = 1, .Tq = 4, .Tk = 75, .D = 2, .Dv = 1, .scale = 1, .bias = true};
  for_each_isa([&] {
    for (const double level : {-1e30, 1e30, -300.0, 300.0, -infinity}) {
      Inputs<T> in(c, 1, 1);
      in.bias.assign(in.bias.size(), T(level));
      const Outputs<T> out = forward(c, in);
      for (std::int64_t i = 0; i < c.Tq; i++) {
        double sum = 0;
        for (std::int64_t j = 0; j < c.Tk; j++)
          sum += double(out.weights[std::size_t(i * c.Tk + j)]);
        EXPECT_NEAR(sum, level == -infinity ? 0 : 1, 1e-5);
        EXPECT_TRUE(std::isfinite(out.out[std::size_t(i)]));
      }
    }
  });
}

}  // namespace
}  // namespace unroll
