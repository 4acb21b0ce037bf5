#include "autograd/recurrent_op.h"

#include <string_view>

namespace unroll::detail {
namespace {

// Checks operands of run r by their names, which are put together only for a message.
struct OperandCheck {
  const char* op;
  int r;

  std::string name(const char* what) const {
    return std::string(what) + (r == 1 ? "_reverse" : "");
  }
  void shape(const char* what, const Tensor& x, const Shape& shape) const {
    if (x && !(x.shape() == shape))
      fail(op, name(what) + " is " + to_string(x.shape()) + " but must be " + to_string(shape));
  }
};

// Options of the LSTM: their parameters, and that both runs have them or neither.
void require_extra(const OperandCheck& check, const RunInputs& run, std::int64_t H) {
  const std::int64_t rows = 4 * H;
  check.shape("weight_hr", run.w_hr, {run.state_width(), H});
  check.shape("weight_peephole", run.peephole, {3, H});
  check.shape("norm_ih", run.norm_ih, {rows});
  check.shape("norm_hh", run.norm_hh, {rows});
  check.shape("norm_c", run.norm_c, {H});
  check.shape("norm_c_bias", run.norm_c_bias, {H});
  const bool norm = bool(run.norm_ih);
  if (bool(run.norm_hh) != norm || bool(run.norm_c) != norm || bool(run.norm_c_bias) != norm)
    fail(check.op,
         check.name("layer norm") + " needs norm_ih, norm_hh, norm_c and norm_c_bias together");
  if (!run.w_hr && run.state_width() != H)
    fail(check.op, check.name("weight_hh") + " is " + to_string(run.w_hh.shape()) +
                       " but must be [" + std::to_string(rows) + "," + std::to_string(H) +
                       "] without a weight_hr");
}

bool starts_with(const char* op, std::string_view family) {
  return std::string_view(op).substr(0, family.size()) == family;
}

void require_none_extra(const char* op, const RunInputs& run) {
  for (int i = 6; i < RunInputs::count; i++)
    if (run[i])
      fail(op, "a tensor of " + to_string(run[i].shape()) +
                   " is given for an option that only the LSTM has");
}

}  // namespace

LayerOptions layer_options(const char* op, const CellOptions& cell, const Random* random) {
  const auto require_rate = [op](const char* what, double rate, bool one) {
    if (!(rate >= 0 && (one ? rate <= 1 : rate < 1)))
      fail(op,
           std::string(what) + " is " + std::to_string(rate) + ", not in [0,1" + (one ? "]" : ")"));
  };
  require_rate("zoneout_h", cell.zoneout_h, true);
  require_rate("zoneout_c", cell.zoneout_c, true);
  require_rate("recurrent dropout", cell.dropout, false);
  if (!(cell.clip >= 0)) fail(op, "clip is " + std::to_string(cell.clip) + ", not at least 0");
  if (cell.zoneout_c > 0 && !starts_with(op, "lstm"))
    fail(op, "zoneout_c is " + std::to_string(cell.zoneout_c) + ", but there is no cell state");
  if (cell.reset_first && !starts_with(op, "gru"))
    fail(op, "reset_first is set, but there is no reset gate");
  if (cell.coupled && !starts_with(op, "lstm"))
    fail(op, "coupled is set, but there is no forget gate");
  const bool draws = random && (cell.zoneout_h > 0 || cell.zoneout_c > 0 || cell.dropout > 0);
  LayerOptions options{.cell = {.clip = cell.clip,
                                .zoneout_h = cell.zoneout_h,
                                .zoneout_c = cell.zoneout_c,
                                .dropout = cell.dropout,
                                .training = draws},
                       .reset_first = cell.reset_first,
                       .recompute = cell.recompute};
  if (random) {
    options.cell.seed = random->seed();
    options.cell.stream = random->stream();
    options.cell.counter = random->counter();
  }
  return options;
}

LayerOptions options_of_run(const LayerOptions& options, const RecurrentInputs& in, int gates,
                            int r) {
  LayerOptions own = options;
  if (!options.cell.training) return own;
  const RecurrentShape shape{.T = in.x.shape()[0],
                             .N = in.x.shape()[1],
                             .I = in.x.shape()[2],
                             .H = in.run[0].w_hh.shape()[0] / gates};
  own.cell.counter += static_cast<std::uint64_t>(r) * mask_draws(shape, in.run[0].state_width());
  return own;
}

RecurrentShape recurrent_shape(const char* op, const RecurrentInputs& in, int gates, bool has_cell,
                               const Lengths& lengths) {
  require_real(op, in.x);
  for (int i = 0; i < in.count(); i++)
    if (in[i]) require_alike(op, in.x, in[i]);
  for (int r = 0; r < in.runs; r++) {
    require_defined(op, in.run[r].w_ih);
    require_defined(op, in.run[r].w_hh);
  }
  if (in.x.rank() != 3) fail(op, "x is " + to_string(in.x.shape()) + " but must be [T,N,I]");
  const Tensor& w_hh = in.run[0].w_hh;
  if (w_hh.rank() != 2)
    fail(op, "weight_hh is " + to_string(w_hh.shape()) + " but must be [" + std::to_string(gates) +
                 "*H,H]");
  const std::int64_t T = in.x.shape()[0], N = in.x.shape()[1], I = in.x.shape()[2];
  // Without a projection the columns count, as the rows would have to be divided.
  const Tensor& w_hr = in.run[0].w_hr;
  const std::int64_t P = w_hh.shape()[1];
  const std::int64_t H = w_hr && w_hr.rank() == 2 ? w_hr.shape()[1] : P, rows = gates * H;
  if (T < 1) fail(op, "x is " + to_string(in.x.shape()) + ": a sequence needs at least one step");
  for (int r = 0; r < in.runs; r++) {
    const RunInputs& run = in.run[r];
    const OperandCheck check{op, r};
    check.shape("weight_hh", run.w_hh, {rows, P});
    check.shape("weight_ih", run.w_ih, {rows, I});
    check.shape("bias_ih", run.b_ih, {rows});
    check.shape("bias_hh", run.b_hh, {rows});
    check.shape("h_0", run.h0, {N, P});
    if (has_cell) check.shape("c_0", run.c0, {N, H});
    if (has_cell)
      require_extra(check, run, H);
    else
      require_none_extra(op, run);
  }
  return {.T = T, .N = N, .I = I, .H = H, .lengths = lengths.view(op, T, N, in.x.device())};
}

Tensor states_from(const Tensor& first, const RecurrentShape& s, std::int64_t width, Dtype dtype,
                   Device device) {
  Tensor all = empty({s.T + 1, s.N, width}, dtype, device);
  Tensor start = view::select(all, 0, 0);
  if (first)
    copy_into(start, first);
  else
    fill(start, 0);
  return all;
}

}  // namespace unroll::detail
