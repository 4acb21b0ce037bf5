// The worker of unroll itself: the public functions of autograd/, as a user calls them.
#include <memory>

#include "autograd/attention.h"
#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/rnn.h"
#include "autograd/tape.h"
#include "bench/compare/worker.h"
#include "bench/limits.h"
#include "core/error.h"
#include "core/parallel.h"
#include "kernels/isa.h"

namespace unroll::compare {
namespace {

// The op of a problem with its inputs, in the order of `names`.
struct Op {
  std::vector<std::string> names;
  Tensors x;
  Tensor u;  // cotangent of the first result
  Lengths lengths;
  std::vector<Named> (*forward)(const Op&) = nullptr;
};

std::vector<Named> rnn_of(const Op& p) {
  const RnnOut out = rnn(p.x[0], {}, p.x[1], p.x[2], p.x[3], p.x[4], p.lengths);
  return {{"y", out.y}, {"h_n", out.h_n}};
}

std::vector<Named> gru_of(const Op& p) {
  const GruOut out = gru(p.x[0], {}, p.x[1], p.x[2], p.x[3], p.x[4], p.lengths);
  return {{"y", out.y}, {"h_n", out.h_n}};
}

std::vector<Named> lstm_of(const Op& p) {
  const LstmOut out = lstm(p.x[0], {}, {}, p.x[1], p.x[2], p.x[3], p.x[4], p.lengths);
  return {{"y", out.y}, {"h_n", out.h_n}, {"c_n", out.c_n}};
}

std::vector<Named> attention_of(const Op& p) {
  return {{"y", scaled_dot_product_attention(p.x[0], p.x[1], p.x[2]).context}};
}

Tensors gradients_of(const Op& p) {
  Tape tape;
  return tape.pull(p.forward(p)[0].value, p.u, p.x);
}

Op op_of(const Problem& problem) {
  Op op;
  if (problem.op == "attention") {
    op.forward = attention_of;
    op.names = {"q", "k", "v"};
  } else {
    op.forward = problem.op == "rnn"    ? rnn_of
                 : problem.op == "gru"  ? gru_of
                 : problem.op == "lstm" ? lstm_of
                                        : nullptr;
    op.names = {"x", "w_ih", "w_hh", "b_ih", "b_hh"};
  }
  if (!op.forward) throw Error("no op of the name " + problem.op);
  for (const std::string& name : op.names) op.x.push_back(problem.input(name));
  if (problem.is_step()) op.u = problem.input("u");
  if (problem.has("lengths"))
    op.lengths = Lengths(to_vector<std::int64_t>(problem.input("lengths")));
  return op;
}

std::vector<Named> step_results(const Op& op) {
  std::vector<Named> results = op.forward(op);
  const Tensors gradients = gradients_of(op);
  for (std::size_t i = 0; i < gradients.size(); i++)
    results.push_back({"d" + op.names[i], gradients[i]});
  return results;
}

Job prepare(const Problem& problem) {
  const auto op = std::make_shared<const Op>(op_of(problem));
  if (problem.is_step()) return {[op] { gradients_of(*op); }, [op] { return step_results(*op); }};
  return {[op] { op->forward(*op); }, [op] { return op->forward(*op); }};
}

double peak_gflops() { return bench::fma_peak(Dtype::float32, num_threads()) / 1e9; }

}  // namespace
}  // namespace unroll::compare

int main() {
  using namespace unroll;
  const std::string title = std::string("unroll " UNROLL_VERSION "-") + isa_name(require_isa());
  return compare::serve(title, compare::prepare, compare::peak_gflops);
}
