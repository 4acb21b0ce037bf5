#include "inversion/stepwise_block.h"

#include <Eigen/QR>
#include <cmath>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/numbers.h"

namespace unroll::detail {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::MatrixXd;

// Rows K, columns B, and what one sequence has: x_error[:,b] = J_b^+ right[:,b] for each b, on the
// host. x_error [K,B,n] comes back where the Jacobian lies.
Tensor solve_errors(const Tensor& jacobian /*[n,B,m]*/, const Tensor& right /*[K,B,m]*/,
                    std::vector<std::int64_t>& rank) {
  const std::int64_t n = jacobian.shape()[0], B = jacobian.shape()[1], m = jacobian.shape()[2];
  const std::int64_t K = right.shape()[0];
  const Tensor J = on_host(jacobian), r = on_host(right);
  Tensor x_error = empty({K, B, n}, Dtype::float64);
  const double *from = J.data<double>(), *wanted = r.data<double>();
  double* to = x_error.mutable_data<double>();
  rank.assign(static_cast<std::size_t>(B), 0);
  using Strided = Eigen::Map<const MatrixXd, 0, Eigen::OuterStride<>>;
#pragma omp parallel for if (B > 3)
  for (std::int64_t b = 0; b < B; b++) {
    const MatrixXd own = Strided(from + b * m, m, n, Eigen::OuterStride<>(B * m));
    const Strided rows(wanted + b * m, m, K, Eigen::OuterStride<>(B * m));
    const Eigen::ColPivHouseholderQR<MatrixXd> qr(own);
    rank[static_cast<std::size_t>(b)] = qr.rank();
    Eigen::Map<MatrixXd, 0, Eigen::OuterStride<>>(to + b * n, n, K, Eigen::OuterStride<>(B * n)) =
        qr.solve(rows);
  }
  return on_device(x_error, jacobian.device());
}

// [n,B,n] unit directions before K more that are zero, or the other way round.
Tensor padded(const Tensor& v, std::int64_t before, std::int64_t behind) {
  return pad(v, {{0, before, behind}});
}

Tensor unit_directions(std::int64_t n, std::int64_t B, Device device) {
  return contiguous_copy(expand(unsqueeze(eye(n, Dtype::float64, device), 1), {n, B, n}));
}

}  // namespace

Block::Block(const Encoder& encoder, std::int64_t k, const Tensor& readout)
    : encoder_(encoder), k_(k), readout_(readout) {}

std::int64_t Block::width() const noexcept {
  return readout_ ? readout_.shape()[0] : encoder_.sizes().output_width();
}

Tensor Block::input_of(const Tensor& rows) const {
  return transpose(reshape(rows, {rows.shape()[0], k_, encoder_.sizes().I}), 0, 1);
}

Block::Out Block::run(const Tensor& rows, const EncoderState& state) const {
  const EncoderOut out = encoder_(input_of(rows), state);
  const Tensor last = select(out.y, 0, k_ - 1);
  return {readout_ ? linear(last, readout_) : last, out.last};
}

LmResult Block::solve(const Tensor& start, const Tensor& seen, const EncoderState& state) const {
  const std::size_t B = static_cast<std::size_t>(start.shape()[0]);
  return levenberg_marquardt(
      [&](const Tensor& x, std::span<const std::int64_t> which) {
        const bool all = which.size() == B;
        const EncoderState from = all ? state : state_at(state, which);
        const Tensor wanted = all ? seen : rows_at(seen, which);
        return linearise(x, [&](const Tensor& rows) { return run(rows, from).seen - wanted; });
      },
      start, {.iterations = 100, .damping = 1e-3});
}

Tensor Block::residual(const Tensor& rows, const Tensor& seen, const EncoderState& state) const {
  return sqrt(mean(square(run(rows, state).seen - seen), {1}));
}

EncoderState Block::after(const Tensor& rows, const Tensor& seen, const EncoderState& state) const {
  EncoderState next = run(rows, state).state;
  if (sees_state()) next.h = unsqueeze(seen, 0);
  return next;
}

Block::Errors Block::propagate(const Tensor& rows, const EncoderState& state, const Tensor& on,
                               const Tensor& seen_error, const EncoderState& state_error) const {
  const std::int64_t n = rows.shape()[1], B = rows.shape()[0], K = seen_error.shape()[0];
  Tape tape;
  const Out out = run(rows, state);
  const bool cells = encoder_.sizes().has_cell_state();
  Tensors from{rows, state.h};
  Tensors along{padded(unit_directions(n, B, rows.device()), 0, K), padded(state_error.h, n, 0)};
  if (cells) from.push_back(state.c), along.push_back(padded(state_error.c, n, 0));
  const Tensor swept = tape.push(from, along, out.seen);
  const auto said = [&](const Tensor& facts) { return on ? facts * on : facts; };
  Errors errors;
  errors.x = solve_errors(said(slice(swept, 0, 0, n)), said(seen_error - slice(swept, 0, n, n + K)),
                          errors.rank);
  if (sees_state()) errors.state.h = unsqueeze(seen_error, 1);
  if (sees_state() && !cells) return errors;
  along = {errors.x, state_error.h};
  if (cells) along.push_back(state_error.c);
  if (!sees_state()) errors.state.h = tape.push(from, along, out.state.h);
  if (cells) errors.state.c = tape.push(from, along, out.state.c);
  return errors;
}

EncoderState zero_state(const Encoder& encoder, std::int64_t B) {
  const EncoderSizes& s = encoder.sizes();
  const std::int64_t runs = s.layers * s.directions();
  const auto zero = [&](std::int64_t width) {
    return zeros({runs, B, width}, Dtype::float64, encoder.device());
  };
  return {zero(s.state_width()), s.has_cell_state() ? zero(s.H) : Tensor()};
}

EncoderState state_at(const EncoderState& state, std::span<const std::int64_t> which) {
  const std::int64_t count = static_cast<std::int64_t>(which.size());
  const Tensor index = from_values<std::int64_t>(which, {count}, state.h.device());
  const auto at = [&](const Tensor& t) { return t ? index_select(t, 1, index) : t; };
  return {at(state.h), at(state.c)};
}

void put_rows(Tensor& to, std::span<const std::int64_t> which, const Tensor& rows) {
  for (std::size_t i = 0; i < which.size(); i++) {
    const std::int64_t own = static_cast<std::int64_t>(i);
    Tensor row = view::slice(to, 0, which[i], which[i] + 1);
    copy_into(row, view::slice(rows, 0, own, own + 1));
  }
}

}  // namespace unroll::detail
