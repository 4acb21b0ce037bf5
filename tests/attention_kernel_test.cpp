#include "kernels/attention.h"

#include "tests/kernel_testing.h"

namespace unroll {
namespace {

using namespace unroll::testing;
using Lengths64 = std::vector<std::int64_t>;

template <class T>
class AttentionKernel : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(AttentionKernel, Reals);

struct Case {
  std::int64_t Tq, Tk, N, H, D;
  Lengths64 key_lengths, query_lengths;
  double scale = 1;
};
const Case cases[] = {{1, 1, 1, 1, 1, {}, {}},
                      {3, 5, 2, 4, 4, {}, {}, 0.5},
                      {4, 7, 4, 5, 3, {7, 0, 1, 4}, {}, 0.7},
                      {6, 9, 3, 8, 17, {2, 9, 5}, {6, 0, 3}, 0.3},
                      {20, 33, 2, 16, 20, {33, 12}, {20, 1}, 0.25},
                      {2, 0, 2, 3, 3, {}, {}},
                      {0, 2, 2, 3, 3, {}, {}}};

const std::int64_t K = 3;  // directions

AttentionShape shape_of(const Case& c, std::int64_t directions = K) {
  return {.queries = c.Tq,
          .keys = c.Tk,
          .batch = c.N,
          .key_size = c.H,
          .value_size = c.D,
          .scale = c.scale,
          .key_lengths = c.key_lengths.empty() ? nullptr : c.key_lengths.data(),
          .query_lengths = c.query_lengths.empty() ? nullptr : c.query_lengths.data(),
          .directions = directions};
}

// [directions,times,N,size], NaN beyond each sequence's length.
template <class T>
std::vector<T> series(const Case& c, std::int64_t directions, std::int64_t times, std::int64_t size,
                      const Lengths64& lengths, unsigned seed) {
  std::vector<T> x = normals<T>(directions * times * c.N * size, seed);
  for (std::size_t i = 0; i < x.size() && !lengths.empty(); i++) {
    const std::int64_t row = std::int64_t(i) / size, n = row % c.N, t = row / c.N % times;
    if (t >= lengths[std::size_t(n)]) x[i] = T(nan);
  }
  return x;
}

template <class T>
struct Inputs {
  std::vector<T> q, keys, values;
  Inputs(const Case& c, std::int64_t directions, unsigned seed)
      : q(series<T>(c, directions, c.Tq, c.H, c.query_lengths, seed)),
        keys(series<T>(c, directions, c.Tk, c.H, c.key_lengths, seed + 1)),
        values(series<T>(c, directions, c.Tk, c.D, c.key_lengths, seed + 2)) {}
};

// The definition, in double. Returns the context, then the weights.
std::vector<double> reference(const Case& c, const Inputs<double>& in) {
  std::vector<double> context(std::size_t(c.Tq * c.N * c.D)),
      weights(std::size_t(c.N * c.Tq * c.Tk));
  for (std::int64_t n = 0; n < c.N; n++) {
    const std::int64_t tq = c.query_lengths.empty() ? c.Tq : c.query_lengths[std::size_t(n)];
    const std::int64_t tk = c.key_lengths.empty() ? c.Tk : c.key_lengths[std::size_t(n)];
    for (std::int64_t i = 0; i < tq; i++) {
      double* w = weights.data() + (n * c.Tq + i) * c.Tk;
      double sum = 0;
      for (std::int64_t j = 0; j < tk; j++) {
        double score = 0;
        for (std::int64_t h = 0; h < c.H; h++) {
          score += in.q[std::size_t((i * c.N + n) * c.H + h)] *
                   in.keys[std::size_t((j * c.N + n) * c.H + h)];
        }
        sum += w[j] = std::exp(c.scale * score);
      }
      for (std::int64_t j = 0; j < tk; j++) {
        w[j] /= sum;
        for (std::int64_t d = 0; d < c.D; d++) {
          context[std::size_t((i * c.N + n) * c.D + d)] +=
              w[j] * in.values[std::size_t((j * c.N + n) * c.D + d)];
        }
      }
    }
  }
  context.insert(context.end(), weights.begin(), weights.end());
  return context;
}

template <class T>
struct Outputs {
  std::vector<T> context, weights;
  Outputs(const Case& c, std::int64_t directions)
      : context(std::size_t(directions * c.Tq * c.N * c.D), T(nan)),
        weights(std::size_t(directions * c.N * c.Tq * c.Tk), T(nan)) {}
};

template <class T>
Outputs<T> forward(const Case& c, const Inputs<T>& in) {
  Outputs<T> out(c, 1);
  Scratch scratch(cpu::attention_scratch<T>(shape_of(c)));
  cpu::attention<T>(shape_of(c), {.q = in.q.data(),
                                  .keys = in.keys.data(),
                                  .values = in.values.data(),
                                  .context = out.context.data(),
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
      exact.q.assign(in.q.begin(), in.q.end());
      exact.keys.assign(in.keys.begin(), in.keys.end());
      exact.values.assign(in.values.begin(), in.values.end());
      const std::vector<double> want = reference(c, exact);
      const Outputs<T> out = forward(c, in);
      const double tolerance = 200 * double(std::numeric_limits<T>::epsilon());
      for (std::size_t i = 0; i < want.size(); i++) {
        const bool in_context = i < out.context.size();
        const double got =
            double(in_context ? out.context[i] : out.weights[i - out.context.size()]);
        EXPECT_NEAR(got, want[i], tolerance) << i;
      }
    }
  });
}

template <class T>
Outputs<T> push(const Case& c, const Inputs<T>& in, const Outputs<T>& out,
                const Inputs<T>& tangent) {
  Outputs<T> moved(c, K);
  Scratch scratch(cpu::attention_scratch<T>(shape_of(c)));
  cpu::attention_push<T>(shape_of(c), {.q = in.q.data(),
                                       .keys = in.keys.data(),
                                       .values = in.values.data(),
                                       .weights = out.weights.data(),
                                       .tq = tangent.q.data(),
                                       .tkeys = tangent.keys.data(),
                                       .tvalues = tangent.values.data(),
                                       .tcontext = moved.context.data(),
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
        const auto shift = [&](auto member) {
          const std::size_t size = (in.*member).size();
          for (std::size_t i = 0; i < size; i++) {
            (up.*member)[i] += step * (tangent.*member)[std::size_t(k) * size + i];
            (down.*member)[i] -= step * (tangent.*member)[std::size_t(k) * size + i];
          }
        };
        shift(&Inputs<double>::q), shift(&Inputs<double>::keys), shift(&Inputs<double>::values);
        const std::vector<double> a = reference(c, up), b = reference(c, down);
        const std::size_t contexts = moved.context.size() / std::size_t(K),
                          weights = moved.weights.size() / std::size_t(K);
        for (std::size_t i = 0; i < a.size(); i++) {
          const double got = i < contexts ? moved.context[std::size_t(k) * contexts + i]
                                          : moved.weights[std::size_t(k) * weights + i - contexts];
          EXPECT_NEAR(got, (a[i] - b[i]) / (2 * step), 2e-8 * (1 + std::fabs(got)));
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

template <class T>
AttentionPull<T> pull_args(const Inputs<T>& in, const Outputs<T>& out, const Outputs<T>& cotangent,
                           Inputs<T>& d, Scratch& scratch) {
  return {.q = in.q.data(),
          .keys = in.keys.data(),
          .values = in.values.data(),
          .weights = out.weights.data(),
          .dcontext = cotangent.context.data(),
          .dweights = cotangent.weights.data(),
          .dq = d.q.data(),
          .dkeys = d.keys.data(),
          .dvalues = d.values.data(),
          .scratch = scratch.get()};
}

// NaN in the cotangents of padded queries.
template <class T>
Outputs<T> random_cotangent(const Case& c, unsigned seed) {
  Outputs<T> u(c, K);
  u.context = series<T>(c, K, c.Tq, c.D, c.query_lengths, seed);
  u.weights = normals<T>(std::int64_t(u.weights.size()), seed + 1);
  return u;
}

TYPED_TEST(AttentionKernel, PullIsTheTransposeOfPush) {
  using T = TypeParam;
  const double tolerance = 400 * double(std::numeric_limits<T>::epsilon());
  for_each_isa([&] {
    for (const Case& c : cases) {
      const Inputs<T> in(c, 1, 1), tangent(c, K, 10);
      const Outputs<T> out = forward(c, in), cotangent = random_cotangent<T>(c, 20);
      const Outputs<T> moved = push(c, in, out, tangent);
      Inputs<T> d(c, K, 30);
      Scratch scratch(cpu::attention_scratch<T>(shape_of(c)));
      cpu::attention_pull<T>(shape_of(c), pull_args(in, out, cotangent, d, scratch));
      for (const auto* gradient : {&d.q, &d.keys, &d.values}) {
        for (const T value : *gradient) ASSERT_FALSE(std::isnan(value));
      }
      for (std::size_t k = 0; k < std::size_t(K); k++) {
        const auto part = [&](const auto& a, const auto& b) {
          const std::size_t size = a.size() / std::size_t(K);
          return dot(a, b, k * size, size);
        };
        const double left =
            part(cotangent.context, moved.context) + part(cotangent.weights, moved.weights);
        const double right =
            part(d.q, tangent.q) + part(d.keys, tangent.keys) + part(d.values, tangent.values);
        EXPECT_NEAR(left, right, tolerance * (1 + std::fabs(left)));
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
      Scratch scratch(cpu::attention_scratch<T>(shape_of(c)));
      Inputs<T> written(c, K, 30), added(c, K, 30), single(c, K, 30);
      for (auto* gradient : {&added.q, &added.keys, &added.values})
        gradient->assign(gradient->size(), T(1));
      cpu::attention_pull<T>(shape_of(c), pull_args(in, out, cotangent, written, scratch));
      AttentionPull<T> args = pull_args(in, out, cotangent, added, scratch);
      args.beta_q = args.beta_keys = args.beta_values = 1;
      cpu::attention_pull<T>(shape_of(c), args);
      args = pull_args(in, out, cotangent, single, scratch);
      args.dq = nullptr, args.dvalues = nullptr;
      cpu::attention_pull<T>(shape_of(c), args);
      EXPECT_TRUE(same_bits(single.keys, written.keys));
      const auto check = [](const std::vector<T>& sum, const std::vector<T>& gradient) {
        for (std::size_t i = 0; i < sum.size(); i++) {
          EXPECT_NEAR(sum[i], gradient[i] + 1, 1e-5 * (1 + std::fabs(double(gradient[i]))));
        }
      };
      check(added.q, written.q), check(added.keys, written.keys),
          check(added.values, written.values);
    }
  });
}

TYPED_TEST(AttentionKernel, SameBitsForAnyNumberOfThreads) {
  using T = TypeParam;
  const Case c{30, 50, 5, 24, 24, {50, 3, 0, 44, 17}, {}, 0.2};
  const Case one{90, 80, 1, 40, 40, {}, {}, 0.2};
  for_each_isa([&] {
    for (const Case& each : {c, one}) {
      const Inputs<T> in(each, 1, 1);
      const Outputs<T> cotangent = random_cotangent<T>(each, 2);
      std::vector<T> first;
      for_each_thread_count([&](int threads) {
        const Outputs<T> out = forward(each, in);
        Inputs<T> d(each, K, 3);
        Scratch scratch(cpu::attention_scratch<T>(shape_of(each)));
        cpu::attention_pull<T>(shape_of(each), pull_args(in, out, cotangent, d, scratch));
        std::vector<T> all = out.context;
        for (const auto* part : {&d.q, &d.keys, &d.values})
          all.insert(all.end(), part->begin(), part->end());
        if (threads == 1) first = all;
        EXPECT_TRUE(same_bits(first, all));
      });
    }
  });
}

}  // namespace
}  // namespace unroll
