// Stacks of recurrent layers against what they are made of: single runs, one op each, put together
// by hand; their shapes, dropout between layers, and errors.
#include "autograd/recurrent_stack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <ostream>
#include <string>

#include "autograd/dropout.h"
#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/ops.h"
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

// One run by the fused op or by its twin, and a stack: each gives y, h_n and, for the LSTM, c_n.
struct Family {
  const char* name;
  std::int64_t gates;
  bool has_cell;
  std::function<Tensors(const Tensor&x, const Tensor&h, const Tensor&c, const RecurrentWeights&,
                        const Lengths&, bool reverse)>
      fused, twin;
  std::function<Tensors(const Tensor& x, const Tensor& h, const Tensor& c, const RecurrentStack&,
                        const Lengths&, Random*)>
      stack;
};

void PrintTo(const Family& family, std::ostream* out) { *out << family.name; }

template <class Run>
auto lstm_run(Run run) {
  return [run](const Tensor& x, const Tensor& h, const Tensor& c, const RecurrentWeights& w,
               const Lengths& lengths, bool reverse) {
    const LstmOut out = run(x, h, c, w.w_ih, w.w_hh, w.b_ih, w.b_hh, lengths, reverse);
    return Tensors{out.y, out.h_n, out.c_n};
  };
}
template <class Run>
auto gru_run(Run run) {
  return [run](const Tensor& x, const Tensor& h, const Tensor&, const RecurrentWeights& w,
               const Lengths& lengths, bool reverse) {
    const GruOut out = run(x, h, w.w_ih, w.w_hh, w.b_ih, w.b_hh, lengths, reverse);
    return Tensors{out.y, out.h_n};
  };
}
template <class Run>
auto rnn_run(Run run) {
  return [run](const Tensor& x, const Tensor& h, const Tensor&, const RecurrentWeights& w,
               const Lengths& lengths, bool reverse) {
    const RnnOut out =
        run(x, h, w.w_ih, w.w_hh, w.b_ih, w.b_hh, lengths, RnnActivation::tanh, reverse);
    return Tensors{out.y, out.h_n};
  };
}

const std::vector<Family>& families() {
  static const std::vector<Family> all = {
      {"lstm", 4, true, lstm_run(lstm), lstm_run(lstm_twin),
       [](const auto& x, const auto& h, const auto& c, const auto& s, const auto& l, Random* r) {
         const LstmOut out = lstm_stack(x, h, c, s, l, r);
         return Tensors{out.y, out.h_n, out.c_n};
       }},
      {"gru", 3, false, gru_run(gru), gru_run(gru_twin),
       [](const auto& x, const auto& h, const auto&, const auto& s, const auto& l, Random* r) {
         const GruOut out = gru_stack(x, h, s, l, r);
         return Tensors{out.y, out.h_n};
       }},
      {"rnn", 1, false, rnn_run(rnn), rnn_run(rnn_twin),
       [](const auto& x, const auto& h, const auto&, const auto& s, const auto& l, Random* r) {
         const RnnOut out = rnn_stack(x, h, s, l, r);
         return Tensors{out.y, out.h_n};
       }},
  };
  return all;
}

struct Sizes {
  std::int64_t T, N, I, H, layers;
  bool both = true, bias = true;
  std::int64_t directions() const { return both ? 2 : 1; }
};

class Stack : public ::testing::TestWithParam<Family> {
 protected:
  static RecurrentStack stack_of(const Sizes& s) {
    RecurrentStack stack{.weights = {}, .bidirectional = s.both};
    const std::int64_t rows = GetParam().gates * s.H;
    const double sd = 0.6 / std::sqrt(double(s.H));
    std::uint64_t seed = 100;
    for (std::int64_t at = 0; at < s.layers * s.directions(); at++) {
      const std::int64_t in = at < s.directions() ? s.I : s.directions() * s.H;
      RecurrentWeights w{
          random_normal({rows, in}, seed++, sd), random_normal({rows, s.H}, seed++, sd), {}, {}};
      if (s.bias) w.b_ih = random_normal({rows}, seed++), w.b_hh = random_normal({rows}, seed++);
      stack.weights.push_back(w);
    }
    return stack;
  }

  // x, h_0 and, for the LSTM, c_0
  static Tensors data_of(const Sizes& s) {
    const std::int64_t runs = s.layers * s.directions();
    Tensors x{random_normal({s.T, s.N, s.I}, 1), random_normal({runs, s.N, s.H}, 2)};
    if (GetParam().has_cell) x.push_back(random_normal({runs, s.N, s.H}, 3));
    return x;
  }

  static Tensors all_of(const Tensors& data, const RecurrentStack& stack) {
    Tensors all = data;
    for (const RecurrentWeights& w : stack.weights)
      for (const Tensor& t : {w.w_ih, w.w_hh, w.b_ih, w.b_hh})
        if (t) all.push_back(t);
    return all;
  }

  static Tensor cell_of(const Tensors& data) {
    return GetParam().has_cell && data.size() > 2 ? data[2] : Tensor();
  }

  static Tensors run(const Tensors& data, const RecurrentStack& stack, const Lengths& lengths,
                     Random* random = nullptr) {
    return GetParam().stack(data[0], data[1], cell_of(data), stack, lengths, random);
  }

  // The same by single runs; `between` acts on what passes from layer to layer.
  static Tensors by_hand(const Tensors& data, const RecurrentStack& stack, const Lengths& lengths,
                         const std::function<Tensor(const Tensor&)>& between = {}) {
    const std::size_t directions = stack.bidirectional ? 2 : 1;
    Tensor y = data[0];
    Tensors h_n, c_n;
    for (std::size_t at = 0; at < stack.weights.size(); at += directions) {
      if (at > 0 && between) y = between(y);
      Tensors ys;
      for (std::size_t d = 0; d < directions; d++) {
        const auto state = [&](const Tensor& s) { return s ? select(s, 0, int(at + d)) : s; };
        const Tensors out = GetParam().twin(y, state(data[1]), state(cell_of(data)),
                                            stack.weights[at + d], lengths, d == 1);
        ys.push_back(out[0]);
        h_n.push_back(out[1]);
        if (out.size() > 2) c_n.push_back(out[2]);
      }
      y = cat(ys, -1);
    }
    Tensors out{y, unroll::stack(h_n, 0)};
    if (!c_n.empty()) out.push_back(unroll::stack(c_n, 0));
    return out;
  }
};

TEST_P(Stack, EqualsItsRuns) {
  for (const Sizes& s :
       {Sizes{1, 1, 1, 1, 1}, Sizes{5, 3, 2, 4, 1, false}, Sizes{5, 3, 2, 9, 1},
        Sizes{4, 2, 3, 5, 3, false, false}, Sizes{6, 4, 3, 17, 2}, Sizes{3, 2, 1, 2, 3}}) {
    const RecurrentStack stack = stack_of(s);
    const Tensors data = data_of(s), all = all_of(data, stack);
    for (const std::int64_t K : {0, 3})
      expect_equal(sweep([&] { return run(data, stack, {}); }, all, K),
                   sweep([&] { return by_hand(data, stack, {}); }, all, K));
  }
}

TEST_P(Stack, EqualsItsRunsWithLengthsAndNanPadding) {
  const Sizes s{6, 4, 3, 5, 2};
  const RecurrentStack stack = stack_of(s);
  for (const auto& values : std::vector<std::vector<std::int64_t>>{
           {6, 6, 6, 6}, {0, 6, 3, 1}, {2, 2, 0, 0}, {0, 0, 0, 0}}) {
    const Lengths lengths(values);
    const Tensors data = data_of(s), all = all_of(data, stack);
    for (std::int64_t n = 0; n < s.N; n++) {
      Tensor rest = view::slice(view::select(data[0], 1, n), 0, values[std::size_t(n)], s.T);
      fill(rest, nan);
    }
    for (const std::int64_t K : {0, 2})
      expect_equal(sweep([&] { return run(data, stack, lengths); }, all, K),
                   sweep([&] { return by_hand(data, stack, lengths); }, all, K));
  }
}

// A sweep that is itself recorded: the gradient's derivative along v, by both.
TEST_P(Stack, HessianVectorProductEqualsThatOfItsRuns) {
  const Sizes s{4, 3, 2, 3, 2};
  const RecurrentStack stack = stack_of(s);
  const Lengths lengths{4, 2, 3};
  const Tensors data = data_of(s), all = all_of(data, stack);
  const auto product = [&](const auto& f) {
    Tape outer;
    Tensors g;
    {
      Tape tape;
      Tensor loss = number(0);
      for (const Tensor& t : f()) loss = loss + sum(square(t) * random_normal(t.shape(), 50));
      g = tape.pull(loss, number(1), all);
    }
    return outer.push(all, random_directions(all, 60), g);
  };
  EXPECT_LE(difference(product([&] { return run(data, stack, lengths); }),
                       product([&] { return by_hand(data, stack, lengths); })),
            1e-12);
}

TEST_P(Stack, EachOutputOnItsOwnAndAbsentStates) {
  const Sizes s{4, 3, 2, 5, 2};
  const RecurrentStack stack = stack_of(s);
  const Tensors data = data_of(s), all = all_of({data[0]}, stack);
  const Tensors zero{data[0], zeros(data[1].shape(), Dtype::float64),
                     zeros(data[1].shape(), Dtype::float64)};
  const Tensors none{data[0], Tensor(), Tensor()};
  Tape tape;
  const Tensors out = run(none, stack, {}), same = run(zero, stack, {});
  EXPECT_LE(difference(out, same), 0);
  const Tensors u = random_directions(out, 20);
  const Tensors together = tape.pull(out, u, all);
  Tensors total(all.size());
  for (std::size_t k = 0; k < out.size(); k++) {
    const Tensors d = tape.pull(out[k], u[k], all);
    for (std::size_t i = 0; i < d.size(); i++) total[i] = total[i] ? total[i] + d[i] : d[i];
  }
  EXPECT_LE(difference(total, together), 1e-12);
}

TEST_P(Stack, AChangeOfAnInitialStateIsCaught) {
  const Sizes s{3, 2, 2, 3, 1};
  const RecurrentStack stack = stack_of(s);
  for (std::size_t state = 1; state < data_of(s).size(); state++) {
    Tensors data = data_of(s);
    Tape tape;
    const Tensors out = run(data, stack, {});
    fill(data[state], 0);
    EXPECT_ERROR(tape.pull(out[0], random_normal(out[0].shape(), 9), {data[0]}),
                 "was changed in place");
  }
}

TEST_P(Stack, BatchFirstAndWithoutABatch) {
  const Sizes s{5, 3, 2, 4, 2};
  RecurrentStack stack = stack_of(s);
  const Tensors data = data_of(s), want = run(data, stack, Lengths{5, 1, 3});
  stack.batch_first = true;
  Tensors turned = data;
  turned[0] = transpose(data[0], 0, 1);
  Tensors got = run(turned, stack, Lengths{5, 1, 3});
  EXPECT_EQ(got[0].shape(), (Shape{3, 5, 8}));
  got[0] = transpose(got[0], 0, 1);
  for (std::size_t i = 0; i < got.size(); i++) EXPECT_TRUE(same_bits(got[i], want[i])) << i;

  for (const bool batch_first : {false, true}) {  // no batch: the option says nothing
    stack.batch_first = batch_first;
    Tensors one;
    for (const Tensor& t : data) one.push_back(select(t, 1, 0));
    const Tensors alone = run(one, stack, {});
    EXPECT_EQ(alone[0].shape(), (Shape{5, 8}));
    EXPECT_EQ(alone[1].shape(), (Shape{4, 4}));
    for (std::size_t i = 0; i < alone.size(); i++)
      EXPECT_LE(difference(alone[i], contiguous_copy(select(want[i], 1, 0))), 1e-14) << i;
  }
}

// Between layers only, from the Random that is given, and the same numbers in every sweep.
TEST_P(Stack, DropoutBetweenLayers) {
  const Sizes s{4, 3, 2, 5, 3};
  RecurrentStack stack = stack_of(s);
  const Lengths lengths{4, 2, 3};
  const Tensors data = data_of(s), all = all_of(data, stack);
  for (const bool variational : {false, true}) {
    stack.dropout = 0.4, stack.variational = variational;
    Random random(7, 3), same(7, 3);
    const auto between = [&](const Tensor& y) {
      return variational ? dropout(y, 0.4, same, {1, y.shape()[1], y.shape()[2]})
                         : dropout(y, 0.4, same);
    };
    const Sweeps got = sweep([&] { return run(data, stack, lengths, &random); }, all);
    const Sweeps want = sweep([&] { return by_hand(data, stack, lengths, between); }, all);
    expect_equal(got, want);
    EXPECT_EQ(random.counter(), same.counter());
    EXPECT_GT(difference(got.out, run(data, stack, lengths)), 1e-3) << "without a Random: none";
  }
}

TEST_P(Stack, RecomputedStacksThatOwnTheirRandomAreTheSame) {
  const Sizes s{4, 3, 2, 5, 2};
  RecurrentStack stack = stack_of(s);
  stack.dropout = 0.5;
  const Tensors data = data_of(s), all = all_of(data, stack);
  const auto f = GetParam().stack;
  const Tensor c0 = cell_of(data);
  const auto segment = [=] {
    Random own(3);
    return f(data[0], data[1], c0, stack, Lengths{4, 2, 3}, &own)[0];
  };
  Tape tape;
  const Tensor y = segment(), again = recompute(segment);
  const Tensor u = random_normal(y.shape(), 9);
  EXPECT_TRUE(same_bits(y, again));
  EXPECT_LE(difference(tape.pull(again, u, all), tape.pull(y, u, all)), 1e-13);
}

// Many sequences, whose rows are shared, and one, where the two directions go side by side; in each
// sweep of K directions the second adds to dx.
TEST_P(Stack, ThreadsDoNotChangeABit) {
  const int before = num_threads();
  for (const Sizes& s : {Sizes{12, 61, 24, 56, 2}, Sizes{100, 1, 40, 140, 2}}) {
    const RecurrentStack stack = stack_of(s);
    const Tensors data = data_of(s), all = all_of(data, stack);
    std::vector<std::int64_t> values;
    for (std::int64_t n = 0; n < s.N; n++) values.push_back(s.T - n * 7 % s.T);
    const Lengths lengths(values);
    for (const std::int64_t K : {0, 2}) {
      set_num_threads(1);
      const Sweeps one = sweep([&] { return run(data, stack, lengths); }, all, K);
      for (const int threads : {2, 3}) {
        set_num_threads(threads);
        const std::int64_t teams = teams_started();
        expect_same_bits(sweep([&] { return run(data, stack, lengths); }, all, K), one);
        EXPECT_TRUE(teams < 0 || teams_started() >= teams + 6) << "three sweeps of two layers";
      }
    }
  }
  set_num_threads(before);
}

TEST_P(Stack, Errors) {
  const Sizes s{3, 2, 4, 5, 2};
  const RecurrentStack good = stack_of(s);
  const Tensors data = data_of(s);
  const auto with = [&](std::size_t i, const Tensor& t) {
    Tensors x = data;
    x[i] = t;
    return message_of([&] { run(x, good, {}); });
  };
  const auto with_stack = [&](const auto& change) {
    RecurrentStack stack = good;
    change(stack);
    return message_of([&] { run(data, stack, {}); });
  };
  Tape tape;
  const auto expect = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(with(0, random_normal({3})), "x is [3] but must be [T,N,I] or [T,I]");
  expect(with(0, random_normal({3, 2, 7})), "weight_ih is [");
  expect(with(0, Tensor()), "undefined");
  expect(with(1, random_normal({2, 2, 5})), "h_0 is [2,2,5] but must be [4,2,H]");
  expect(with(1, random_normal({4, 5})), "h_0 is [4,5] but must be [4,2,H]");
  expect(with(1, random_normal({4, 2, 6})), "h_0 is [2,6] but must be [2,5]");
  if (GetParam().has_cell) expect(with(2, random_normal({3, 2, 5})), "c_0 is [3,2,5]");
  expect(with_stack([](RecurrentStack& x) { x.weights.clear(); }), "0 weights");
  expect(with_stack([](RecurrentStack& x) { x.weights.pop_back(); }), "3 weights");
  expect(with_stack([](RecurrentStack& x) {
           x.weights[1].w_hh = random_normal({5, 7});
         }),
         "weight_hh_reverse is [5,7]");
  expect(with_stack([](RecurrentStack& x) { x.weights[3].w_hh = Tensor(); }), "undefined");
}

INSTANTIATE_TEST_SUITE_P(, Stack, ::testing::ValuesIn(families()),
                         [](const auto& family) { return std::string(family.param.name); });

}  // namespace
}  // namespace unroll::testing
