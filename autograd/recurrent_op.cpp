#include "autograd/recurrent_op.h"

namespace unroll::detail {
namespace {

void require_shape(const char* op, const std::string& what, const Tensor& x, const Shape& shape) {
  if (x && !(x.shape() == shape))
    fail(op, what + " is " + to_string(x.shape()) + " but must be " + to_string(shape));
}

}  // namespace

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
  const std::int64_t H = w_hh.shape()[1], rows = gates * H;
  if (T < 1) fail(op, "x is " + to_string(in.x.shape()) + ": a sequence needs at least one step");
  for (int r = 0; r < in.runs; r++) {
    const RunInputs& run = in.run[r];
    const std::string suffix = r == 1 ? "_reverse" : "";
    require_shape(op, "weight_hh" + suffix, run.w_hh, {rows, H});
    require_shape(op, "weight_ih" + suffix, run.w_ih, {rows, I});
    require_shape(op, "bias_ih" + suffix, run.b_ih, {rows});
    require_shape(op, "bias_hh" + suffix, run.b_hh, {rows});
    require_shape(op, "h_0" + suffix, run.h0, {N, H});
    if (has_cell) require_shape(op, "c_0" + suffix, run.c0, {N, H});
  }
  return {.T = T, .N = N, .I = I, .H = H, .lengths = lengths.view(op, T, N)};
}

Tensor states_from(const Tensor& first, const RecurrentShape& s, Dtype dtype, Device device) {
  Tensor all = empty({s.T + 1, s.N, s.H}, dtype, device);
  Tensor start = view::select(all, 0, 0);
  if (first)
    copy_into(start, first);
  else
    fill(start, 0);
  return all;
}

}  // namespace unroll::detail
