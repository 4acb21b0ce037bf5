// jacobian, gradient, hvp, gradcheck and recompute.
#include "autograd/transforms.h"

#include <gtest/gtest.h>

#include "autograd/gradcheck.h"
#include "autograd/lstm.h"
#include "autograd/ops.h"
#include "autograd/parameters.h"
#include "core/memory.h"
#include "tests/testing.h"

namespace unroll::testing {
namespace {

// The Jacobian row by row, one pull each.
Tensor by_rows(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  Tape tape;
  const Tensor y = f(x);
  Tensors rows;
  for (std::int64_t i = 0; i < y.numel(); i++) {
    Tensor unit = zeros({y.numel()}, Dtype::float64);
    unit.mutable_data<double>()[i] = 1;
    rows.push_back(tape.pull(y, reshape(unit, y.shape()), {x})[0]);
  }
  const NoTape none;
  Shape shape = y.shape();
  for (std::int64_t size : x.shape()) shape.insert(shape.rank(), size);
  return reshape(stack(rows, 0), shape);
}

TEST(Jacobian, TallAndWideAndSquare) {
  const Tensor w = random_normal({2, 7}, 2);
  struct Row {
    std::function<Tensor(const Tensor&)> f;
    Shape x, J;
  };
  for (const Row& row :
       {Row{[&](const Tensor& x) { return tanh(matmul(x, w)); }, {3, 2}, {3, 7, 3, 2}},  // pushes
        Row{[](const Tensor& x) { return sum(square(x), 0); }, {4, 3}, {3, 4, 3}},       // pulls
        Row{[](const Tensor& x) { return sin(x); }, {5}, {5, 5}},
        Row{[](const Tensor& x) { return sum(exp(x)); }, {2, 2}, {2, 2}},
        Row{[](const Tensor& x) { return x * ones({3}, Dtype::float64); }, {}, {3}}}) {
    const Tensor x = random_normal(row.x, 3);
    const Tensor J = jacobian(row.f, x);
    EXPECT_EQ(to_string(J.shape()), to_string(row.J));
    EXPECT_LE(difference(J, by_rows(row.f, x)), 1e-14);
  }
}

TEST(Jacobian, OfNothingIsEmpty) {
  const Tensor x = random_normal({3, 0, 2}), w = random_normal({12, 2}), h = random_normal({12, 3});
  const auto f = [&](const Tensor& t) { return lstm(t, {}, {}, w, h).y; };  // [3,0,3]
  EXPECT_EQ(jacobian(f, x).shape(), (Shape{3, 0, 3, 3, 0, 2}));
  Tape tape;
  const Tensor y = lstm(random_normal({3, 2, 2}), {}, {}, w, h).y;
  EXPECT_EQ(tape.pull(y, zeros({0, 3, 2, 3}, Dtype::float64), {w})[0].shape(), (Shape{0, 12, 2}));
  EXPECT_EQ(tape.push({w}, {zeros({0, 12, 2}, Dtype::float64)}, y).shape(), (Shape{0, 3, 2, 3}));
}

TEST(Jacobian, IsRecordable) {
  const Tensor x = random_normal({3});
  Tape outer;
  const Tensor J = jacobian([](const Tensor& t) { return square(t); }, x);  // diag(2x)
  EXPECT_LE(difference(outer.pull(sum(J), number(1), {x})[0], full({3}, 2, Dtype::float64)), 1e-15);
}

TEST(Jacobian, OfSomethingThatIgnoresXThrows) {
  EXPECT_ERROR(jacobian([](const Tensor&) { return sum(random_normal({3})); }, number(1)),
               "never appeared");
  EXPECT_ERROR(jacobian([](const Tensor&) { return number(3); }, number(1)), "not made under");
}

TEST(Gradient, OfAVectorThrows) {
  EXPECT_ERROR(gradient([](const Tensor& x) { return tanh(x); }, random_normal({2})),
               "gradient: f returned [2], not one element");
}

TEST(Hvp, ThreeWaysAndAgainstTheHessian) {
  const Tensor w = random_normal({4, 4}, 2);
  const auto f = [&](const Tensor& x) { return sum(tanh(matmul(reshape(x, {1, 4}), w)) * x); };
  const Tensor x = random_normal({4}, 3), v = random_normal({4}, 4);
  const Tensor forward_over_reverse = hvp(f, x, v);
  Tensor reverse_over_reverse, reverse_over_forward;
  {
    Tape tape;
    const Tensor slope = gradient(f, x);
    reverse_over_reverse = tape.pull(sum(slope * v), number(1), {x})[0];
  }
  {
    Tape outer;
    Tensor d;
    {
      Tape inner;
      d = inner.push({x}, {v}, f(x));
    }
    reverse_over_forward = outer.pull(d, number(1), {x})[0];
  }
  const Tensor H = jacobian([&](const Tensor& t) { return gradient(f, t); }, x);
  EXPECT_LE(difference(H, transpose(H, 0, 1)), 1e-13);
  const Tensor Hv = matmul(H, reshape(v, {4, 1}));
  EXPECT_LE(difference(reshape(Hv, {4}), forward_over_reverse), 1e-13);
  EXPECT_LE(difference(reverse_over_reverse, forward_over_reverse), 1e-13);
  EXPECT_LE(difference(reverse_over_forward, forward_over_reverse), 1e-13);
  const Tensor expected =
      difference_quotient([&](double h) { return gradient(f, x + v * h); }, 4e-4);
  EXPECT_LE(difference(forward_over_reverse, expected), 1e-9);
}

TEST(Hvp, SeveralDirectionsAtOnce) {
  const auto f = [](const Tensor& x) { return sum(exp(x) * sin(x)); };
  const Tensor x = random_normal({3}), V = random_normal({5, 3}, 2);
  const Tensor all = hvp(f, x, V);
  for (std::int64_t k = 0; k < 5; k++)
    EXPECT_LE(difference(select(all, 0, k), hvp(f, x, select(V, 0, k))), 1e-14);
}

TEST(Gradcheck, AcceptsTheRightAndNamesTheWrong) {
  const Tensors x{random_normal({3}, 1), random_normal({2, 3}, 2)};
  EXPECT_TRUE(gradcheck([](const Tensors& t) { return tanh(t[0]) * t[1]; }, x).ok(1e-8));
  const auto wrong = [](const Tensors& t) {
    const NoTape none_of_it;  // the second factor's derivative is lost
    const Tensor constant = t[1] * 1.0;
    return constant;
  };
  const GradcheckReport report =
      gradcheck([&](const Tensors& t) { return tanh(t[0]) * (wrong(t) + t[1] * 1e-3); }, x);
  EXPECT_FALSE(report.ok(1e-8));
  EXPECT_NE(report.text.find("input 1"), std::string::npos) << report.text;
}

TEST(Gradcheck, NeedsAFloat64) {
  EXPECT_ERROR(gradcheck([](const Tensors& t) { return tanh(t[0]); }, {ones({2})}),
               "gradcheck: no input is float64");
}

// ---- recompute

class Recompute : public ::testing::Test {
 protected:
  Tensor w = random_normal({6, 6}, 1, 0.4), b = random_normal({6}, 2), x = random_normal({4, 6}, 3);
  Tensor u = random_normal({4, 6}, 4);

  static Tensor layers(Tensor h, const Tensor& w, const Tensor& b, int count) {
    for (int i = 0; i < count; i++) h = tanh(matmul(h, w) + b);
    return h;
  }
  // 5 segments of 20 layers.
  Tensor network(bool again) const {
    Tensor h = x;
    for (int s = 0; s < 5; s++) {
      const auto segment = [w = w, b = b, h] { return layers(h, w, b, 20); };
      h = again ? recompute(segment) : segment();
    }
    return h;
  }
};

TEST_F(Recompute, ValuesAndGradientsAreTheSame) {
  Tensors pulled[2];
  Tensor y[2], pushed[2];
  for (const bool again : {false, true}) {
    Tape tape;
    y[again] = network(again);
    pulled[again] = tape.pull(y[again], u, {x, w, b});
    pushed[again] = tape.push({x, w}, {u, w}, y[again]);
  }
  EXPECT_TRUE(same_bits(y[0], y[1]));
  EXPECT_LE(difference(pulled[1], pulled[0]), 1e-14);
  EXPECT_LE(difference(pushed[1], pushed[0]), 1e-14);
}

TEST_F(Recompute, KeepsInputsNotActivations) {
  std::int64_t held[2];
  for (const bool again : {false, true}) {
    const std::int64_t before = memory::stats().live;
    Tape tape;
    const Tensor y = network(again);
    held[again] = memory::stats().live - before;
    EXPECT_EQ(tape.size(), again ? 5u : 400u);  // with a view of b each
  }
  EXPECT_LE(held[1] * 20, held[0]);
}

TEST_F(Recompute, ThePeakOfASweepIsLower) {
  std::int64_t peak[2];
  for (const bool again : {false, true}) {
    const std::int64_t before = memory::stats().live;
    memory::reset_peak();
    Tape tape;
    tape.pull(network(again), u, {w});
    peak[again] = memory::stats().peak - before;
  }
  EXPECT_LE(peak[1] * 2, peak[0]);
}

TEST_F(Recompute, SecondOrder) {
  Tensor second[2], mixed[2];
  for (const bool again : {false, true}) {
    Tape outer;
    Tensor g;
    {
      Tape inner;
      g = inner.pull(network(again), u, {w})[0];
    }
    second[again] = outer.pull(g, w, {w})[0];
    mixed[again] = outer.push({x}, {u}, g);
  }
  EXPECT_LE(difference(second[1], second[0]), 1e-12);
  EXPECT_LE(difference(mixed[1], mixed[0]), 1e-12);
}

TEST_F(Recompute, Nested) {
  const auto nested = [&](bool again) {
    const auto inner = [w = w, b = b](const Tensor& h) {
      return [w, b, h] { return layers(h, w, b, 3); };
    };
    const auto outer = [=, x = x] {
      Tensor h = x;
      for (int i = 0; i < 3; i++) h = again ? recompute(inner(h)) : inner(h)();
      return h;
    };
    return again ? recompute(outer) : outer();
  };
  Tensors pulled[2];
  for (const bool again : {false, true}) {
    Tape tape;
    const Tensor y = nested(again);
    if (again) {
      EXPECT_EQ(tape.size(), 1u);
    }
    pulled[again] = tape.pull(y, u, {x, w, b});
  }
  EXPECT_LE(difference(pulled[1], pulled[0]), 1e-14);
}

TEST_F(Recompute, ATapeInsideTheSegment) {
  const auto energy = [](const Tensor& h) { return sum(tanh(h) * h); };
  const auto step = [=, x = x] { return x - gradient(energy, x) * 0.1; };
  Tensors pulled[2];
  for (const bool again : {false, true}) {
    Tape tape;
    pulled[again] = tape.pull(again ? recompute(step) : step(), u, {x});
  }
  EXPECT_LE(difference(pulled[1], pulled[0]), 1e-14);
}

TEST_F(Recompute, BackwardAddsIntoTheFlatGradients) {
  Parameters parameters(Dtype::float64);
  const Tensor p = parameters.add("w", {6, 6}), q = parameters.add("b", {6});
  copy_into(parameters.mutable_flat(), cat({reshape(w, {36}), b}, 0));
  Tensors flat;
  for (const bool again : {false, true}) {
    parameters.zero_gradients();
    for (int times = 0; times < 2; times++) {
      Tape tape;
      Tensor h = x;
      for (int s = 0; s < 3; s++) {
        const auto segment = [p, q, h] { return layers(h, p, q, 2); };
        h = again ? recompute(segment) : segment();
      }
      tape.backward(sum(h * u) + sum(square(p)), parameters);
    }
    flat.push_back(cast_copy(parameters.gradients(), Dtype::float64));
  }
  EXPECT_GT(norm(flat[0]), 0.1);
  EXPECT_LE(difference(flat[1], flat[0]), 1e-14);
}

TEST_F(Recompute, AChangeInPlaceIsCaught) {
  Tensor a = random_normal({4, 6}, 9);
  Tape tape;
  const Tensor y = recompute([a, x = x] { return a + x; });
  fill(a, 0);
  EXPECT_ERROR(tape.pull(y, u, {x}), "recompute: a tensor that the segment uses was changed");
  EXPECT_ERROR(tape.push({x}, {u}, y), "recompute: a tensor that the segment uses was changed");
}

TEST_F(Recompute, ASegmentThatReturnsWhatItWasGiven) {
  Tape tape;
  const Tensor y = recompute([x = x] { return contiguous(x); }) + x;
  EXPECT_LE(difference(tape.pull(y, u, {x})[0], u * 2.0), 0);
  const Tensor constant = recompute([] { return random_normal({4, 6}, 8); });
  EXPECT_LE(difference(tape.pull(constant * x, u, {x})[0], u * constant), 1e-15);
}

TEST_F(Recompute, WithoutATapeItJustRuns) {
  int runs = 0;
  recompute([&] {
    runs++;
    return tanh(x);
  });
  EXPECT_EQ(runs, 1);
}

TEST_F(Recompute, SeveralDirections) {
  Tape tape;
  const Tensor y = network(true);
  const Tensor U = random_normal({3, 4, 6}, 8);
  const Tensor d = tape.pull(y, U, {w})[0];
  for (std::int64_t k = 0; k < 3; k++)
    EXPECT_LE(difference(select(d, 0, k), tape.pull(y, select(U, 0, k), {w})[0]), 1e-13);
}

}  // namespace
}  // namespace unroll::testing
