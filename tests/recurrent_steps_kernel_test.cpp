// The general loop of the RNN, LSTM and GRU kernels, with every option, against plain loops in
// float64 (tests/recurrent_steps_reference.h) and against the fused loop.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/kernel_testing.h"
#include "tests/recurrent_steps_harness.h"

namespace unroll::testing {

namespace {

// Options with names; `general` alone is the plain cell in the general loop.
std::vector<StepsProblem> option_sets() {
  const RecurrentOptions plain{.general = true}, clip{.clip = 0.4};
  const RecurrentOptions zoneout{.zoneout_h = 0.3, .zoneout_c = 0.6, .training = true, .seed = 5};
  const RecurrentOptions blend{.zoneout_h = 0.3, .zoneout_c = 0.6};
  const RecurrentOptions drop{.dropout = 0.4, .training = true, .seed = 7, .stream = 3};
  const RecurrentOptions all{.clip = 0.7,
                             .zoneout_h = 0.2,
                             .zoneout_c = 0.3,
                             .dropout = 0.3,
                             .training = true,
                             .seed = 11,
                             .stream = 1,
                             .counter = 1000};
  std::vector<StepsProblem> sets;
  const auto add = [&](const char* name, Cell cell, const RecurrentOptions& options,
                       std::int64_t projection = 0, bool peephole = false, bool norm = false,
                       bool reset_first = false) {
    sets.push_back(
        {name, cell, 0, 0, 0, 0, projection, peephole, norm, reset_first, false, options});
  };
  add("lstm", Cell::lstm, plain);
  add("lstm_clip", Cell::lstm, clip);
  add("lstm_zoneout", Cell::lstm, zoneout);
  add("lstm_zoneout_inference", Cell::lstm, blend);
  add("lstm_dropout", Cell::lstm, drop);
  add("lstm_projection", Cell::lstm, {}, 3);
  add("lstm_wide_projection", Cell::lstm, {}, 11);
  add("lstm_peephole", Cell::lstm, {}, 0, true);
  add("lstm_peephole_clip", Cell::lstm, clip, 0, true);
  add("lstm_norm", Cell::lstm, {}, 0, false, true);
  add("lstm_all", Cell::lstm, all, 4, true, true);
  add("gru", Cell::gru, plain);
  add("gru_clip", Cell::gru, clip);
  add("gru_zoneout", Cell::gru, zoneout);
  add("gru_zoneout_inference", Cell::gru, blend);
  add("gru_dropout", Cell::gru, drop);
  add("gru_reset_first", Cell::gru, {}, 0, false, false, true);
  add("gru_all", Cell::gru, all, 0, false, false, true);
  const std::pair<const char*, Cell> cells[] = {
      {"tanh", Cell::tanh}, {"relu", Cell::relu}, {"identity", Cell::identity}};
  for (const auto& [name, cell] : cells) {
    const auto variant = [&, cell = cell, name = std::string(name)](
                             const char* suffix, const RecurrentOptions& options) {
      add("", cell, options);
      sets.back().name = "rnn_" + name + suffix;
    };
    variant("", plain);
    variant("_clip", clip);
    variant("_zoneout", zoneout);
    variant("_all", all);
  }
  return sets;
}

// T, N, I and H of 1; H around and off the lanes; more rows than a tile; a chunk that ends within
// the sequence; lengths with zeros and ties; no units, no inputs; each in both directions.
std::vector<StepsProblem> problems(const StepsProblem& options) {
  struct Sizes {
    std::int64_t T, N, I, H;
    bool reverse;
    std::vector<std::int64_t> lengths = {};
  };
  std::vector<StepsProblem> all;
  for (const Sizes& s :
       {Sizes{1, 1, 1, 1, false}, Sizes{3, 2, 3, 5, true}, Sizes{2, 7, 9, 17, false},
        Sizes{20, 30, 1, 4, false}, Sizes{5, 4, 2, 6, false, {5, 0, 3, 1}},
        Sizes{4, 6, 1, 9, true, {2, 4, 2, 0, 3, 4}}, Sizes{3, 2, 2, 3, true, {0, 0}},
        Sizes{3, 2, 2, 0, false}, Sizes{3, 2, 0, 5, true}}) {
    StepsProblem p = options;
    p.T = s.T, p.N = s.N, p.I = s.I, p.H = s.H, p.reverse = s.reverse, p.lengths = s.lengths;
    all.push_back(p);
  }
  return all;
}

std::string trace_of(const StepsProblem& p) {
  std::string text = p.name + " T" + std::to_string(p.T) + " N" + std::to_string(p.N) + " I" +
                     std::to_string(p.I) + " H" + std::to_string(p.H);
  for (std::int64_t length : p.lengths) text += " " + std::to_string(length);
  return text + (p.reverse ? " reversed" : "");
}

template <class Real>
std::vector<Real> numbers(std::int64_t n, unsigned seed, double scale) {
  std::vector<Real> x = normals<Real>(n, seed);
  for (Real& v : x) v = Real(v * scale);
  return x;
}

template <class Real>
StepsInputs<Real> inputs(const StepsProblem& p, unsigned seed, std::int64_t K = 1,
                         double scale = 0.5) {
  StepsInputs<Real> in;
  const std::vector<std::int64_t> sizes = input_sizes(p);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    *in.all()[i] = numbers<Real>(K * sizes[i], seed + unsigned(i), scale);
  }
  return in;
}

template <class Real>
Outputs<Real> cotangents(const StepsProblem& p, unsigned seed, std::int64_t K = 1) {
  return {numbers<Real>(K * p.T * p.N * p.P(), seed, 0.5),
          numbers<Real>(K * p.N * p.P(), seed + 1, 0.5),
          numbers<Real>(p.has_cell() ? K * p.N * p.H : 0, seed + 2, 0.5)};
}

template <class To, class From>
To converted(From from) {
  To to;
  for (std::size_t i = 0; i < from.all().size(); ++i) {
    to.all()[i]->assign(from.all()[i]->begin(), from.all()[i]->end());
  }
  return to;
}

// Direction k of tensors that hold K of them; absent ones stay so.
template <class Tensors>
Tensors direction(Tensors all, std::int64_t k, std::int64_t K) {
  for (auto* tensor : all.all()) {
    const auto size = std::int64_t(tensor->size()) / K;
    *tensor = {tensor->begin() + k * size, tensor->begin() + (k + 1) * size};
  }
  return all;
}

// max |got - want| <= tolerance * max(|want|, floor) in every tensor; a NaN is never close.
template <class Tensors>
void expect_close(Tensors got, Tensors want, const std::string& what, double tolerance) {
  for (std::size_t i = 0; i < want.all().size(); ++i) {
    const auto &x = *got.all()[i], &y = *want.all()[i];
    ASSERT_EQ(x.size(), y.size()) << what << ", tensor " << i;
    double scale = 1e-2, worst = 0;
    for (double v : y) scale = std::max(scale, std::abs(v));
    for (std::size_t e = 0; e < x.size(); ++e) {
      const double difference = std::abs(x[e] - y[e]);
      worst = difference <= worst ? worst : difference;
    }
    EXPECT_LE(worst, tolerance * scale) << what << ", tensor " << i;
  }
}

template <class Tensors>
void expect_same(Tensors a, Tensors b, const std::string& what) {
  for (std::size_t i = 0; i < a.all().size(); ++i) {
    EXPECT_TRUE(same_bits(*a.all()[i], *b.all()[i])) << what << ", tensor " << i;
  }
}

template <class Real>
constexpr double tolerance = std::is_same_v<Real, float> ? 2e-5 : 2e-13;

class RecurrentSteps : public ::testing::TestWithParam<StepsProblem> {
 protected:
  template <class Body>
  void for_each_problem(Body body) {
    for_each_isa([&] {
      for (const StepsProblem& p : problems(GetParam())) {
        SCOPED_TRACE(trace_of(p));
        body(p);
      }
    });
  }
};

// ---- Values and derivatives

template <class Real>
void check_forward(const StepsProblem& p) {
  StepsHarness<Real> kernel(p, inputs<Real>(p, 1));
  const Outputs<Real> out = kernel.forward();
  const auto at = converted<StepsInputs<double>>(kernel.in);
  expect_close(converted<Outputs<double>>(out), steps_reference(p, at), "forward", tolerance<Real>);
  StepsHarness<Real> inference(p, kernel.in);
  expect_same(out, inference.forward(false), "inference");
  expect_same(Outputs<Real>{kernel.h, kernel.c, {}}, Outputs<Real>{inference.h, inference.c, {}},
              "states");
}

template <class Real>
void check_pull(const StepsProblem& p, std::int64_t K) {
  StepsHarness<Real> kernel(p, inputs<Real>(p, 2));
  kernel.forward();
  const Outputs<Real> u = cotangents<Real>(p, 30, K);
  const auto d = converted<StepsInputs<double>>(kernel.pull(K, u));
  const auto at = converted<StepsInputs<double>>(kernel.in);
  for (std::int64_t k = 0; k < K; ++k) {
    const auto want = steps_reference_pull(p, at, direction(converted<Outputs<double>>(u), k, K));
    expect_close(direction(d, k, K), want, "direction " + std::to_string(k), tolerance<Real>);
  }
}

template <class Real>
void check_push(const StepsProblem& p, std::int64_t K, bool parameters) {
  StepsHarness<Real> kernel(p, inputs<Real>(p, 3));
  kernel.forward();
  StepsInputs<Real> v = inputs<Real>(p, 40, K);
  if (!parameters) {
    for (const int i : v.parameters) v.all()[std::size_t(i)]->clear();
  }
  const auto d = converted<Outputs<double>>(kernel.push(K, v));
  const auto at = converted<StepsInputs<double>>(kernel.in);
  const auto tangents = converted<StepsInputs<double>>(v);
  for (std::int64_t k = 0; k < K; ++k) {
    const auto want = steps_reference_push(p, at, direction(tangents, k, K));
    expect_close(direction(d, k, K), want, "direction " + std::to_string(k), tolerance<Real>);
  }
}

TEST_P(RecurrentSteps, ForwardIsTheReference) {
  for_each_problem([](const StepsProblem& p) {
    check_forward<float>(p);
    check_forward<double>(p);
  });
}

TEST_P(RecurrentSteps, PullbackIsTheReference) {
  for_each_problem([](const StepsProblem& p) {
    check_pull<float>(p, 1);
    check_pull<double>(p, 1);
    check_pull<double>(p, 3);
  });
}

TEST_P(RecurrentSteps, PushforwardIsTheReference) {
  for_each_problem([](const StepsProblem& p) {
    for (const bool parameters : {false, true}) {
      check_push<float>(p, 1, parameters);
      check_push<double>(p, 1, parameters);
      check_push<double>(p, 3, parameters);
    }
  });
}

// u.(J v) = (J^T u).v
TEST_P(RecurrentSteps, PullbackIsTheTransposeOfPushforward) {
  for_each_problem([](const StepsProblem& p) {
    StepsHarness<double> kernel(p, inputs<double>(p, 4));
    kernel.forward();
    StepsInputs<double> v = inputs<double>(p, 50);
    Outputs<double> u = cotangents<double>(p, 60);
    Outputs<double> Jv = kernel.push(1, v);
    StepsInputs<double> Jtu = kernel.pull(1, u);
    double left = 0, right = 0, size = 0;
    const auto dot = [&](double& sum, std::vector<double>& a, std::vector<double>& b) {
      for (std::size_t e = 0; e < a.size(); ++e) sum += a[e] * b[e], size += std::abs(a[e] * b[e]);
    };
    for (std::size_t i = 0; i < u.all().size(); ++i) dot(left, *u.all()[i], *Jv.all()[i]);
    for (std::size_t i = 0; i < v.all().size(); ++i) dot(right, *v.all()[i], *Jtu.all()[i]);
    EXPECT_LE(std::abs(left - right), 1e-12 * size);
  });
}

// Where the fused loop knows the problem, the two designs agree.
TEST_P(RecurrentSteps, IsTheFusedLoopWithoutOptions) {
  if (!GetParam().options.general) return;
  for_each_problem([](const StepsProblem& p) {
    StepsProblem fused_problem = p;
    fused_problem.options.general = false;
    StepsHarness<double> general(p, inputs<double>(p, 5)), fused(fused_problem, general.in);
    expect_close(general.forward(), fused.forward(), "forward", 1e-13);
    const Outputs<double> u = cotangents<double>(p, 70, 2);
    expect_close(general.pull(2, u), fused.pull(2, u), "pullback", 1e-13);
    const StepsInputs<double> v = inputs<double>(p, 80, 2);
    expect_close(general.push(2, v), fused.push(2, v), "pushforward", 1e-13);
  });
}

// ---- The contract

TEST_P(RecurrentSteps, BetaOneAdds) {
  for_each_problem([](const StepsProblem& p) {
    StepsHarness<double> kernel(p, inputs<double>(p, 6));
    kernel.forward();
    const Outputs<double> u = cotangents<double>(p, 90, 2);
    StepsInputs<double> want = kernel.pull(2, u), added = kernel.empty_inputs(2);
    for (auto* tensor : added.all()) std::fill(tensor->begin(), tensor->end(), 0.25);
    kernel.pull(2, u, added, 1);
    for (auto* tensor : want.all()) {
      for (double& value : *tensor) value += 0.25;
    }
    expect_close(added, want, "sums", 1e-12);
  });
}

TEST_P(RecurrentSteps, EachResultAloneIsTheSame) {
  for_each_problem([](const StepsProblem& p) {
    StepsHarness<float> kernel(p, inputs<float>(p, 7));
    kernel.forward();
    const Outputs<float> u = cotangents<float>(p, 100);
    StepsInputs<float> all = kernel.pull(1, u);
    for (std::size_t i = 0; i < all.all().size(); ++i) {
      StepsInputs<float> want, alone, empty = kernel.empty_inputs(1);
      *want.all()[i] = *all.all()[i];
      *alone.all()[i] = *empty.all()[i];
      kernel.pull(1, u, alone);
      expect_same(want, alone, "result " + std::to_string(i));
    }
  });
}

TEST_P(RecurrentSteps, AbsentCotangentsAndTangentsAreZero) {
  for_each_problem([](const StepsProblem& p) {
    StepsHarness<double> kernel(p, inputs<double>(p, 8));
    kernel.forward();
    for (std::size_t absent = 0; absent < 3; ++absent) {
      Outputs<double> zero = cotangents<double>(p, 110), null = zero;
      std::fill(zero.all()[absent]->begin(), zero.all()[absent]->end(), 0.0);
      null.all()[absent]->clear();
      expect_close(kernel.pull(1, zero), kernel.pull(1, null), "cotangent", 0);
    }
    for (std::size_t absent = 0; absent < StepsInputs<double>::count; ++absent) {
      StepsInputs<double> zero = inputs<double>(p, 120), null = zero;
      std::fill(zero.all()[absent]->begin(), zero.all()[absent]->end(), 0.0);
      null.all()[absent]->clear();
      expect_close(kernel.push(1, zero), kernel.push(1, null), "tangent", 0);
    }
  });
}

TEST_P(RecurrentSteps, AbsentBiasesAreZero) {
  for_each_problem([](const StepsProblem& p) {
    StepsHarness<float> zero(p, inputs<float>(p, 9)), null(p, inputs<float>(p, 9));
    std::fill(zero.in.b_ih.begin(), zero.in.b_ih.end(), 0.0f);
    std::fill(zero.in.b_hh.begin(), zero.in.b_hh.end(), 0.0f);
    null.in.b_ih.clear();
    null.in.b_hh.clear();
    expect_same(zero.forward(), null.forward(), "bias");
  });
}

template <class Real>
void fill_padding(const StepsProblem& p, std::vector<Real>& sequences, std::int64_t width,
                  std::int64_t K, Real value) {
  for (std::int64_t row = 0; row < K * p.T * p.N; ++row) {
    const std::int64_t n = row % p.N, t = row / p.N % p.T;
    if (t >= p.length(n)) std::fill_n(sequences.begin() + row * width, width, value);
  }
}

TEST_P(RecurrentSteps, PaddingIsNeverRead) {
  const float unset = std::numeric_limits<float>::quiet_NaN();
  for_each_problem([&](const StepsProblem& p) {
    StepsHarness<float> clean(p, inputs<float>(p, 10)), dirty(p, inputs<float>(p, 10));
    fill_padding(p, dirty.in.x, p.I, 1, unset);
    expect_same(clean.forward(), dirty.forward(), "forward");
    const Outputs<float> u = cotangents<float>(p, 130, 2);
    Outputs<float> dirty_u = u;
    fill_padding(p, dirty_u.y, p.P(), 2, unset);
    const StepsInputs<float> d = clean.pull(2, u);
    expect_same(d, dirty.pull(2, dirty_u), "pullback");
    StepsInputs<float> zero_padding = d;
    fill_padding(p, zero_padding.x, p.I, 2, 0.0f);
    expect_same(d, zero_padding, "dx of padding is zero");
    StepsInputs<float> v = inputs<float>(p, 140, 2), dirty_v = v;
    fill_padding(p, dirty_v.x, p.I, 2, unset);
    expect_same(clean.push(2, v), dirty.push(2, dirty_v), "pushforward");
  });
}

// Rows of `width` numbers, `stride` apart, with NaN between them.
std::vector<float> spread(const std::vector<float>& rows, std::int64_t width, std::int64_t stride) {
  const auto count = std::int64_t(rows.size()) / width;
  std::vector<float> wide(count * stride, std::numeric_limits<float>::quiet_NaN());
  for (std::int64_t row = 0; row < count; ++row) {
    std::copy_n(rows.begin() + row * width, width, wide.begin() + row * stride);
  }
  return wide;
}

TEST_P(RecurrentSteps, RowStridesLeaveTheGapsAlone) {
  for_each_problem([](const StepsProblem& p) {
    const std::int64_t P = p.P(), stride = P + 3;
    if (P == 0) return;  // rows without numbers
    StepsHarness<float> dense(p, inputs<float>(p, 11)), strided(p, inputs<float>(p, 11));
    strided.h_stride = strided.y_stride = strided.dy_stride = stride;
    Outputs<float> want = dense.forward();
    want.y = spread(want.y, P, stride);
    expect_same(strided.forward(), want, "forward");
    EXPECT_TRUE(same_bits(strided.h, spread(dense.h, P, stride)));
    const Outputs<float> u = cotangents<float>(p, 150);
    Outputs<float> wide_u = u;
    wide_u.y = spread(u.y, P, stride);
    expect_same(strided.pull(1, wide_u), dense.pull(1, u), "pullback");
    const StepsInputs<float> v = inputs<float>(p, 160);
    want = dense.push(1, v);
    want.y = spread(want.y, P, stride);
    expect_same(strided.push(1, v), want, "pushforward");
  });
}

// ---- Threads and randomness

TEST_P(RecurrentSteps, BitsDoNotDependOnTheThreads) {
  StepsProblem p = GetParam();
  p.T = 12, p.N = 37, p.I = 5, p.H = 26;
  for (std::int64_t n = 0; n < p.N; ++n) p.lengths.push_back(n * 7 % 13);
  for_each_isa([&] {
    Outputs<float> first_forward, first_push;
    StepsInputs<float> first_pull;
    for_each_thread_count([&](int threads) {
      StepsHarness<float> kernel(p, inputs<float>(p, 12, 1, 0.2));
      const Outputs<float> forward = kernel.forward();
      const StepsInputs<float> d = kernel.pull(2, cotangents<float>(p, 170, 2));
      const Outputs<float> push = kernel.push(2, inputs<float>(p, 180, 2));
      if (threads == 1) first_forward = forward, first_pull = d, first_push = push;
      expect_same(first_forward, forward, "forward");
      expect_same(first_pull, d, "pullback");
      expect_same(first_push, push, "pushforward");
    });
  });
}

TEST_P(RecurrentSteps, MasksFollowSeedStreamAndCounter) {
  if (!GetParam().options.training) return;
  StepsProblem p = GetParam();
  p.T = 3, p.N = 4, p.I = 2, p.H = 12;
  const auto run = [&] { return StepsHarness<double>(p, inputs<double>(p, 13)).forward().y; };
  const std::vector<double> first = run();
  EXPECT_TRUE(same_bits(first, run()));
  for (std::uint64_t* each : {&p.options.seed, &p.options.stream, &p.options.counter}) {
    ++*each;
    EXPECT_FALSE(same_bits(first, run()));
    --*each;
  }
}

// Huge data saturate or are clipped; nothing becomes NaN.
TEST_P(RecurrentSteps, ExtremesStayFinite) {
  for_each_problem([](const StepsProblem& p) {
    StepsInputs<float> in = inputs<float>(p, 14);
    for (float& v : in.x) v *= 600;
    StepsHarness<float> kernel(p, in);
    Outputs<float> out = kernel.forward(), push = kernel.push(1, inputs<float>(p, 190));
    StepsInputs<float> d = kernel.pull(1, cotangents<float>(p, 200));
    for (auto* tensor : {&out.y, &out.h_n, &out.c_n, &push.y, &push.h_n, &push.c_n}) {
      for (float v : *tensor) ASSERT_TRUE(std::isfinite(v));
    }
    for (auto* tensor : d.all()) {
      for (float v : *tensor) ASSERT_TRUE(std::isfinite(v));
    }
  });
}

INSTANTIATE_TEST_SUITE_P(, RecurrentSteps, ::testing::ValuesIn(option_sets()),
                         [](const auto& p) { return p.param.name; });

}  // namespace
}  // namespace unroll::testing
