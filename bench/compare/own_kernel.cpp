#include "bench/compare/own_kernel.h"

#include <memory>

#include "bench/compare/worker.h"
#include "core/error.h"
#include "core/view.h"
#include "kernels/isa.h"

namespace unroll::compare {
namespace {

Job job_of(const Problem& p, const bench::LstmForwardKernel& kernel) {
  if (p.op != "lstm" || p.is_step() || p.has("lengths"))
    throw Error("forward passes of LSTMs over full sequences only");
  Tensors inputs;
  for (const char* name : {"x", "w_ih", "w_hh", "b_ih", "b_hh"}) inputs.push_back(p.input(name));
  const Tensor zero = zeros({p.N, p.H});
  const auto run = std::make_shared<bench::LstmForwardRun>(kernel, inputs, zero, zero);
  const auto results = [run, T = p.T]() -> std::vector<Named> {
    const Tensors states = run->results();
    return {{"y", states[0]},
            {"h_n", view::select(states[0], 0, T - 1)},
            {"c_n", view::select(states[1], 0, T - 1)}};
  };
  return {[run] { run->call(); }, results};
}

}  // namespace

int serve_lstm_forward(const std::string& title, const bench::LstmForwardKernel& kernel) {
  require_isa();  // scratch and packed have the sizes of our kernel
  return serve(title, [&](const Problem& problem) { return job_of(problem, kernel); });
}

}  // namespace unroll::compare
