// Rows of the fused recurrent ops, their stacks and dropout; their references are loops over one
// number at a time.
#include <algorithm>
#include <cmath>

#include "autograd/dropout.h"
#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/ops.h"
#include "autograd/rnn.h"
#include "tests/op_cases.h"

namespace unroll::testing {
namespace {

using Index = std::vector<std::int64_t>;

enum class Kind { rnn_tanh, rnn_relu, rnn_identity, lstm, gru };

struct Spec {
  const char* variant;
  std::int64_t T, N, I, H;
  bool state = true, bias = true;
  std::vector<std::int64_t> lengths = {};
  bool reverse = false;
  std::int64_t length(std::int64_t n) const {
    return lengths.empty() ? T : lengths[std::size_t(n)];
  }
};

std::int64_t gates_of(Kind kind) { return kind == Kind::lstm ? 4 : kind == Kind::gru ? 3 : 1; }

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

// The operands of a row in the order x, w_ih, w_hh, [b_ih, b_hh,] [h_0, [c_0]].
struct Operands {
  bool bias, state, cell;
  int b_ih() const { return bias ? 3 : -1; }
  int b_hh() const { return bias ? 4 : -1; }
  int h0() const { return state ? 3 + 2 * bias : -1; }
  int c0() const { return state && cell ? 4 + 2 * bias : -1; }
};

// One unit's new h and c from W_ih x + b_ih (a) and W_hh h + b_hh (r), gate by gate.
struct Cell {
  double h, c;
};
Cell step(Kind kind, const double* a, const double* r, double h, double c) {
  switch (kind) {
    case Kind::rnn_tanh: return {std::tanh(a[0] + r[0]), 0};
    case Kind::rnn_relu: return {std::max(a[0] + r[0], 0.0), 0};
    case Kind::rnn_identity: return {a[0] + r[0], 0};
    case Kind::gru: {
      const double reset = logistic(a[0] + r[0]), z = logistic(a[1] + r[1]);
      const double n = std::tanh(a[2] + reset * r[2]);
      return {(1 - z) * n + z * h, 0};
    }
    case Kind::lstm: break;
  }
  const double i = logistic(a[0] + r[0]), f = logistic(a[1] + r[1]);
  const double g = std::tanh(a[2] + r[2]), o = logistic(a[3] + r[3]);
  const double next = f * c + i * g;
  return {o * std::tanh(next), next};
}

// y, h_n and c_n of one run.
struct RunArrays {
  Array y, h, c;
};
RunArrays reference_run(Kind kind, const Spec& s, const Arrays& x) {
  const Operands at{s.bias, s.state, kind == Kind::lstm};
  const std::int64_t gates = gates_of(kind);
  Array y(Shape{s.T, s.N, s.H}), h(Shape{s.N, s.H}), c(Shape{s.N, s.H});
  if (at.h0() >= 0) h = x[static_cast<std::size_t>(at.h0())];
  if (at.c0() >= 0) c = x[static_cast<std::size_t>(at.c0())];
  const auto bias = [&](int which, std::int64_t row) {
    return which < 0 ? 0 : x[static_cast<std::size_t>(which)].v[static_cast<std::size_t>(row)];
  };
  for (std::int64_t n = 0; n < s.N; n++)
    for (std::int64_t i = 0, length = s.length(n); i < length; i++) {
      const std::int64_t t = s.reverse ? length - 1 - i : i;
      std::vector<Cell> next;
      for (std::int64_t j = 0; j < s.H; j++) {
        double a[4], r[4];
        for (std::int64_t g = 0; g < gates; g++) {
          const std::int64_t row = g * s.H + j;
          a[g] = bias(at.b_ih(), row), r[g] = bias(at.b_hh(), row);
          for (std::int64_t k = 0; k < s.I; k++) a[g] += x[1].at({row, k}) * x[0].at({t, n, k});
          for (std::int64_t k = 0; k < s.H; k++) r[g] += x[2].at({row, k}) * h.at({n, k});
        }
        next.push_back(step(kind, a, r, h.at({n, j}), c.at({n, j})));
      }
      for (std::int64_t j = 0; j < s.H; j++) {
        y({t, n, j}) = h({n, j}) = next[static_cast<std::size_t>(j)].h;
        c({n, j}) = next[static_cast<std::size_t>(j)].c;
      }
    }
  return {y, h, c};
}

Array reference(Kind kind, const Spec& s, const Arrays& x) {
  const RunArrays out = reference_run(kind, s, x);
  return kind == Kind::lstm ? joined(Arrays{out.y, out.h, out.c}) : joined(Arrays{out.y, out.h});
}

Tensor run(Kind kind, const Spec& s, const Tensors& x) {
  const Operands at{s.bias, s.state, kind == Kind::lstm};
  const auto get = [&](int i) { return i < 0 ? Tensor() : x[static_cast<std::size_t>(i)]; };
  const Lengths lengths = s.lengths.empty() ? Lengths() : Lengths(s.lengths);
  const Tensor h0 = get(at.h0()), b_ih = get(at.b_ih()), b_hh = get(at.b_hh());
  if (kind == Kind::lstm) {
    const LstmOut out = lstm(x[0], h0, get(at.c0()), x[1], x[2], b_ih, b_hh, lengths, s.reverse);
    return joined(Tensors{out.y, out.h_n, out.c_n});
  }
  if (kind == Kind::gru) {
    const GruOut out = gru(x[0], h0, x[1], x[2], b_ih, b_hh, lengths, s.reverse);
    return joined(Tensors{out.y, out.h_n});
  }
  const RnnActivation activation = kind == Kind::rnn_tanh   ? RnnActivation::tanh
                                   : kind == Kind::rnn_relu ? RnnActivation::relu
                                                            : RnnActivation::identity;
  const RnnOut out = rnn(x[0], h0, x[1], x[2], b_ih, b_hh, lengths, activation, s.reverse);
  return joined(Tensors{out.y, out.h_n});
}

// Work enough for several threads.
std::vector<Shape> large_shapes(Kind kind, const Spec& s) {
  constexpr std::int64_t T = 12, N = 48, I = 21, H = 50;
  const std::int64_t rows = gates_of(kind) * H;
  std::vector<Shape> all{{T, N, I}, {rows, I}, {rows, H}};
  if (s.bias) all.insert(all.end(), 2, Shape{rows});
  if (s.state) all.insert(all.end(), kind == Kind::lstm ? 2 : 1, Shape{N, H});
  return all;
}

OpCase recurrent_case(const char* op, const std::string& prefix, Kind kind, const Spec& s) {
  const std::int64_t rows = gates_of(kind) * s.H;
  const std::string variant = prefix + (prefix.empty() || !*s.variant ? "" : "_") + s.variant;
  OpCase c{.op = op,
           .variant = variant,
           .inputs = {normal({s.T, s.N, s.I}), normal({rows, s.I}, 0.5), normal({rows, s.H}, 0.5)},
           .f = [=](const Tensors& x) { return run(kind, s, x); },
           .reference = [=](const Arrays& x) { return reference(kind, s, x); },
           .float32_tolerance = 1e-5,
           .seed = kind == Kind::rnn_relu ? 14u : 1u};
  if (s.bias) c.inputs.push_back(normal({rows}, 0.5)), c.inputs.push_back(normal({rows}, 0.5));
  if (s.state) c.inputs.push_back(normal({s.N, s.H}));
  if (s.state && kind == Kind::lstm) c.inputs.push_back(normal({s.N, s.H}));
  if (s.lengths.empty() && s.H > 1) c.large = large_shapes(kind, s);
  return c;
}

void add_recurrent(std::vector<OpCase>& cases, const char* op, const char* prefix, Kind kind) {
  for (const Spec& s :
       {Spec{"", 4, 3, 2, 5}, Spec{"no_state", 4, 2, 3, 4, false},
        Spec{"no_bias", 3, 2, 2, 3, true, false}, Spec{"bare", 3, 2, 2, 3, false, false},
        Spec{"single", 1, 1, 1, 1}, Spec{"lengths", 4, 5, 2, 3, true, true, {2, 4, 0, 1, 4}},
        Spec{"lengths_no_state", 5, 3, 2, 3, false, true, {1, 3, 3}},
        Spec{"all_empty", 2, 2, 2, 2, true, true, {0, 0}},
        Spec{"odd_width", 3, 2, 3, 11, true, true, {3, 2}},
        Spec{"reverse", 4, 3, 2, 5, true, true, {}, true},
        Spec{"reverse_lengths", 4, 5, 2, 9, true, true, {2, 4, 0, 1, 4}, true}})
    cases.push_back(recurrent_case(op, prefix, kind, s));
}

// ---- stacks: two layers, both directions

// The operands of a row: x, h_0 and, for the LSTM, c_0 [4,N,H], then four times w_ih, w_hh, b_ih
// and b_hh.
struct StackSpec {
  const char* variant;
  std::int64_t T, N, I, H;
  std::vector<std::int64_t> lengths = {};
};

Array part(const Array& a, std::int64_t i) {
  Array out(Shape{a.shape[1], a.shape[2]});
  const auto size = static_cast<std::ptrdiff_t>(out.v.size());
  std::copy_n(a.v.begin() + i * size, size, out.v.begin());
  return out;
}

Array stack_reference(Kind kind, const StackSpec& s, const Arrays& x) {
  const bool cell = kind == Kind::lstm;
  Array y = x[0];
  Arrays h_n, c_n;
  for (std::int64_t layer = 0; layer < 2; layer++) {
    Array both(Shape{s.T, s.N, 2 * s.H});
    for (std::int64_t d = 0; d < 2; d++) {
      const std::int64_t at = 2 * layer + d;
      Arrays in{y};
      for (std::int64_t i = 0; i < 4; i++)
        in.push_back(x[static_cast<std::size_t>((cell ? 3 : 2) + 4 * at + i)]);
      in.push_back(part(x[1], at));
      if (cell) in.push_back(part(x[2], at));
      const Spec one{"", s.T, s.N, y.shape[2], s.H, true, true, s.lengths, d == 1};
      const RunArrays out = reference_run(kind, one, in);
      for (std::int64_t t = 0; t < s.T; t++)
        for (std::int64_t n = 0; n < s.N; n++)
          for (std::int64_t j = 0; j < s.H; j++) both({t, n, d * s.H + j}) = out.y.at({t, n, j});
      h_n.push_back(out.h);
      c_n.push_back(out.c);
    }
    y = both;
  }
  Arrays all{y, joined(h_n)};
  if (cell) all.push_back(joined(c_n));
  return joined(all);
}

Tensor run_stack(Kind kind, const StackSpec& s, const Tensors& x) {
  const bool cell = kind == Kind::lstm;
  RecurrentStack layers{.weights = {}, .bidirectional = true};
  for (std::size_t at = cell ? 3 : 2; at < x.size(); at += 4)
    layers.weights.push_back({x[at], x[at + 1], x[at + 2], x[at + 3]});
  const Lengths lengths = s.lengths.empty() ? Lengths() : Lengths(s.lengths);
  if (kind == Kind::lstm) {
    const LstmOut out = lstm_stack(x[0], x[1], x[2], layers, lengths);
    return joined(Tensors{out.y, out.h_n, out.c_n});
  }
  if (kind == Kind::gru) {
    const GruOut out = gru_stack(x[0], x[1], layers, lengths);
    return joined(Tensors{out.y, out.h_n});
  }
  const RnnOut out = rnn_stack(x[0], x[1], layers, lengths);
  return joined(Tensors{out.y, out.h_n});
}

// The shapes of a row's operands at any sizes.
std::vector<Shape> stack_shapes(Kind kind, std::int64_t T, std::int64_t N, std::int64_t I,
                                std::int64_t H) {
  const std::int64_t rows = gates_of(kind) * H;
  std::vector<Shape> shapes{{T, N, I}, {4, N, H}};
  if (kind == Kind::lstm) shapes.push_back({4, N, H});
  for (int at = 0; at < 4; at++)
    for (const Shape& shape : {Shape{rows, at < 2 ? I : 2 * H}, Shape{rows, H}, {rows}, {rows}})
      shapes.push_back(shape);
  return shapes;
}

void add_stacks(std::vector<OpCase>& cases, const char* op, Kind kind) {
  for (const StackSpec& s : {StackSpec{"", 3, 2, 2, 3}, StackSpec{"single", 1, 1, 1, 1},
                             StackSpec{"lengths", 4, 4, 3, 2, {2, 4, 0, 1}},
                             StackSpec{"odd_width", 2, 3, 2, 9, {2, 1, 2}}}) {
    OpCase c{.op = op,
             .variant = s.variant,
             .inputs = {},
             .f = [=](const Tensors& x) { return run_stack(kind, s, x); },
             .reference = [=](const Arrays& x) { return stack_reference(kind, s, x); },
             .float32_tolerance = 1e-5};
    for (const Shape& shape : stack_shapes(kind, s.T, s.N, s.I, s.H))
      c.inputs.push_back(normal(shape, shape.rank() == 3 ? 1 : 0.5));
    if (!*s.variant) c.large = stack_shapes(kind, 12, 61, 24, 56);
    cases.push_back(c);
  }
}

// ---- dropout

void add_dropout(std::vector<OpCase>& cases) {
  struct Row {
    const char* variant;
    Shape x, mask;
    double p;
  };
  for (const Row& row :
       {Row{"", {5, 7}, {5, 7}, 0.5}, Row{"steps", {4, 2, 3}, {1, 2, 3}, 0.3},
        Row{"rank", {4, 2, 3}, {3}, 0.3}, Row{"all", {3}, {3}, 1}, Row{"single", {1}, {1}, 0.2}}) {
    cases.push_back({.op = "dropout",
                     .variant = row.variant,
                     .inputs = {normal(row.x)},
                     .f =
                         [=](const Tensors& x) {
                           Random random(3, 1);
                           return dropout(x[0], row.p, random, row.mask);
                         },
                     .reference =
                         [=](const Arrays& x) {
                           Array y = x[0];
                           const std::size_t size = static_cast<std::size_t>(row.mask.numel());
                           for (std::size_t i = 0; i < y.v.size(); i++) {
                             const std::size_t at = i % size;  // the mask fills the last axes
                             const double word = philox_block(3, 1, at / 4).word[at % 4];
                             y.v[i] = word < row.p * 0x1p32 ? 0 : y.v[i] / (1 - row.p);
                           }
                           return y;
                         }});
  }
}

}  // namespace

void add_recurrent_cases(std::vector<OpCase>& cases) {
  add_recurrent(cases, "rnn", "tanh", Kind::rnn_tanh);
  add_recurrent(cases, "rnn", "relu", Kind::rnn_relu);
  add_recurrent(cases, "rnn", "identity", Kind::rnn_identity);
  add_recurrent(cases, "lstm", "", Kind::lstm);
  add_recurrent(cases, "gru", "", Kind::gru);
  add_stacks(cases, "lstm_stack", Kind::lstm);
  add_stacks(cases, "gru_stack", Kind::gru);
  add_stacks(cases, "rnn_stack", Kind::rnn_tanh);
  add_dropout(cases);
}

}  // namespace unroll::testing
