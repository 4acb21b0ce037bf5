#include "bench/own_kernel.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <utility>

#include "autograd/lstm.h"
#include "autograd/ops.h"
#include "bench/limits.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/view.h"
#include "kernels/isa.h"

namespace unroll::bench {
namespace {

// From row `first` on.
void fill_rows(Tensor& x, std::int64_t first, float value) {
  const std::int64_t row = x.numel() / x.shape()[0];
  float* const data = x.mutable_data<float>();
  std::fill(data + first * row, data + x.numel(), value);
}

void put_row(Tensor& x, const Tensor& first) {
  std::memcpy(x.mutable_data<float>(), first.data<float>(),
              std::size_t(first.numel()) * sizeof(float));
}

bool has_row(const Tensor& x, const Tensor& first) {
  return std::memcmp(x.data<float>(), first.data<float>(),
                     std::size_t(first.numel()) * sizeof(float)) == 0;
}

struct Problem {
  Tensors inputs;
  Tensor h_0, c_0;

  explicit Problem(const Size& s) : inputs(recurrent_inputs(4, s)) {
    Random random(3);
    h_0 = random.uniform({s.N, s.H}, -1, 1);
    c_0 = random.normal({s.N, s.H});
  }

  // h and c of all steps: c is the last one of a twin that runs so far.
  static Tensors definition(const Tensors& p) {
    Tensor h = p[5], c = p[6];
    Tensors all_h, all_c;
    for (std::int64_t t = 0; t < p[0].shape()[0]; t++) {
      const LstmOut out = lstm_twin(view::slice(p[0], 0, t, t + 1), h, c, p[1], p[2], p[3], p[4]);
      all_h.push_back(h = out.h_n);
      all_c.push_back(c = out.c_n);
    }
    return {stack(all_h, 0), stack(all_c, 0)};
  }
  Reference reference() const {
    Tensors all = inputs;
    all.insert(all.end(), {h_0, c_0});
    return {all, definition};
  }
  LstmForwardRun run(const LstmForwardKernel& kernel) const { return {kernel, inputs, h_0, c_0}; }
};

// The error of the first call and of one that follows, which must be right.
double require_right(const std::string& name, const Size& size, const Problem& problem,
                     LstmForwardRun& run) {
  const std::string what = name + " at N,T,I,H " + text_of(size) + ": ";
  const Reference reference = problem.reference();
  double worst = 0;
  for (const char* call : {"first call", "call with packed weights"}) {
    const double error = reference.error_of(run.results());
    if (!run.keeps_start())
      fail("try_lstm_forward", what + "index 0 of h or c, the initial state, was written");
    if (!(error <= tolerance))
      fail("try_lstm_forward", what + "the result of the " + call + " is wrong: off by " +
                                   std::to_string(error) + " of the largest number in h or c");
    worst = std::max(worst, error);
  }
  return worst;
}

void print_row(const KernelRow& row, double peak) {
  const double flops = recurrent_flops(4, row.size), rate = flops / (1e6 * row.ms);
  std::printf("%-18s %10.4f %10.4f %7.2f %9.1f %9.1f %9.1e\n", text_of(row.size).c_str(), row.ms,
              row.ours_ms, row.ours_ms / row.ms, rate, 1e11 * rate / peak, row.error);
  std::fflush(stdout);
}

}  // namespace

LstmForwardRun::LstmForwardRun(LstmForwardKernel kernel, const Tensors& inputs, const Tensor& h_0,
                               const Tensor& c_0)
    : kernel_(std::move(kernel)), inputs_(inputs), start_{h_0, c_0} {
  const Shape& x = inputs[0].shape();
  const std::int64_t T = x[0], N = x[1], H = inputs[2].shape()[1];
  shape_ = LstmShape{{.T = T, .N = N, .I = x[2], .H = H}};
  h_ = empty({T + 1, N, H});
  c_ = empty({T + 1, N, H});
  put_row(h_, h_0);
  put_row(c_, c_0);
  const LstmSizes sizes = cpu::lstm_sizes<float>(shape_);
  scratch_ = empty({sizes.forward_scratch});
  packed_ = empty({sizes.packed});
  arguments_ = {.x = inputs[0].data<float>(),
                .w_ih = inputs[1].data<float>(),
                .w_hh = inputs[2].data<float>(),
                .b_ih = inputs[3].data<float>(),
                .b_hh = inputs[4].data<float>(),
                .h = h_.mutable_data<float>(),
                .c = c_.mutable_data<float>(),
                .scratch = scratch_.mutable_data<float>(),
                .packed = sizes.packed ? packed_.mutable_data<float>() : nullptr};
}

void LstmForwardRun::call() {
  kernel_(shape_, arguments_);
  arguments_.packs = arguments_.packed == nullptr;
}

Tensors LstmForwardRun::results() {
  for (Tensor* const each : {&h_, &c_})
    fill_rows(*each, 1, std::numeric_limits<float>::quiet_NaN());
  call();
  return {contiguous_copy(view::slice(h_, 0, 1, shape_.T + 1)),
          contiguous_copy(view::slice(c_, 0, 1, shape_.T + 1))};
}

bool LstmForwardRun::keeps_start() const {
  return has_row(h_, start_[0]) && has_row(c_, start_[1]);
}

std::vector<KernelRow> try_lstm_forward(const std::string& name, const LstmForwardKernel& kernel,
                                        const std::vector<Size>& sizes, const Turns& turns) {
  require_isa();
  require_turns(turns);
  std::vector<KernelRow> rows;
  for (const Size& size : sizes) {
    require_size("lstm", size);
    const Problem problem(size);
    LstmForwardRun mine = problem.run(kernel);
    rows.push_back({size, require_right(name, size, problem, mine), 0, 0});
    stop_if(turns.stop);
  }
  const double peak = fma_peak(Dtype::float32, num_threads());
  std::printf("%s beside unroll (%s), LSTM forward, float32, threads %d, peak %.0f GFLOP/s\n\n",
              name.c_str(), isa_name(isa()), num_threads(), peak / 1e9);
  std::printf("%-18s %10s %10s %7s %9s %9s %9s\n", "N,T,I,H", "its ms", "our ms", "ratio",
              "GFLOP/s", "% of peak", "error");
  for (KernelRow& row : rows) {
    const Problem problem(row.size);
    LstmForwardRun mine = problem.run(kernel), ours = problem.run(cpu::lstm_forward<float>);
    const auto seconds = time_in_turns({[&] { mine.call(); }, [&] { ours.call(); }}, turns);
    row.ms = 1e3 * seconds[0];
    row.ours_ms = 1e3 * seconds[1];
    print_row(row, peak);
  }
  return rows;
}

}  // namespace unroll::bench
