#include "bench/work.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "autograd/attention.h"
#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/ops.h"
#include "autograd/rnn.h"
#include "autograd/tape.h"
#include "core/error.h"
#include "core/random.h"

namespace unroll::bench {
namespace {

constexpr std::int64_t most_numbers = std::int64_t{1} << 28;

using Op = Tensors (*)(const Tensors& x);  // the first result is y

// Gradients of y by all of x, for the cotangent u of y.
Tensors gradients_of(Op op, const Tensors& x, const Tensor& u) {
  Tape tape;
  return tape.pull(op(x)[0], u, x);
}

Tensors all_of(Op op, const Tensors& x, const Tensor& u) {
  Tensors all = op(x);
  if (!u) return all;
  for (const Tensor& gradient : gradients_of(op, x, u)) all.push_back(gradient);
  return all;
}

template <Op twin>
Tensors by_twin(const Tensors& x, const Tensor& u) {
  return all_of(twin, x, u);
}

Tensors lstm_of(const Tensors& x) {
  const LstmOut out = lstm(x[0], {}, {}, x[1], x[2], x[3], x[4]);
  return {out.y, out.h_n, out.c_n};
}
Tensors lstm_twin_of(const Tensors& x) {
  const LstmOut out = lstm_twin(x[0], {}, {}, x[1], x[2], x[3], x[4]);
  return {out.y, out.h_n, out.c_n};
}
Tensors gru_of(const Tensors& x) {
  const GruOut out = gru(x[0], {}, x[1], x[2], x[3], x[4]);
  return {out.y, out.h_n};
}
Tensors gru_twin_of(const Tensors& x) {
  const GruOut out = gru_twin(x[0], {}, x[1], x[2], x[3], x[4]);
  return {out.y, out.h_n};
}
Tensors rnn_of(const Tensors& x) {
  const RnnOut out = rnn(x[0], {}, x[1], x[2], x[3], x[4]);
  return {out.y, out.h_n};
}
Tensors rnn_twin_of(const Tensors& x) {
  const RnnOut out = rnn_twin(x[0], {}, x[1], x[2], x[3], x[4]);
  return {out.y, out.h_n};
}
Tensors attention_of(const Tensors& x) {
  return {scaled_dot_product_attention(x[0], x[1], x[2]).context};
}
Tensors attention_twin_of(const Tensors& x) {
  return {attention_twin(x[0], x[1], x[2], {}).context};
}
Tensors matmul_of(const Tensors& x) { return {matmul(x[0], x[1])}; }

// a b by the definition, float64.
Tensor product(const Tensor& left, const Tensor& right) {
  const Tensor a = contiguous_copy(left), b = contiguous_copy(right);
  const std::int64_t M = a.shape()[0], K = a.shape()[1], N = b.shape()[1];
  Tensor c = zeros({M, N}, Dtype::float64);
  const double *const pa = a.data<double>(), *const pb = b.data<double>();
  double* const pc = c.mutable_data<double>();
  for (std::int64_t i = 0; i < M; i++)
    for (std::int64_t k = 0; k < K; k++)
      for (std::int64_t j = 0; j < N; j++) pc[i * N + j] += pa[i * K + k] * pb[k * N + j];
  return c;
}

Tensors by_definition(const Tensors& x, const Tensor& u) {
  Tensors all = {product(x[0], x[1])};
  if (u) {
    all.push_back(product(u, transpose(x[1], 0, 1)));
    all.push_back(product(transpose(x[0], 0, 1), u));
  }
  return all;
}

Tensors attention_inputs(const Size& s) {
  Random random(1);
  Tensors x;
  for (int i = 0; i < 3; i++) x.push_back(random.normal({s.N, s.I, s.T, s.H}));
  return x;
}

Tensors matmul_inputs(const Size& s) {
  Random random(1);
  const Tensor a = random.normal({s.N * s.T, s.I});
  return {a, random.normal({s.I, s.H})};
}

template <std::int64_t gates>
Tensors inputs_of(const Size& s) {
  return recurrent_inputs(gates, s);
}
template <std::int64_t gates>
double flops_of(const Size& s) {
  return recurrent_flops(gates, s);
}
double attention_flops(const Size& s) { return 4.0 * double(s.N * s.I * s.H) * double(s.T * s.T); }
double matmul_flops(const Size& s) { return 2.0 * double(s.N * s.T) * double(s.I * s.H); }

struct Family {
  const char* name;
  Tensors (*inputs)(const Size&);
  double (*flops)(const Size&);
  Op run;
  Tensors (*reference)(const Tensors& x, const Tensor& u);  // u: undefined of a forward pass
};

const Family families[] = {
    {"lstm", inputs_of<4>, flops_of<4>, lstm_of, by_twin<lstm_twin_of>},
    {"gru", inputs_of<3>, flops_of<3>, gru_of, by_twin<gru_twin_of>},
    {"rnn", inputs_of<1>, flops_of<1>, rnn_of, by_twin<rnn_twin_of>},
    {"attention", attention_inputs, attention_flops, attention_of, by_twin<attention_twin_of>},
    {"matmul", matmul_inputs, matmul_flops, matmul_of, by_definition},
};

const Family& family_of(const std::string& op) {
  for (const Family& family : families)
    if (family.name == op) return family;
  fail("bench", "there is no op " + op);
}

// Whether the product of positive numbers is at most most_numbers.
bool fits(std::initializer_list<std::int64_t> factors) {
  std::int64_t room = most_numbers;
  for (const std::int64_t factor : factors) room /= factor;
  return room >= 1;
}

}  // namespace

const std::vector<std::string>& op_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Family& family : families) all.push_back(family.name);
    return all;
  }();
  return names;
}

const char* name_of(Pass pass) { return pass == Pass::step ? "step" : "forward"; }

std::string text_of(const Size& s) {
  return std::to_string(s.N) + "," + std::to_string(s.T) + "," + std::to_string(s.I) + "," +
         std::to_string(s.H);
}

std::optional<Size> size_of(const std::string& text) {
  std::int64_t number[4] = {};
  const char *at = text.data(), *const end = at + text.size();
  for (int i = 0; i < 4; i++) {
    if (i > 0 && (at == end || *at++ != ',')) return {};
    const auto [stop, error] = std::from_chars(at, end, number[i]);
    if (error != std::errc() || number[i] < 1) return {};
    at = stop;
  }
  if (at != end) return {};
  return Size{number[0], number[1], number[2], number[3]};
}

std::vector<Size> usual_sizes(const std::string& op) {
  if (op == "attention") return {{4, 512, 8, 64}};
  return {{1, 20, 10, 20},     {1, 200, 64, 128},  {8, 100, 64, 128},
          {32, 100, 128, 256}, {64, 50, 512, 512}, {16, 1000, 32, 64}};
}

void require_size(const std::string& op, const Size& s) {
  family_of(op);
  const std::string what = op + " of N,T,I,H " + text_of(s);
  if (std::min({s.N, s.T, s.I, s.H}) < 1) fail("bench", what + ": each must be at least 1");
  const bool fit = op == "attention" ? fits({s.N, s.I, s.T, std::max(s.T, s.H)})
                                     : fits({s.N, s.T, std::max(s.I, 4 * s.H)}) &&
                                           fits({std::max(s.I, s.H), 4, s.H});
  if (!fit) fail("bench", what + " is too large: a tensor would hold more than 2^28 numbers");
}

Tensors recurrent_inputs(std::int64_t gates, const Size& s) {
  const std::int64_t rows = gates * s.H;
  const double bound = 1 / std::sqrt(double(s.H));
  Random random(1);
  Tensors x = {random.normal({s.T, s.N, s.I})};
  for (const Shape& shape : {Shape{rows, s.I}, Shape{rows, s.H}, Shape{rows}, Shape{rows}})
    x.push_back(random.uniform(shape, -bound, bound));
  return x;
}

double recurrent_flops(std::int64_t gates, const Size& s) {
  return 2.0 * double(s.N * s.T) * double(gates * s.H * (s.I + s.H));
}

// Inputs and their gradients are held in float32 and in float64, 24 bytes in all. The twin's tape
// keeps about 7 numbers of float64 per gate and state; attention's 3 per pair of query and key.
double bytes_of(const std::string& op, Pass pass, const Size& s) {
  const bool step = pass == Pass::step;
  const double N = double(s.N), T = double(s.T), I = double(s.I), H = double(s.H);
  if (op == "attention") return N * I * T * (24 * T + 96 * H);
  if (op == "matmul") return 24 * (N * T * (I + H) + I * H);
  const double gates = op == "lstm" ? 4 : op == "gru" ? 3 : 1;
  return N * T * H * (step ? 56 * gates : 24) + 24 * (N * T * I + gates * H * (I + H));
}

Work make_work(const std::string& op, Pass pass, const Size& size) {
  require_size(op, size);
  const Family& family = family_of(op);
  const Op run = family.run;
  const Tensors x = family.inputs(size);
  const auto reference = family.reference;
  const double flops = family.flops(size);
  if (pass == Pass::forward)
    return {.flops = flops,
            .call = [=] { run(x); },
            .results = [=] { return run(x); },
            .reference =
                [=] {
                  return Reference(x, [=](const Tensors& inputs) { return reference(inputs, {}); });
                }};
  Random random(2);
  const Tensor u = random.normal(run(x)[0].shape());
  Tensors with_u = x;
  with_u.push_back(u);
  const Definition step = [=](Tensors inputs) {
    const Tensor cotangent = inputs.back();
    inputs.pop_back();
    return reference(inputs, cotangent);
  };
  return {.flops = 3 * flops,
          .call = [=] { gradients_of(run, x, u); },
          .results = [=] { return all_of(run, x, u); },
          .reference = [=] { return Reference(with_u, step); }};
}

}  // namespace unroll::bench
