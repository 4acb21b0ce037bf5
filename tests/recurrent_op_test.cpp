// The fused recurrent ops against their twins, and what op_cases does not cover:
// padding, tied operands, derivatives of higher order, extremes, errors.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <ostream>

#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/ops.h"
#include "autograd/parameters.h"
#include "autograd/rnn.h"
#include "autograd/tape.h"
#include "autograd/transforms.h"
#include "core/parallel.h"
#include "core/view.h"
#include "tests/sweeps.h"
#include "tests/teams.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// Operands x, h_0, c_0, w_ih, w_hh, b_ih, b_hh -> y, h_n and, for the LSTM, c_n.
using Function = std::function<Tensors(const Tensors&, const Lengths&)>;

struct Family {
  std::string name;
  std::int64_t gates;
  bool has_cell, reverse;
  Function fused, twin;
};

void PrintTo(const Family& family, std::ostream* out) { *out << family.name; }

template <class Run>
Function rnn_with(Run run, RnnActivation activation, bool reverse) {
  return [=](const Tensors& x, const Lengths& lengths) {
    const RnnOut out = run(x[0], x[1], x[3], x[4], x[5], x[6], lengths, activation, reverse);
    return Tensors{out.y, out.h_n};
  };
}

template <class Run>
Function lstm_with(Run run, bool reverse) {
  return [=](const Tensors& x, const Lengths& lengths) {
    const LstmOut out = run(x[0], x[1], x[2], x[3], x[4], x[5], x[6], lengths, reverse);
    return Tensors{out.y, out.h_n, out.c_n};
  };
}

template <class Run>
Function gru_with(Run run, bool reverse) {
  return [=](const Tensors& x, const Lengths& lengths) {
    const GruOut out = run(x[0], x[1], x[3], x[4], x[5], x[6], lengths, reverse);
    return Tensors{out.y, out.h_n};
  };
}

std::vector<Family> families() {
  std::vector<Family> all;
  for (const bool reverse : {false, true}) {
    const auto add = [&](const char* name, std::int64_t gates, bool has_cell, Function fused,
                         Function twin) {
      all.push_back({name + std::string(reverse ? "_reverse" : ""), gates, has_cell, reverse,
                     std::move(fused), std::move(twin)});
    };
    for (const auto& [name, f] :
         {std::pair{"rnn_tanh", RnnActivation::tanh}, std::pair{"rnn_relu", RnnActivation::relu},
          std::pair{"rnn_identity", RnnActivation::identity}})
      add(name, 1, false, rnn_with(rnn, f, reverse), rnn_with(rnn_twin, f, reverse));
    add("lstm", 4, true, lstm_with(lstm, reverse), lstm_with(lstm_twin, reverse));
    add("gru", 3, false, gru_with(gru, reverse), gru_with(gru_twin, reverse));
  }
  return all;
}

struct Sizes {
  std::int64_t T, N, I, H;
};

class Recurrent : public ::testing::TestWithParam<Family> {
 protected:
  Tensors operands(const Sizes& s, bool state = true, bool bias = true) const {
    const std::int64_t rows = GetParam().gates * s.H;
    const double sd = 0.6 / std::sqrt(double(s.H));
    Tensors x(7);
    x[0] = random_normal({s.T, s.N, s.I}, 1);
    if (state) x[1] = random_normal({s.N, s.H}, 2);
    if (state && GetParam().has_cell) x[2] = random_normal({s.N, s.H}, 3);
    x[3] = random_normal({rows, s.I}, 4, sd);
    x[4] = random_normal({rows, s.H}, 5, sd);
    if (bias) x[5] = random_normal({rows}, 6, 0.3), x[6] = random_normal({rows}, 7, 0.3);
    return x;
  }

  static Tensors defined(const Tensors& x) {
    Tensors out;
    for (const Tensor& t : x)
      if (t) out.push_back(t);
    return out;
  }

  static void poison_padding(Tensor x, const Lengths& lengths) {
    for (std::int64_t n = 0; n < x.shape()[-2]; n++) {
      Tensor rest =
          view::slice(view::select(x, -2, n), -2, lengths.values()[std::size_t(n)], x.shape()[-3]);
      fill(rest, nan);
    }
  }

  // With NaN at the padding of directions of [T,N,*] where asked.
  static Sweeps sweeps_of(const Function& f, const Tensors& x, const Lengths& lengths,
                          std::int64_t K = 0, bool poison = false) {
    return sweep([&] { return f(x, lengths); }, defined(x), K,
                 [&](Tensors& u, Tensors& v) {
                   if (!poison) return;
                   poison_padding(u[0], lengths);
                   poison_padding(v[0], lengths);
                 });
  }

  void expect_twin(const Tensors& x, const Lengths& lengths, std::int64_t K = 0,
                   bool poison = false) const {
    expect_equal(sweeps_of(GetParam().fused, x, lengths, K, poison),
                 sweeps_of(GetParam().twin, x, lengths, K, poison));
  }

  // A scalar of all outputs, nonlinear in each.
  static Tensor loss(const Tensors& out) {
    Tensor total = number(0);
    std::uint64_t seed = 50;
    for (const Tensor& t : out) total = total + sum(square(t) * random_normal(t.shape(), seed++));
    return total;
  }
};

TEST_P(Recurrent, FusedEqualsTwin) {
  for (const Sizes& s : {Sizes{1, 1, 1, 1}, Sizes{5, 3, 2, 4}, Sizes{7, 2, 3, 17},
                         Sizes{3, 9, 5, 8}, Sizes{30, 4, 6, 33}})
    for (const bool state : {true, false})
      for (const bool bias : {true, false}) {
        SCOPED_TRACE(::testing::Message() << s.T << " " << s.N << " " << s.I << " " << s.H
                                          << (state ? " state" : "") << (bias ? " bias" : ""));
        expect_twin(operands(s, state, bias), {});
      }
}

TEST_P(Recurrent, FusedEqualsTwinWithLengthsAndNanPadding) {
  const std::vector<std::vector<std::int64_t>> all = {
      {6, 6, 6, 6}, {0, 6, 3, 1}, {2, 2, 0, 0}, {0, 0, 0, 0}, {1, 2, 3, 4}};
  for (const auto& values : all)
    for (const bool state : {true, false}) {
      const Lengths lengths(values);
      Tensors x = operands({6, 4, 3, 5}, state);
      poison_padding(x[0], lengths);
      expect_twin(x, lengths, 0, true);
      expect_twin(x, lengths, 3, true);
    }
}

TEST_P(Recurrent, FusedEqualsTwinInSeveralDirections) {
  expect_twin(operands({5, 3, 2, 9}), {}, 4);
  expect_twin(operands({5, 3, 2, 9}, false, false), {}, 1);
}

TEST_P(Recurrent, LengthZeroReturnsTheInitialStateAndPaddingIsZero) {
  const Tensors x = operands({4, 3, 2, 5});
  const Tensors out = GetParam().fused(x, Lengths{0, 2, 4});
  EXPECT_TRUE(same_bits(view::select(out[1], 0, 0), view::select(x[1], 0, 0)));
  if (GetParam().has_cell) {
    EXPECT_TRUE(same_bits(view::select(out[2], 0, 0), view::select(x[2], 0, 0)));
  }
  EXPECT_EQ(norm(contiguous_copy(view::select(out[0], 1, 0))), 0);
  EXPECT_EQ(norm(contiguous_copy(view::slice(view::select(out[0], 1, 1), 0, 2, 4))), 0);
  const int last = GetParam().reverse ? 0 : 1;  // of the two steps in time
  EXPECT_TRUE(
      same_bits(view::select(out[1], 0, 1), view::select(view::select(out[0], 1, 1), 0, last)));
}

TEST_P(Recurrent, PushAndPullAgree) {
  const Tensors x = operands({20, 5, 4, 12}), wanted = defined(x);
  Tape tape;
  const Tensors out = GetParam().fused(x, Lengths{20, 3, 0, 11, 19});
  const Tensors u = random_directions(out, 20), v = random_directions(wanted, 30);
  const Tensors g = tape.pull(out, u, wanted), jv = tape.push(wanted, v, out);
  double forward = 0, backward = 0, nu = 0, nv = 0;
  for (std::size_t i = 0; i < out.size(); i++)
    forward += dot(u[i], jv[i]), nu += dot(u[i], u[i]), nv += dot(jv[i], jv[i]);
  for (std::size_t i = 0; i < g.size(); i++) backward += dot(g[i], v[i]);
  EXPECT_LE(std::abs(forward - backward), 1e-12 * std::sqrt(nu * nv));
}

TEST_P(Recurrent, EachOutputAndEachInputOnItsOwn) {
  const Tensors x = operands({4, 3, 2, 5}), wanted = defined(x);
  Tape tape;
  const Tensors out = GetParam().fused(x, Lengths{4, 1, 3});
  const Tensors u = random_directions(out, 20), v = random_directions(wanted, 30);
  const Tensors all = tape.pull(out, u, wanted);
  Tensors total(wanted.size());
  for (std::size_t k = 0; k < out.size(); k++)
    for (std::size_t i = 0; i < wanted.size(); i++) {
      const Tensor d = tape.pull(out[k], u[k], {wanted[i]})[0];
      total[i] = total[i] ? total[i] + d : d;
    }
  EXPECT_LE(difference(total, all), 1e-12);
  for (std::size_t k = 0; k < out.size(); k++) {
    Tensor together;
    for (std::size_t i = 0; i < wanted.size(); i++) {
      const Tensor d = tape.push({wanted[i]}, {v[i]}, out[k]);
      together = together ? together + d : d;
    }
    EXPECT_LE(difference(together, tape.push(wanted, v, out[k])), 1e-12);
  }
}

// Kernels may add into the flat gradients in place; tied operands share one buffer.
TEST_P(Recurrent, BackwardWithTiedOperandsAdds) {
  const std::int64_t H = 5, rows = GetParam().gates * H;
  Parameters parameters(Dtype::float64);
  const Tensor w = parameters.add("w", {rows, H}), b = parameters.add("b", {rows});
  const Tensor h = parameters.add("h", {3, H});
  copy_into(parameters.mutable_flat(), random_normal({parameters.size()}, 8, 0.3));
  const Tensors x{random_normal({4, 3, H}, 1), h, GetParam().has_cell ? h : Tensor(), w, w, b, b};
  const auto twice = [&](const Function& f) {  // the same weights in two calls
    Tensors next = x;
    next[0] = f(x, Lengths{4, 2, 3})[0];
    return loss(f(next, {}));
  };
  Tensor expected;
  {
    Tape tape;
    expected = tape.pull(twice(GetParam().twin), number(1), parameters);
  }
  for (const double times : {1.0, 2.0}) {
    Tape tape;
    tape.backward(twice(GetParam().fused), parameters);
    EXPECT_LE(difference(parameters.gradients(), expected * times), 1e-12);
  }
}

// One gradient for two operands: two threads must not both add into it.
TEST_P(Recurrent, BackwardWithTiedWeightsAndThreads) {
  const std::int64_t H = 64, rows = GetParam().gates * H;
  Parameters parameters(Dtype::float64);
  const Tensor w = parameters.add("w", {rows, H});
  copy_into(parameters.mutable_flat(), random_normal({parameters.size()}, 8, 0.1));
  const Tensors x{random_normal({12, 64, H}, 1), {}, {}, w, w, {}, {}};
  const int before = num_threads();
  std::vector<Tensor> results;
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    Tape tape;
    tape.backward(loss(GetParam().fused(x, {})), parameters);
    results.push_back(contiguous_copy(parameters.gradients()));
    parameters.zero_gradients();
  }
  set_num_threads(before);
  EXPECT_TRUE(same_bits(results[1], results[0]));
  EXPECT_TRUE(same_bits(results[2], results[0]));
}

// The same through recorded sweeps, which run the twin: each role of a tensor counts once.
TEST_P(Recurrent, TiedOperandsInRecordedSweeps) {
  const std::int64_t H = 3, rows = GetParam().gates * H;
  const Tensor w = random_normal({rows, H}, 1, 0.4), b = random_normal({rows}, 2, 0.3);
  const Tensor h = random_normal({2, H}, 3), in = random_normal({3, 2, H}, 4);
  const auto all = [&](const Function& f, bool recorded) {
    std::optional<Tape> outer;
    if (recorded) outer.emplace();
    Tape tape;
    const Tensors out = f({in, h, GetParam().has_cell ? h : Tensor(), w, w, b, b}, {});
    Tensors d = tape.pull(out, random_directions(out, 20), {w, b, h});
    d.push_back(tape.push({w, b, h}, random_directions({w, b, h}, 30), out[0]));
    return d;
  };
  const Tensors expected = all(GetParam().twin, false);
  EXPECT_LE(difference(all(GetParam().fused, false), expected), 1e-12);
  EXPECT_LE(difference(all(GetParam().fused, true), expected), 1e-12);
}

// Threads share rows, or hidden units where rows are few: with wide panels and the inputs' product
// ahead (N <= 3), over more than one block of steps, with a tail of H, with more threads than
// panels.
TEST_P(Recurrent, NoSharingAmongThreadsChangesABit) {
  const int before = num_threads();
  for (const Sizes& s : {Sizes{12, 61, 24, 56}, Sizes{120, 1, 30, 150}, Sizes{90, 2, 1, 130},
                         Sizes{60, 3, 17, 100}, Sizes{40, 5, 29, 100}, Sizes{40, 13, 5, 76}}) {
    SCOPED_TRACE(s.N);
    const Tensors x = operands(s);
    std::vector<std::int64_t> values;
    for (std::int64_t n = 0; n < s.N; n++) values.push_back(s.T - n * 7 % s.T);
    set_num_threads(1);
    const Sweeps one = sweeps_of(GetParam().fused, x, Lengths(values));
    expect_equal(one, sweeps_of(GetParam().twin, x, Lengths(values)));
    for (const int threads : {2, 3, 4, 7}) {
      set_num_threads(threads);
      const std::int64_t teams = teams_started();
      const Sweeps more = sweeps_of(GetParam().fused, x, Lengths(values));
      expect_same_bits(more, one);
      EXPECT_TRUE(teams < 0 || teams_started() >= teams + 3) << "three kernels";
    }
  }
  set_num_threads(before);
}

// Third derivative along v, against differences of the Hessian-vector product, and that against
// differences of the gradient. relu is piecewise smooth: its kinks stay away by the seed.
TEST_P(Recurrent, HessianVectorProductAndThirdDerivative) {
  const Tensors start = operands({4, 2, 2, 3}), wanted = defined(start);
  const Tensors v = random_directions(wanted, 30);
  const Lengths lengths{4, 3};
  const auto moved = [&](double h) {
    Tensors x = start;
    std::size_t k = 0;
    for (Tensor& t : x)
      if (t) t = t + v[k++] * h;
    return x;
  };
  const auto gradient_at = [&](const Tensors& x) {
    Tape tape;
    return tape.pull(loss(GetParam().fused(x, lengths)), number(1), defined(x));
  };
  const auto second_at = [&](const Tensors& x) {
    Tape tape;
    const Tensors g = gradient_at(x);
    return tape.push(defined(x), v, g);
  };
  const Tensors second = second_at(start);
  Tensors reverse, third;
  {
    Tape tape;
    const Tensors g = gradient_at(start);
    Tensor product = number(0);
    for (std::size_t i = 0; i < g.size(); i++) product = product + sum(g[i] * v[i]);
    reverse = tape.pull(product, number(1), wanted);
  }
  {
    Tape tape;
    const Tensors s = second_at(start);
    third = tape.push(wanted, v, s);
  }
  EXPECT_LE(difference(reverse, second), 1e-12);
  for (std::size_t i = 0; i < wanted.size(); i++) {
    const Tensor by_gradient =
        difference_quotient([&](double h) { return gradient_at(moved(h))[i]; }, 4e-4);
    const Tensor by_second =
        difference_quotient([&](double h) { return second_at(moved(h))[i]; }, 4e-4);
    EXPECT_LE(difference(second[i], by_gradient), 1e-8) << "input " << i;
    EXPECT_LE(difference(third[i], by_second), 1e-8) << "input " << i;
  }
}

TEST_P(Recurrent, RecomputedSegmentsGiveTheSame) {
  const Tensors x = operands({4, 3, 5, 5});
  const auto f = GetParam().fused;
  const auto segment = [f, x](const Tensor& in) {
    return [f, x, in] {
      Tensors next = x;
      next[0] = in;
      return f(next, Lengths{4, 2, 3})[0];
    };
  };
  Tensors pulled[2];
  for (const bool again : {false, true}) {
    Tape tape;
    const Tensor mid = again ? recompute(segment(x[0])) : segment(x[0])();
    const Tensor y = again ? recompute(segment(mid)) : segment(mid)();
    pulled[again] = tape.pull(y, random_normal(y.shape(), 9), {x[0], x[3], x[4]});
  }
  EXPECT_LE(difference(pulled[1], pulled[0]), 1e-13);
}

// Forwards, y is what the sweeps read; backwards they have the states in their own order.
TEST_P(Recurrent, AChangeOfAnOutputOrAWeightIsCaught) {
  Tensors x = operands({3, 2, 2, 3});
  const Tensor u = random_normal({3, 2, 3}, 9);
  Tape tape;
  Tensors out = GetParam().fused(x, {}), again = GetParam().fused(x, {});
  fill(out[0], 0);
  const Tensor expected = tape.pull(again[0], u, {x[0]})[0];
  if (GetParam().reverse)
    EXPECT_TRUE(same_bits(tape.pull(out[0], u, {x[0]})[0], expected));
  else
    EXPECT_ERROR(tape.pull(out[0], u, {x[0]}), "was changed in place");
  fill(x[4], 0);
  EXPECT_ERROR(tape.pull(again[0], u, {x[0]}), "was changed in place");
}

// The initial states are read only by the twin, when a sweep is itself recorded.
TEST_P(Recurrent, AChangeOfAnInitialStateIsCaught) {
  Tensors x = operands({3, 2, 2, 3});
  const Tensor u = random_normal({3, 2, 3}, 9);
  for (const int state : {1, 2}) {
    if (!x[state]) continue;
    Tape outer, tape;
    const Tensors out = GetParam().fused(x, {});
    fill(x[state], 0);
    EXPECT_ERROR(tape.pull(out[0], u, {x[0]}), "was changed in place");
  }
}

// Huge inputs saturate but stay finite; a NaN stays in its own sequence.
TEST_P(Recurrent, Extremes) {
  if (GetParam().name.starts_with("rnn_identity")) return;  // grows as it should
  for (const Dtype dtype : {Dtype::float32, Dtype::float64}) {
    Tensors x = operands({5, 4, 3, 9});
    for (Tensor& t : x)
      if (t) t = cast_copy(t, dtype);
    x[0] = x[0] * 300.0;
    const Tensors wanted = defined(x);
    Tape tape;
    const Tensors out = GetParam().fused(x, {});
    for (const Tensor& t : out) EXPECT_TRUE(std::isfinite(norm(cast_copy(t, Dtype::float64))));
    for (const Tensor& g : tape.pull(out[0], ones(out[0].shape(), dtype), wanted))
      EXPECT_TRUE(std::isfinite(norm(cast_copy(g, Dtype::float64))));
    Tensor one = view::select(view::select(x[0], 0, 1), 0, 2);
    fill(one, nan);
    const Tensor y = GetParam().fused(x, {})[0];
    for (std::int64_t n = 0; n < 4; n++)
      EXPECT_EQ(std::isnan(norm(cast_copy(view::select(y, 1, n), Dtype::float64))), n == 2) << n;
  }
}

TEST_P(Recurrent, Errors) {
  const Family& family = GetParam();
  const std::string op = family.name.substr(0, family.name.find('_'));
  const Tensors good = operands({3, 2, 4, 5});
  const auto broken = [&](int i, const Tensor& t) {
    Tensors x = good;
    x[static_cast<std::size_t>(i)] = t;
    return message_of([&] { family.fused(x, {}); });
  };
  Tape tape;
  const auto expect = [&](const std::string& message, const std::string& part) {
    EXPECT_EQ(message.substr(0, op.size() + 2), op + ": ") << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(broken(0, random_normal({3, 2})), "[3,2]");
  expect(broken(0, random_normal({3, 2, 7})), "weight_ih is");
  expect(broken(0, zeros({3, 2, 4})), "float32");
  expect(broken(0, random_normal({0, 2, 4})), "[0,2,4]");
  expect(broken(0, Tensor()), "undefined");
  expect(broken(1, random_normal({3, 5})), "[3,5]");
  expect(broken(3, random_normal({7, 4})), "[7,4]");
  expect(broken(4, random_normal({5, 7})), "[5,7]");
  expect(broken(5, random_normal({3})), "[3]");
  if (family.has_cell) expect(broken(2, random_normal({2, 6})), "[2,6]");
  expect(message_of([&] { family.fused(good, Lengths{1, 2, 3}); }), "2");
  expect(message_of([&] { family.fused(good, Lengths{1, 4}); }), "4");
  EXPECT_EQ(tape.size(), 0u);
}

INSTANTIATE_TEST_SUITE_P(, Recurrent, ::testing::ValuesIn(families()),
                         [](const auto& family) { return family.param.name; });

}  // namespace
}  // namespace unroll::testing
