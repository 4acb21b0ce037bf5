#include "bench/cudnn/problem.h"

#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/ops.h"
#include "autograd/rnn.h"
#include "autograd/tape.h"
#include "core/error.h"
#include "core/random.h"

namespace unroll::bench {
namespace {

std::int64_t length_of(std::int64_t n, std::int64_t T) { return T - n * 7919 % (T / 2 + 1); }

Lengths lengths_of(const Problem& problem) {
  if (!problem.variable) return {};
  std::vector<std::int64_t> lengths;
  for (std::int64_t n = 0; n < problem.size.N; n++) lengths.push_back(length_of(n, problem.size.T));
  return Lengths(lengths);
}

// As the stored type holds it.
Tensor rounded(const Tensor& x, Precision precision) {
  return to(to(x, stored_as(precision)), Dtype::float32);
}

Tensors run(const std::string& op, const Tensors& x, const Lengths& lengths) {
  if (op == "lstm") {
    const LstmOut out = lstm(x[0], {}, {}, x[1], x[2], x[3], x[4], lengths);
    return {out.y, out.h_n, out.c_n};
  }
  if (op == "gru") {
    const GruOut out = gru(x[0], {}, x[1], x[2], x[3], x[4], lengths);
    return {out.y, out.h_n};
  }
  const RnnOut out = rnn(x[0], {}, x[1], x[2], x[3], x[4], lengths);
  return {out.y, out.h_n};
}

std::vector<Size> haste_sizes() {
  std::vector<Size> sizes;
  for (const std::int64_t H : {128, 512, 1024, 4096})
    for (const std::int64_t I : {64, 512})
      for (const std::int64_t N : {1, 8, 32, 128}) sizes.push_back({N, 50, I, H});
  return sizes;
}

}  // namespace

const char* name_of(Precision precision) {
  switch (precision) {
    case Precision::float32: return "float32";
    case Precision::tf32: return "tf32";
    case Precision::float16: return "float16";
    case Precision::bfloat16: return "bfloat16";
  }
  return "?";
}

Dtype stored_as(Precision precision) {
  switch (precision) {
    case Precision::float16: return Dtype::float16;
    case Precision::bfloat16: return Dtype::bfloat16;
    default: return Dtype::float32;
  }
}

double tolerance_of(Precision precision) {
  switch (precision) {
    case Precision::float32: return tolerance;
    case Precision::bfloat16: return 8e-2;  // 7 bits of fraction
    default: return 1e-2;                   // 10
  }
}

std::string text_of(const Problem& p) {
  return p.op + " " + name_of(p.pass) + " " + name_of(p.precision) + " " + text_of(p.size) +
         (p.variable ? " variable" : "");
}

int gates_of(const std::string& op) { return op == "lstm" ? 4 : op == "gru" ? 3 : 1; }
bool has_cell(const std::string& op) { return op == "lstm"; }
int outputs_of(const std::string& op) { return has_cell(op) ? 3 : 2; }

Inputs::Inputs(const Problem& problem) : lengths(lengths_of(problem)) {
  const auto [N, T, I, H] = problem.size;
  for (const Tensor& each : recurrent_inputs(gates_of(problem.op), problem.size))
    layer.push_back(rounded(each, problem.precision));
  Random random(2);
  dy = rounded(random.normal({T, N, H}), problem.precision);
  if (!lengths) return;
  float* const rows = dy.mutable_data<float>();
  for (std::int64_t n = 0; n < N; n++)
    for (std::int64_t t = length_of(n, T); t < T; t++)
      for (std::int64_t u = 0; u < H; u++) rows[(t * N + n) * H + u] = 0;
}

Tensors reference(const Problem& problem, const Inputs& inputs) {
  const Tensors x = in_float64(inputs.layer);
  if (problem.pass == Pass::forward) return run(problem.op, x, inputs.lengths);
  Tape tape;
  Tensors all = run(problem.op, x, inputs.lengths);
  for (const Tensor& gradient : tape.pull(all[0], to(inputs.dy, Dtype::float64), x))
    all.push_back(gradient);
  return all;
}

double rows_of(const Problem& problem) {
  const Lengths lengths = lengths_of(problem);
  return double(lengths ? lengths.total() : problem.size.N * problem.size.T);
}

double flops_of(const Problem& problem) {
  const auto [N, T, I, H] = problem.size;
  const double forward = 2 * rows_of(problem) * double(gates_of(problem.op) * H * (I + H));
  return problem.pass == Pass::step ? 3 * forward : forward;
}

double bytes_of(const Problem& problem) {
  const auto [N, T, I, H] = problem.size;
  const double gates = double(gates_of(problem.op) * H), rows = rows_of(problem);
  const double x = rows * double(I), y = rows * double(H), matrices = gates * double(I + H);
  const double last = double(N * H * (outputs_of(problem.op) - 1));
  double numbers = x + matrices + 2 * gates + y + last;
  if (problem.pass == Pass::step)
    numbers += 2 * y + x + matrices         // y, dy, x and weights are read,
               + x + matrices + 2 * gates;  // and the gradients written
  return numbers * double(size_of(stored_as(problem.precision)));
}

std::vector<Size> sizes_named(const std::string& name) {
  if (name == "haste") return haste_sizes();
  if (name == "flashrnn") return {{16, 1024, 768, 768}};
  if (name == "ours") return usual_sizes("lstm");
  if (name == "quick") return {{8, 100, 64, 128}, {32, 50, 64, 1024}};
  if (name == "tiny") return {{2, 3, 4, 5}, {3, 2, 1, 8}};
  fail("cudnn_bench", "there is no list of sizes " + name);
}

}  // namespace unroll::bench
