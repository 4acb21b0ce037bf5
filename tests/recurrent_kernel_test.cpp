// The RNN, LSTM and GRU kernels against plain loops in float64 (tests/recurrent_reference.h).
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/kernel_testing.h"
#include "tests/recurrent_harness.h"
#include "tests/recurrent_reference.h"

namespace unroll::testing {
namespace {

constexpr Cell all_cells[] = {Cell::lstm, Cell::gru, Cell::tanh, Cell::relu, Cell::identity};

std::string name_of(const Problem& p) {
  static const char* const names[] = {"lstm", "gru", "rnn tanh", "rnn relu", "rnn identity"};
  std::string text = std::string(names[int(p.cell)]) + " T" + std::to_string(p.T) + " N" +
                     std::to_string(p.N) + " I" + std::to_string(p.I) + " H" + std::to_string(p.H);
  for (std::int64_t length : p.lengths) text += " " + std::to_string(length);
  return p.reverse ? text + " reversed" : text;
}

// T, N, I and H of 1; H around and off the lanes of every instruction set; more rows than a tile
// and than a block of rows; a chunk that ends within the sequence; lengths with zeros and ties; no
// units, no inputs; sequences that run backwards.
std::vector<Problem> problems(Cell cell) {
  return {{cell, 1, 1, 1, 1},
          {cell, 3, 1, 2, 4},
          {cell, 4, 2, 1, 8},
          {cell, 5, 3, 3, 5},
          {cell, 2, 7, 4, 17},
          {cell, 3, 4, 9, 33},
          {cell, 2, 53, 2, 3},
          {cell, 40, 30, 1, 2},
          {cell, 5, 4, 2, 6, {5, 0, 3, 1}},
          {cell, 4, 6, 1, 9, {2, 4, 2, 0, 3, 4}},
          {cell, 6, 3, 2, 3, {2, 1, 2}},
          {cell, 3, 2, 2, 3, {0, 0}},
          {cell, 3, 2, 5, 0},
          {cell, 4, 3, 2, 0, {4, 0, 1}, true},
          {cell, 3, 2, 0, 5},
          {cell, 1, 1, 1, 1, {}, true},
          {cell, 5, 3, 3, 5, {}, true},
          {cell, 40, 30, 1, 2, {}, true},
          {cell, 4, 6, 4, 9, {2, 4, 2, 0, 3, 4}, true},
          {cell, 6, 3, 2, 17, {2, 1, 2}, true},
          {cell, 3, 2, 2, 3, {0, 0}, true}};
}

template <class Real>
std::vector<Real> numbers(std::int64_t n, unsigned seed, double scale = 0.5) {
  std::vector<Real> x = normals<Real>(n, seed);
  for (Real& v : x) v = Real(v * scale);
  return x;
}

template <class Real>
Inputs<Real> inputs(const Problem& p, unsigned seed, std::int64_t K = 1, double scale = 0.5) {
  const std::int64_t rows = p.gates() * p.H;
  return {numbers<Real>(K * p.T * p.N * p.I, seed, scale),
          numbers<Real>(K * rows * p.I, seed + 1, scale),
          numbers<Real>(K * rows * p.H, seed + 2, scale),
          numbers<Real>(K * rows, seed + 3, scale),
          numbers<Real>(K * rows, seed + 4, scale),
          numbers<Real>(K * p.N * p.H, seed + 5, scale),
          numbers<Real>(K * p.N * p.H, seed + 6, scale)};
}

template <class Real>
Outputs<Real> cotangents(const Problem& p, unsigned seed, std::int64_t K = 1) {
  Outputs<Real> d{numbers<Real>(K * p.T * p.N * p.H, seed), numbers<Real>(K * p.N * p.H, seed + 1),
                  numbers<Real>(K * p.N * p.H, seed + 2)};
  if (p.cell != Cell::lstm) d.c_n.clear();
  return d;
}

template <class Real>
std::vector<double> widened(const std::vector<Real>& x) {
  return {x.begin(), x.end()};
}
template <class Real>
Inputs<double> widened(Inputs<Real> x) {
  Inputs<double> result;
  for (int i = 0; i < 7; ++i) *result.all()[i] = widened(*x.all()[i]);
  return result;
}

// Direction k of tensors that hold K of them. A tensor that is absent counts as zeros of the size
// of its counterpart.
template <class Tensors, class Like>
auto direction(Tensors all, Like like, std::int64_t k, std::int64_t K) {
  Like result = like;
  for (std::size_t i = 0; i < result.all().size(); ++i) {
    const auto& from = *all.all()[i];
    auto& to = *result.all()[i];
    const std::size_t size = from.size() / std::size_t(K);
    for (std::size_t e = 0; e < to.size(); ++e) to[e] = from.empty() ? 0 : from[k * size + e];
  }
  return result;
}

// max |got - want| <= tolerance * max(|want|, floor); both NaN is equal.
template <class Real>
void expect_close(const std::vector<Real>& got, const std::vector<double>& want,
                  const std::string& what,
                  double tolerance = std::is_same_v<Real, float> ? 1e-5 : 1e-13) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double scale = 1e-2, worst = 0;
  for (double v : want) scale = std::max(scale, std::abs(v));
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(double(got[i]) - want[i]);
    worst = difference <= worst ? worst : difference;  // a NaN becomes the worst
  }
  EXPECT_LE(worst, tolerance * scale) << what;
}

template <class Tensors>
void expect_same_bits(Tensors a, Tensors b, const std::string& what) {
  for (std::size_t i = 0; i < a.all().size(); ++i) {
    const auto &x = *a.all()[i], &y = *b.all()[i];
    ASSERT_EQ(x.size(), y.size()) << what;
    EXPECT_TRUE(x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(x[0])) == 0)
        << what << ", tensor " << i;
  }
}

template <class Real>
Outputs<Real> forward_outputs(const Harness<Real>& kernel) {
  return {kernel.y(), kernel.h_n, kernel.p.cell == Cell::lstm ? kernel.c_n : std::vector<Real>{}};
}

// ---- Values and derivatives

template <class Real>
void check_forward(const Problem& p) {
  Harness<Real> kernel(p, inputs<Real>(p, 1));
  kernel.forward();
  const Outputs<double> want = reference(p, widened(kernel.in));
  expect_close(kernel.y(), want.y, "y");
  expect_close(kernel.h_n, want.h_n, "h_n");
  if (p.cell == Cell::lstm) expect_close(kernel.c_n, want.c_n, "c_n");

  Harness<Real> inference(p, kernel.in);
  inference.forward(false);
  expect_same_bits(forward_outputs(kernel), forward_outputs(inference), "inference");
}

template <class Real>
void check_pull(const Problem& p, std::int64_t K) {
  static const char* const names[] = {"dx", "dw_ih", "dw_hh", "db_ih", "db_hh", "dh0", "dc0"};
  Harness<Real> kernel(p, inputs<Real>(p, 2));
  kernel.forward();
  const Outputs<Real> u = cotangents<Real>(p, 30, K);
  const Inputs<Real> d = kernel.pull(K, u);
  const Inputs<double> at = widened(kernel.in);
  const Outputs<double> shape = reference(p, at);
  for (std::int64_t k = 0; k < K; ++k) {
    Inputs<double> want = reference_pull(p, at, direction(u, shape, k, K));
    Inputs<double> got = direction(d, at, k, K);
    for (int i = 0; i < (p.cell == Cell::lstm ? 7 : 6); ++i) {
      expect_close(std::vector<Real>(got.all()[i]->begin(), got.all()[i]->end()), *want.all()[i],
                   std::string(names[i]) + " of direction " + std::to_string(k));
    }
  }
}

template <class Real>
void check_push(const Problem& p, std::int64_t K, bool weights) {
  Harness<Real> kernel(p, inputs<Real>(p, 3));
  kernel.forward();
  Inputs<Real> v = inputs<Real>(p, 40, K);
  if (!weights) v.w_ih = v.w_hh = v.b_ih = v.b_hh = {};
  const Outputs<Real> d = kernel.push(K, v);
  const Inputs<double> at = widened(kernel.in);
  for (std::int64_t k = 0; k < K; ++k) {
    Outputs<double> want = reference_push(p, at, direction(v, at, k, K));
    Outputs<double> got = direction(d, want, k, K);
    for (int i = 0; i < (p.cell == Cell::lstm ? 3 : 2); ++i) {
      expect_close(std::vector<Real>(got.all()[i]->begin(), got.all()[i]->end()), *want.all()[i],
                   "output " + std::to_string(i) + " of direction " + std::to_string(k));
    }
  }
}

class RecurrentKernel : public ::testing::TestWithParam<Cell> {
 protected:
  template <class Body>
  void for_each_problem(Body body) {
    for_each_isa([&] {
      for (const Problem& p : problems(GetParam())) {
        SCOPED_TRACE(name_of(p));
        body(p);
      }
    });
  }
};

TEST_P(RecurrentKernel, ForwardIsTheReference) {
  for_each_problem([](const Problem& p) {
    check_forward<float>(p);
    check_forward<double>(p);
  });
}

TEST_P(RecurrentKernel, PullbackIsTheReference) {
  for_each_problem([](const Problem& p) {
    check_pull<float>(p, 1);
    check_pull<double>(p, 1);
    check_pull<double>(p, 3);
  });
}

TEST_P(RecurrentKernel, PushforwardIsTheReference) {
  for_each_problem([](const Problem& p) {
    for (bool weights : {false, true}) {
      check_push<float>(p, 1, weights);
      check_push<double>(p, 1, weights);
      check_push<double>(p, 3, weights);
    }
  });
}

// u.(J v) = (J^T u).v
TEST_P(RecurrentKernel, PullbackIsTheTransposeOfPushforward) {
  for_each_problem([](const Problem& p) {
    Harness<double> kernel(p, inputs<double>(p, 4));
    kernel.forward();
    Inputs<double> v = inputs<double>(p, 50);
    Outputs<double> u = cotangents<double>(p, 60);
    Outputs<double> Jv = kernel.push(1, v);
    Inputs<double> Jtu = kernel.pull(1, u);
    double left = 0, right = 0, norm_u = 0, norm_Jv = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t e = 0; e < u.all()[i]->size(); ++e) {
        const double a = (*u.all()[i])[e], b = (*Jv.all()[i])[e];
        left += a * b, norm_u += a * a, norm_Jv += b * b;
      }
    }
    for (std::size_t i = 0; i < 7; ++i) {
      for (std::size_t e = 0; e < Jtu.all()[i]->size(); ++e) {
        right += (*Jtu.all()[i])[e] * (*v.all()[i])[e];
      }
    }
    EXPECT_LE(std::abs(left - right), 1e-12 * std::sqrt(norm_u * norm_Jv) + 1e-300);
  });
}

// ---- The contract

TEST_P(RecurrentKernel, BetaOneAdds) {
  for_each_problem([](const Problem& p) {
    Harness<double> kernel(p, inputs<double>(p, 5));
    kernel.forward();
    const Outputs<double> u = cotangents<double>(p, 70, 2);
    Inputs<double> fresh = kernel.pull(2, u), added = kernel.empty_inputs(2);
    for (auto* tensor : added.all()) std::fill(tensor->begin(), tensor->end(), 0.25);
    kernel.pull(2, u, added, 1);
    for (int i = 0; i < 7; ++i) {
      std::vector<double> want = *fresh.all()[i];
      for (double& value : want) value += 0.25;
      expect_close(*added.all()[i], want, "tensor " + std::to_string(i));
    }
  });
}

TEST_P(RecurrentKernel, EachResultAloneIsTheSame) {
  for_each_problem([](const Problem& p) {
    Harness<float> kernel(p, inputs<float>(p, 6));
    kernel.forward();
    const Outputs<float> u = cotangents<float>(p, 80);
    Inputs<float> all = kernel.pull(1, u);
    for (int i = 0; i < 7; ++i) {
      Inputs<float> want, alone, empty = kernel.empty_inputs(1);
      *want.all()[i] = *all.all()[i];
      *alone.all()[i] = *empty.all()[i];
      kernel.pull(1, u, alone);
      expect_same_bits(want, alone, "result " + std::to_string(i));
    }
  });
}

TEST_P(RecurrentKernel, AbsentCotangentsAndTangentsAreZero) {
  for_each_problem([](const Problem& p) {
    Harness<double> kernel(p, inputs<double>(p, 7));
    kernel.forward();
    for (int absent = 0; absent < 3; ++absent) {
      Outputs<double> zero = cotangents<double>(p, 90), null = zero;
      std::fill(zero.all()[absent]->begin(), zero.all()[absent]->end(), 0.0);
      null.all()[absent]->clear();
      expect_same_bits(kernel.pull(1, zero), kernel.pull(1, null), "cotangent");
    }
    for (int absent = 0; absent < 7; ++absent) {
      Inputs<double> zero = inputs<double>(p, 90), null = zero;
      std::fill(zero.all()[absent]->begin(), zero.all()[absent]->end(), 0.0);
      null.all()[absent]->clear();
      expect_same_bits(kernel.push(1, zero), kernel.push(1, null), "tangent");
    }
  });
}

TEST_P(RecurrentKernel, AbsentBiasesAreZero) {
  for_each_problem([](const Problem& p) {
    Harness<float> zero(p, inputs<float>(p, 8)), null(p, inputs<float>(p, 8));
    std::fill(zero.in.b_ih.begin(), zero.in.b_ih.end(), 0.0f);
    std::fill(zero.in.b_hh.begin(), zero.in.b_hh.end(), 0.0f);
    null.in.b_ih.clear();
    null.in.b_hh.clear();
    zero.forward();
    null.forward();
    expect_same_bits(forward_outputs(zero), forward_outputs(null), "bias");
  });
}

template <class Real>
void fill_padding(const Problem& p, std::vector<Real>& sequences, std::int64_t width,
                  std::int64_t K, Real value) {
  for (std::int64_t row = 0; row < K * p.T * p.N; ++row) {
    const std::int64_t n = row % p.N, t = row / p.N % p.T;
    if (t < p.length(n)) continue;
    std::fill_n(sequences.begin() + row * width, width, value);
  }
}

TEST_P(RecurrentKernel, PaddingIsNeverRead) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for_each_problem([&](const Problem& p) {
    Harness<float> clean(p, inputs<float>(p, 9)), dirty(p, inputs<float>(p, 9));
    fill_padding(p, dirty.in.x, p.I, 1, nan);
    clean.forward();
    dirty.forward();
    expect_same_bits(forward_outputs(clean), forward_outputs(dirty), "forward");

    const Outputs<float> u = cotangents<float>(p, 100, 2);
    Outputs<float> dirty_u = u;
    fill_padding(p, dirty_u.y, p.H, 2, nan);
    const Inputs<float> d = clean.pull(2, u);
    expect_same_bits(d, dirty.pull(2, dirty_u), "pullback");
    Inputs<float> zero_padding = d;
    fill_padding(p, zero_padding.x, p.I, 2, 0.0f);
    expect_same_bits(d, zero_padding, "dx of padding is zero");

    Inputs<float> v = inputs<float>(p, 110, 2), dirty_v = v;
    fill_padding(p, dirty_v.x, p.I, 2, nan);
    expect_same_bits(clean.push(2, v), dirty.push(2, dirty_v), "pushforward");
  });
}

// The outputs and their cotangents may be a part of wider rows: both directions of a layer are.
void check_row_strides(const Problem& p) {
  Harness<float> dense(p, inputs<float>(p, 10)), strided(p, inputs<float>(p, 10));
  strided.h_stride = 11, strided.y_stride = 13, strided.dy_stride = 9;
  dense.forward();
  strided.forward();
  expect_same_bits(forward_outputs(dense), forward_outputs(strided), "forward");
  const auto expect_gaps = [&](const std::vector<float>& rows, std::size_t stride) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(std::isnan(rows[i]), i % stride >= std::size_t(p.H)) << i;
    }
  };
  expect_gaps(strided.h, 11);
  expect_gaps(strided.y_rows, 13);
  const Outputs<float> u = cotangents<float>(p, 120);
  Outputs<float> wide_u = u;
  wide_u.y.assign(p.T * p.N * 9, std::numeric_limits<float>::quiet_NaN());
  for (std::int64_t row = 0; row < p.T * p.N; ++row) {
    std::copy_n(u.y.begin() + row * p.H, p.H, wide_u.y.begin() + row * 9);
  }
  const Inputs<float> want = dense.pull(1, u), v = inputs<float>(p, 130);
  expect_same_bits(want, strided.pull(1, wide_u), "pullback");
  const Outputs<float> want_push = dense.push(1, v), push = strided.push(1, v);
  expect_gaps(push.y, 9);
  for (std::int64_t row = 0; row < p.T * p.N; ++row) {
    for (int u_ = 0; u_ < p.H; ++u_) EXPECT_EQ(push.y[row * 9 + u_], want_push.y[row * p.H + u_]);
  }
}

TEST_P(RecurrentKernel, RowStridesLeaveTheGapsAlone) {
  for (const bool reverse : {false, true}) {
    for_each_isa([&] { check_row_strides({GetParam(), 4, 5, 2, 7, {4, 1, 3, 0, 2}, reverse}); });
  }
}

TEST_P(RecurrentKernel, NanInTheDataIsSeenInTheOutput) {
  for_each_problem([](const Problem& p) {
    if (p.length(0) == 0 || p.I == 0) return;
    Harness<float> kernel(p, inputs<float>(p, 11));
    kernel.in.x[0] = std::numeric_limits<float>::quiet_NaN();  // sequence 0, step 0 in time
    kernel.forward();
    for (std::int64_t u = 0; u < p.H; ++u) EXPECT_TRUE(std::isnan(kernel.h_n[u]));
    if (p.N > 1) {
      for (std::int64_t u = 0; u < p.H; ++u) EXPECT_FALSE(std::isnan(kernel.h_n[p.H + u]));
    }
    kernel.pull(1, cotangents<float>(p, 140));
  });
}

TEST_P(RecurrentKernel, SaturatedGatesStayFinite) {
  if (GetParam() == Cell::relu || GetParam() == Cell::identity) return;  // these do not saturate
  for_each_problem([](const Problem& p) {
    for (const float extreme : {300.0f, -300.0f}) {
      Harness<float> kernel(p, inputs<float>(p, 12));
      std::fill(kernel.in.x.begin(), kernel.in.x.end(), extreme);
      kernel.forward();
      const Outputs<double> want = reference(p, widened(kernel.in));
      expect_close(kernel.y(), want.y, "y", 2e-5);
      Inputs<float> d = kernel.pull(1, cotangents<float>(p, 150));
      Outputs<float> push = kernel.push(1, inputs<float>(p, 160));
      for (auto* tensor : d.all()) {
        for (float v : *tensor) ASSERT_TRUE(std::isfinite(v));
      }
      for (auto* tensor : push.all()) {
        for (float v : *tensor) ASSERT_TRUE(std::isfinite(v));
      }
    }
  });
}

// Infinite data saturate the gates; lanes without a unit must not turn that into NaN.
TEST_P(RecurrentKernel, InfiniteInputSaturates) {
  if (GetParam() == Cell::relu || GetParam() == Cell::identity) return;
  const Problem p{GetParam(), 2, 3, 1, 5};
  for_each_isa([&] {
    Harness<double> kernel(p, inputs<double>(p, 13));
    std::fill(kernel.in.x.begin(), kernel.in.x.end(), std::numeric_limits<double>::infinity());
    kernel.forward();
    for (double v : kernel.y()) EXPECT_TRUE(std::isfinite(v));
    const Inputs<double> d = kernel.pull(1, cotangents<double>(p, 170));
    for (double v : d.h0) EXPECT_TRUE(std::isfinite(v));
  });
}

// ---- Threads

TEST_P(RecurrentKernel, BitsDoNotDependOnTheThreads) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t n = 0; n < 41; ++n) lengths.push_back(n * 7 % 31);
  for (const Problem& p :
       {Problem{GetParam(), 30, 41, 5, 36}, Problem{GetParam(), 30, 41, 5, 36, lengths},
        Problem{GetParam(), 30, 41, 5, 36, lengths, true}}) {
    SCOPED_TRACE(name_of(p));
    for_each_isa([&] {
      Outputs<float> first_forward, first_push;
      Inputs<float> first_pull;
      for_each_thread_count([&](int threads) {
        Harness<float> kernel(p, inputs<float>(p, 14, 1, 0.2));
        kernel.forward();
        const Inputs<float> d = kernel.pull(2, cotangents<float>(p, 180, 2));
        const Outputs<float> push = kernel.push(2, inputs<float>(p, 190, 2));
        if (threads == 1) {
          first_forward = forward_outputs(kernel), first_pull = d, first_push = push;
        }
        expect_same_bits(first_forward, forward_outputs(kernel), "forward");
        expect_same_bits(first_pull, d, "pullback");
        expect_same_bits(first_push, push, "pushforward");
      });
    });
  }
}

TEST_P(RecurrentKernel, RunsInsideAParallelRegion) {
  const Problem p{GetParam(), 30, 41, 5, 36};
  Harness<float> alone(p, inputs<float>(p, 15, 1, 0.2));
  alone.forward();
  const Inputs<float> want = alone.pull(1, cotangents<float>(p, 200));
  std::vector<Harness<float>> kernels;
  for (int i = 0; i < 2; ++i) kernels.emplace_back(p, inputs<float>(p, 15, 1, 0.2));
  std::vector<Inputs<float>> got(2);
#pragma omp parallel for num_threads(2)
  for (int i = 0; i < 2; ++i) {
    kernels[i].forward();
    got[i] = kernels[i].pull(1, cotangents<float>(p, 200));
  }
  for (int i = 0; i < 2; ++i) expect_same_bits(want, got[i], "pullback");
}

std::string suite_name(const ::testing::TestParamInfo<Cell>& cell) {
  static const char* const names[] = {"Lstm", "Gru", "RnnTanh", "RnnRelu", "RnnIdentity"};
  return names[int(cell.param)];
}

INSTANTIATE_TEST_SUITE_P(Cells, RecurrentKernel, ::testing::ValuesIn(all_cells), suite_name);

}  // namespace
}  // namespace unroll::testing
