#include "autograd/recurrent_op.h"

namespace unroll::detail {
namespace {

void require_shape(const char* op, const std::string& what, const Tensor& x, const Shape& shape) {
  if (x && !(x.shape() == shape))
    fail(op, what + " is " + to_string(x.shape()) + " but must be " + to_string(shape));
}

// Options of the LSTM: their parameters, and that both runs have them or neither.
void require_extra(const char* op, const RecurrentInputs& in, int r, std::int64_t H) {
  const RunInputs& run = in.run[r];
  const std::string suffix = r == 1 ? "_reverse" : "";
  const std::int64_t rows = 4 * H;
  require_shape(op, "weight_hr" + suffix, run.w_hr, {run.state_width(), H});
  require_shape(op, "weight_peephole" + suffix, run.peephole, {3, H});
  require_shape(op, "norm_ih" + suffix, run.norm_ih, {rows});
  require_shape(op, "norm_hh" + suffix, run.norm_hh, {rows});
  require_shape(op, "norm_c" + suffix, run.norm_c, {H});
  require_shape(op, "norm_c_bias" + suffix, run.norm_c_bias, {H});
  const bool norm = bool(run.norm_ih);
  if (bool(run.norm_hh) != norm || bool(run.norm_c) != norm || bool(run.norm_c_bias) != norm)
    fail(op, "layer norm" + suffix + " needs norm_ih, norm_hh, norm_c and norm_c_bias together");
  if (!run.w_hr && run.state_width() != H)
    fail(op, "weight_hh" + suffix + " is " + to_string(run.w_hh.shape()) + " but must be [" +
                 std::to_string(rows) + "," + std::to_string(H) + "] without a weight_hr");
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
  const std::string family = op;
  require_rate("zoneout_h", cell.zoneout_h, true);
  require_rate("zoneout_c", cell.zoneout_c, true);
  require_rate("recurrent dropout", cell.dropout, false);
  if (!(cell.clip >= 0)) fail(op, "clip is " + std::to_string(cell.clip) + ", not at least 0");
  if (cell.zoneout_c > 0 && family.rfind("lstm", 0) != 0)
    fail(op, "zoneout_c is " + std::to_string(cell.zoneout_c) + ", but there is no cell state");
  if (cell.reset_first && family.rfind("gru", 0) != 0)
    fail(op, "reset_first is set, but there is no reset gate");
  if (cell.coupled && family.rfind("lstm", 0) != 0)
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
    const std::string suffix = r == 1 ? "_reverse" : "";
    require_shape(op, "weight_hh" + suffix, run.w_hh, {rows, P});
    require_shape(op, "weight_ih" + suffix, run.w_ih, {rows, I});
    require_shape(op, "bias_ih" + suffix, run.b_ih, {rows});
    require_shape(op, "bias_hh" + suffix, run.b_hh, {rows});
    require_shape(op, "h_0" + suffix, run.h0, {N, P});
    if (has_cell) require_shape(op, "c_0" + suffix, run.c0, {N, H});
    if (has_cell)
      require_extra(op, in, r, H);
    else
      require_none_extra(op, run);
  }
  return {.T = T, .N = N, .I = I, .H = H, .lengths = lengths.view(op, T, N)};
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
