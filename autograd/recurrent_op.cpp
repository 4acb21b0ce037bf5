#include "autograd/recurrent_op.h"

namespace unroll::detail {
namespace {

void require_shape(const char* op, const char* what, const Tensor& x, const Shape& shape) {
  if (x && !(x.shape() == shape))
    fail(op,
         std::string(what) + " is " + to_string(x.shape()) + " but must be " + to_string(shape));
}

}  // namespace

RecurrentShape recurrent_shape(const char* op, const RecurrentInputs& in, int gates, bool has_cell,
                               const Lengths& lengths) {
  require_real(op, in.x);
  for (int i = 0; i < in.count; i++)
    if (in[i]) require_alike(op, in.x, in[i]);
  require_defined(op, in.w_ih);
  require_defined(op, in.w_hh);
  if (in.x.rank() != 3) fail(op, "x is " + to_string(in.x.shape()) + " but must be [T,N,I]");
  if (in.w_hh.rank() != 2)
    fail(op, "weight_hh is " + to_string(in.w_hh.shape()) + " but must be [" +
                 std::to_string(gates) + "*H,H]");
  const std::int64_t T = in.x.shape()[0], N = in.x.shape()[1], I = in.x.shape()[2];
  const std::int64_t H = in.w_hh.shape()[1], rows = gates * H;
  if (T < 1) fail(op, "x is " + to_string(in.x.shape()) + ": a sequence needs at least one step");
  require_shape(op, "weight_hh", in.w_hh, {rows, H});
  require_shape(op, "weight_ih", in.w_ih, {rows, I});
  require_shape(op, "bias_ih", in.b_ih, {rows});
  require_shape(op, "bias_hh", in.b_hh, {rows});
  require_shape(op, "h_0", in.h0, {N, H});
  if (has_cell) require_shape(op, "c_0", in.c0, {N, H});
  return {.T = T, .N = N, .I = I, .H = H, .lengths = lengths.view(op, T, N)};
}

}  // namespace unroll::detail
